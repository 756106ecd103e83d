//! Triggers: cron lines, time zones, and the params that an event gives.

use std::str::FromStr;

use crate::model::Cron;
use crate::syntax::scalars::Spanned;
use crate::syntax::suggest;

use super::problems::CheckProblem;

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];

/// `L` and `W` beside a number or alone: last, and nearest weekday, which not every cloud has. Names have three letters.
fn has_marker(field: &str, named: bool) -> bool {
    field.split([',', '-', '/']).any(|part| {
        let letters = part.chars().filter(char::is_ascii_alphabetic).count();
        letters > 0 && !(named && letters == 3 && part.len() == 3)
    })
}

/// A cron line of five fields in the form that every cloud's own dialect can be made of.
pub fn read_cron(text: &Spanned<String>) -> Result<Cron, CheckProblem> {
    let bad = |detail: String| CheckProblem::BadCron {
        cron: text.value.clone(),
        detail,
        span: text.span,
    };
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [minute, hour, day_of_month, month, day_of_week] = fields[..] else {
        let plural = if fields.len() == 1 { "field" } else { "fields" };
        return Err(bad(format!("it has {} {plural}, not five", fields.len())));
    };
    for (i, (field, name)) in fields.iter().zip(FIELDS).enumerate() {
        if let Some(extra) = field
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !"*,-/".contains(*c))
        {
            return Err(bad(format!("`{extra}` is not understood by every cloud")));
        }
        let mut alone = ["*"; 5];
        alone[i] = field;
        if croner::Cron::from_str(&alone.join(" ")).is_err() || has_marker(field, i >= 3) {
            return Err(bad(format!("`{field}` is no {name}")));
        }
    }
    if day_of_month != "*" && day_of_week != "*" {
        return Err(CheckProblem::BothDays {
            cron: text.value.clone(),
            span: text.span,
        });
    }
    Ok(Cron {
        minute: minute.to_owned(),
        hour: hour.to_owned(),
        day_of_month: day_of_month.to_owned(),
        month: month.to_ascii_uppercase(),
        day_of_week: days_by_name(day_of_week).ok_or_else(|| bad(format!("`{day_of_week}` is no day of the week")))?,
    })
}

/// Days of the week are numbered differently on each cloud, so they go by name; a range that wraps is written out.
fn days_by_name(field: &str) -> Option<String> {
    if field == "*" {
        return Some(field.to_owned());
    }
    let mut parts = Vec::new();
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (item, 1),
        };
        let (first, last) = match range.split_once('-') {
            Some((first, last)) => (day_number(first)?, day_number(last)?),
            None if range == "*" => (0, 6),
            None => (day_number(range)?, day_number(range)?),
        };
        let last = if last < first || (last == 0 && range.contains('-')) {
            last + 7
        } else {
            last
        };
        if step == 1 && last > first && last <= 6 {
            parts.push(format!("{}-{}", DAYS[first], DAYS[last]));
        } else {
            parts.extend((first..=last).step_by(step).map(|day| DAYS[day % 7].to_owned()));
        }
    }
    Some(parts.join(","))
}

fn day_number(text: &str) -> Option<usize> {
    match text.parse::<usize>() {
        Ok(7) => Some(0),
        Ok(day @ 0..=6) => Some(day),
        Ok(_) => None,
        Err(_) => DAYS.iter().position(|day| day.eq_ignore_ascii_case(text)),
    }
}

/// The IANA name, checked against the bundled database.
pub fn read_zone(zone: Option<&Spanned<String>>) -> Result<String, CheckProblem> {
    let Some(zone) = zone else { return Ok("UTC".to_owned()) };
    let database = jiff::tz::db();
    if database.get(&zone.value).is_ok() {
        return Ok(zone.value.clone());
    }
    let names: Vec<String> = database.available().map(|name| name.to_string()).collect();
    let help = match suggest::nearest(&zone.value, names.iter().map(String::as_str)) {
        Some(name) => format!("did you mean `{name}`?"),
        None => "write an IANA name such as `Europe/Zurich`, or `UTC`".to_owned(),
    };
    Err(CheckProblem::UnknownTimeZone {
        zone: zone.value.clone(),
        span: zone.span,
        help,
    })
}

#[cfg(test)]
mod tests {
    use super::{days_by_name, read_cron};
    use crate::syntax::scalars::Spanned;

    #[test]
    fn every_field_takes_what_all_clouds_know() {
        let reads = |cron: &str| {
            let value = cron.to_owned();
            read_cron(&Spanned {
                value,
                ..Spanned::default()
            })
            .is_ok()
        };
        for good in [
            "0 3 * * *",
            "*/5 8-17 * * mon-fri",
            "0 3 * * WED",
            "0 3 1,15 JUL *",
            "0 3 1 jan-mar *",
        ] {
            assert!(reads(good), "{good}");
        }
        for bad in [
            "0 3 L * *",
            "0 3 15W * *",
            "0 3 L JUL *",
            "0 3 * * 5L",
            "0 3 * * MON#2",
            "0 3 ? * *",
            "60 3 * * *",
            "0 3 WED * *",
        ] {
            assert!(!reads(bad), "{bad}");
        }
    }

    #[test]
    fn days_go_by_name() {
        for (field, expected) in [
            ("*", "*"),
            ("1-5", "MON-FRI"),
            ("0", "SUN"),
            ("7", "SUN"),
            ("mon,3", "MON,WED"),
            ("5-7", "FRI,SAT,SUN"),
            ("FRI-MON", "FRI,SAT,SUN,MON"),
            ("*/2", "SUN,TUE,THU,SAT"),
        ] {
            assert_eq!(days_by_name(field).as_deref(), Some(expected), "{field}");
        }
        assert_eq!(days_by_name("8"), None);
    }
}

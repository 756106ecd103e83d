//! Cron lines as NCRONTAB: six fields, seconds first, in UTC, the only zone that Flex Consumption knows
//! (Microsoft Learn, "Timer trigger for Azure Functions").

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::Cron;

const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];
const DAY: i64 = 24 * 60;

/// When a timer fires for a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    /// The schedule of the timer.
    pub ncrontab: String,
    /// It fires at more times than the schedule has: the starter looks at the local time.
    pub guarded: bool,
}

/// The timer of a schedule. In a zone whose offset changes it fires at each hour that the local time may stand for.
pub fn timer(cron: &Cron, timezone: &str) -> Timer {
    let offsets = offsets(timezone);
    let minutes = numbers(&cron.minute, 0, 59, &[]);
    let hours = numbers(&cron.hour, 0, 23, &[]);
    if offsets.iter().all(|offset| *offset == 0) {
        return Timer {
            ncrontab: format!(
                "0 {} {} {} {} {}",
                field(&minutes, 0, 59),
                field(&hours, 0, 23),
                field(&numbers(&cron.day_of_month, 1, 31, &[]), 1, 31),
                field(&numbers(&cron.month, 1, 12, &MONTHS), 1, 12),
                cron.day_of_week,
            ),
            guarded: false,
        };
    }
    let mut utc_minutes = BTreeSet::new();
    let mut utc_hours = BTreeSet::new();
    for offset in &offsets {
        for (hour, minute) in hours
            .iter()
            .flat_map(|hour| minutes.iter().map(move |minute| (hour, minute)))
        {
            let time = (hour * 60 + minute - offset).rem_euclid(DAY);
            utc_hours.insert(time / 60);
            utc_minutes.insert(time % 60);
        }
    }
    Timer {
        ncrontab: format!("0 {} {} * * *", field(&utc_minutes, 0, 59), field(&utc_hours, 0, 23)),
        guarded: true,
    }
}

/// The offsets from UTC in minutes that a zone has in the years from 2026 on, by the bundled database.
fn offsets(timezone: &str) -> BTreeSet<i64> {
    let Ok(zone) = TimeZone::get(timezone) else {
        return BTreeSet::from([0]);
    };
    // 2026-01-01 and 2040-01-01: fixed, so that the output does not depend on the day.
    let (Ok(start), Ok(end)) = (
        Timestamp::from_second(1_767_225_600),
        Timestamp::from_second(2_208_988_800),
    ) else {
        return BTreeSet::from([0]);
    };
    let minutes = |offset: jiff::tz::Offset| i64::from(offset.seconds()).div_euclid(60);
    let mut found = BTreeSet::from([minutes(zone.to_offset(start))]);
    let changes = zone.following(start).take_while(|change| change.timestamp() < end);
    found.extend(changes.map(|change| minutes(change.offset())));
    found
}

/// The numbers that a field stands for: `*`, numbers, names, ranges, lists and `/` steps.
fn numbers(field: &str, first: i64, last: i64, names: &[&str]) -> BTreeSet<i64> {
    let number = |text: &str| {
        let name = names
            .iter()
            .zip(first..)
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        name.map_or_else(|| text.parse().ok(), |(_, number)| Some(number))
    };
    let mut found = BTreeSet::new();
    for part in field.split(',') {
        let (span, step) = match part.split_once('/') {
            Some((span, step)) => (span, step.parse().ok().filter(|step| *step > 0)),
            None => (part, None),
        };
        let (low, high) = match span.split_once('-') {
            Some((low, high)) => (number(low), number(high)),
            None if span == "*" => (Some(first), Some(last)),
            None if step.is_some() => (number(span), Some(last)),
            None => (number(span), number(span)),
        };
        if let (Some(low), Some(high)) = (low, high) {
            found.extend((low..=high.min(last)).step_by(step.unwrap_or(1)));
        }
    }
    found
}

/// The shortest way to write the numbers.
fn field(numbers: &BTreeSet<i64>, first: i64, last: i64) -> String {
    let list: Vec<i64> = numbers.iter().copied().collect();
    let (Some(&low), Some(&high)) = (list.first(), list.last()) else {
        return "*".to_owned();
    };
    let gap = list.get(1).map_or(0, |second| second - low);
    let even = list.len() > 2 && list.iter().zip(list.iter().skip(1)).all(|(a, b)| b - a == gap);
    if even && gap == 1 {
        return if low == first && high == last {
            "*".to_owned()
        } else {
            format!("{low}-{high}")
        };
    }
    if even && low == first && high + gap > last {
        return format!("*/{gap}");
    }
    list.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cron(line: &str) -> Cron {
        let fields: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let [minute, hour, day_of_month, month, day_of_week] = <[String; 5]>::try_from(fields).unwrap();
        Cron {
            minute,
            hour,
            day_of_month,
            month,
            day_of_week,
        }
    }

    #[test]
    fn timers() {
        for (line, zone, expected) in [
            ("0 3 * * MON-FRI", "UTC", "0 0 3 * * MON-FRI"),
            ("*/15 9-17 1 JAN-MAR *", "Etc/UTC", "0 */15 9-17 1 1-3 *"),
            ("5/20 * * * *", "UTC", "0 5,25,45 * * * *"),
            ("0 3 * * MON-FRI", "Europe/Zurich", "0 0 1,2 * * *"),
            ("30 0 1 * *", "America/New_York", "0 30 4,5 * * *"),
            ("0 9 * * *", "Asia/Kolkata", "0 30 3 * * *"),
            ("0 1 * * *", "Asia/Tokyo", "0 0 16 * * *"),
            ("0 12 * * *", "Australia/Lord_Howe", "0 0,30 1 * * *"),
            ("0 */6 * * *", "Europe/Zurich", "0 0 4,5,10,11,16,17,22,23 * * *"),
        ] {
            let timer = timer(&cron(line), zone);
            assert_eq!(timer.ncrontab, expected, "{line} in {zone}");
            assert_eq!(timer.guarded, !zone.ends_with("UTC"));
        }
    }
}

//! How far a feature moved: distances between its values in a baseline and in requests.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Metric;

/// Bins of a feature of numbers, each with as many values of the baseline.
const BINS: usize = 10;
/// What an empty bin counts as, so that logarithms stay finite.
const LEAST_SHARE: f64 = 1e-4;

/// A feature's values in a baseline.
#[derive(Clone, Debug)]
pub struct Feature {
    /// Its name.
    pub name: String,
    shares: Shares,
}

#[derive(Clone, Debug)]
enum Shares {
    /// Upper edges of all bins but the last, and each bin's share.
    Numbers(Vec<f64>, Vec<f64>),
    /// Share of each text.
    Texts(BTreeMap<String, f64>),
}

/// The features of a CSV file with a line of names.
pub fn baseline(text: &str) -> Result<Vec<Feature>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names: Vec<String> = reader
        .headers()
        .map_err(|error| error.to_string())?
        .iter()
        .map(|name| name.trim().to_owned())
        .collect();
    let mut columns = vec![Vec::new(); names.len()];
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        for (column, cell) in columns.iter_mut().zip(record.iter()) {
            column.push(cell.trim().to_owned());
        }
    }
    if columns.first().is_none_or(Vec::is_empty) {
        return Err("it has no rows below its line of names".to_owned());
    }
    let features = names.into_iter().zip(columns);
    Ok(features
        .map(|(name, cells)| Feature {
            name,
            shares: shares(&cells),
        })
        .collect())
}

fn shares(cells: &[String]) -> Shares {
    let numbers: Option<Vec<f64>> = cells.iter().map(|cell| cell.parse().ok()).collect();
    let Some(mut numbers) = numbers else {
        return Shares::Texts(shares_of_texts(cells.iter().cloned()));
    };
    numbers.sort_by(f64::total_cmp);
    let mut edges: Vec<f64> = (1..BINS).map(|bin| numbers[bin * numbers.len() / BINS]).collect();
    edges.dedup();
    let shares = shares_of_numbers(&edges, numbers);
    Shares::Numbers(edges, shares)
}

fn shares_of_numbers(edges: &[f64], numbers: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut counts = vec![0.0; edges.len() + 1];
    let mut total: f64 = 0.0;
    for number in numbers {
        counts[edges.partition_point(|edge| *edge <= number)] += 1.0;
        total += 1.0;
    }
    counts.into_iter().map(|count| count / total.max(1.0)).collect()
}

fn shares_of_texts(texts: impl IntoIterator<Item = String>) -> BTreeMap<String, f64> {
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    let mut total: f64 = 0.0;
    for text in texts {
        *counts.entry(text).or_default() += 1.0;
        total += 1.0;
    }
    counts.values_mut().for_each(|count| *count /= total.max(1.0));
    counts
}

impl Feature {
    /// How far the values are from the baseline; None where there are none to compare.
    pub fn distance(&self, values: &[&Value], metric: Metric) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        let (before, after): (Vec<f64>, Vec<f64>) = match &self.shares {
            Shares::Numbers(edges, shares) => {
                let numbers: Vec<f64> = values.iter().filter_map(|value| value.as_f64()).collect();
                if numbers.is_empty() {
                    return None;
                }
                (shares.clone(), shares_of_numbers(edges, numbers))
            }
            Shares::Texts(shares) => {
                let now = shares_of_texts(values.iter().map(|value| plain(value)));
                let mut words: Vec<&String> = shares.keys().chain(now.keys()).collect();
                words.sort();
                words.dedup();
                let share = |shares: &BTreeMap<String, f64>, word: &String| shares.get(word).copied().unwrap_or(0.0);
                words
                    .into_iter()
                    .map(|word| (share(shares, word), share(&now, word)))
                    .unzip()
            }
        };
        Some(distance(&before, &after, metric))
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn distance(before: &[f64], after: &[f64], metric: Metric) -> f64 {
    let pairs = before.iter().copied().zip(after.iter().copied());
    match metric {
        Metric::Psi => pairs
            .map(|(p, q)| (p.max(LEAST_SHARE), q.max(LEAST_SHARE)))
            .map(|(p, q)| (q - p) * (q / p).ln())
            .sum(),
        Metric::LInfinity => pairs.map(|(p, q)| (p - q).abs()).fold(0.0, f64::max),
        Metric::JensenShannon => pairs
            .map(|(p, q)| {
                let middle = f64::midpoint(p, q);
                f64::midpoint(information(p, middle), information(q, middle))
            })
            .sum(),
    }
}

/// Bits of `p` against `q`.
fn information(p: f64, q: f64) -> f64 {
    if p > 0.0 { p * (p / q).log2() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn feature(cells: &[&str]) -> Feature {
        let text = format!("x\n{}\n", cells.join("\n"));
        baseline(&text).expect("it is a baseline").remove(0)
    }

    fn far(feature: &Feature, values: &[Value], metric: Metric) -> f64 {
        let values: Vec<&Value> = values.iter().collect();
        feature.distance(&values, metric).expect("there are values")
    }

    const ALL: [Metric; 3] = [Metric::JensenShannon, Metric::Psi, Metric::LInfinity];

    #[test]
    fn the_same_values_have_not_moved() {
        let numbers: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
        let same: Vec<Value> = (0..100).map(|n| json!(n)).collect();
        for metric in ALL {
            assert!(far(&feature(&numbers), &same, metric).abs() < 1e-9);
            assert!(far(&feature(&["a", "b"]), &[json!("b"), json!("a")], metric).abs() < 1e-9);
        }
    }

    #[test]
    fn values_apart_are_as_far_as_can_be() {
        let texts = feature(&["a", "a"]);
        assert!((far(&texts, &[json!("b")], Metric::JensenShannon) - 1.0).abs() < 1e-9);
        assert!((far(&texts, &[json!("b")], Metric::LInfinity) - 1.0).abs() < 1e-9);
        assert!(far(&texts, &[json!("b")], Metric::Psi) > 1.0);
    }

    #[test]
    fn half_of_the_texts_changed() {
        // Shares 1/2, 1/2 against 1, 0: PSI is (1 - 0.5) ln 2 + (0.0001 - 0.5) ln 0.0002, L-infinity is a half.
        let texts = feature(&["a", "b"]);
        let psi = 0.5 * 2f64.ln() + (0.0001 - 0.5) * 0.0002f64.ln();
        assert!((far(&texts, &[json!("a")], Metric::Psi) - psi).abs() < 1e-9);
        assert!((far(&texts, &[json!("a")], Metric::LInfinity) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn a_baseline_without_rows_is_none() {
        assert!(baseline("a,b\n").is_err());
        assert!(baseline("").is_err());
    }
}

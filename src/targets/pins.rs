//! What pip installs for a framework where the Python at hand has another version of it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

const FRAMEWORKS: &str = include_str!("../../targets/local/frameworks.yaml");

static TABLE: LazyLock<BTreeMap<String, Entry>> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "a file of ours, compiled in; every test reads it")]
    serde_yaml::from_str(FRAMEWORKS).expect("targets/local/frameworks.yaml fits its type")
});

#[derive(Deserialize)]
struct Entry {
    package: String,
    also: Vec<String>,
    older: Older,
}

#[derive(Deserialize)]
struct Older {
    below: String,
    also: Vec<String>,
}

/// A version of a framework, as packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The framework's own package.
    pub package: &'static str,
    /// Its version, or the start of it.
    pub version: String,
    /// What goes with it.
    pub also: Vec<&'static str>,
}

/// The packages of a framework, by its name as typed; None where it is none.
pub fn pin(framework: &str, version: &str) -> Option<Pin> {
    let entry = TABLE.get(framework)?;
    let older = numbers(version) < numbers(&entry.older.below);
    let also = entry
        .also
        .iter()
        .chain(older.then_some(&entry.older.also).into_iter().flatten());
    Some(Pin {
        package: &entry.package,
        version: version.to_owned(),
        also: also.map(String::as_str).collect(),
    })
}

impl Pin {
    /// What pip gets.
    pub fn requirements(&self) -> Vec<String> {
        let own = format!("{}=={}.*", self.package, self.version);
        std::iter::once(own)
            .chain(self.also.iter().map(|&package| package.to_owned()))
            .collect()
    }
}

/// `1.2` as numbers, which compare as versions do.
pub fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_releases_take_an_older_numpy() {
        let said = |framework, version| pin(framework, version).map(|pin| pin.requirements().join(" "));
        assert_eq!(
            said("sklearn", "1.2").as_deref(),
            Some("scikit-learn==1.2.* joblib numpy<2")
        );
        assert_eq!(said("sklearn", "1.10").as_deref(), Some("scikit-learn==1.10.* joblib"));
        assert_eq!(said("lightgbm", "4"), None);
    }
}

//! What pip installs for a framework: `targets/frameworks.yaml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::Framework;

/// By the framework's name.
static TABLE: LazyLock<BTreeMap<String, Entry>> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../targets/frameworks.yaml")).unwrap_or_default());

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    package: String,
    also: Vec<String>,
    older: Older,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Older {
    below: String,
    also: Vec<String>,
}

/// A framework's package, and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name in the registry.
    pub name: &'static str,
    /// Requirements of others.
    pub also: Vec<&'static str>,
}

/// The package of a framework in a version, or in one that starts so.
pub fn package(framework: &str, version: &str) -> Option<Package> {
    let entry = TABLE.get(framework)?;
    let older = (numbers(version) < numbers(&entry.older.below)).then_some(&entry.older.also);
    let also = entry.also.iter().chain(older.into_iter().flatten());
    Some(Package {
        name: &entry.package,
        also: also.map(String::as_str).collect(),
    })
}

/// What pip is given for it: `scikit-learn==1.2.*`, `numpy<2`.
pub fn requirements(framework: &str, version: &str) -> Vec<String> {
    let Some(package) = package(framework, version) else {
        return Vec::new();
    };
    let pin = format!("{}=={version}.*", package.name);
    let also = package.also.into_iter().map(str::to_owned);
    std::iter::once(pin).chain(also).collect()
}

/// What code that wants a version of a framework runs in: of minor versions in ascending order the same one, where `2.4` and `2.4.1` are of 2.4 and
/// `2` is the last of 2; else the next newer one, else the newest. With it comes what pip must install in it first: nothing where it has that version.
pub fn nearest<'t, T>(
    framework: Framework,
    version: &str,
    there_are: &'t [T],
    version_of: impl Fn(&T) -> &str,
) -> Option<(&'t T, Vec<String>)> {
    let asked: Vec<u32> = numbers(version).into_iter().take(2).collect();
    let is_same = |one: &&T| numbers(version_of(one)).starts_with(&asked);
    if let Some(same) = there_are.iter().rev().find(is_same) {
        return Some((same, Vec::new()));
    }
    let newer = there_are.iter().find(|one| numbers(version_of(one)) > asked);
    Some((newer.or(there_are.last())?, requirements(framework.name(), version)))
}

/// The parts of a version that are numbers, to compare it with another.
pub fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_framework_has_a_package() {
        let read: Result<BTreeMap<String, Entry>, _> =
            serde_yaml::from_str(include_str!("../../targets/frameworks.yaml"));
        assert!(read.is_ok(), "{:?}", read.err());
        use Framework::{Pytorch, Sklearn, Tensorflow, Xgboost};
        let known = |framework: Framework| package(framework.name(), "1").is_some();
        assert!([Sklearn, Xgboost, Pytorch, Tensorflow].into_iter().all(known));
    }

    #[test]
    fn an_old_version_has_companions_of_its_time() {
        let old = ["scikit-learn==1.2.*", "joblib", "numpy<2"];
        assert_eq!(requirements("sklearn", "1.2"), old);
        assert_eq!(requirements("sklearn", "1.10"), ["scikit-learn==1.10.*", "joblib"]);
    }
}

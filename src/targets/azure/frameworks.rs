//! The curated environments that Azure Machine Learning has of frameworks.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::model::Framework;

/// `targets/azure/frameworks.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frameworks {
    /// When it was read from its sources: `2026-11-25`.
    pub date: String,
    /// Addresses.
    pub sources: Vec<String>,
    frameworks: IndexMap<String, Vec<Curated>>,
}

/// The environment of a minor version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curated {
    version: String,
    environment: String,
    /// The version of the environment.
    asset: u32,
}

/// The file.
pub static FRAMEWORKS: LazyLock<Frameworks> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/azure/frameworks.yaml")).unwrap_or_default());

impl Frameworks {
    fn of(&self, framework: Framework) -> &[Curated] {
        self.frameworks.get(framework.name()).map_or(&[], Vec::as_slice)
    }

    /// The environment of a version: `2.1` and `2.1.1` are that of 2.1, and `2` is the last of 2.
    pub fn pick(&self, framework: Framework, version: &str) -> Option<&Curated> {
        let asked: Vec<&str> = version.split('.').take(2).collect();
        let mut environments = self.of(framework).iter().rev();
        environments.find(|environment| {
            let parts: Vec<&str> = environment.version.split('.').collect();
            parts.starts_with(&asked)
        })
    }

    /// All versions, for a message.
    pub fn versions(&self, framework: Framework) -> String {
        let versions: Vec<&str> = self.of(framework).iter().map(|one| one.version.as_str()).collect();
        versions.join(", ")
    }
}

impl Curated {
    /// What a job names it by.
    pub fn id(&self) -> String {
        let Self { environment, asset, .. } = self;
        format!("azureml://registries/azureml/environments/{environment}/versions/{asset}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_that_of_its_minor_version() {
        assert!(!FRAMEWORKS.sources.is_empty() && FRAMEWORKS.date.len() == 10);
        let pick = |version| {
            let environment = FRAMEWORKS.pick(Framework::Pytorch, version);
            environment.map(|environment| environment.version.as_str())
        };
        assert_eq!(
            (pick("2.1"), pick("2.1.2"), pick("2")),
            (Some("2.1"), Some("2.1"), Some("2.10"))
        );
        assert_eq!((pick("2.2"), pick("1")), (None, Some("1.13")));
        let id = FRAMEWORKS.pick(Framework::Xgboost, "1.7").map(Curated::id);
        let expected = "azureml://registries/azureml/environments/lightgbm-3.3/versions/85";
        assert_eq!(id.as_deref(), Some(expected));
    }
}

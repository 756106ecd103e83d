//! The curated environments that Azure Machine Learning has of frameworks.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::model::Framework;
use crate::targets::packages;

/// `targets/azure/frameworks.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frameworks {
    /// When it was read from its sources: `2026-11-25`.
    pub date: String,
    /// Addresses.
    pub sources: Vec<String>,
    frameworks: IndexMap<String, Vec<Curated>>,
    /// What models are served in.
    pub serving: Serving,
}

/// What the environment of an endpoint is built of, beside the framework.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// The image that it is built on.
    pub image: String,
    /// The version of Python.
    pub python: String,
    /// Packages that serve.
    pub packages: Vec<String>,
    /// Packages that keep what is asked and answered.
    pub captures: Vec<String>,
}

/// The environment of a minor version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Curated {
    version: String,
    environment: String,
    /// The version of the environment.
    asset: u32,
}

/// What code that wants a version of a framework runs in.
#[derive(Debug, PartialEq, Eq)]
pub struct Picked {
    /// The environment's id, as jobs name it.
    pub environment: String,
    /// What pip installs in it first; empty where the environment has that minor version.
    pub requirements: Vec<String>,
}

/// The file.
pub static FRAMEWORKS: LazyLock<Frameworks> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/azure/frameworks.yaml")).unwrap_or_default());

impl Frameworks {
    fn of(&self, framework: Framework) -> &[Curated] {
        self.frameworks.get(framework.name()).map_or(&[], Vec::as_slice)
    }

    /// The environment of a version, or the nearest, in which that version is installed. None never comes: a test holds that each framework has environments.
    pub fn pick(&self, framework: Framework, version: &str) -> Option<Picked> {
        let (found, requirements) = packages::nearest(framework, version, self.of(framework), |one| &one.version)?;
        let Curated { environment, asset, .. } = found;
        Some(Picked {
            environment: format!("azureml://registries/azureml/environments/{environment}/versions/{asset}"),
            requirements,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(framework: Framework, version: &str) -> (String, String) {
        let picked = FRAMEWORKS.pick(framework, version);
        picked.map_or_else(Default::default, |picked| {
            let name = picked.environment.rsplit('/').nth(2).unwrap_or_default().to_owned();
            (name, picked.requirements.join(" "))
        })
    }

    #[test]
    fn a_version_is_that_of_its_minor_version() {
        use Framework::{Pytorch, Sklearn, Tensorflow, Xgboost};
        assert!(!FRAMEWORKS.sources.is_empty() && FRAMEWORKS.date.len() == 10);
        for framework in [Sklearn, Xgboost, Pytorch, Tensorflow] {
            assert!(!FRAMEWORKS.of(framework).is_empty());
        }
        let id = FRAMEWORKS.pick(Xgboost, "1.7").map(|picked| picked.environment);
        let expected = "azureml://registries/azureml/environments/lightgbm-3.3/versions/85";
        assert_eq!(id.as_deref(), Some(expected));
        for (version, name) in [
            ("2.1", "acpt-pytorch-2.1-cuda12.1"),
            ("2.1.2", "acpt-pytorch-2.1-cuda12.1"),
            ("2", "acpt-pytorch-2.8-cuda12.6"),
            ("1", "acpt-pytorch-1.13-cuda11.7"),
        ] {
            assert_eq!(pick(Pytorch, version), (name.to_owned(), String::new()));
        }
    }

    #[test]
    fn a_version_without_an_environment_is_installed_in_the_nearest_newer_one() {
        let sklearn = pick(Framework::Sklearn, "1.2");
        assert_eq!(
            sklearn,
            (
                "sklearn-1.5".to_owned(),
                "scikit-learn==1.2.* joblib numpy<2".to_owned()
            )
        );
        let newer = pick(Framework::Sklearn, "1.6");
        assert_eq!(
            newer,
            ("sklearn-1.5".to_owned(), "scikit-learn==1.6.* joblib".to_owned())
        );
        let pytorch = pick(Framework::Pytorch, "2.2.1");
        assert_eq!(
            pytorch,
            (
                "acpt-pytorch-2.8-cuda12.6".to_owned(),
                "torch==2.2.1.* numpy numpy<2".to_owned()
            )
        );
    }
}

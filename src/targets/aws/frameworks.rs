//! The images that SageMaker has of frameworks.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::Framework;

/// `targets/aws/frameworks.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frameworks {
    /// When it was read from its sources: `2026-11-25`.
    pub date: String,
    /// Addresses.
    pub sources: Vec<String>,
    frameworks: IndexMap<String, Images>,
    /// Of endpoints, where they have other images.
    serving: IndexMap<String, Images>,
    /// Accounts by region, each by the kind of registry.
    pub accounts: IndexMap<String, IndexMap<Registry, String>>,
}

/// Whose registries have the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registry {
    /// Of sklearn and xgboost.
    Classic,
    /// Of AWS's Deep Learning Containers.
    Deep,
}

impl Registry {
    /// What the template calls the column of its accounts.
    pub fn column(self) -> &'static str {
        match self {
            Self::Classic => "Classic",
            Self::Deep => "Deep",
        }
    }
}

/// The images of a framework.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Images {
    /// Of the registry.
    pub repository: String,
    /// Which accounts'.
    pub registry: Registry,
    images: Vec<Image>,
}

/// One version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    version: String,
    cpu: String,
    /// The same as `cpu` where there is none for GPUs alone.
    gpu: Option<String>,
}

impl Image {
    /// The tag for a machine.
    pub fn tag(&self, with_gpu: bool) -> &str {
        let gpu = self.gpu.as_deref().filter(|_| with_gpu);
        gpu.unwrap_or(&self.cpu)
    }
}

/// The file.
pub static FRAMEWORKS: LazyLock<Frameworks> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/aws/frameworks.yaml")).unwrap_or_default());

impl Frameworks {
    /// The images of a framework.
    pub fn of(&self, framework: Framework) -> Option<&Images> {
        self.frameworks.get(framework.name())
    }

    /// The images that serve models of a framework, by functions of ours.
    pub fn serving(&self, framework: Framework) -> Option<&Images> {
        // Classic images train and serve.
        let both = self.of(framework).filter(|images| images.registry == Registry::Classic);
        self.serving.get(framework.name()).or(both)
    }

    /// The accounts of registries, a row a region that has them all.
    pub fn accounts_of(&self, registries: &[Registry]) -> Value {
        let rows = self.accounts.iter().filter_map(|(region, accounts)| {
            let cells: Option<IndexMap<&str, &String>> = registries
                .iter()
                .map(|registry| Some((registry.column(), accounts.get(registry)?)))
                .collect();
            Some((region.clone(), json!(cells?)))
        });
        rows.collect()
    }
}

impl Images {
    /// The image of a version: `1.2` is the last of `1.2.*`, `1.2.3` the nearest to it of those, and `1` the last of `1.*`.
    pub fn pick(&self, version: &str) -> Option<&Image> {
        let asked = numbers(version);
        let minor = asked.get(..2).unwrap_or(&asked);
        let of_minor = self
            .images
            .iter()
            .filter(|image| numbers(&image.version).starts_with(minor));
        let distance = |image: &Image| match asked.get(2) {
            Some(patch) => patch.abs_diff(numbers(&image.version).get(2).copied().unwrap_or(0)),
            None => 0,
        };
        // `min_by_key` gives the first of those as near: the last version.
        let mut of_minor: Vec<&Image> = of_minor.collect();
        of_minor.sort_by_key(|image| std::cmp::Reverse(numbers(&image.version)));
        of_minor.into_iter().min_by_key(|image| distance(image))
    }

    /// All versions, for a message.
    pub fn versions(&self) -> String {
        let versions: Vec<&str> = self.images.iter().map(|image| image.version.as_str()).collect();
        versions.join(", ")
    }
}

fn numbers(version: &str) -> Vec<u64> {
    version
        .split('.')
        .map(|part| part.parse().unwrap_or(u64::MAX))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(framework: Framework, version: &str, gpu: bool) -> Option<String> {
        let image = FRAMEWORKS.of(framework)?.pick(version)?;
        Some(image.tag(gpu).to_owned())
    }

    #[test]
    fn the_file_is_read_whole() {
        let read: Result<Frameworks, _> = serde_yaml::from_str(include_str!("../../../targets/aws/frameworks.yaml"));
        assert!(read.is_ok(), "{read:?}");
        assert!(!FRAMEWORKS.sources.is_empty() && FRAMEWORKS.date.len() == 10);
    }

    #[test]
    fn a_version_is_the_nearest_of_its_minor_version() {
        let pytorch = |version| tag(Framework::Pytorch, version, true);
        assert_eq!(pytorch("2.0").as_deref(), Some("2.0.1-gpu-py310"));
        assert_eq!(pytorch("2.0.0").as_deref(), Some("2.0.0-gpu-py310"));
        assert_eq!(pytorch("2.5.0").as_deref(), Some("2.5.1-gpu-py311"));
        assert_eq!(pytorch("2").as_deref(), Some("2.10.0-gpu-py313"));
        assert_eq!(pytorch("2.99"), None);
        assert_eq!(tag(Framework::Sklearn, "1.2.2", true).as_deref(), Some("1.2-1-cpu-py3"));
        assert_eq!(tag(Framework::Xgboost, "1.7", false).as_deref(), Some("1.7-1"));
        assert_eq!(
            tag(Framework::Tensorflow, "2.16", false).as_deref(),
            Some("2.16.2-cpu-py310")
        );
    }
}

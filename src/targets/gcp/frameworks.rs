//! The images that Vertex AI has of frameworks.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::model::Framework;

/// `targets/gcp/frameworks.yaml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Frameworks {
    /// When it was read from its sources: `2026-11-25`.
    pub date: String,
    /// Addresses.
    pub sources: Vec<String>,
    frameworks: IndexMap<String, Vec<Image>>,
}

/// The image of a minor version.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    version: String,
    cpu: String,
    gpu: String,
    /// The end of its availability.
    pub until: String,
}

/// The file.
pub static FRAMEWORKS: LazyLock<Frameworks> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/gcp/frameworks.yaml")).unwrap_or_default());

impl Frameworks {
    fn of(&self, framework: Framework) -> &[Image] {
        self.frameworks.get(framework.name()).map_or(&[], Vec::as_slice)
    }

    /// The image of a version: `2.4` and `2.4.1` are that of 2.4, and `2` is the last of 2.
    pub fn pick(&self, framework: Framework, version: &str) -> Option<&Image> {
        let asked: Vec<&str> = version.split('.').take(2).collect();
        let mut images = self.of(framework).iter().rev();
        images.find(|image| {
            let parts: Vec<&str> = image.version.split('.').collect();
            parts.starts_with(&asked)
        })
    }

    /// All versions, for a message.
    pub fn versions(&self, framework: Framework) -> String {
        let versions: Vec<&str> = self.of(framework).iter().map(|image| image.version.as_str()).collect();
        versions.join(", ")
    }
}

impl Image {
    /// The name in the registry that is nearest to a region; all of them have the same images.
    pub fn name(&self, region: Option<&str>, with_gpu: bool) -> String {
        let region = region.unwrap_or_default();
        let registry = if region.starts_with("europe-") {
            "europe"
        } else if region.starts_with("asia-") || region.starts_with("australia-") {
            "asia"
        } else {
            "us"
        };
        let image = if with_gpu { &self.gpu } else { &self.cpu };
        format!("{registry}-docker.pkg.dev/vertex-ai/training/{image}:latest")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_whole() {
        let read: Result<Frameworks, _> = serde_yaml::from_str(include_str!("../../../targets/gcp/frameworks.yaml"));
        assert!(read.is_ok(), "{read:?}");
        assert!(!FRAMEWORKS.sources.is_empty() && FRAMEWORKS.date.len() == 10);
        let dated = |image: &Image| image.until.len() == 10;
        assert!(FRAMEWORKS.frameworks.values().flatten().all(dated));
    }

    #[test]
    fn a_version_is_that_of_its_minor_version() {
        let pick = |version| {
            let image = FRAMEWORKS.pick(Framework::Pytorch, version);
            image.map(|image| image.version.as_str())
        };
        assert_eq!(pick("2.3"), Some("2.3"));
        assert_eq!(pick("2.4.1"), Some("2.4"));
        assert_eq!(pick("2"), Some("2.4"));
        assert_eq!((pick("2.40"), pick("1.13")), (None, None));
        let image = FRAMEWORKS
            .pick(Framework::Tensorflow, "2.17")
            .map(|image| image.name(Some("europe-west1"), true));
        let name = "europe-docker.pkg.dev/vertex-ai/training/tf-gpu.2-17.py310:latest";
        assert_eq!(image.as_deref(), Some(name));
    }
}

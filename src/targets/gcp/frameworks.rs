//! The images that Vertex AI has of frameworks.

use std::sync::LazyLock;

use indexmap::IndexMap;
use serde::Deserialize;

use crate::model::Framework;
use crate::targets::packages;

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

    /// The image for a version, or the nearest, and what pip must install in it first.
    pub fn pick(&self, framework: Framework, version: &str) -> Option<(&Image, Vec<String>)> {
        packages::nearest(framework, version, self.of(framework), |image| &image.version)
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
    fn a_version_that_no_image_has_is_installed() {
        let lacks = |version| {
            let picked = FRAMEWORKS.pick(Framework::Sklearn, version);
            picked.map(|(_, requirements)| requirements)
        };
        let old = ["scikit-learn==1.2.*", "joblib", "numpy<2"].map(str::to_owned);
        assert_eq!(lacks("1.2"), Some(old.to_vec()));
        assert_eq!((lacks("1.6.1"), lacks("1")), (Some(Vec::new()), Some(Vec::new())));
    }

    #[test]
    fn a_version_is_that_of_its_minor_version() {
        let pick = |version| {
            let picked = FRAMEWORKS.pick(Framework::Pytorch, version);
            picked.map(|(image, _)| image.version.as_str())
        };
        assert_eq!(pick("2.3"), Some("2.3"));
        assert_eq!(pick("2.4.1"), Some("2.4"));
        assert_eq!(pick("2"), Some("2.4"));
        assert_eq!((pick("2.40"), pick("1.13")), (Some("2.4"), Some("2.2")));
        let image = FRAMEWORKS
            .pick(Framework::Tensorflow, "2.17")
            .map(|(image, _)| image.name(Some("europe-west1"), true));
        let name = "europe-docker.pkg.dev/vertex-ai/training/tf-gpu.2-17.py310:latest";
        assert_eq!(image.as_deref(), Some(name));
    }
}

//! Steps that a managed service runs: containers and training.

use super::Compute;
use crate::expr::Template;

/// A container, run to its end; its output is null.
#[derive(Clone, Debug)]
pub struct Job {
    /// The image.
    pub image: PerCloud,
    /// What runs in it, in place of what the image says: templates of type string. Empty: what the image says.
    pub command: Vec<Template>,
    /// Variables of its environment: templates of type string.
    pub env: Vec<(String, Template)>,
    /// What it runs on.
    pub machines: Machines,
    /// Longest run, in seconds.
    pub max_duration: u64,
}

/// Training; its output is `{ job_name, model_uri, metrics }`.
#[derive(Clone, Debug)]
pub struct Train {
    /// Folder of the code, relative to the pipeline file, `/`-separated, as written.
    pub source: String,
    /// Folder name in the artifacts: distinct per source, made of its last path component.
    pub package: String,
    /// The script, below the source folder.
    pub entrypoint: String,
    /// What it runs in.
    pub runtime: Runtime,
    /// What it runs on.
    pub machines: Machines,
    /// What the script gets as `--name value`: templates of scalars.
    pub hyperparameters: Vec<(String, Template)>,
    /// A URI for each channel: templates of type string.
    pub data: Vec<(String, Template)>,
    /// Longest run, in seconds.
    pub max_duration: u64,
    /// Machines that the cloud may take back, for less.
    pub spot: bool,
}

/// What training runs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// The cloud's own image of a framework.
    Framework(Framework, String),
    /// An image of the user's.
    Image(PerCloud),
}

/// The frameworks that every cloud has images of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Framework {
    /// scikit-learn.
    Sklearn,
    /// XGBoost.
    Xgboost,
    /// PyTorch.
    Pytorch,
    /// TensorFlow.
    Tensorflow,
}

impl Framework {
    /// The name as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sklearn => "sklearn",
            Self::Xgboost => "xgboost",
            Self::Pytorch => "pytorch",
            Self::Tensorflow => "tensorflow",
        }
    }
}

/// What a managed step runs on: instances by name where the user names one for the cloud, else the smallest that fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machines {
    /// What each has, and how many there are.
    pub compute: Compute,
    /// Their names, by cloud.
    pub named: PerCloud,
}

/// A text a cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PerCloud {
    /// AWS.
    pub aws: Option<String>,
    /// Google Cloud.
    pub gcp: Option<String>,
    /// Azure.
    pub azure: Option<String>,
}

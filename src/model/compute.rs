//! What a step of a managed service runs on: asked for by size, or by an instance's name a cloud.

use serde::Deserialize;

/// The size of each instance, and how many of them. What is not asked for may have any size.
#[derive(Clone, Debug, PartialEq)]
pub struct Compute {
    /// Virtual CPUs, at least.
    pub cpu: Option<f64>,
    /// In MiB, at least.
    pub memory_mib: Option<u64>,
    /// GPUs of each instance.
    pub gpu: Option<Gpu>,
    /// Instances.
    pub count: u32,
}

/// GPUs of one instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Exactly this one: another, though faster, is never given instead.
    #[serde(rename = "type")]
    pub kind: GpuKind,
    /// At least.
    pub count: u32,
}

/// The GPUs of the language. Whether a cloud has one is in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuKind {
    /// NVIDIA T4, 16 GB.
    T4,
    /// NVIDIA V100, 16 GB.
    V100,
    /// NVIDIA A10G, 24 GB.
    A10g,
    /// NVIDIA L4, 24 GB.
    L4,
    /// NVIDIA A100, 40 or 80 GB.
    A100,
    /// NVIDIA H100, 80 GB or more.
    H100,
}

impl GpuKind {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::T4, Self::V100, Self::A10g, Self::L4, Self::A100, Self::H100];

    /// The name as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::T4 => "t4",
            Self::V100 => "v100",
            Self::A10g => "a10g",
            Self::L4 => "l4",
            Self::A100 => "a100",
            Self::H100 => "h100",
        }
    }
}

impl Default for Compute {
    fn default() -> Self {
        Self {
            cpu: None,
            memory_mib: None,
            gpu: None,
            count: 1,
        }
    }
}

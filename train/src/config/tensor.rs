//! Settings of the kernels.

use serde::{Deserialize, Serialize};

use super::setting::section;

/// Algorithms that the CPU's convolutions may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlgorithmsKind {
    /// Winograd's too, where they are faster.
    #[default]
    Fast,
    /// Sums of products only.
    Exact,
}

impl From<AlgorithmsKind> for tensor::Algorithms {
    fn from(kind: AlgorithmsKind) -> Self {
        match kind {
            AlgorithmsKind::Fast => Self::Fast,
            AlgorithmsKind::Exact => Self::Exact,
        }
    }
}

section! {
    /// Kernels
    tensor: TensorConfig {
        /// Convolution on the CPU: `fast`, or `exact` (no Winograd: up to twice the time, relative error 1e-6 instead of
        /// 1e-5).
        #[on_resume = Silent]
        algorithms: AlgorithmsKind = AlgorithmsKind::Fast,
    }
}

#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod error;
mod grad_cam;
mod gradient;
mod occlusion;
mod receptive_field;
mod resample;
mod strongest;

pub use error::{Error, Result};
pub use grad_cam::{grad_cam, last_convolution};
pub use gradient::{SmoothGrad, input_gradient, response_gradient, saliency, smooth_grad};
pub use occlusion::{Occlusion, OcclusionMap, occlusion};
pub use receptive_field::{ReceptiveField, Window};
pub use resample::upsample;
pub use strongest::{Response, StrongestResponses};

// The crates whose types stand in the signatures of this one.
pub use layers;
pub use ndarray;

//! Gradients through a ReLU, and of the bias before it: two launches, since the sums go by other units than the maps.

use cubecl::Runtime;

use super::Gpu;
use crate::ops::relu_bias::Kernels;

impl<R: Runtime> Kernels for Gpu<R> {}

//! The backward of a ReLU and the bias before it: two kernels, since the sums need another assignment of units than the
//! values.

use cubecl::Runtime;

use super::{Buffer, Gpu};
use crate::ops::relu_bias::ReluBiasBackward;
use crate::{Kernel, Result};

impl<R: Runtime> Kernel<ReluBiasBackward> for Gpu<R> {
    fn run(&self, op: &ReluBiasBackward, (dy, [y]): (&mut Buffer, [&Buffer; 1])) -> Result<[Buffer; 1]> {
        op.run_parts(self, dy, y)
    }
}

//! The sum of the parts of split sums (split-K).

use cubecl::prelude::*;

use super::kernel::{add_bias, relu};

/// Adds the parts of `c` in order, then the bias, which repeats every `bias_len` vectors. One pass.
#[cube(launch)]
pub(crate) fn add_parts_kernel<F: Float, N: Size>(
    parts: &Array<Vector<f32, N>>,
    bias: &ComptimeOption<Array<Vector<f32, N>>>,
    c: &mut Array<Vector<F, N>>,
    count: u32,
    bias_len: u32,
    relu_threshold: f32,
    #[define(F)] _type: StorageType,
) {
    if ABSOLUTE_POS < c.len() {
        let len = c.len();
        let mut sum = parts[ABSOLUTE_POS];
        for part in 1..count {
            sum += parts[part as usize * len + ABSOLUTE_POS];
        }
        let sum = add_bias(sum, bias, ABSOLUTE_POS as u32 % bias_len);
        c[ABSOLUTE_POS] = Vector::cast_from(relu(sum, relu_threshold));
    }
}

//! The gradients of a ReLU and of the bias before it, fused: 8 bytes read and 4 written per value. Separate sums would
//! read 4 more.

use super::Buffer;
use super::bf16::to_f32;
use super::compiled::CpuKernel;
use super::reduce::{COLUMNS, JOB, LEAF_ROWS, middle};
use super::simd::multiversion;
use crate::ops::relu_bias::ReluBiasBackward;
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<ReluBiasBackward> for Cpu<E> {
    fn run(&self, op: &ReluBiasBackward, (dy, [y]): (&mut Buffer<E>, [&Buffer<E>; 1])) -> Result<[Buffer<E>; 1]> {
        let c = op.channels;
        // Few or long rows are summed by columns.
        if c == 1 || c > COLUMNS {
            return op.run_parts(self, dy, y);
        }
        let mut sums = self.alloc(c)?;
        let out = sums.make_mut()?;
        if let Some(y) = y.bf16() {
            *dy = self.to_bf16(dy)?;
            if let Some(dy) = dy.bf16_mut()? {
                self.install(|| mask_and_sum(y, dy, out, &mask_and_sum_bf16));
            }
            return Ok([sums]);
        }
        let y = y.as_slice();
        let dy = dy.make_mut()?;
        self.install(|| mask_and_sum(y, dy, out, &mask_and_sum_leaf));
        Ok([sums])
    }

    fn is_fused(&self, _: &ReluBiasBackward) -> bool {
        true
    }

    fn takes_bf16(&self, _: &ReluBiasBackward) -> bool {
        true
    }
}

/// Masks dy and sums its rows, which are as long as `sums`, in the order of [`SumRows`](crate::ops::reduce::SumRows).
/// `leaf` does so for few rows.
fn mask_and_sum<E: Element, V: Send + Sync>(
    y: &[V],
    dy: &mut [V],
    sums: &mut [E],
    leaf: &(impl Fn(&[V], &mut [V], &mut [E]) + Sync),
) {
    let c = sums.len();
    let rows = dy.len() / c;
    if rows <= LEAF_ROWS {
        sums.fill(E::zero());
        return leaf(y, dy, sums);
    }
    let at = middle(0..rows) * c;
    let values = dy.len();
    let (y_first, y_second) = y.split_at(at);
    let (first, second) = dy.split_at_mut(at);
    let mut others = vec![E::zero(); c];
    if values > JOB {
        rayon::join(|| mask_and_sum(y_first, first, sums, leaf), || mask_and_sum(y_second, second, &mut others, leaf));
    } else {
        mask_and_sum(y_first, first, sums, leaf);
        mask_and_sum(y_second, second, &mut others, leaf);
    }
    for (sum, &other) in sums.iter_mut().zip(&others) {
        *sum += other;
    }
}

multiversion! {
    fn mask_and_sum_leaf<E: Element>(y: &[E], dy: &mut [E], sums: &mut [E]) {
        for (y, dy) in y.chunks_exact(sums.len()).zip(dy.chunks_exact_mut(sums.len())) {
            for ((dy, &y), sum) in dy.iter_mut().zip(y).zip(&mut *sums) {
                *dy = if y > E::zero() { *dy } else { E::zero() };
                *sum += *dy;
            }
        }
    }
}

/// The same in `bf16`. E is `f32`.
fn mask_and_sum_bf16<E: Element>(y: &[u16], dy: &mut [u16], sums: &mut [E]) {
    mask_and_sum_halves(y, dy, bytemuck::cast_slice_mut(sums));
}

multiversion! {
    fn mask_and_sum_halves(y: &[u16], dy: &mut [u16], sums: &mut [f32]) {
        for (y, dy) in y.chunks_exact(sums.len()).zip(dy.chunks_exact_mut(sums.len())) {
            for ((dy, &y), sum) in dy.iter_mut().zip(y).zip(&mut *sums) {
                *dy = if to_f32(y) > 0.0 { *dy } else { 0 };
                *sum += to_f32(*dy);
            }
        }
    }
}

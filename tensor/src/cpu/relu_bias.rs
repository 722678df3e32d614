//! Gradients through a ReLU, and of the bias before it. 8 bytes are read and 4 written a value; the sums alone would read 4 more.

use super::Buffer;
use super::reduce::{COLUMNS, JOB, LEAF_ROWS, middle};
use super::simd::multiversion;
use crate::ops::relu_bias::ReluBiasBackward;
use crate::{Cpu, Element, Kernel, Result};

impl<E: Element> Kernel<ReluBiasBackward> for Cpu<E> {
    fn run(&self, op: &ReluBiasBackward, (dy, [y]): (&mut Buffer<E>, [&Buffer<E>; 1])) -> Result<[Buffer<E>; 1]> {
        let c = op.channels;
        // Few or long rows are summed by columns.
        if c == 1 || c > COLUMNS {
            return op.run_parts(self, dy, y);
        }
        let mut sums = self.alloc(c)?;
        let (y, dy, out) = (y.as_slice(), dy.make_mut()?, sums.make_mut()?);
        self.install(|| by_halves(y, dy, out));
        Ok([sums])
    }
}

/// Rows as long as `sums`, added in the order of [`SumRows`](crate::ops::reduce::SumRows).
fn by_halves<E: Element>(y: &[E], dy: &mut [E], sums: &mut [E]) {
    let (rows, c) = (dy.len() / sums.len(), sums.len());
    if rows <= LEAF_ROWS {
        sums.fill(E::zero());
        return cut_and_add(y, dy, sums);
    }
    let at = middle(0..rows) * c;
    let values = dy.len();
    let ((y_first, y_second), (first, second)) = (y.split_at(at), dy.split_at_mut(at));
    let mut others = vec![E::zero(); c];
    if values > JOB {
        rayon::join(|| by_halves(y_first, first, sums), || by_halves(y_second, second, &mut others));
    } else {
        by_halves(y_first, first, sums);
        by_halves(y_second, second, &mut others);
    }
    for (sum, &other) in sums.iter_mut().zip(&others) {
        *sum += other;
    }
}

multiversion! {
    fn cut_and_add<E: Element>(y: &[E], dy: &mut [E], sums: &mut [E]) {
        for (y, dy) in y.chunks_exact(sums.len()).zip(dy.chunks_exact_mut(sums.len())) {
            for ((dy, &y), sum) in dy.iter_mut().zip(y).zip(&mut *sums) {
                *dy = if y > E::zero() { *dy } else { E::zero() };
                *sum += *dy;
            }
        }
    }
}

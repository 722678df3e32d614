//! Gradients through a ReLU, and of the bias before it. 8 bytes are read and 4 written a value; the sums alone would read 4 more.

use super::reduce::{COLUMNS, JOB, LEAF_ROWS, middle};
use super::simd::multiversion;
use crate::ops::reduce::Kernels as _;
use crate::ops::relu_bias::Kernels;
use crate::ops::{Activation, activation::Kernels as _};
use crate::{Cpu, Element, Result};

impl<E: Element> Kernels for Cpu<E> {
    fn relu_bias_dx(&self, rows: usize, c: usize, y: &Self::Floats, dy: &mut Self::Floats) -> Result<Self::Floats> {
        // Few or long rows are summed by columns.
        if c == 1 || c > COLUMNS {
            self.activation_dx_in_place(Activation::Relu, rows * c, y, dy)?;
            return self.sum_rows(rows, c, dy);
        }
        let mut sums = self.take(c)?;
        let (y, dy, out) = (y.as_slice(), dy.make_mut()?, sums.make_mut()?);
        self.install(|| by_halves(y, dy, out));
        Ok(sums)
    }
}

/// Rows as long as `sums`, added in the order of [`sum_rows`](crate::ops::reduce::Kernels::sum_rows).
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

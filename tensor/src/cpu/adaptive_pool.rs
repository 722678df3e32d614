//! Adaptive average pooling by rows: of windows forward, of the input backward. Each position gathers its sum in row
//! order.

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::simd::multiversion;
use crate::ops::adaptive_pool::{AdaptiveAveragePoolBackward, AdaptiveAveragePoolForward, Geometry};
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<AdaptiveAveragePoolForward> for Cpu<E> {
    fn run(&self, op: &AdaptiveAveragePoolForward, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        self.rows(x, [g.input, g.output], g, mean_row)
    }
}

impl<E: Element> CpuKernel<AdaptiveAveragePoolBackward> for Cpu<E> {
    fn run(&self, op: &AdaptiveAveragePoolBackward, [dy]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        self.rows(dy, [g.output, g.input], g, mean_row_dx)
    }
}

impl<E: Element> Cpu<E> {
    /// Maps of size `to`, each row of which `row(geometry, map of size from, number of the row, row)` fills.
    fn rows(
        &self,
        maps: &Buffer<E>,
        [from, to]: [[usize; 2]; 2],
        g: &Geometry,
        row: impl Fn(&Geometry, &[E], usize, &mut [E]) + Sync,
    ) -> Result<[Buffer<E>; 1]> {
        let mut result = self.alloc(g.n * to[0] * to[1] * g.channels)?;
        let out = result.make_mut()?;
        let maps = maps.as_slice();
        let map = from[0] * from[1] * g.channels;
        self.install(|| {
            out.par_chunks_mut((to[1] * g.channels).max(1)).enumerate().for_each(|(i, out)| {
                let image = i / to[0];
                row(g, &maps[image * map..][..map], i % to[0], out);
            });
        });
        Ok([result])
    }
}

multiversion! {
/// Row `oy` of an image's means.
fn mean_row<E: Element>(g: &Geometry, x: &[E], oy: usize, y: &mut [E]) {
    let c = g.channels;
    for (ox, y) in y.chunks_exact_mut(c).enumerate() {
        y.fill(E::zero());
        for row in g.window(0, oy) {
            for column in g.window(1, ox) {
                let place = (row * g.input[1] + column) * c;
                for (sum, &x) in y.iter_mut().zip(&x[place..place + c]) {
                    *sum += x;
                }
            }
        }
        let share = E::of(1.0 / g.count(oy, ox) as f64);
        for sum in y {
            *sum *= share;
        }
    }
}
}

multiversion! {
/// Row `row` of the gradient of an image.
fn mean_row_dx<E: Element>(g: &Geometry, dy: &[E], row: usize, dx: &mut [E]) {
    let c = g.channels;
    for (column, dx) in dx.chunks_exact_mut(c).enumerate() {
        dx.fill(E::zero());
        for oy in g.windows_over(0, row) {
            for ox in g.windows_over(1, column) {
                let share = E::of(1.0 / g.count(oy, ox) as f64);
                let window = (oy * g.output[1] + ox) * c;
                for (sum, &dy) in dx.iter_mut().zip(&dy[window..window + c]) {
                    *sum += dy * share;
                }
            }
        }
    }
}
}

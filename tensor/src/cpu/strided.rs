//! Copies in another order, by stretches of the innermost axis.

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::elementwise::CHUNK;
use super::reduce::rows_per_job;
use crate::ops::strided::{Concat, SliceBackward, StridedCopy};
use crate::{Cpu, Element, Result};

impl<E: Element> CpuKernel<StridedCopy> for Cpu<E> {
    fn run(&self, op: &StridedCopy, [x]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let layout = &op.layout;
        let mut result = self.alloc(layout.len())?;
        let y = result.make_mut()?;
        let x = x.as_slice();
        let [stride, _] = layout.inner().strides;
        self.install(|| {
            y.par_chunks_mut(CHUNK).enumerate().for_each(|(i, y)| {
                let first = i * CHUNK;
                layout.for_each_run(first..first + y.len(), |run, [start, _]| gather(&x[start..], stride, &mut y[run]));
            });
        });
        Ok([result])
    }
}

/// Every `stride`-th value of x.
fn gather<E: Element>(x: &[E], stride: usize, y: &mut [E]) {
    match stride {
        0 => y.fill(x[0]),
        1 => y.copy_from_slice(&x[..y.len()]),
        _ => y.iter_mut().zip(x.iter().step_by(stride)).for_each(|(y, &x)| *y = x),
    }
}

impl<E: Element> CpuKernel<SliceBackward> for Cpu<E> {
    fn run(&self, op: &SliceBackward, [dy]: [&Buffer<E>; 1]) -> Result<[Buffer<E>; 1]> {
        let mut result = self.alloc(op.len())?;
        let dx = result.make_mut()?;
        let dy = dy.as_slice();
        let (width, slice) = op.inner();
        let rows = rows_per_job(width);
        self.install(|| {
            dx.par_chunks_mut((rows * width).max(1)).enumerate().for_each(|(job, dx)| {
                dx.fill(E::zero());
                for (i, dx) in dx.chunks_exact_mut(width).enumerate() {
                    let Some(row) = op.row_of_dy(job * rows + i) else { continue };
                    let dy = &dy[row * slice.len..][..slice.len];
                    let taken = dx[slice.start..].iter_mut().step_by(slice.step);
                    taken.zip(dy).for_each(|(dx, &dy)| *dx = dy);
                }
            });
        });
        Ok([result])
    }
}

impl<E: Element> CpuKernel<Concat> for Cpu<E> {
    fn run(&self, op: &Concat, tensors: Vec<&Buffer<E>>) -> Result<[Buffer<E>; 1]> {
        let width: usize = op.parts.iter().sum();
        let mut result = self.alloc(op.rows * width)?;
        let y = result.make_mut()?;
        let rows = rows_per_job(width);
        self.install(|| {
            y.par_chunks_mut((rows * width).max(1)).enumerate().for_each(|(job, y)| {
                for (i, y) in y.chunks_exact_mut(width).enumerate() {
                    let row = job * rows + i;
                    let mut rest = y;
                    for (&tensor, &part) in tensors.iter().zip(&op.parts) {
                        let (to, after) = rest.split_at_mut(part);
                        to.copy_from_slice(&tensor.as_slice()[row * part..][..part]);
                        rest = after;
                    }
                }
            });
        });
        Ok([result])
    }
}

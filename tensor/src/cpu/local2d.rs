//! Locally connected layers: for each position of the output a product of its own.

use gemm::Parallelism;
use rayon::prelude::*;

use super::Buffer;
use super::matrix::{Matrix, MatrixMut, finish_rows, product};
use super::patch::{gather, scatter};
use crate::ops::conv2d::Geometry;
use crate::ops::local2d::{Local2dForward, Local2dInputGrad, Local2dWeightGrad};
use crate::{Cpu, Element, Kernel, Result, Workspace};

/// Images that share one reading of the weights. Follows from the batch alone.
fn images(g: &Geometry) -> usize {
    g.n.div_ceil(8).clamp(1, 64)
}

/// The kernels of one position and group: `[out / groups, patch]`.
fn kernels<'a, E>(g: &Geometry, w: &'a [E], position: usize, group: usize) -> Matrix<'a, E> {
    let (out, patch) = (g.output[2] / g.groups, g.patch());
    let start = (position * g.groups + group) * out * patch;
    Matrix::new(&w[start..start + out * patch], out, patch, patch)
}

/// The windows at one position of all images in `x`: `[images, patch]`.
fn windows<'a, E: Element>(g: &Geometry, x: &[E], group: usize, position: usize, buffer: &'a mut [E]) -> Matrix<'a, E> {
    let (patch, at) = (g.patch(), [position / g.output[1], position % g.output[1]]);
    let (images, values) = (x.len() / image_len(g), image_len(g));
    for (image, window) in x.chunks_exact(values).zip(buffer.chunks_exact_mut(patch)) {
        gather(g, image, group, at, window);
    }
    Matrix::new(buffer, images, patch, patch)
}

fn image_len(g: &Geometry) -> usize {
    g.input.iter().product()
}

fn output_len(g: &Geometry) -> usize {
    g.output.iter().product()
}

/// Where one position's and group's values begin in an image's output.
fn place(g: &Geometry, position: usize, group: usize) -> usize {
    position * g.output[2] + group * (g.output[2] / g.groups)
}

/// Buffers beside the output that the forward and dx take on `threads` threads: windows at one position each.
fn workspace(g: &Geometry, threads: usize) -> Vec<usize> {
    let at_once = images(g);
    vec![at_once * g.patch(); threads.min(g.n.div_ceil(at_once))]
}

/// As [`workspace`], for dw.
fn dw_workspace(g: &Geometry, threads: usize) -> Vec<usize> {
    vec![g.n * g.patch(); threads.min(g.output[0] * g.output[1])]
}

impl<E: Element> Kernel<Local2dForward> for Cpu<E> {
    fn run(&self, op: &Local2dForward, ([x, w], b): ([&Buffer<E>; 2], Option<&Buffer<E>>)) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let (w, b, at_once) = (w.as_slice(), b.map(|b| b.as_slice()), images(g));
        let (x_len, y_len) = (image_len(g), output_len(g));
        let mut y = self.take(g.n * y_len)?;
        if g.n * y_len == 0 {
            return Ok([y]);
        }
        let work = |x: &[E], y: &mut [E]| -> Result<()> {
            let mut buffer = self.take(at_once * g.patch())?;
            let (n, og) = (y.len() / y_len, g.output[2] / g.groups);
            for position in 0..g.output[0] * g.output[1] {
                for group in 0..g.groups {
                    let windows = windows(g, x, group, position, buffer.make_mut()?);
                    let y = MatrixMut::new(&mut y[place(g, position, group)..], n, og, y_len);
                    product(y, false, windows, kernels(g, w, position, group).t(), Parallelism::None);
                }
            }
            finish_rows(y, b, false);
            Ok(())
        };
        self.install(|| {
            let x = x.as_slice().par_chunks(at_once * x_len);
            x.zip(y.make_mut()?.par_chunks_mut(at_once * y_len)).try_for_each(|(x, y)| work(x, y))
        })?;
        Ok([y])
    }

    fn workspace(&self, op: &Local2dForward) -> Workspace {
        Workspace::of(workspace(&op.geometry, self.threads()))
    }
}

impl<E: Element> Kernel<Local2dInputGrad> for Cpu<E> {
    fn run(&self, op: &Local2dInputGrad, [w, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let (w, at_once, patch) = (w.as_slice(), images(g), g.patch());
        let (x_len, y_len) = (image_len(g), output_len(g));
        let mut dx = self.take(g.n * x_len)?;
        if g.n * x_len == 0 {
            return Ok([dx]);
        }
        let work = |dx: &mut [E], dy: &[E]| -> Result<()> {
            let mut buffer = self.take(at_once * patch)?;
            let (n, og) = (dx.len() / x_len, g.output[2] / g.groups);
            dx.fill(E::zero());
            for position in 0..g.output[0] * g.output[1] {
                let at = [position / g.output[1], position % g.output[1]];
                for group in 0..g.groups {
                    let dy = Matrix::new(&dy[place(g, position, group)..], n, og, y_len);
                    let columns = MatrixMut::new(buffer.make_mut()?, n, patch, patch);
                    product(columns, false, dy, kernels(g, w, position, group), Parallelism::None);
                    for (image, window) in dx.chunks_exact_mut(x_len).zip(buffer.as_slice().chunks_exact(patch)) {
                        scatter(g, image, group, at, window);
                    }
                }
            }
            Ok(())
        };
        self.install(|| {
            let dy = dy.as_slice().par_chunks(at_once * y_len);
            dx.make_mut()?.par_chunks_mut(at_once * x_len).zip(dy).try_for_each(|(dx, dy)| work(dx, dy))
        })?;
        Ok([dx])
    }

    fn workspace(&self, op: &Local2dInputGrad) -> Workspace {
        Workspace::of(workspace(&op.geometry, self.threads()))
    }
}

impl<E: Element> Kernel<Local2dWeightGrad> for Cpu<E> {
    fn run(&self, op: &Local2dWeightGrad, [x, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let (x, dy, patch) = (x.as_slice(), dy.as_slice(), g.patch());
        let (og, y_len) = (g.output[2] / g.groups, output_len(g));
        let mut dw = self.take(y_len * patch)?;
        if y_len * patch == 0 {
            return Ok([dw]);
        }
        // One position's kernels at a time: no two tasks write the same weights, so no partial sums are needed.
        self.install(|| {
            dw.make_mut()?.par_chunks_mut(g.output[2] * patch).enumerate().try_for_each(|(position, dw)| {
                let mut buffer = self.take(g.n * patch)?;
                for (group, dw) in dw.chunks_exact_mut(og * patch).enumerate() {
                    let windows = windows(g, x, group, position, buffer.make_mut()?);
                    let dy = if g.n == 0 { dy } else { &dy[place(g, position, group)..] };
                    let dy = Matrix::new(dy, g.n, og, y_len);
                    let dw = MatrixMut::new(dw, og, patch, patch);
                    product(dw, false, dy.t(), windows, Parallelism::None);
                }
                Ok(())
            })
        })?;
        Ok([dw])
    }

    fn workspace(&self, op: &Local2dWeightGrad) -> Workspace {
        Workspace::of(dw_workspace(&op.geometry, self.threads()))
    }
}

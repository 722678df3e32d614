//! Locally connected layers: each position of the output has a matrix product of its own.

use rayon::prelude::*;

use super::Buffer;
use super::compiled::CpuKernel;
use super::im2col::{add_window, copy_window};
use super::matrix::{Matrix, MatrixMut, Parallelism, add_bias_and_relu, product};
use crate::ops::conv2d::Geometry;
use crate::ops::local2d::{Local2dForward, Local2dInputGrad, Local2dWeightGrad};
use crate::{Cpu, Element, Result, Workspace};

/// The number of images in a piece, for which the weights are read once. It depends on the batch size alone.
fn piece_images(g: &Geometry) -> usize {
    g.n.div_ceil(8).clamp(1, 64)
}

/// The number of positions in the output of one image.
fn positions(g: &Geometry) -> usize {
    g.output[0] * g.output[1]
}

/// Row and column of a position.
fn row_and_column(g: &Geometry, position: usize) -> [usize; 2] {
    [position / g.output[1], position % g.output[1]]
}

fn image_len(g: &Geometry) -> usize {
    g.input.iter().product()
}

fn output_len(g: &Geometry) -> usize {
    g.output.iter().product()
}

/// The start of the values of one position and group in an image's output.
fn output_start(g: &Geometry, position: usize, group: usize) -> usize {
    position * g.output[2] + group * (g.output[2] / g.groups)
}

/// The kernels of one position and group: `[out / groups, patch]`.
fn kernels<'a, E>(g: &Geometry, w: &'a [E], position: usize, group: usize) -> Matrix<'a, E> {
    let out = g.output[2] / g.groups;
    let patch = g.patch();
    let start = (position * g.groups + group) * out * patch;
    Matrix::new(&w[start..start + out * patch], out, patch, patch)
}

/// The windows at one position of all images in `x`: `[images, patch]`.
fn windows<'a, E: Element>(g: &Geometry, x: &[E], group: usize, position: usize, buffer: &'a mut [E]) -> Matrix<'a, E> {
    let patch = g.patch();
    let at = row_and_column(g, position);
    let images = x.chunks_exact(image_len(g));
    let count = images.len();
    for (image, window) in images.zip(buffer.chunks_exact_mut(patch)) {
        copy_window(g, image, group, at, window);
    }
    Matrix::new(buffer, count, patch, patch)
}

/// The buffers of the forward pass and of dx, beside the output: each thread has the windows at one position.
fn workspace(g: &Geometry, threads: usize) -> Workspace {
    let images = piece_images(g);
    Workspace::of(vec![images * g.patch(); threads.min(g.n.div_ceil(images))])
}

impl<E: Element> CpuKernel<Local2dForward> for Cpu<E> {
    fn run(&self, op: &Local2dForward, ([x, w], b): ([&Buffer<E>; 2], Option<&Buffer<E>>)) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let w = w.as_slice();
        let b = b.map(|b| b.as_slice());
        let mut y = self.alloc(g.output_len())?;
        if g.output_len() == 0 {
            return Ok([y]);
        }
        let images = piece_images(g);
        self.install(|| {
            let x = x.as_slice().par_chunks(images * image_len(g));
            let pieces = y.make_mut()?.par_chunks_mut(images * output_len(g)).zip(x);
            pieces.try_for_each(|(y, x)| self.local_forward(g, x, w, b, y))
        })?;
        Ok([y])
    }

    fn workspace(&self, op: &Local2dForward) -> Workspace {
        workspace(&op.geometry, self.threads())
    }
}

impl<E: Element> CpuKernel<Local2dInputGrad> for Cpu<E> {
    fn run(&self, op: &Local2dInputGrad, [w, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let w = w.as_slice();
        let mut dx = self.alloc(g.input_len())?;
        if g.input_len() == 0 {
            return Ok([dx]);
        }
        let images = piece_images(g);
        self.install(|| {
            let dy = dy.as_slice().par_chunks(images * output_len(g));
            let pieces = dx.make_mut()?.par_chunks_mut(images * image_len(g)).zip(dy);
            pieces.try_for_each(|(dx, dy)| self.local_input_grad(g, w, dy, dx))
        })?;
        Ok([dx])
    }

    fn workspace(&self, op: &Local2dInputGrad) -> Workspace {
        workspace(&op.geometry, self.threads())
    }
}

impl<E: Element> CpuKernel<Local2dWeightGrad> for Cpu<E> {
    fn run(&self, op: &Local2dWeightGrad, [x, dy]: [&Buffer<E>; 2]) -> Result<[Buffer<E>; 1]> {
        let g = &op.geometry;
        let x = x.as_slice();
        let dy = dy.as_slice();
        let patch = g.patch();
        let out = g.output[2] / g.groups;
        let mut dw = self.alloc(output_len(g) * patch)?;
        if output_len(g) * patch == 0 {
            return Ok([dw]);
        }
        // A task computes the weights of one position. No two tasks write the same weights, so there are no partial
        // sums.
        self.install(|| {
            dw.make_mut()?.par_chunks_mut(g.output[2] * patch).enumerate().try_for_each(|(position, dw)| {
                let mut buffer = self.alloc(g.n * patch)?;
                for (group, dw) in dw.chunks_exact_mut(out * patch).enumerate() {
                    let windows = windows(g, x, group, position, buffer.make_mut()?);
                    let dy = if g.n == 0 { dy } else { &dy[output_start(g, position, group)..] };
                    let dy = Matrix::new(dy, g.n, out, output_len(g));
                    let dw = MatrixMut::new(dw, out, patch, patch);
                    product(dw, false, dy.t(), windows, Parallelism::None);
                }
                Ok(())
            })
        })?;
        Ok([dw])
    }

    fn workspace(&self, op: &Local2dWeightGrad) -> Workspace {
        let g = &op.geometry;
        Workspace::of(vec![g.n * g.patch(); self.threads().min(positions(g))])
    }
}

impl<E: Element> Cpu<E> {
    /// The outputs of the images in `x`.
    fn local_forward(&self, g: &Geometry, x: &[E], w: &[E], b: Option<&[E]>, y: &mut [E]) -> Result<()> {
        let mut buffer = self.alloc(piece_images(g) * g.patch())?;
        let images = y.len() / output_len(g);
        let out = g.output[2] / g.groups;
        for position in 0..positions(g) {
            for group in 0..g.groups {
                let windows = windows(g, x, group, position, buffer.make_mut()?);
                let y = MatrixMut::new(&mut y[output_start(g, position, group)..], images, out, output_len(g));
                product(y, false, windows, kernels(g, w, position, group).t(), Parallelism::None);
            }
        }
        add_bias_and_relu(y, b, false);
        Ok(())
    }

    /// The input gradients of the images in `dy`.
    fn local_input_grad(&self, g: &Geometry, w: &[E], dy: &[E], dx: &mut [E]) -> Result<()> {
        let patch = g.patch();
        let mut buffer = self.alloc(piece_images(g) * patch)?;
        let images = dx.len() / image_len(g);
        let out = g.output[2] / g.groups;
        dx.fill(E::zero());
        for position in 0..positions(g) {
            for group in 0..g.groups {
                let dy = Matrix::new(&dy[output_start(g, position, group)..], images, out, output_len(g));
                let windows = MatrixMut::new(buffer.make_mut()?, images, patch, patch);
                product(windows, false, dy, kernels(g, w, position, group), Parallelism::None);
                let windows = buffer.as_slice().chunks_exact(patch);
                for (image, window) in dx.chunks_exact_mut(image_len(g)).zip(windows) {
                    add_window(g, image, group, row_and_column(g, position), window);
                }
            }
        }
        Ok(())
    }
}

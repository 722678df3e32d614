//! Convolutions and products of matrices.

use alexnet_tensor::Backend;
use alexnet_tensor::ops::{Conv2d, MatmulOptions, Padding};

use super::{BATCH, BATCHES, Result, activations, weights};

/// A convolutional layer with square input and kernels.
struct Layer {
    input: usize,
    channels: usize,
    filters: usize,
    kernel: usize,
    stride: usize,
    padding: Padding,
    groups: usize,
}

/// A layer whose output has the side of its input.
const fn layer(input: usize, channels: usize, filters: usize, kernel: usize, groups: usize) -> Layer {
    let p = kernel / 2;
    let padding = Padding { top: p, bottom: p, left: p, right: p };
    Layer { input, channels, filters, kernel, stride: 1, padding, groups }
}

/// The first layer of a network for 224 pixels, with padding `before` and `after` on both axes.
const fn first(input: usize, filters: usize, before: usize, after: usize) -> Layer {
    let padding = Padding { top: before, bottom: after, left: before, right: after };
    Layer { input, channels: 3, filters, kernel: 11, stride: 4, padding, groups: 1 }
}

const LAYERS: &[Layer] = &[
    // paper, source, caffe, keras, one-weird-trick.
    first(224, 96, 0, 3),
    first(227, 96, 0, 0),
    first(224, 96, 3, 4),
    first(224, 64, 2, 2),
    // paper, source, caffe.
    layer(27, 96, 256, 5, 2),
    layer(13, 256, 384, 3, 1),
    layer(13, 384, 384, 3, 2),
    layer(13, 384, 256, 3, 2),
    // keras.
    layer(27, 96, 256, 5, 1),
    layer(13, 384, 384, 3, 1),
    layer(13, 384, 256, 3, 1),
    // one-weird-trick.
    layer(27, 64, 192, 5, 1),
    layer(13, 192, 384, 3, 1),
    layer(13, 256, 256, 3, 1),
    // cifar-*.
    layer(32, 3, 32, 5, 1),
    layer(16, 32, 32, 5, 1),
    layer(8, 32, 64, 5, 1),
    layer(24, 3, 64, 5, 1),
    layer(12, 64, 64, 5, 1),
];

impl Layer {
    fn spec(&self) -> Conv2d {
        Conv2d { stride: [self.stride; 2], padding: self.padding, groups: self.groups }
    }

    fn input(&self, batch: usize) -> [usize; 4] {
        [batch, self.input, self.input, self.channels]
    }

    fn kernels(&self) -> [usize; 4] {
        [self.filters, self.kernel, self.kernel, self.channels / self.groups]
    }
}

pub fn conv2d<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for (layer, batch) in LAYERS.iter().flat_map(|layer| BATCHES.map(|batch| (layer, batch))) {
        let w = weights(device, &layer.kernels());
        let b = weights(device, &[layer.filters]);
        let x = activations(device, &layer.input(batch));
        x.conv2d(&layer.spec(), &w, Some(&b), true)?;
        x.conv2d(&layer.spec(), &w, None, false)?;
        let dy = x.conv2d(&layer.spec(), &w, Some(&b), false)?;
        dy.conv2d_dx(&layer.spec(), x.shape(), &w)?;
        dy.conv2d_dw(&layer.spec(), &x, w.shape())?;
        dy.sum_rows()?;
    }
    // Images in single precision.
    let first = &LAYERS[0];
    let x = weights(device, &first.input(BATCH));
    let w = weights(device, &first.kernels());
    let dy = x.conv2d(&first.spec(), &w, None, true)?;
    dy.conv2d_dw(&first.spec(), &x, w.shape())?;
    Ok(())
}

/// The layers of cifar-11pct.
pub fn local2d<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for layer in [layer(6, 64, 64, 3, 1), layer(6, 64, 32, 3, 1), layer(6, 64, 64, 3, 2)] {
        let places = [layer.input * layer.input];
        let w = weights(device, &[&places[..], &layer.kernels()].concat());
        let b = weights(device, &[layer.input, layer.input, layer.filters]);
        let x = activations(device, &layer.input(BATCH));
        x.local2d(&layer.spec(), &w, None)?;
        let dy = x.local2d(&layer.spec(), &w, Some(&b))?;
        dy.local2d_dx(&layer.spec(), x.shape(), &w)?;
        dy.local2d_dw(&layer.spec(), &x, w.shape())?;
        dy.sum_first()?;
    }
    Ok(())
}

/// Inputs and outputs.
const LINEAR: [[usize; 2]; 7] =
    [[9216, 4096], [4096, 4096], [4096, 1000], [1024, 10], [1152, 10], [3072, 10], [4096, 37]];

pub fn linear<B: Backend<Scalar = f32>>(device: &B) -> Result {
    for ([inputs, outputs], batch) in LINEAR.into_iter().flat_map(|sizes| BATCHES.map(|batch| (sizes, batch))) {
        let w = weights(device, &[outputs, inputs]);
        let b = weights(device, &[outputs]);
        let x = activations(device, &[batch, inputs]);
        x.linear(&w, Some(&b), true)?;
        let dy = x.linear(&w, Some(&b), false)?;
        x.linear(&w, None, false)?;
        dy.linear_dx(&w)?;
        dy.linear_dw(&x)?;
        dy.sum_rows()?;
    }
    let a = activations(device, &[BATCH, BATCH]);
    let b = weights(device, &[BATCH, BATCH]);
    for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
        let options = MatmulOptions { transpose_a, transpose_b };
        a.matmul_with(&a, options)?;
        b.matmul_with(&b, options)?;
    }
    Ok(())
}

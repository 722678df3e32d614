//! Convolutions and locally connected layers as plain loops, random shapes and values for them, and the accuracy of
//! f32.
#![allow(dead_code, reason = "each test file uses a part")]

use alexnet_tensor::ops::{Conv2d, Padding};
use proptest::prelude::*;

use crate::support::values;

/// A layer, and the shapes of its input and weights.
#[derive(Clone, Debug)]
pub struct Case {
    pub spec: Conv2d,
    /// `[n, h, w, c]`.
    pub x: [usize; 4],
    /// `[out, kh, kw, c / groups]`.
    pub w: [usize; 4],
}

impl Case {
    /// The shape of a locally connected layer's weights: `[oh * ow, out, kh, kw, c / groups]`.
    pub fn local_w(&self) -> [usize; 5] {
        let [_, oh, ow, out] = self.y();
        let [_, kh, kw, group_c] = self.w;
        [oh * ow, out, kh, kw, group_c]
    }

    /// The shape of a locally connected layer's bias: `[oh, ow, out]`.
    pub fn local_b(&self) -> [usize; 3] {
        let [_, oh, ow, out] = self.y();
        [oh, ow, out]
    }

    /// The shape of the output: `[n, oh, ow, out]`.
    pub fn y(&self) -> [usize; 4] {
        let p = self.spec.padding;
        let s = self.spec.stride;
        let oh = (self.x[1] + p.top + p.bottom - self.w[1]) / s[0] + 1;
        let ow = (self.x[2] + p.left + p.right - self.w[2]) / s[1] + 1;
        [self.x[0], oh, ow, self.w[0]]
    }

    /// Calls `term(y, x, w)` with the flat indices of each product in the output's sums. `is_local` is for locally
    /// connected layers, with weights `[oh * ow, out, kh, kw, c / groups]`.
    pub fn terms(&self, is_local: bool, mut term: impl FnMut(usize, usize, usize)) {
        let [_, h, width, c] = self.x;
        let [out, kh, kw, cg] = self.w;
        let [n, oh, ow, _] = self.y();
        let og = out / self.spec.groups;
        let at = |y: usize, k: usize, axis: usize| {
            let pad = [self.spec.padding.top, self.spec.padding.left][axis];
            (y * self.spec.stride[axis] + k).checked_sub(pad).filter(|&i| i < [h, width][axis])
        };
        for (image, oy, ox, o) in grid([n, oh, ow, out]) {
            for (ky, kx, k, _) in grid([kh, kw, cg, 1]) {
                let Some(iy) = at(oy, ky, 0) else { continue };
                let Some(ix) = at(ox, kx, 1) else { continue };
                let kernels = if is_local { oy * ow + ox } else { 0 };
                term(
                    ((image * oh + oy) * ow + ox) * out + o,
                    ((image * h + iy) * width + ix) * c + o / og * cg + k,
                    (((kernels * out + o) * kh + ky) * kw + kx) * cg + k,
                );
            }
        }
    }

    /// The output without its bias, dx and dw.
    pub fn reference(&self, is_local: bool, v: &Values) -> [Vec<f64>; 3] {
        let Values { x, w, dy, .. } = v;
        let mut y = vec![0.0; dy.len()];
        let mut dx = vec![0.0; x.len()];
        let mut dw = vec![0.0; w.len()];
        self.terms(is_local, |iy, ix, iw| {
            y[iy] += x[ix] * w[iw];
            dx[ix] += dy[iy] * w[iw];
            dw[iw] += dy[iy] * x[ix];
        });
        [y, dx, dw]
    }
}

/// The values of a layer's operands: input, weights, bias, and the gradient of the output.
pub struct Values {
    pub x: Vec<f64>,
    pub w: Vec<f64>,
    pub b: Vec<f64>,
    pub dy: Vec<f64>,
}

impl Values {
    /// Random values for a convolution.
    pub fn conv(case: &Case, seed: u64) -> Self {
        Self::new(case, &case.w, &case.w[..1], seed)
    }

    /// Random values for a locally connected layer.
    pub fn local(case: &Case, seed: u64) -> Self {
        Self::new(case, &case.local_w(), &case.local_b(), seed)
    }

    fn new(case: &Case, w: &[usize], b: &[usize], seed: u64) -> Self {
        let draw = |i, shape: &[usize]| values(seed.wrapping_add(i), len(shape));
        Self { x: draw(0, &case.x), w: draw(1, w), b: draw(2, b), dy: draw(3, &case.y()) }
    }

    pub fn absolute(&self) -> Self {
        Self { x: absolute(&self.x), w: absolute(&self.w), b: absolute(&self.b), dy: absolute(&self.dy) }
    }
}

/// All indices of an array of these lengths.
fn grid([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

pub fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

/// Fails if an f32 sum differs from the exact one by more than 3e-6 of the sum of its terms' absolute values. (Terms
/// may cancel, so the error is not relative to the sum itself.)
pub fn assert_rounded(got: &[f64], exact: &[f64], absolute_sums: &[f64]) {
    assert!(got.len() == exact.len() && got.len() == absolute_sums.len());
    for (i, ((g, e), sum)) in got.iter().zip(exact).zip(absolute_sums).enumerate() {
        assert!((g - e).abs() <= 3e-6 * sum, "value {i}: got {g:e}, exact {e:e}, sum of absolute values {sum:e}");
    }
}

pub fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

prop_compose! {
    /// Any stride, kernel, groups and padding, including kernels larger than the image and images of one pixel.
    pub fn cases(side: usize)(
        groups in 1usize..4, n in 1usize..4, sides in [1..=side, 1..=side], depth in [1usize..5, 1usize..5],
        kernel in [1usize..5, 1usize..5], stride in [1usize..4, 1usize..4],
        pads in [0usize..4, 0usize..4, 0usize..4, 0usize..4],
    ) -> Case {
        let [top, mut bottom, left, mut right] = pads;
        // Pads one side for kernels larger than the padded image.
        bottom += kernel[0].saturating_sub(sides[0] + top + bottom);
        right += kernel[1].saturating_sub(sides[1] + left + right);
        let padding = Padding { top, bottom, left, right };
        Case {
            spec: Conv2d { stride, padding, groups },
            x: [n, sides[0], sides[1], groups * depth[0]],
            w: [groups * depth[1], kernel[0], kernel[1], depth[0]],
        }
    }
}

//! Convolutions and locally connected layers as plain loops, shapes to try them on, and how near f32 must come.
#![allow(dead_code, reason = "each test file uses a part")]

use alexnet_tensor::ops::{Conv2d, Padding};
use proptest::prelude::*;

/// One layer and the lengths of its input and weights.
#[derive(Clone, Debug)]
pub struct Case {
    pub spec: Conv2d,
    /// `[n, h, w, c]`.
    pub x: [usize; 4],
    /// `[out, kh, kw, c / groups]`.
    pub w: [usize; 4],
}

impl Case {
    /// `[n, oh, ow, out]`.
    pub fn y(&self) -> [usize; 4] {
        let p = self.spec.padding;
        let s = self.spec.stride;
        let oh = (self.x[1] + p.top + p.bottom - self.w[1]) / s[0] + 1;
        let ow = (self.x[2] + p.left + p.right - self.w[2]) / s[1] + 1;
        [self.x[0], oh, ow, self.w[0]]
    }

    /// Calls `term(y, x, w)` with the flat places of each product in the output's sums; `local` has weights
    /// `[oh * ow, out, kh, kw, c / groups]`.
    pub fn terms(&self, local: bool, mut term: impl FnMut(usize, usize, usize)) {
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
                let (Some(iy), Some(ix)) = (at(oy, ky, 0), at(ox, kx, 1)) else { continue };
                let kernels = if local { oy * ow + ox } else { 0 };
                term(
                    ((image * oh + oy) * ow + ox) * out + o,
                    ((image * h + iy) * width + ix) * c + o / og * cg + k,
                    (((kernels * out + o) * kh + ky) * kw + kx) * cg + k,
                );
            }
        }
    }

    /// The output without bias, dx and dw.
    pub fn reference(&self, local: bool, x: &[f64], w: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
        let mut y = vec![0.0; dy.len()];
        let mut dx = vec![0.0; x.len()];
        let mut dw = vec![0.0; w.len()];
        self.terms(local, |iy, ix, iw| {
            y[iy] += x[ix] * w[iw];
            dx[ix] += dy[iy] * w[iw];
            dw[iw] += dy[iy] * x[ix];
        });
        [y, dx, dw]
    }
}

fn grid([a, b, c, d]: [usize; 4]) -> impl Iterator<Item = (usize, usize, usize, usize)> {
    (0..a * b * c * d).map(move |i| (i / (b * c * d), i / (c * d) % b, i / d % c, i % d))
}

pub fn absolute(values: &[f64]) -> Vec<f64> {
    values.iter().map(|v| v.abs()).collect()
}

/// Fails where an f32 sum is further from the exact one than 3e-6 of what its terms' absolute values add up to:
/// terms may cancel, so the sum itself is no measure.
pub fn assert_rounded(got: &[f64], exact: &[f64], absolute_sums: &[f64]) {
    assert!(got.len() == exact.len() && got.len() == absolute_sums.len());
    for (i, ((g, e), sum)) in got.iter().zip(exact).zip(absolute_sums).enumerate() {
        assert!((g - e).abs() <= 3e-6 * sum, "value {i}: got {g:e}, exact {e:e}, absolute values add up to {sum:e}");
    }
}

pub fn len(shape: &[usize]) -> usize {
    shape.iter().product()
}

prop_compose! {
    /// Any stride, kernel, groups and padding, also kernels larger than the image and images of one pixel.
    pub fn cases(side: usize)(
        groups in 1usize..4, n in 1usize..4, sides in [1..=side, 1..=side], depth in [1usize..5, 1usize..5],
        kernel in [1usize..5, 1usize..5], stride in [1usize..4, 1usize..4], pads in [0usize..4, 0usize..4, 0usize..4, 0usize..4],
    ) -> Case {
        let [top, mut bottom, left, mut right] = pads;
        // A kernel that does not fit gets the room it lacks on one side.
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

//! Windows of an image as rows of a matrix (im2col), and the way back (col2im).

use std::ops::Range;

use super::matrix::Matrix;
use crate::Element;
use crate::ops::conv2d::Geometry;

/// The part of a window that lies inside the image, along one axis.
struct Span {
    /// Places in the kernel.
    kernel: Range<usize>,
    /// Where the first of them is in the image.
    start: usize,
}

impl Span {
    fn new(g: &Geometry, axis: usize, at: usize) -> Self {
        let pad = [g.padding.top, g.padding.left][axis];
        let (len, kernel, first) = (g.input[axis], g.kernel[axis], at * g.stride[axis]);
        let from = pad.saturating_sub(first).min(kernel);
        let to = (len + pad).saturating_sub(first).min(kernel);
        Self { kernel: from..to.max(from), start: (first + from).saturating_sub(pad) }
    }
}

/// Calls `run(start in the image, start in the patch, length)` for each stretch of a window's values that is
/// contiguous in both and lies inside the image.
fn runs(g: &Geometry, group: usize, at: [usize; 2], mut run: impl FnMut(usize, usize, usize)) {
    let (rows, columns) = (Span::new(g, 0, at[0]), Span::new(g, 1, at[1]));
    let [_, width, c] = g.input;
    let cg = c / g.groups;
    if columns.kernel.is_empty() {
        return;
    }
    for (i, ky) in rows.kernel.clone().enumerate() {
        let from = ((rows.start + i) * width + columns.start) * c + group * cg;
        let to = (ky * g.kernel[1] + columns.kernel.start) * cg;
        if g.groups == 1 {
            run(from, to, columns.kernel.len() * c);
        } else {
            (0..columns.kernel.len()).for_each(|j| run(from + j * c, to + j * cg, cg));
        }
    }
}

fn inside(g: &Geometry, at: [usize; 2]) -> bool {
    (0..2).all(|axis| Span::new(g, axis, at[axis]).kernel.len() == g.kernel[axis])
}

/// Copies the window at output position `at` of one image into `patch` `[kh, kw, c / groups]`, zeros around the image.
pub(super) fn gather<E: Element>(g: &Geometry, image: &[E], group: usize, at: [usize; 2], patch: &mut [E]) {
    if !inside(g, at) {
        patch.fill(E::zero());
    }
    runs(g, group, at, |from, to, len| patch[to..to + len].copy_from_slice(&image[from..from + len]));
}

/// Adds `patch` `[kh, kw, c / groups]` to the window at output position `at` of one image.
pub(super) fn scatter<E: Element>(g: &Geometry, image: &mut [E], group: usize, at: [usize; 2], patch: &[E]) {
    runs(g, group, at, |to, from, len| {
        image[to..to + len].iter_mut().zip(&patch[from..from + len]).for_each(|(d, &s)| *d += s);
    });
}

/// Whether the windows are the image's values themselves: 1x1 kernels that visit each place once.
pub(super) fn is_pointwise(g: &Geometry) -> bool {
    g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == Default::default()
}

/// Windows `rows` (counted over all images, rows and columns) as a matrix `[rows, width]`, written to `buffer` unless
/// it lies in x already. `width` is the patch, kh * kw * c / groups, or more: then zeros follow it.
pub(super) fn columns<'a, E: Element>(
    g: &Geometry,
    x: &'a [E],
    group: usize,
    rows: Range<usize>,
    width: usize,
    buffer: &'a mut [E],
) -> Matrix<'a, E> {
    let ([h, w, c], [oh, ow, _], patch) = (g.input, g.output, g.patch());
    if is_pointwise(g) {
        return Matrix::new(&x[rows.start * c + group * patch..rows.end * c], rows.len(), patch, c);
    }
    for (row, window) in rows.clone().zip(buffer.chunks_exact_mut(width.max(1))) {
        let image = row / (oh * ow) * (h * w * c);
        let at = [row / ow % oh, row % ow];
        let (window, rest) = window.split_at_mut(patch);
        gather(g, &x[image..image + h * w * c], group, at, window);
        rest.fill(E::zero());
    }
    Matrix::new(buffer, rows.len(), width, width)
}

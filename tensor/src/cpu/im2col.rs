//! Windows of an image as rows of a matrix (im2col), and the way back (col2im).

use std::ops::Range;

use super::matrix::Matrix;
use crate::Element;
use crate::ops::conv2d::Geometry;

/// The part of a window that lies within the image, along one axis.
struct Span {
    /// Positions in the kernel.
    kernel: Range<usize>,
    /// The first position in the image.
    start: usize,
}

impl Span {
    /// The span of the window at output position `at`.
    fn new(g: &Geometry, axis: usize, at: usize) -> Self {
        let pad = [g.padding.top, g.padding.left][axis];
        let len = g.input[axis];
        let kernel = g.kernel[axis];
        let first = at * g.stride[axis];
        let from = pad.saturating_sub(first).min(kernel);
        let to = (len + pad).saturating_sub(first).min(kernel);
        Self { kernel: from..to.max(from), start: (first + from).saturating_sub(pad) }
    }
}

/// Calls `run(start in the image, start in the window, length)` for each run of a window's values that is contiguous in
/// both and lies within the image.
fn for_each_run(g: &Geometry, group: usize, at: [usize; 2], mut run: impl FnMut(usize, usize, usize)) {
    let rows = Span::new(g, 0, at[0]);
    let columns = Span::new(g, 1, at[1]);
    if columns.kernel.is_empty() {
        return;
    }
    let [_, width, c] = g.input;
    let group_c = c / g.groups;
    for (i, ky) in rows.kernel.clone().enumerate() {
        let in_image = ((rows.start + i) * width + columns.start) * c + group * group_c;
        let in_window = (ky * g.kernel[1] + columns.kernel.start) * group_c;
        if g.groups == 1 {
            run(in_image, in_window, columns.kernel.len() * c);
        } else {
            for j in 0..columns.kernel.len() {
                run(in_image + j * c, in_window + j * group_c, group_c);
            }
        }
    }
}

/// Whether the window at output position `at` lies within the image.
fn is_inside(g: &Geometry, at: [usize; 2]) -> bool {
    (0..2).all(|axis| Span::new(g, axis, at[axis]).kernel.len() == g.kernel[axis])
}

/// Copies the window at output position `at` of one image to `window` `[kh, kw, c / groups]`, with zeros outside the
/// image.
pub(super) fn copy_window<E: Element>(g: &Geometry, image: &[E], group: usize, at: [usize; 2], window: &mut [E]) {
    if !is_inside(g, at) {
        window.fill(E::zero());
    }
    for_each_run(g, group, at, |from, to, len| window[to..to + len].copy_from_slice(&image[from..from + len]));
}

/// Adds `window` `[kh, kw, c / groups]` to the image at output position `at`.
pub(super) fn add_window<E: Element>(g: &Geometry, image: &mut [E], group: usize, at: [usize; 2], window: &[E]) {
    for_each_run(g, group, at, |to, from, len| {
        image[to..to + len].iter_mut().zip(&window[from..from + len]).for_each(|(d, &s)| *d += s);
    });
}

/// Whether the windows are the pixels of the image: kernels of 1x1 at stride 1, without padding.
pub(super) fn is_pointwise(g: &Geometry) -> bool {
    g.kernel == [1, 1] && g.stride == [1, 1] && g.padding == Default::default()
}

/// The windows `rows`, counted over all images, rows and columns, as a matrix `[rows, width]`. Pointwise windows stay
/// in `x`, others are copied to `buffer`. A window has kh * kw * c / groups values; zeros fill the rest of `width`.
pub(super) fn window_matrix<'a, E: Element>(
    g: &Geometry,
    x: &'a [E],
    group: usize,
    rows: Range<usize>,
    width: usize,
    buffer: &'a mut [E],
) -> Matrix<'a, E> {
    let [h, w, c] = g.input;
    let [oh, ow, _] = g.output;
    let patch = g.patch();
    if is_pointwise(g) {
        return Matrix::new(&x[rows.start * c + group * patch..rows.end * c], rows.len(), patch, c);
    }
    for (row, padded) in rows.clone().zip(buffer.chunks_exact_mut(width.max(1))) {
        let image = row / (oh * ow) * (h * w * c);
        let at = [row / ow % oh, row % ow];
        let (window, padding) = padded.split_at_mut(patch);
        copy_window(g, &x[image..image + h * w * c], group, at, window);
        padding.fill(E::zero());
    }
    Matrix::new(buffer, rows.len(), width, width)
}

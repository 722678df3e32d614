//! The transform of kernels.

use rayon::prelude::*;

use super::forward::{Operands, PANEL};
use super::points::DisjointSlices;
use super::transform::{POINTS, TILE_POINTS, column, kernel};
use super::{Kernel, Tiles};
use crate::cpu::Buffer;
use crate::cpu::microkernel::tile_shape;
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, dispatch};
use crate::{Cpu, Result};

/// Input channels, and output channels, of the kernels that one task transforms.
const CHANNELS: usize = LANES;

/// The position of a panel's transformed kernels: `[point][columns of a register tile][in][output]`, in the last
/// columns the outputs that are left.
pub(super) struct PanelLayout {
    first: usize,
    /// From one point to the next, with a gap: without it the points would share few sets of the caches.
    step: usize,
}

impl PanelLayout {
    pub fn point(&self, point: usize) -> usize {
        self.first + point * self.step
    }
}

impl Tiles {
    /// Values of the transformed kernels.
    pub fn kernels(&self) -> usize {
        self.groups * self.group_kernels_len()
    }

    fn group_kernels_len(&self) -> usize {
        let [inner, outer] = self.group();
        TILE_POINTS * (outer * inner + outer.div_ceil(PANEL) * LANES)
    }

    /// The layout of the panel that holds output channel `output` of a group.
    pub(super) fn panel_layout(&self, group: usize, output: usize) -> PanelLayout {
        let [inner, outer] = self.group();
        let panel = output / PANEL;
        let before = TILE_POINTS * panel * (PANEL * inner + LANES);
        PanelLayout {
            first: group * self.group_kernels_len() + before,
            step: PANEL.min(outer - panel * PANEL) * inner + LANES,
        }
    }

    /// The transformed kernels, cached until the weights change. At batch size 1, the transform takes as long as the
    /// rest of the convolution.
    pub(super) fn transformed_kernels(&self, cpu: &Cpu<f32>, operands: &Operands<'_>) -> Result<Buffer<f32>> {
        let make = || {
            let mut kernels = cpu.alloc(self.kernels())?;
            self.transform_kernels(operands, kernels.make_mut()?);
            Ok(kernels)
        };
        if operands.transposed {
            return make();
        }
        let stride = self.space_to_depth.map_or(1, |space_to_depth| space_to_depth.stride);
        let kept =
            operands.w.weight_cache().get_on_reuse([self.kernel.side(), stride, self.groups, self.group()[0]], make)?;
        kept.map_or_else(make, Ok)
    }

    /// Transformed kernels, `[group][panel]` and then as in [`PanelLayout`].
    fn transform_kernels(&self, operands: &Operands<'_>, kernels: &mut [f32]) {
        let [inner, outer] = self.group();
        let per_group = [inner / CHANNELS, outer / CHANNELS];
        let kernels = &DisjointSlices::new(kernels);
        (0..self.groups * per_group[0] * per_group[1]).into_par_iter().for_each(|task| {
            let group = task / (per_group[0] * per_group[1]);
            let rest = task % (per_group[0] * per_group[1]);
            let from = [rest % per_group[0] * CHANNELS, rest / per_group[0] * CHANNELS];
            let work = TransformKernels { tiles: self, operands, group, from, kernels };
            dispatch(self.level, work);
        });
    }
}

/// The first and the number of the columns of the register tile that holds output channel `output`, in a panel of `len`
/// channels from `panel` on.
fn tile_columns(panel: usize, len: usize, output: usize) -> (usize, usize) {
    let mut first = 0;
    loop {
        let (width, _) = tile_shape(len - first);
        if output < panel + first + width {
            return (panel + first, width);
        }
        first += width;
    }
}

/// G w Gt of [`CHANNELS`] x [`CHANNELS`] kernels.
struct TransformKernels<'a> {
    tiles: &'a Tiles,
    operands: &'a Operands<'a>,
    group: usize,
    /// The first input and output channel within the group.
    from: [usize; 2],
    kernels: &'a DisjointSlices<'a>,
}

impl WithSimd for TransformKernels<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.tiles.kernel {
            Kernel::Three => self.transform::<S, 3, 9>(simd),
            Kernel::Five => self.transform::<S, 5, 25>(simd),
        }
    }
}

impl TransformKernels<'_> {
    #[inline(always)]
    fn transform<S: Simd, const R: usize, const AREA: usize>(&self, simd: S) {
        let Self { tiles, group, from, .. } = *self;
        let [inner, outer] = tiles.group();
        let mut kernels = [[[0.0f32; CHANNELS]; CHANNELS]; AREA];
        self.gather(&mut kernels);
        let layout = tiles.panel_layout(group, from[1]);
        let panel = from[1] / PANEL * PANEL;
        let (columns, width) = tile_columns(panel, PANEL.min(outer - panel), from[1]);
        let mut half = [[simd.splat(0.0); POINTS]; R];
        for i in 0..CHANNELS {
            for (half, kernels) in half.iter_mut().zip(kernels.chunks_exact(R)) {
                let mut row = [simd.splat(0.0); R];
                for (value, kernels) in row.iter_mut().zip(kernels) {
                    *value = simd.load(&kernels[i]);
                }
                *half = kernel(row);
            }
            for q in 0..POINTS {
                for (p, value) in kernel(column(&half, q)).into_iter().enumerate() {
                    let row = (columns - panel) * inner + (from[0] + i) * width;
                    let at = layout.point(p * POINTS + q) + row + from[1] - columns;
                    // SAFETY: these channels' kernels belong to this task.
                    value.store(unsafe { self.kernels.slice(at, LANES) });
                }
            }
        }
    }

    /// Copies kernels `[place][in][out]` from weights `[out][place][in]`.
    #[inline(always)]
    fn gather<const AREA: usize>(&self, kernels: &mut [[[f32; CHANNELS]; CHANNELS]; AREA]) {
        let Self { tiles, operands, group, from, .. } = *self;
        let [inner, outer] = tiles.group();
        if let Some(space_to_depth) = &tiles.space_to_depth {
            let w = operands.w.as_slice();
            let patch = space_to_depth.kernel_len();
            let side = tiles.kernel.side();
            for (place, kernels) in kernels.iter_mut().enumerate() {
                for (i, kernels) in kernels.iter_mut().enumerate() {
                    if let Some(at) = space_to_depth.kernel_index([place / side, place % side], from[0] + i) {
                        for (o, value) in kernels.iter_mut().enumerate() {
                            *value = w[(from[1] + o) * patch + at];
                        }
                    }
                }
            }
        } else if operands.transposed {
            let w = &operands.w.as_slice()[group * outer * inner * AREA..];
            for (place, kernels) in kernels.iter_mut().enumerate() {
                for (i, kernels) in kernels.iter_mut().enumerate() {
                    let at = ((from[0] + i) * AREA + AREA - 1 - place) * outer + from[1];
                    kernels.copy_from_slice(&w[at..at + CHANNELS]);
                }
            }
        } else {
            let w = &operands.w.as_slice()[group * outer * inner * AREA..];
            for o in 0..CHANNELS {
                for (place, kernels) in kernels.iter_mut().enumerate() {
                    let w = &w[((from[1] + o) * AREA + place) * inner + from[0]..][..CHANNELS];
                    for (kernels, &w) in kernels.iter_mut().zip(w) {
                        kernels[o] = w;
                    }
                }
            }
        }
    }
}

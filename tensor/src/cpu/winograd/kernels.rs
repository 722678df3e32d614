//! Kernels as points.

use rayon::prelude::*;

use super::forward::{Operands, PANEL};
use super::transform::{POINTS, TILE, column, kernel};
use super::{DisjointSlices, Kernel, Tiles};
use crate::cpu::Buffer;
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, dispatch};
use crate::cpu::tile::shape;
use crate::{Cpu, Result};

/// Channels, on either side, of the kernels that one task transforms.
const CHANNELS: usize = LANES;

/// Where the transformed kernels of a group and a panel lie: `[point][columns of a register tile][in][output]`, the
/// last columns as many as are left.
pub(super) struct Places {
    first: usize,
    /// From one point to the next: with a gap, or they would fall on the same sets of the caches.
    step: usize,
}

impl Places {
    pub fn point(&self, point: usize) -> usize {
        self.first + point * self.step
    }
}

impl Tiles {
    /// Values of the transformed kernels.
    pub fn kernels(&self) -> usize {
        self.groups * self.kernels_of_group()
    }

    fn kernels_of_group(&self) -> usize {
        let [inner, outer] = self.group();
        TILE * (outer * inner + outer.div_ceil(PANEL) * LANES)
    }

    /// Those of a group and of the panel that holds output channel `output` of it.
    pub(super) fn kernel_places(&self, group: usize, output: usize) -> Places {
        let ([inner, outer], panel) = (self.group(), output / PANEL);
        let before = TILE * panel * (PANEL * inner + LANES);
        Places {
            first: group * self.kernels_of_group() + before,
            step: PANEL.min(outer - panel * PANEL) * inner + LANES,
        }
    }

    /// The transformed kernels, those of weights that do not change kept beside them. At batch 1 transforming them
    /// takes as long as all the rest.
    pub(super) fn transformed_kernels(&self, cpu: &Cpu<f32>, operands: &Operands<'_>) -> Result<Buffer<f32>> {
        let make = || {
            let mut kernels = cpu.alloc(self.kernels())?;
            self.transform_kernels(operands, kernels.make_mut()?);
            Ok(kernels)
        };
        if operands.transposed {
            return make();
        }
        let stride = self.fold.map_or(1, |fold| fold.stride);
        let kept =
            operands.w.weight_cache().get_on_reuse([self.kernel.side(), stride, self.groups, self.group()[0]], make)?;
        kept.map_or_else(make, Ok)
    }

    /// Transformed kernels, `[group][panel]` and then as [`Places`] says.
    fn transform_kernels(&self, operands: &Operands<'_>, kernels: &mut [f32]) {
        let [inner, outer] = self.group();
        let per_group = [inner / CHANNELS, outer / CHANNELS];
        let kernels = &DisjointSlices::new(kernels);
        (0..self.groups * per_group[0] * per_group[1]).into_par_iter().for_each(|task| {
            let (group, rest) = (task / (per_group[0] * per_group[1]), task % (per_group[0] * per_group[1]));
            let from = [rest % per_group[0] * CHANNELS, rest / per_group[0] * CHANNELS];
            let work = TransformKernels { tiles: self, operands, group, from, kernels };
            dispatch(self.level, work);
        });
    }
}

/// The first and the number of the columns that are multiplied together with output `output`, in a panel from `panel`
/// on.
fn columns_of(panel: usize, len: usize, output: usize) -> (usize, usize) {
    let mut first = 0;
    loop {
        let (width, _) = shape(len - first);
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
            Kernel::Three => self.of_side::<S, 3, 9>(simd),
            Kernel::Five => self.of_side::<S, 5, 25>(simd),
        }
    }
}

impl TransformKernels<'_> {
    #[inline(always)]
    fn of_side<S: Simd, const R: usize, const AREA: usize>(&self, simd: S) {
        let Self { tiles, group, from, .. } = *self;
        let [inner, outer] = tiles.group();
        let mut kernels = [[[0.0f32; CHANNELS]; CHANNELS]; AREA];
        self.gather(&mut kernels);
        let (places, panel) = (tiles.kernel_places(group, from[1]), from[1] / PANEL * PANEL);
        let (columns, width) = columns_of(panel, PANEL.min(outer - panel), from[1]);
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
                    let at = places.point(p * POINTS + q) + (columns - panel) * inner + (from[0] + i) * width + from[1]
                        - columns;
                    // SAFETY: these channels' kernels belong to this task.
                    value.store(unsafe { self.kernels.part(at, LANES) });
                }
            }
        }
    }

    /// `[place][in][out]` from weights that lie `[out][place][in]` as the forward has them.
    #[inline(always)]
    fn gather<const AREA: usize>(&self, kernels: &mut [[[f32; CHANNELS]; CHANNELS]; AREA]) {
        let Self { tiles, operands, group, from, .. } = *self;
        let [inner, outer] = tiles.group();
        if let Some(fold) = &tiles.fold {
            let (w, patch, side) = (operands.w.as_slice(), fold.patch(), tiles.kernel.side());
            for (place, kernels) in kernels.iter_mut().enumerate() {
                for (i, kernels) in kernels.iter_mut().enumerate() {
                    if let Some(at) = fold.place([place / side, place % side], from[0] + i) {
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

//! The transform of outputs: points to tiles.

use std::ops::Range;

use super::forward::Operands;
use super::points::{DisjointSlices, Layout, TilePoints};
use super::transform::{POINTS, column, output};
use super::{Kernel, Tiles};
use crate::cpu::simd::{LANES, Simd, Vector, WithSimd, exceeds_cache};

/// At p A of some tiles, then bias and ReLU.
pub(super) struct TransformOutputs<'a> {
    pub tiles: &'a Tiles,
    pub operands: &'a Operands<'a>,
    /// The block's first tile.
    pub first: usize,
    pub range: Range<usize>,
    /// The channels of a panel.
    pub channels: Range<usize>,
    pub layout: Layout,
    pub products: &'a [f32],
    pub y: &'a DisjointSlices<'a>,
}

impl WithSimd for TransformOutputs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.tiles.kernel {
            Kernel::Three => self.transform::<S, 5>(simd),
            Kernel::Five => self.transform::<S, 3>(simd),
        }
    }
}

impl TransformOutputs<'_> {
    #[inline(always)]
    fn transform<S: Simd, const M: usize>(&self, simd: S) {
        let Self { tiles, operands, first, channels, layout, products, y, .. } = self;
        let [oh, ow, out] = tiles.output;
        let nontemporal = exceeds_cache(y.len);
        let mut half = [[simd.splat(0.0); M]; POINTS];
        for tile in self.range.clone() {
            let [image, top, left] = tiles.origin(tile);
            let [rows, columns] = [M.min(oh - top), M.min(ow - left)];
            for channel in channels.clone().step_by(LANES) {
                let at = layout.at(0, tile - first) + channel - channels.start;
                let points = TilePoints::new(products, at, *layout);
                for (p, half) in half.iter_mut().enumerate() {
                    *half = output(points.load_row(simd, p));
                }
                let bias = operands.bias.map_or(simd.splat(0.0), |bias| simd.load(&bias[channel..]));
                for j in 0..columns {
                    let column = output::<_, M>(column(&half, j));
                    for (i, value) in column.into_iter().enumerate() {
                        if i < rows {
                            let value = value.add(bias);
                            let value = if operands.relu { value.relu() } else { value };
                            let place = ((image * oh + top + i) * ow + left + j) * out + channel;
                            // SAFETY: these channels of this tile belong to this task.
                            value.store_nontemporal_if(nontemporal, unsafe { y.slice(place, LANES) });
                        }
                    }
                }
            }
        }
        simd.fence();
    }
}

//! Tiles of outputs from points.

use std::ops::Range;

use super::forward::Operands;
use super::transform::{POINTS, column, output};
use super::{AtPoints, Kernel, Layout, Parts, Tiles};
use crate::cpu::simd::{LANES, Vector, Work, outlasts_caches};

/// At p A of some tiles; bias and ReLU on the way.
pub(super) struct TransformOutputs<'a> {
    pub tiles: &'a Tiles,
    pub operands: &'a Operands<'a>,
    /// The block's first tile.
    pub first: usize,
    pub range: Range<usize>,
    /// Those of a panel.
    pub channels: Range<usize>,
    pub layout: Layout,
    pub products: &'a [f32],
    pub y: &'a Parts<'a>,
}

impl Work for TransformOutputs<'_> {
    type Out = ();

    #[inline(always)]
    fn run<V: Vector>(self) {
        match self.tiles.kernel {
            Kernel::Three => self.tiles_of::<V, 5>(),
            Kernel::Five => self.tiles_of::<V, 3>(),
        }
    }
}

impl TransformOutputs<'_> {
    #[inline(always)]
    fn tiles_of<V: Vector, const M: usize>(&self) {
        let Self { tiles, operands, first, channels, layout, products, y, .. } = self;
        let [oh, ow, out] = tiles.output;
        let past = outlasts_caches(y.len);
        let mut half = [[V::splat(0.0); M]; POINTS];
        for tile in self.range.clone() {
            let [image, top, left] = tiles.place(tile);
            let [rows, columns] = [M.min(oh - top), M.min(ow - left)];
            for channel in channels.clone().step_by(LANES) {
                let at = layout.at(0, tile - first) + channel - channels.start;
                let points = AtPoints::new(products, at, *layout);
                for (p, half) in half.iter_mut().enumerate() {
                    *half = output::<V, M>(points.row(p));
                }
                let bias = operands.bias.map_or(V::splat(0.0), |bias| V::of(&bias[channel..]));
                for j in 0..columns {
                    let column = output::<V, M>(column(&half, j));
                    for (i, value) in column.into_iter().enumerate() {
                        if i < rows {
                            let value = value.add(bias);
                            let value = if operands.relu { value.relu() } else { value };
                            let place = ((image * oh + top + i) * ow + left + j) * out + channel;
                            // SAFETY: these channels of this tile's outputs are nobody else's work.
                            value.put_past(past, unsafe { y.part(place, LANES) });
                        }
                    }
                }
            }
        }
        V::fence();
    }
}

//! The kernels of a convolution as tiles of operand b.

use rayon::prelude::*;

use super::staged::Staged;
use super::tile::{BLOCK, ROWS, TERMS, TILE};
use crate::cpu::bf16::of_f32;

/// The number of values in the tiles of all groups.
pub(super) fn packed_len(staged: &Staged) -> usize {
    staged.groups * group_len(staged)
}

/// The number of values in the tiles of a group.
fn group_len(staged: &Staged) -> usize {
    staged.group_output().div_ceil(ROWS) * staged.steps() * TILE
}

/// The tiles of 32 columns, or of the last 16, from `column` on.
pub(super) fn panel<'a>(staged: &Staged, packed: &'a [u16], group: usize, column: usize) -> &'a [u16] {
    &packed[group * group_len(staged) + column / ROWS * staged.steps() * TILE..]
}

/// Packs weights `[out, kh, kw, c / groups]` for the forward convolution: columns are output channels.
pub(super) fn pack_forward(staged: &Staged, w: &[f32], packed: &mut [u16]) {
    let patch = staged.image_kernel.iter().product::<usize>() * staged.group_input();
    let out = staged.group_output();
    let places = places(staged);
    pack(staged, packed, |group, steps, column, tile| {
        let kernel = (group * out + column) * patch;
        for (pair, places) in places[steps * TERMS..(steps + 1) * TERMS].chunks_exact(2).enumerate() {
            for (i, &place) in places.iter().enumerate() {
                if place != u32::MAX {
                    tile[pair * TERMS + i] = of_f32(w[kernel + place as usize]);
                }
            }
        }
    });
}

/// Packs them for the gradient of the input: columns are input channels, terms are output channels at mirrored places.
/// `staged` is [`Staged::backward`].
pub(super) fn pack_backward(staged: &Staged, w: &[f32], packed: &mut [u16]) {
    let [kh, kw] = staged.kernel;
    let c = staged.group_output();
    let out = staged.group_input();
    let run_steps = staged.run_steps();
    pack(staged, packed, |group, step, column, tile| {
        let y = kh - 1 - step / run_steps;
        let first = step % run_steps * TERMS;
        for term in first..(first + TERMS).min(kw * out) {
            let x = kw - 1 - term / out;
            let kernel = group * out + term % out;
            let at = term - first;
            tile[at / 2 * TERMS + at % 2] = of_f32(w[((kernel * kh + y) * kw + x) * c + column]);
        }
    });
}

/// The places of all terms of a kernel, [`u32::MAX`] for zeros.
fn places(staged: &Staged) -> Vec<u32> {
    let terms = staged.run_steps() * TERMS;
    let rows = 0..staged.kernel[0];
    rows.flat_map(|row| {
        (0..terms).map(move |term| {
            let place = if term < staged.run() { staged.place(row, term) } else { None };
            place.map_or(u32::MAX, |place| place as u32)
        })
    })
    .collect()
}

/// Calls `column(group, step, column, tile)` for each column of each tile, which starts at its first value: pairs of
/// terms lie 32 values apart. Tiles are zero before.
fn pack(staged: &Staged, packed: &mut [u16], column: impl Fn(usize, usize, usize, &mut [u16]) + Sync) {
    let out = staged.group_output();
    let steps = staged.steps();
    for (group, packed) in packed.chunks_exact_mut(group_len(staged).max(1)).enumerate() {
        packed.par_chunks_mut(BLOCK / ROWS * steps * TILE).enumerate().for_each(|(panel, packed)| {
            packed.fill(0);
            let tiles = packed.len() / (steps * TILE);
            for (i, tile) in packed.chunks_exact_mut(TILE).enumerate() {
                let first = panel * BLOCK + i % tiles * ROWS;
                for j in 0..ROWS.min(out - first) {
                    column(group, i / tiles, first + j, &mut tile[2 * j..]);
                }
            }
        });
    }
}

//! The kernels of a convolution as tiles of operand b.

use rayon::prelude::*;

use super::pack::{a_row_of_f32, b_of_columns, b_rows_of_f32};
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
    let run = staged.run();
    let run_steps = staged.run_steps();
    if staged.has_blocks() {
        let places = places(staged);
        return pack(staged, packed, |group, step, first, columns, tile| {
            tile.fill(0);
            for (term, &place) in places[step * TERMS..(step + 1) * TERMS].iter().enumerate() {
                for column in 0..columns {
                    if place != u32::MAX {
                        let at = (group * out + first + column) * patch + place as usize;
                        tile[term / 2 * TERMS + 2 * column + term % 2] = of_f32(w[at]);
                    }
                }
            }
        });
    }
    pack(staged, packed, |group, step, first, columns, tile| {
        let term = step % run_steps * TERMS;
        let kernel = (group * out + first) * patch + step / run_steps * run + term;
        let mut rows = [0u16; TILE];
        for (i, row) in rows.chunks_exact_mut(TERMS).take(columns).enumerate() {
            // SAFETY: the terms of a row of the kernel lie in w; a unit proves the instructions.
            unsafe { a_row_of_f32(w[kernel + i * patch..].as_ptr(), (run - term).min(TERMS), 1, row.as_mut_ptr()) };
        }
        // SAFETY: whole rows of terms.
        unsafe { b_of_columns(rows.as_ptr(), TERMS, ROWS, TERMS, tile.as_mut_ptr()) };
    });
}

/// Packs them for the gradient of the input: columns are input channels, terms are output channels at mirrored places.
/// `staged` is [`Staged::backward`].
pub(super) fn pack_backward(staged: &Staged, w: &[f32], packed: &mut [u16]) {
    let [kh, kw] = staged.kernel;
    let c = staged.group_output();
    let out = staged.group_input();
    let run_steps = staged.run_steps();
    pack(staged, packed, |group, step, first, columns, tile| {
        let y = kh - 1 - step / run_steps;
        let row = |term: usize| {
            let x = (kw - 1).checked_sub(term / out)?;
            let kernel = group * out + term % out;
            Some(w[((kernel * kh + y) * kw + x) * c + first..].as_ptr())
        };
        let start = step % run_steps * TERMS;
        for (pair, to) in tile.chunks_exact_mut(TERMS).enumerate() {
            let term = start + 2 * pair;
            // SAFETY: the columns of a place lie in w; a unit proves the instructions.
            unsafe { b_rows_of_f32([row(term), row(term + 1)], columns, TILE, to.as_mut_ptr()) };
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

/// Calls `fill(group, step, first column, columns, tile)` for each tile.
fn pack(staged: &Staged, packed: &mut [u16], fill: impl Fn(usize, usize, usize, usize, &mut [u16]) + Sync) {
    let out = staged.group_output();
    let steps = staged.steps();
    for (group, packed) in packed.chunks_exact_mut(group_len(staged).max(1)).enumerate() {
        packed.par_chunks_mut(BLOCK / ROWS * steps * TILE).enumerate().for_each(|(panel, packed)| {
            let tiles = packed.len() / (steps * TILE);
            for (i, tile) in packed.chunks_exact_mut(TILE).enumerate() {
                let first = panel * BLOCK + i % tiles * ROWS;
                fill(group, i / tiles, first, ROWS.min(out - first), tile);
            }
        });
    }
}

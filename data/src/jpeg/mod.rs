//! The part of a baseline JPEG that a crop shows: the loader's decoder for packs of JPEGs.
//!
//! Pictures of a pack were checked when they were packed, and have a checksum each. So what matters here is speed, and
//! that no bytes whatever do harm: everything is bounded, and anything out of the ordinary (progressive, arithmetic,
//! 12 bits, CMYK, colours of less resolution) is left to [`crate::picture`]. The Huffman data are read up to the last
//! row of the crop, and only blocks that it shows are transformed.
//!
//! The inverse transform and the colours are those of libjpeg's default (`jidctint`, `jdcolor`), in whole numbers, so
//! that all processors give the same bits.

mod colour;
mod header;
mod huffman;
mod idct;

use std::cell::RefCell;
use std::ops::Range;

use header::Header;
use huffman::Bits;

/// The side of a block.
const BLOCK: usize = 8;
/// Where the k-th coefficient of a block stands.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// Why a JPEG was not decoded here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Of a kind, or damaged in a way, that is left to the other decoder, which says what is wrong.
    Other,
}

/// The part of a picture to decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Region {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

#[derive(Debug, Default)]
struct Memory {
    /// The scan without its stuffed bytes, and some zeros.
    scan: Vec<u8>,
    /// Values of each component, in whole blocks.
    planes: [Vec<u8>; 3],
    tables: huffman::Cache,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// Decodes part of a picture of `size` x `size` into its place in `out` `[size, size, 3]`. The rest of `out` is left
/// or filled, as whole blocks go.
pub(crate) fn decode(data: &[u8], size: usize, region: &Region, out: &mut [u8]) -> Result<(), Failure> {
    let header = Header::parse(data)?;
    let inside = region.rows.end <= size && region.columns.end <= size;
    if header.width != size || header.height != size || !inside || out.len() != size * size * 3 {
        return Err(Failure::Other);
    }
    if region.rows.is_empty() || region.columns.is_empty() {
        return Ok(());
    }
    MEMORY.with_borrow_mut(|memory| {
        let stride = decode_planes(data, &header, region, memory)?;
        let planes = memory.planes.each_ref().map(|plane| (plane.as_slice(), stride));
        colour::to_rgb(&planes[..header.components.len()], region, size, out);
        Ok(())
    })
}

/// Decodes the blocks that the region shows into planes of `stride` values a row.
fn decode_planes(data: &[u8], header: &Header, region: &Region, memory: &mut Memory) -> Result<usize, Failure> {
    let Memory { scan, planes, tables } = memory;
    let restarts = huffman::unstuff(&data[header.scan..], scan);
    let mut coders = Vec::with_capacity(3);
    for component in &header.components {
        let dc = tables.get(data, header.dc[component.dc].as_ref())?;
        coders.push((dc, tables.get(data, header.ac[component.ac].as_ref())?));
    }
    let (across, down) = (header.width.div_ceil(BLOCK), header.height.div_ceil(BLOCK));
    let stride = across * BLOCK;
    for plane in planes.iter_mut() {
        // Whatever was there before: only what is transformed is used.
        plane.resize(stride * down * BLOCK, 0);
    }
    let blocks = |range: &Range<usize>| range.start / BLOCK..range.end.div_ceil(BLOCK);
    let (rows, columns) = (blocks(&region.rows), blocks(&region.columns));
    let idct = idct::Idct::new();
    let mut bits = Bits::new(scan);
    let (mut before, mut block) = ([0i32; 3], [0i32; 64]);
    for unit in 0..rows.end * across {
        if header.restart > 0 && unit > 0 && unit % header.restart == 0 {
            let at = restarts.get(unit / header.restart - 1).ok_or(Failure::Other)?;
            bits = Bits::new(scan.get(*at..).ok_or(Failure::Other)?);
            before = [0; 3];
        }
        let (row, column) = (unit / across, unit % across);
        let shown = rows.contains(&row) && columns.contains(&column);
        for (i, (component, (dc, ac))) in header.components.iter().zip(&coders).enumerate() {
            if !shown {
                bits.skip_block(dc, ac, &mut before[i])?;
                continue;
            }
            let last = bits.block(dc, ac, &header.quantisers[component.quantiser], &mut before[i], &mut block)?;
            idct.apply(&mut block, last, &mut planes[i][(row * stride + column) * BLOCK..], stride);
        }
        if bits.is_overrun() {
            return Err(Failure::Other);
        }
    }
    Ok(stride)
}

#[cfg(test)]
mod tests;

//! Values in blocks of a fixed shape, which may be compressed.

use std::io::Read;

use flate2::read::ZlibDecoder;

use layers::weights::BeyondF32;

use super::bytes::Bytes;
use super::dataset::value_count;
use super::datatype::ReadFloat;
use super::taken::Taken;
use super::{Parsed, Source, UNDEFINED, fault};

/// The most that deflate compresses.
const MAX_COMPRESSION: u64 = 1032;
/// The most levels of a tree of chunks.
const MAX_LEVELS: usize = 16;
/// The most axes.
const MAX_RANK: usize = 8;

/// A step of the pipeline through which chunks were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Deflate,
    /// Bytes of the same place of each value together.
    Shuffle,
    /// A checksum after the bytes.
    Fletcher32,
    /// Another one, by its number.
    Other(u16),
}

/// The steps in the order of writing.
pub(super) fn parse_filters(data: &[u8]) -> Parsed<Vec<Filter>> {
    let mut bytes = Bytes::new(data, "the filters");
    let version = bytes.u8()?;
    let count = bytes.u8()?;
    bytes.take(if version == 1 { 6 } else { 0 })?;
    let mut filters = Vec::new();
    for _ in 0..count {
        let id = bytes.u16()?;
        let has_name = version == 1 || id >= 256;
        let name = if has_name { usize::from(bytes.u16()?) } else { 0 };
        bytes.take(2)?;
        let values = usize::from(bytes.u16()?);
        if version == 1 {
            bytes.take_padded(name)?;
            bytes.take(4 * values + 4 * (values % 2))?;
        } else {
            bytes.take(name + 4 * values)?;
        }
        filters.push(match id {
            1 => Filter::Deflate,
            2 => Filter::Shuffle,
            3 => Filter::Fletcher32,
            other => Filter::Other(other),
        });
    }
    Ok(filters)
}

/// The name of a filter by its number in HDF5's registry.
fn filter_name(id: u16) -> String {
    let name = match id {
        4 => "szip",
        5 => "nbit",
        6 => "scale-offset",
        307 => "bzip2",
        32000 => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        _ => return format!("number {id}"),
    };
    name.into()
}

/// The layout of a chunked dataset.
#[derive(Debug)]
pub(super) struct Chunked {
    tree: u64,
    /// The shape of a chunk.
    shape: Vec<u64>,
    filters: Vec<Filter>,
}

/// A stored chunk.
struct Chunk {
    /// Its first index along each axis.
    first: Vec<u64>,
    address: u64,
    bytes: u64,
    /// Bit i is set if step i of the pipeline was skipped.
    skipped: u32,
}

impl Chunked {
    pub fn parse(bytes: &mut Bytes, filters: Vec<Filter>) -> Parsed<Self> {
        let rank = usize::from(bytes.u8()?).saturating_sub(1);
        let tree = bytes.u64()?;
        if !(1..=MAX_RANK).contains(&rank) {
            return fault(format!("expected 1 to {MAX_RANK} axes, got {rank}"));
        }
        let shape = (0..rank).map(|_| bytes.u32().map(u64::from)).collect::<Parsed<_>>()?;
        Ok(Self { tree, shape, filters })
    }

    pub fn floats(
        &self,
        source: &Source,
        shape: &[u64],
        size: usize,
        read: ReadFloat,
        taken: &mut Taken,
    ) -> Parsed<Vec<f32>> {
        self.check_filters()?;
        if shape.len() != self.shape.len() || self.shape.contains(&0) {
            return fault(format!("its chunks of shape {:?} do not fit {shape:?}", self.shape));
        }
        let count = value_count(shape)?;
        let chunk_bytes = value_count(&self.shape)?.saturating_mul(size as u64);
        let mut chunks = Vec::new();
        if self.tree != UNDEFINED {
            self.list(source, self.tree, MAX_LEVELS, &mut chunks)?;
        }
        self.check(shape, &chunks, chunk_bytes)?;
        for chunk in &chunks {
            taken.take(source, chunk.address, chunk.bytes)?;
        }
        let mut values = vec![0.0; count as usize];
        for chunk in &chunks {
            let bytes = self.unpacked(source, chunk, chunk_bytes as usize, size)?;
            self.place(chunk, shape, bytes.chunks_exact(size).map(read), &mut values)?;
        }
        Ok(values)
    }

    /// Fails unless there is a chunk for each part of the array, and each can be as long as it must be: no memory is
    /// taken for values that are not in the file.
    fn check(&self, shape: &[u64], chunks: &[Chunk], chunk_bytes: u64) -> Parsed<()> {
        let needed: u64 = shape.iter().zip(&self.shape).map(|(axis, chunk)| axis.div_ceil(*chunk)).product();
        let found = chunks.len() as u64;
        if needed != found {
            return fault(format!("{found} of its {needed} chunks are in the file; it is damaged"));
        }
        let factor = if self.filters.contains(&Filter::Deflate) { MAX_COMPRESSION } else { 1 };
        if chunks.iter().any(|chunk| chunk.bytes.saturating_mul(factor) < chunk_bytes) {
            return fault("a chunk is too short for its shape; the file is damaged");
        }
        Ok(())
    }

    /// Fails for chunks that were saved in a way that is not read.
    fn check_filters(&self) -> Parsed<()> {
        let other = |filter: &Filter| if let Filter::Other(id) = filter { Some(*id) } else { None };
        match self.filters.iter().find_map(other) {
            Some(id) => fault(format!(
                "is saved with the filter {}, which is not read; save it without compression, or with gzip",
                filter_name(id)
            )),
            None => Ok(()),
        }
    }

    fn list(&self, source: &Source, address: u64, levels: usize, chunks: &mut Vec<Chunk>) -> Parsed<()> {
        let start = source.metadata(address, 8)?;
        let mut bytes = Bytes::new(&start, "a tree of chunks");
        bytes.expect(b"TREE")?;
        let node_type = bytes.u8()?;
        let level = bytes.u8()?;
        let count = u64::from(bytes.u16()?);
        if node_type != 1 || levels == 0 {
            return fault("its tree of chunks is damaged");
        }
        let key = 8 + 8 * (self.shape.len() as u64 + 1);
        let block = source.metadata(address.saturating_add(8), 16 + (key + 8) * count)?;
        let mut bytes = Bytes::new(&block, "a tree of chunks");
        bytes.take(16)?;
        for _ in 0..count {
            let stored = u64::from(bytes.u32()?);
            let skipped = bytes.u32()?;
            let first = (0..self.shape.len()).map(|_| bytes.u64()).collect::<Parsed<_>>()?;
            bytes.take(8)?;
            let address = bytes.u64()?;
            if level > 0 {
                self.list(source, address, levels - 1, chunks)?;
            } else {
                chunks.push(Chunk { first, address, bytes: stored, skipped });
            }
        }
        Ok(())
    }

    /// The bytes of a chunk before the pipeline.
    fn unpacked(&self, source: &Source, chunk: &Chunk, expected: usize, size: usize) -> Parsed<Vec<u8>> {
        let mut bytes = vec![0; chunk.bytes as usize];
        source.read_into(chunk.address, &mut bytes)?;
        let steps = self.filters.iter().enumerate().rev();
        for (_, filter) in steps.filter(|(i, _)| chunk.skipped >> (*i).min(31) & 1 == 0) {
            bytes = match filter {
                Filter::Deflate => inflated(&bytes, expected + 4)?,
                Filter::Shuffle => unshuffled(&bytes, size),
                Filter::Fletcher32 => without_checksum(bytes)?,
                Filter::Other(_) => bytes,
            };
        }
        if bytes.len() < expected {
            return fault(format!("a chunk has {} bytes, expected {expected}; the file is damaged", bytes.len()));
        }
        bytes.truncate(expected);
        Ok(bytes)
    }

    /// Copies a chunk into the array; the part beyond the array's ends is left out.
    fn place(
        &self,
        chunk: &Chunk,
        shape: &[u64],
        values: impl Iterator<Item = Result<f32, BeyondF32>>,
        array: &mut [f32],
    ) -> Parsed<()> {
        if chunk.first.iter().zip(shape).any(|(first, axis)| first >= axis) {
            return fault("a chunk lies outside its array; the file is damaged");
        }
        let mut within = vec![0u64; shape.len()];
        for value in values {
            let mut index = 0;
            let mut is_inside = true;
            for (axis, &length) in shape.iter().enumerate() {
                let at = chunk.first[axis] + within[axis];
                is_inside &= at < length;
                index = index * length + at.min(length - 1);
            }
            if is_inside {
                array[index as usize] = value?;
            }
            advance(&mut within, &self.shape);
        }
        Ok(())
    }
}

/// The next index of a row-major order.
fn advance(index: &mut [u64], shape: &[u64]) {
    for axis in (0..shape.len()).rev() {
        index[axis] += 1;
        if index[axis] < shape[axis] {
            return;
        }
        index[axis] = 0;
    }
}

/// Inflates at most `limit` bytes.
fn inflated(bytes: &[u8], limit: usize) -> Parsed<Vec<u8>> {
    let mut inflated = Vec::new();
    let result = ZlibDecoder::new(bytes).take(limit as u64).read_to_end(&mut inflated);
    result.map_err(|error| format!("a chunk cannot be inflated ({error}); the file is damaged"))?;
    Ok(inflated)
}

fn unshuffled(bytes: &[u8], size: usize) -> Vec<u8> {
    let count = bytes.len() / size;
    let mut plain = Vec::with_capacity(bytes.len());
    for value in 0..count {
        plain.extend((0..size).map(|place| bytes[place * count + value]));
    }
    plain
}

/// The bytes before the Fletcher-32 checksum at their end, which they must have.
fn without_checksum(mut bytes: Vec<u8>) -> Parsed<Vec<u8>> {
    let Some(&stored) = bytes.last_chunk::<4>() else { return fault("a chunk is shorter than its checksum") };
    bytes.truncate(bytes.len() - 4);
    if fletcher32(&bytes) == u32::from_le_bytes(stored) {
        return Ok(bytes);
    }
    fault("a chunk's checksum is not that of its bytes; the file is damaged, use another copy")
}

/// Fletcher's checksum of 32 bits over big-endian words of 16, as HDF5 sums them.
fn fletcher32(bytes: &[u8]) -> u32 {
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let mut first = 0u32;
    let mut second = 0u32;
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |&low| u32::from(low));
    // 360 words are the most that the sums hold.
    for block in bytes.chunks(2 * 360) {
        for pair in block.chunks(2) {
            first += word(pair);
            second += first;
        }
        first = fold(first);
        second = fold(second);
    }
    fold(second) << 16 | fold(first)
}

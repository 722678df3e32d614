//! Datasets: arrays of numbers.

use ndarray::{ArrayD, IxDyn};

use super::bytes::Bytes;
use super::chunks::{self, Chunked, Filter};
use super::datatype::{Datatype, ReadFloat};
use super::object::{Header, kind};
use super::taken::Taken;
use super::{Parsed, Source, UNDEFINED, fault};

/// Bytes that are read and converted at a time; a multiple of every number's size.
const BLOCK: usize = 1 << 16;

/// A dataset without its values.
#[derive(Debug)]
pub(crate) struct Dataset {
    /// Lengths of its axes.
    pub shape: Vec<u64>,
    /// The type of its values.
    pub datatype: Datatype,
    layout: Layout,
}

/// The place of the values.
#[derive(Debug)]
enum Layout {
    /// In the header.
    Compact(Vec<u8>),
    /// One block.
    Contiguous { address: u64 },
    /// Blocks of a fixed shape.
    Chunked(Chunked),
    /// In another file, or in other datasets, or in a form that is not read: the words say which.
    Unread(&'static str),
}

impl Dataset {
    /// The dataset of a header; None if it is a group's.
    pub(super) fn of(header: &Header) -> Parsed<Option<Self>> {
        let Some(layout) = header.message(kind::LAYOUT)? else { return Ok(None) };
        let shape = header.message(kind::DATASPACE)?.map_or(Ok(Vec::new()), parse_shape)?;
        let datatype = header.message(kind::DATATYPE)?;
        let Some(datatype) = datatype else { return fault("a dataset without a type; the file is damaged") };
        let datatype = Datatype::parse(datatype)?;
        let filters = header.message(kind::FILTERS)?.map_or(Ok(Vec::new()), chunks::parse_filters)?;
        let layout = match header.message(kind::EXTERNAL_FILES)? {
            Some(_) => Layout::Unread("lies in another file"),
            None => parse_layout(layout, filters)?,
        };
        Ok(Some(Self { shape, datatype, layout }))
    }

    /// The values, rounded to f32. `may_inflate` says whether there is memory for more values than the file has bytes for.
    pub(super) fn floats(&self, source: &Source, taken: &mut Taken, may_inflate: bool) -> Parsed<ArrayD<f32>> {
        let read = self.datatype.float_reader()?;
        let size = self.datatype.size();
        let count = value_count(&self.shape)?;
        let Some(bytes) = count.checked_mul(size as u64) else { return fault("has more values than memory") };
        let values = match &self.layout {
            Layout::Compact(data) if data.len() as u64 >= bytes => {
                data[..bytes as usize].chunks_exact(size).map(read).collect::<Result<_, _>>()?
            }
            Layout::Compact(_) => return fault(format!("its {bytes} bytes are not in the file; it is damaged")),
            Layout::Contiguous { address } => contiguous(source, *address, bytes, size, read, taken)?,
            Layout::Chunked(_) if !may_inflate => {
                return fault("grows many times; save the file again without compression");
            }
            Layout::Chunked(chunked) => chunked.floats(source, &self.shape, size, read, taken)?,
            Layout::Unread(why) => return fault(*why),
        };
        let shape: Vec<usize> = self.shape.iter().map(|&axis| axis as usize).collect();
        Ok(ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|error| error.to_string())?)
    }

    /// A single number; None if there are more, or if it is none.
    pub(super) fn number(&self, source: &Source) -> Parsed<Option<f64>> {
        if value_count(&self.shape)? != 1 || self.datatype.size() > 8 {
            return Ok(None);
        }
        let size = self.datatype.size();
        let bytes = match &self.layout {
            Layout::Compact(data) => data.get(..size).map(<[u8]>::to_vec),
            Layout::Contiguous { address } => Some(source.metadata(*address, size as u64)?),
            _ => None,
        };
        Ok(bytes.and_then(|bytes| self.datatype.number(&bytes)))
    }
}

/// One block of values.
fn contiguous(
    source: &Source,
    address: u64,
    bytes: u64,
    size: usize,
    read: ReadFloat,
    taken: &mut Taken,
) -> Parsed<Vec<f32>> {
    if bytes == 0 {
        return Ok(Vec::new());
    }
    if address == UNDEFINED {
        return fault("its values were never written");
    }
    taken.take(source, address, bytes)?;
    let mut values = Vec::with_capacity((bytes / size as u64) as usize);
    let mut block = vec![0; BLOCK.min(bytes as usize)];
    let mut done = 0;
    while done < bytes {
        let count = block.len().min((bytes - done) as usize);
        source.read_into(address + done, &mut block[..count])?;
        for bytes in block[..count].chunks_exact(size) {
            values.push(read(bytes)?);
        }
        done += count as u64;
    }
    Ok(values)
}

/// The lengths of the axes; none for a scalar.
pub(super) fn parse_shape(data: &[u8]) -> Parsed<Vec<u64>> {
    let mut bytes = Bytes::new(data, "a shape");
    let version = bytes.u8()?;
    let rank = bytes.u8()?;
    bytes.take(1)?;
    let space = match version {
        1 => bytes.take(5).map(|_| 1)?,
        2 => bytes.u8()?,
        other => return fault(format!("a shape is of an unknown version {other}")),
    };
    match space {
        // No values at all.
        2 => Ok(vec![0]),
        _ => (0..rank).map(|_| bytes.u64()).collect(),
    }
}

/// The number of values of a shape.
pub(super) fn value_count(shape: &[u64]) -> Parsed<u64> {
    let count = shape.iter().try_fold(1u64, |count, &axis| count.checked_mul(axis));
    match count.filter(|&count| count <= 1 << 48) {
        Some(count) => Ok(count),
        None => fault(format!("shape {shape:?} does not fit in memory")),
    }
}

fn parse_layout(data: &[u8], filters: Vec<Filter>) -> Parsed<Layout> {
    let mut bytes = Bytes::new(data, "a layout");
    let version = bytes.u8()?;
    if !matches!(version, 3 | 4) {
        return Ok(Layout::Unread("has a layout from before HDF5 1.6.3; save the file again with Keras"));
    }
    Ok(match (bytes.u8()?, version) {
        (0, _) => {
            let count = usize::from(bytes.u16()?);
            Layout::Compact(bytes.take(count)?.to_vec())
        }
        (1, _) => Layout::Contiguous { address: bytes.u64()? },
        (2, 3) => Layout::Chunked(Chunked::parse(&mut bytes, filters)?),
        (2, _) => Layout::Unread("has chunks in HDF5's latest format; save the file again with Keras"),
        _ => Layout::Unread("is a view of other datasets, which is not read"),
    })
}

//! An HDF5 file with `images`, u8 `[n, rows, columns]`, `[n, rows, columns, 1 or 3]` or `[n, 3, rows, columns]`, and `labels`, whole
//! numbers `[n]` or `[n, 1]`. Names of the classes may be a dataset or an attribute `classes` of text.
//!
//! What the header claims is checked before anything is allocated for it: an image has [`max_pixels`] at most, and all values
//! must be stored in this file. Links to elsewhere, external storage and virtual datasets are refused.
//!
//! [`max_pixels`]: crate::DecodeOptions::max_pixels

use std::io::Read;
use std::path::Path;

use hdf5::plist::dataset_create::Layout;
use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, File, H5Type, IndexType, IterationOrder, LinkType};
use ndarray::s;

use super::archive::Container;
use super::catalogue::Lister;
use super::numbered::numbered;
use super::{Catalogue, Content, ImageReader, Reading, Source};
use crate::decode::Image;
use crate::error::{BadImage, Error, Result};

/// Chunks of a compressed file that are kept unpacked, so that neighbours cost no second unpacking.
const CACHE: usize = 128 << 20;

/// Chunks are unpacked as a whole.
const MAX_CHUNK: u64 = 1 << 30;
/// What deflate packs into a byte at most.
const MOST_A_BYTE: u64 = 1032;
const MAX_NAMES: usize = 1 << 16;
/// Bytes of a name of fixed length.
const MAX_NAME: usize = 256;

/// How the axes of `images` follow each other.
#[derive(Clone, Copy)]
enum Axes {
    Grey,
    Last(usize),
    First(usize),
}

struct Images {
    images: Dataset,
    axes: Axes,
    height: usize,
    width: usize,
}

impl ImageReader for Images {
    fn read(&self, _: &Catalogue, index: usize) -> Result<Content, BadImage> {
        let unreadable = |e: hdf5::Error| BadImage::hdf5(&e);
        let values: Vec<u8> = match self.axes {
            Axes::Grey => self.images.read_slice_1d_of(s![index..index + 1, .., ..]),
            _ => self.images.read_slice_1d_of(s![index..index + 1, .., .., ..]),
        }
        .map_err(unreadable)?;
        let plane = self.height * self.width;
        let pixels = match self.axes {
            Axes::Last(3) => values,
            Axes::First(3) => (0..plane).flat_map(|at| [0, 1, 2].map(|c| values[c * plane + at])).collect(),
            _ => values.iter().flat_map(|&v| [v; 3]).collect(),
        };
        let wrong = || BadImage::ZeroSize { width: self.width as u64, height: self.height as u64 };
        Image::new(self.width, self.height, pixels).map(Content::Pixels).ok_or_else(wrong)
    }
}

/// Reading some of a dataset into a row of values, whatever its axes.
trait ReadSlice {
    fn read_slice_1d_of<S: TryInto<hdf5::Selection>>(&self, at: S) -> hdf5::Result<Vec<u8>>
    where
        hdf5::Error: From<S::Error>;
}

impl ReadSlice for Dataset {
    fn read_slice_1d_of<S: TryInto<hdf5::Selection>>(&self, at: S) -> hdf5::Result<Vec<u8>>
    where
        hdf5::Error: From<S::Error>,
    {
        let values = self.read_slice::<u8, S, ndarray::IxDyn>(at)?;
        Ok(values.into_iter().collect())
    }
}

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source> {
    let wrong = |what: String| Error::source(path, what);
    // The library's message on a missing or short file is long and names no file.
    let length = Container::open(path)?.length;
    let options = |e: hdf5::Error| wrong(format!("cannot be read as HDF5: {}", first_line(&e)));
    let file = File::with_options().with_fapl(|p| p.chunk_cache(521, CACHE, 0.75)).open(path).map_err(options)?;
    let stored = Stored { path, file: &file, length };
    let images = stored.dataset("images")?;
    let labels = stored.dataset("labels")?;
    if images.dtype().and_then(|t| t.to_descriptor()).ok() != Some(<u8 as hdf5::H5Type>::type_descriptor()) {
        return Err(wrong("\"images\": expected bytes (u8), pixels of 0 to 255".into()));
    }
    let shape = images.shape();
    let (axes, height, width) = match *shape.as_slice() {
        [_, height, width] => (Axes::Grey, height, width),
        [_, height, width, c @ (1 | 3)] => (Axes::Last(c), height, width),
        [_, c @ (1 | 3), height, width] => (Axes::First(c), height, width),
        _ => {
            let expected = "[n, rows, columns], [n, rows, columns, 1 or 3] or [n, 3, rows, columns]";
            return Err(wrong(format!("\"images\": the shape {shape:?}; expected {expected}")));
        }
    };
    check_size(path, height, width, reading.max_pixels)?;
    stored.check("images", &images, 1)?;
    let labels = stored.labels(&labels, shape[0])?;
    let numbered = numbered(path, &labels.iter().copied().collect(), stored.class_names()?, reading)?;
    let mut lister = Lister::new(numbered.classes.clone());
    // In place of each image's length, which is the same in another file of as many.
    let checksum = checksum(path)?;
    for (index, &label) in labels.iter().enumerate() {
        lister.push(format!("images/{index:06}").as_bytes(), checksum.into(), numbered.place(label));
    }
    let source = Source::new(lister.finish(), Images { images, axes, height, width });
    Ok(if height == width { source.with_side(width) } else { source })
}

/// Of a whole file.
fn checksum(path: &Path) -> Result<u32> {
    let fail = || Error::io(path, "cannot be read; run the same command again");
    let mut file = std::fs::File::open(path).map_err(fail())?;
    let mut block = vec![0; 1 << 20];
    let mut checksum = 0;
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(checksum),
            Ok(n) => checksum = crc32c::crc32c_append(checksum, &block[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(fail()(e)),
        }
    }
}

fn check_size(path: &Path, height: usize, width: usize, limit: u64) -> Result<()> {
    match (height as u64).checked_mul(width as u64) {
        Some(0) => Err(Error::source(path, format!("\"images\": a size of {width} x {height} pixels"))),
        Some(pixels) if pixels <= limit => Ok(()),
        _ => {
            let what = format!("\"images\": {width} x {height} pixels are over the limit of {limit} pixels an image");
            Err(Error::source(path, what))
        }
    }
}

/// What is stored in a file of `length` bytes.
struct Stored<'a> {
    path: &'a Path,
    file: &'a File,
    length: u64,
}

impl Stored<'_> {
    fn wrong(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::source(self.path, format!("{name:?}: {what}"))
    }

    /// How a name is linked; `None` if there is none.
    fn link(&self, name: &str) -> Result<Option<LinkType>> {
        let links = self.file.links(IndexType::Name, IterationOrder::Increasing);
        let links = links.map_err(|e| Error::source(self.path, format!("cannot be listed: {}", first_line(&e))))?;
        Ok(links.into_iter().find(|(link, _)| link == name).map(|(_, info)| info.link_type))
    }

    /// A dataset of this file.
    fn dataset(&self, name: &str) -> Result<Dataset> {
        let missing = |what: &str| {
            Error::source(self.path, format!("expected the datasets \"images\" and \"labels\"; {name:?}: {what}"))
        };
        match self.link(name)? {
            None => return Err(missing("is not there")),
            Some(LinkType::Hard) => {}
            Some(_) => {
                return Err(
                    self.wrong(name, "a link to elsewhere, which is not followed; copy the dataset into the file")
                );
            }
        }
        self.file.dataset(name).map_err(|e| missing(&first_line(&e)))
    }

    /// Checks that the values of a dataset, of `size` bytes each, are in this file.
    fn check(&self, name: &str, dataset: &Dataset, size: u64) -> Result<()> {
        let created = dataset.dcpl().map_err(|e| self.wrong(name, first_line(&e)))?;
        let external = created.get_external().map_err(|e| self.wrong(name, first_line(&e)))?;
        let layout = dataset.layout();
        if !external.is_empty() || !matches!(layout, Layout::Compact | Layout::Contiguous | Layout::Chunked) {
            let what = "stored in other files or datasets, which are not followed; copy the values into the file";
            return Err(self.wrong(name, what));
        }
        let bytes = |shape: &[usize]| shape.iter().try_fold(size, |bytes, &axis| bytes.checked_mul(axis as u64));
        let shape = dataset.shape();
        let most_a_byte = if layout == Layout::Chunked { MOST_A_BYTE } else { 1 };
        let stored = dataset.storage_size();
        let fits = |bytes: u64| stored <= self.length && bytes.div_ceil(most_a_byte) <= stored;
        if !bytes(&shape).is_some_and(fits) {
            let what = format!(
                "the shape {shape:?}, for which {stored} bytes are said to be stored in a file of {}",
                self.length
            );
            return Err(self.wrong(name, format!("{what}; copy it again, or write all of its values")));
        }
        match dataset.chunk().filter(|_| layout == Layout::Chunked) {
            Some(chunk) if bytes(&chunk).is_none_or(|bytes| bytes > MAX_CHUNK) => {
                Err(self.wrong(name, format!("chunks of the shape {chunk:?}; at most {MAX_CHUNK} bytes each are read")))
            }
            _ => Ok(()),
        }
    }

    fn labels(&self, labels: &Dataset, n: usize) -> Result<Vec<u64>> {
        let wrong = |what: String| self.wrong("labels", what);
        let shape = labels.shape();
        if !matches!(*shape.as_slice(), [m] | [m, 1] if m == n) || n == 0 {
            return Err(wrong(format!("the shape {shape:?}; expected [{n}], a label for each image")));
        }
        let unreadable = |e: hdf5::Error| wrong(format!("expected whole numbers: {}", first_line(&e)));
        let kind = labels.dtype().and_then(|kind| kind.to_descriptor()).map_err(unreadable)?;
        self.check("labels", labels, kind.size() as u64)?;
        match kind {
            TypeDescriptor::Unsigned(_) | TypeDescriptor::Boolean => labels.read_raw::<u64>().map_err(unreadable),
            TypeDescriptor::Integer(_) | TypeDescriptor::Enum(_) => {
                let values = labels.read_raw::<i64>().map_err(unreadable)?;
                let number = |value: i64| {
                    u64::try_from(value).map_err(|_| wrong(format!("the label {value}; expected 0 or more")))
                };
                values.into_iter().map(number).collect()
            }
            TypeDescriptor::Float(_) => {
                let values = labels.read_raw::<f64>().map_err(unreadable)?;
                let is_whole = |value: f64| value >= 0.0 && value.fract() == 0.0 && value < 1e15;
                match values.iter().position(|&value| !is_whole(value)) {
                    Some(at) => {
                        Err(wrong(format!("label {at} is {}; expected whole numbers of 0 or more", values[at])))
                    }
                    None => Ok(values.into_iter().map(|value| value as u64).collect()),
                }
            }
            other => Err(wrong(format!("expected whole numbers, found values of the type {other}"))),
        }
    }

    /// Text, of fixed or of variable length.
    fn class_names(&self) -> Result<Option<Vec<String>>> {
        let container: hdf5::Container = match (self.link("classes")?, self.file.attr("classes")) {
            (Some(_), _) => {
                let dataset = self.dataset("classes")?;
                let size = dataset.dtype().map_or(1, |kind| kind.size());
                self.check("classes", &dataset, size as u64)?;
                (*dataset).clone()
            }
            (None, Ok(attribute)) => (*attribute).clone(),
            _ => return Ok(None),
        };
        if container.size() > MAX_NAMES {
            let what = format!("{} names of classes; at most {MAX_NAMES} are read", container.size());
            return Err(self.wrong("classes", what));
        }
        let unreadable = |e: hdf5::Error| self.wrong("classes", first_line(&e));
        let names = match container.dtype().and_then(|kind| kind.to_descriptor()).map_err(unreadable)? {
            TypeDescriptor::VarLenUnicode => texts(&container, VarLenUnicode::as_bytes),
            TypeDescriptor::VarLenAscii => texts(&container, VarLenAscii::as_bytes),
            TypeDescriptor::FixedUnicode(length) if length <= MAX_NAME => {
                texts(&container, FixedUnicode::<MAX_NAME>::as_bytes)
            }
            TypeDescriptor::FixedAscii(length) if length <= MAX_NAME => {
                texts(&container, FixedAscii::<MAX_NAME>::as_bytes)
            }
            other => {
                let what = format!("expected names as text of at most {MAX_NAME} bytes each, found {other}");
                return Err(self.wrong("classes", what));
            }
        };
        let name = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| self.wrong("classes", "expected names in UTF-8, found other bytes"))
        };
        names.map_err(unreadable)?.into_iter().map(name).collect::<Result<_>>().map(Some)
    }
}

/// Texts of one kind, as bytes.
fn texts<T: H5Type>(from: &hdf5::Container, bytes: impl Fn(&T) -> &[u8]) -> hdf5::Result<Vec<Vec<u8>>> {
    Ok(from.read_raw::<T>()?.iter().map(|text| bytes(text).to_vec()).collect())
}

fn first_line(error: &hdf5::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

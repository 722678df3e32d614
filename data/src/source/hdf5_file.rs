//! An HDF5 file with `images`, u8 `[n, rows, columns]`, `[n, rows, columns, 1 or 3]` or `[n, 3, rows, columns]`, and
//! `labels`, integers `[n]` or `[n, 1]`. Class names may be a text dataset or attribute `classes`.
//!
//! Claims of the header are checked before anything is allocated: an image has at most [`max_pixels`], and all values
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
use super::numeric_labels::numeric_classes;
use super::sample_list::SampleListBuilder;
use super::{ImageContent, ImageReader, SampleList, Source, SourceOptions};
use crate::decode::Image;
use crate::error::{BadImage, Error, Result};

/// Cache for decompressed chunks in bytes, so that neighbouring images are not decompressed twice.
const CHUNK_CACHE: usize = 128 << 20;

/// Maximum chunk size in bytes: chunks are decompressed as a whole.
const MAX_CHUNK: u64 = 1 << 30;
/// Maximum compression factor of deflate.
const MAX_COMPRESSION: u64 = 1032;
const MAX_NAMES: usize = 1 << 16;
/// Maximum length of fixed-length names in bytes.
const MAX_NAME: usize = 256;

/// Axis order of `images`.
#[derive(Clone, Copy)]
enum Axes {
    Grey,
    ChannelsLast(usize),
    ChannelsFirst(usize),
}

struct Hdf5Images {
    images: Dataset,
    axes: Axes,
    height: usize,
    width: usize,
}

impl ImageReader for Hdf5Images {
    fn read(&self, _: &SampleList, index: usize) -> Result<ImageContent, BadImage> {
        let unreadable = |e: hdf5::Error| BadImage::hdf5(&e);
        let values: Vec<u8> = match self.axes {
            Axes::Grey => self.images.read_flat(s![index..index + 1, .., ..]),
            _ => self.images.read_flat(s![index..index + 1, .., .., ..]),
        }
        .map_err(unreadable)?;
        let plane = self.height * self.width;
        let pixels = match self.axes {
            Axes::ChannelsLast(3) => values,
            Axes::ChannelsFirst(3) => (0..plane).flat_map(|at| [0, 1, 2].map(|c| values[c * plane + at])).collect(),
            _ => values.iter().flat_map(|&v| [v; 3]).collect(),
        };
        let wrong = || BadImage::ZeroSize { width: self.width as u64, height: self.height as u64 };
        Image::new(self.width, self.height, pixels).map(ImageContent::Pixels).ok_or_else(wrong)
    }
}

/// Reads a slice of a dataset as a flat vector, for any number of axes.
trait ReadSlice {
    fn read_flat<S: TryInto<hdf5::Selection>>(&self, at: S) -> hdf5::Result<Vec<u8>>
    where
        hdf5::Error: From<S::Error>;
}

impl ReadSlice for Dataset {
    fn read_flat<S: TryInto<hdf5::Selection>>(&self, at: S) -> hdf5::Result<Vec<u8>>
    where
        hdf5::Error: From<S::Error>,
    {
        let values = self.read_slice::<u8, S, ndarray::IxDyn>(at)?;
        Ok(values.into_iter().collect())
    }
}

pub(super) fn open(path: &Path, source_options: &SourceOptions) -> Result<Source> {
    let wrong = |what: String| Error::source(path, what);
    // The library's message about a missing or truncated file is long and names no file.
    let length = Container::open(path)?.length;
    let unreadable = |e: hdf5::Error| wrong(format!("cannot be read as HDF5: {}", first_line(&e)));
    let file =
        File::with_options().with_fapl(|p| p.chunk_cache(521, CHUNK_CACHE, 0.75)).open(path).map_err(unreadable)?;
    let source = Hdf5Source { path, file: &file, length };
    let images = source.dataset("images")?;
    let labels = source.dataset("labels")?;
    if images.dtype().and_then(|t| t.to_descriptor()).ok() != Some(<u8 as hdf5::H5Type>::type_descriptor()) {
        return Err(wrong("\"images\": expected bytes (u8), pixels of 0 to 255".into()));
    }
    let shape = images.shape();
    let (axes, height, width) = match *shape.as_slice() {
        [_, height, width] => (Axes::Grey, height, width),
        [_, height, width, c @ (1 | 3)] => (Axes::ChannelsLast(c), height, width),
        [_, c @ (1 | 3), height, width] => (Axes::ChannelsFirst(c), height, width),
        _ => {
            let expected = "[n, rows, columns], [n, rows, columns, 1 or 3] or [n, 3, rows, columns]";
            return Err(wrong(format!("\"images\": the shape {shape:?}; expected {expected}")));
        }
    };
    check_size(path, height, width, source_options.max_pixels)?;
    source.check("images", &images, 1)?;
    let labels = source.labels(&labels, shape[0])?;
    let numeric_classes =
        numeric_classes(path, &labels.iter().copied().collect(), source.class_names()?, source_options)?;
    let mut builder = SampleListBuilder::new(numeric_classes.classes.clone());
    // Replaces the images' lengths, which are equal in other files of the same shape.
    let checksum = checksum(path)?;
    for (index, &label) in labels.iter().enumerate() {
        builder.push(format!("images/{index:06}").as_bytes(), checksum.into(), numeric_classes.label_of(label));
    }
    let opened = Source::new(builder.finish(), Hdf5Images { images, axes, height, width });
    Ok(if height == width { opened.with_side(width) } else { opened })
}

/// CRC-32C of a whole file.
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
            let what = format!("\"images\": {width} x {height} pixels are over the limit of {limit} pixels per image");
            Err(Error::source(path, what))
        }
    }
}

/// An HDF5 file of `length` bytes.
struct Hdf5Source<'a> {
    path: &'a Path,
    file: &'a File,
    length: u64,
}

impl Hdf5Source<'_> {
    fn error(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::source(self.path, format!("{name:?}: {what}"))
    }

    /// Link type of a name; `None` if it does not exist.
    fn link(&self, name: &str) -> Result<Option<LinkType>> {
        let links = self.file.links(IndexType::Name, IterationOrder::Increasing);
        let links = links.map_err(|e| Error::source(self.path, format!("cannot be listed: {}", first_line(&e))))?;
        Ok(links.into_iter().find(|(link, _)| link == name).map(|(_, info)| info.link_type))
    }

    /// Opens a dataset stored in this file.
    fn dataset(&self, name: &str) -> Result<Dataset> {
        let missing = |what: &str| {
            Error::source(self.path, format!("expected the datasets \"images\" and \"labels\"; {name:?}: {what}"))
        };
        match self.link(name)? {
            None => return Err(missing("is missing")),
            Some(LinkType::Hard) => {}
            Some(_) => {
                return Err(
                    self.error(name, "a link to elsewhere, which is not followed; copy the dataset into the file")
                );
            }
        }
        self.file.dataset(name).map_err(|e| missing(&first_line(&e)))
    }

    /// Checks that the values of a dataset, `size` bytes each, are stored in this file.
    fn check(&self, name: &str, dataset: &Dataset, size: u64) -> Result<()> {
        let created = dataset.dcpl().map_err(|e| self.error(name, first_line(&e)))?;
        let external = created.get_external().map_err(|e| self.error(name, first_line(&e)))?;
        let layout = dataset.layout();
        if !external.is_empty() || !matches!(layout, Layout::Compact | Layout::Contiguous | Layout::Chunked) {
            let what = "stored in other files or datasets, which are not followed; copy the values into the file";
            return Err(self.error(name, what));
        }
        let bytes = |shape: &[usize]| shape.iter().try_fold(size, |bytes, &axis| bytes.checked_mul(axis as u64));
        let shape = dataset.shape();
        let max_compression = if layout == Layout::Chunked { MAX_COMPRESSION } else { 1 };
        let stored = dataset.storage_size();
        let fits = |bytes: u64| stored <= self.length && bytes.div_ceil(max_compression) <= stored;
        if !bytes(&shape).is_some_and(fits) {
            let what = format!(
                "the shape {shape:?}, for which {stored} bytes are said to be stored in a file of {}",
                self.length
            );
            return Err(self.error(name, format!("{what}; copy it again, or write all of its values")));
        }
        match dataset.chunk().filter(|_| layout == Layout::Chunked) {
            Some(chunk) if bytes(&chunk).is_none_or(|bytes| bytes > MAX_CHUNK) => {
                Err(self.error(name, format!("chunks of the shape {chunk:?}; at most {MAX_CHUNK} bytes each are read")))
            }
            _ => Ok(()),
        }
    }

    fn labels(&self, labels: &Dataset, n: usize) -> Result<Vec<u64>> {
        let wrong = |what: String| self.error("labels", what);
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

    /// Class names, of fixed or variable length.
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
            return Err(self.error("classes", what));
        }
        let unreadable = |e: hdf5::Error| self.error("classes", first_line(&e));
        let names = match container.dtype().and_then(|kind| kind.to_descriptor()).map_err(unreadable)? {
            TypeDescriptor::VarLenUnicode => read_strings(&container, VarLenUnicode::as_bytes),
            TypeDescriptor::VarLenAscii => read_strings(&container, VarLenAscii::as_bytes),
            TypeDescriptor::FixedUnicode(length) if length <= MAX_NAME => {
                read_strings(&container, FixedUnicode::<MAX_NAME>::as_bytes)
            }
            TypeDescriptor::FixedAscii(length) if length <= MAX_NAME => {
                read_strings(&container, FixedAscii::<MAX_NAME>::as_bytes)
            }
            other => {
                let what = format!("expected names as text of at most {MAX_NAME} bytes each, found {other}");
                return Err(self.error("classes", what));
            }
        };
        let name = |bytes: Vec<u8>| {
            String::from_utf8(bytes).map_err(|_| self.error("classes", "expected names in UTF-8, found other bytes"))
        };
        names.map_err(unreadable)?.into_iter().map(name).collect::<Result<_>>().map(Some)
    }
}

/// Reads strings of type `T` as bytes.
fn read_strings<T: H5Type>(from: &hdf5::Container, bytes: impl Fn(&T) -> &[u8]) -> hdf5::Result<Vec<Vec<u8>>> {
    Ok(from.read_raw::<T>()?.iter().map(|text| bytes(text).to_vec()).collect())
}

fn first_line(error: &hdf5::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

//! An HDF5 file with `images`, u8 `[n, rows, columns]`, `[n, rows, columns, 1 or 3]` or `[n, 3, rows, columns]`, and `labels`, whole
//! numbers `[n]` or `[n, 1]`. Names of the classes may be a dataset or an attribute `classes` of text.

use std::path::Path;

use hdf5::types::{VarLenAscii, VarLenUnicode};
use hdf5::{Dataset, File};
use ndarray::s;

use super::archive::Container;
use super::catalogue::{Lister, numbered};
use super::{Catalogue, Content, Pictures, Reading, Source};
use crate::error::{BadPicture, Error, Result};
use crate::picture::Picture;

/// Chunks of a compressed file that are kept unpacked, so that neighbours cost no second unpacking.
const CACHE: usize = 128 << 20;

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

impl Pictures for Images {
    fn read(&self, _: &Catalogue, index: usize) -> Result<Content, BadPicture> {
        let unreadable = |e: hdf5::Error| BadPicture::hdf5(&e);
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
        let wrong = || BadPicture::ZeroSize { width: self.width as u64, height: self.height as u64 };
        Picture::new(self.width, self.height, pixels).map(Content::Pixels).ok_or_else(wrong)
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
    Container::open(path)?;
    let options = |e: hdf5::Error| wrong(format!("cannot be read as HDF5: {}", first_line(&e)));
    let file = File::with_options().with_fapl(|p| p.chunk_cache(521, CACHE, 0.75)).open(path).map_err(options)?;
    let dataset = |name: &str| {
        let missing = |e: hdf5::Error| {
            wrong(format!("expected the datasets \"images\" and \"labels\"; {name:?}: {}", first_line(&e)))
        };
        file.dataset(name).map_err(missing)
    };
    let (images, labels) = (dataset("images")?, dataset("labels")?);
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
    let labels = labels_of(path, &labels, shape[0])?;
    let largest = labels.iter().copied().max().unwrap_or(0);
    let classes = numbered(path, largest, class_names(&file), reading)?;
    let mut lister = Lister::new(classes);
    for (index, &label) in labels.iter().enumerate() {
        lister.push(format!("images/{index:06}").as_bytes(), (height * width) as u64, label as u32);
    }
    let source = Source::new(lister.finish(), Images { images, axes, height, width });
    Ok(if height == width { source.with_side(width) } else { source })
}

fn labels_of(path: &Path, labels: &Dataset, n: usize) -> Result<Vec<u64>> {
    let wrong = |what: String| Error::source(path, format!("\"labels\": {what}"));
    let shape = labels.shape();
    if !matches!(*shape.as_slice(), [m] | [m, 1] if m == n) || n == 0 {
        return Err(wrong(format!("the shape {shape:?}; expected [{n}], a label for each picture")));
    }
    let values: Vec<i64> =
        labels.read_raw().map_err(|e| wrong(format!("expected whole numbers: {}", first_line(&e))))?;
    let number = |value: i64| u64::try_from(value).map_err(|_| wrong(format!("the label {value}; expected 0 or more")));
    values.into_iter().map(number).collect()
}

/// Text, of fixed or of variable length.
fn class_names(file: &File) -> Option<Vec<String>> {
    let container = file.dataset("classes").ok();
    let unicode = |container: &hdf5::Container| {
        let values = container.read_raw::<VarLenUnicode>().ok();
        values.map(|values| values.iter().map(|v| v.as_str().to_string()).collect::<Vec<_>>())
    };
    let ascii = |container: &hdf5::Container| {
        let values = container.read_raw::<VarLenAscii>().ok();
        values.map(|values| values.iter().map(|v| v.as_str().to_string()).collect::<Vec<_>>())
    };
    let of = |container: &hdf5::Container| unicode(container).or_else(|| ascii(container));
    match (container, file.attr("classes")) {
        (Some(dataset), _) => of(&dataset),
        (None, Ok(attribute)) => of(&attribute),
        _ => None,
    }
}

fn first_line(error: &hdf5::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_string()
}

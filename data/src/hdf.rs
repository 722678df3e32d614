//! HDF5 files of plain arrays and attributes.

use std::path::Path;

use hdf5::file::FileCloseDegree;
use hdf5::plist::dataset_create::{AllocTime, FillTime, Layout};
use hdf5::types::FixedUnicode;
use hdf5::{Dataset, File, H5Type};
use ndarray::ArrayView;

use crate::error::{Error, Result};
use crate::format::BLOCK;

/// Text attributes have a fixed length: nothing variable lies outside the arrays.
type Text = FixedUnicode<128>;

/// A new file with room for the block at its start, and every array at a multiple of 4096 bytes.
pub(crate) fn create(path: &Path) -> Result<File> {
    File::with_options()
        .with_fcpl(|p| p.userblock(BLOCK as u64))
        .with_fapl(|p| p.alignment(1, BLOCK as u64).fclose_degree(FileCloseDegree::Strong))
        .create(path)
        .map_err(Error::hdf5(path, "cannot be created"))
}

/// Reserves a contiguous array of bytes that is filled later, outside the library. Returns where it lies.
pub(crate) fn reserve(path: &Path, file: &File, name: &str, shape: &[usize]) -> Result<Option<u64>> {
    let dataset = file
        .new_dataset_builder()
        .empty::<u8>()
        .layout(Layout::Contiguous)
        .alloc_time(Some(AllocTime::Early))
        .fill_time(FillTime::Never)
        // A time stamp would make packs of the same pictures differ.
        .obj_track_times(false)
        .shape(shape)
        .create(name)
        .map_err(Error::hdf5(path, "cannot add a dataset"))?;
    Ok(dataset.offset())
}

/// Writes an array.
pub(crate) fn put<T: H5Type>(path: &Path, file: &File, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
    let view = ArrayView::from_shape(shape, values).map_err(|e| Error::pack(path, format!("{name}: {e}")))?;
    file.new_dataset_builder()
        .with_data(view)
        .layout(Layout::Contiguous)
        .obj_track_times(false)
        .create(name)
        .map_err(Error::hdf5(path, "cannot write a dataset"))?;
    Ok(())
}

/// Writes a small array beside the datasets.
pub(crate) fn put_attribute<T: H5Type>(
    path: &Path,
    file: &File,
    name: &str,
    shape: &[usize],
    values: &[T],
) -> Result<()> {
    let view = ArrayView::from_shape(shape, values).map_err(|e| Error::pack(path, format!("{name}: {e}")))?;
    file.new_attr_builder().with_data(view).create(name).map_err(Error::hdf5(path, "cannot write an attribute"))?;
    Ok(())
}

/// Writes one number beside the datasets.
pub(crate) fn put_number<T: H5Type>(path: &Path, file: &File, name: &str, value: T) -> Result<()> {
    let write = || file.new_attr::<T>().create(name)?.write_scalar(&value);
    write().map_err(Error::hdf5(path, "cannot write an attribute"))
}

/// Writes a line of at most 128 bytes beside the datasets.
pub(crate) fn put_text(path: &Path, file: &File, name: &str, value: &str) -> Result<()> {
    let text: Text = value.parse().map_err(|e| Error::pack(path, format!("attribute {name:?}: {e:?}")))?;
    put_number(path, file, name, text)
}

/// Opens a file whose checksum was found right.
pub(crate) fn open(path: &Path) -> Result<File> {
    File::with_options()
        .with_fapl(|p| p.fclose_degree(FileCloseDegree::Strong))
        .open(path)
        .map_err(Error::hdf5(path, "is not readable as HDF5"))
}

/// A dataset and its shape.
pub(crate) fn dataset(path: &Path, file: &File, name: &str) -> Result<Dataset> {
    file.dataset(name).map_err(|e| Error::pack(path, format!("dataset {name:?} cannot be read ({e})")))
}

/// An array whose shape must be `shape`.
pub(crate) fn get<T: H5Type>(path: &Path, file: &File, name: &str, shape: &[usize]) -> Result<Vec<T>> {
    let dataset = dataset(path, file, name)?;
    let found = dataset.shape();
    if found != shape {
        return Err(Error::pack(path, format!("dataset {name:?}: expected shape {shape:?}, found {found:?}")));
    }
    // Before anything is allocated for it.
    let bytes = shape.iter().try_fold(size_of::<T>() as u64, |bytes, &n| bytes.checked_mul(n as u64));
    if bytes.is_none_or(|bytes| bytes > file.size()) {
        return Err(Error::pack(path, format!("dataset {name:?}: shape {shape:?} is larger than the file")));
    }
    dataset.read_raw().map_err(|e| Error::pack(path, format!("dataset {name:?} cannot be read ({e})")))
}

/// A one-dimensional array of any length.
pub(crate) fn get_all<T: H5Type>(path: &Path, file: &File, name: &str) -> Result<Vec<T>> {
    let shape = dataset(path, file, name)?.shape();
    match shape.len() {
        1 => get(path, file, name, &shape),
        n => Err(Error::pack(path, format!("dataset {name:?}: expected 1 dimension, found {n}"))),
    }
}

/// A small array beside the datasets, of `N` values.
pub(crate) fn get_attribute<T: H5Type + Copy + Default, const N: usize>(
    path: &Path,
    file: &File,
    name: &str,
) -> Result<[T; N]> {
    let wrong = |what: String| Error::pack(path, format!("attribute {name:?}: {what}"));
    let values: Vec<T> = file.attr(name).and_then(|a| a.read_raw()).map_err(|e| wrong(e.to_string()))?;
    values.try_into().map_err(|v: Vec<T>| wrong(format!("expected {N} values, found {}", v.len())))
}

/// One number beside the datasets.
pub(crate) fn get_number<T: H5Type + Copy + Default>(path: &Path, file: &File, name: &str) -> Result<T> {
    get_attribute::<T, 1>(path, file, name).map(|[value]| value)
}

/// A line beside the datasets.
pub(crate) fn get_text(path: &Path, file: &File, name: &str) -> Result<String> {
    let read = file.attr(name).and_then(|a| a.read_scalar::<Text>());
    let text = read.map_err(|e| Error::pack(path, format!("attribute {name:?} cannot be read ({e})")))?;
    let text = std::str::from_utf8(text.as_bytes());
    text.map(str::to_string).map_err(|e| Error::pack(path, format!("attribute {name:?}: {e}")))
}

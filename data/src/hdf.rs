//! HDF5 files of plain arrays and attributes.

use std::path::{Path, PathBuf};

use hdf5::file::FileCloseDegree;
use hdf5::plist::dataset_create::{AllocTime, FillTime, Layout};
use hdf5::types::FixedUnicode;
use hdf5::{Dataset, File, H5Type};
use ndarray::{ArrayView, ArrayViewD};

use crate::error::{Error, Result};
use crate::format::BLOCK;

/// Text attributes have a fixed length: nothing variable lies outside the arrays.
type Text = FixedUnicode<128>;

/// What a failed write means for a pack.
pub(crate) const WRITING: &str =
    "cannot be written; finished shards are kept: free space, then run the same command again";

/// A file in the making.
pub(crate) struct Writer {
    file: File,
    /// The name it will have, for messages.
    path: PathBuf,
}

impl Writer {
    /// A new file `at` with room for the block at its start, and every array at a multiple of 4096 bytes.
    pub fn create(at: &Path, path: &Path) -> Result<Self> {
        let file = File::with_options()
            .with_fcpl(|p| p.userblock(BLOCK as u64))
            .with_fapl(|p| p.alignment(1, BLOCK as u64).fclose_degree(FileCloseDegree::Strong))
            .create(at)
            .map_err(Error::hdf5(path, WRITING))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Reserves a contiguous array of bytes that is filled later, outside the library. Returns where it lies.
    pub fn reserve(&self, name: &str, shape: &[usize]) -> Result<Option<u64>> {
        let dataset = self
            .file
            .new_dataset_builder()
            .empty::<u8>()
            .layout(Layout::Contiguous)
            .alloc_time(Some(AllocTime::Early))
            .fill_time(FillTime::Never)
            // A time stamp would make packs of the same pictures differ.
            .obj_track_times(false)
            .shape(shape)
            .create(name)
            .map_err(Error::hdf5(&self.path, WRITING))?;
        Ok(dataset.offset())
    }

    /// Writes an array.
    pub fn put<T: H5Type>(&self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        self.file
            .new_dataset_builder()
            .with_data(self.view(name, shape, values)?)
            .layout(Layout::Contiguous)
            .obj_track_times(false)
            .create(name)
            .map_err(Error::hdf5(&self.path, WRITING))?;
        Ok(())
    }

    /// Writes a small array beside the datasets.
    pub fn put_attribute<T: H5Type>(&self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        let view = self.view(name, shape, values)?;
        self.file.new_attr_builder().with_data(view).create(name).map_err(Error::hdf5(&self.path, WRITING))?;
        Ok(())
    }

    /// Writes one number beside the datasets.
    pub fn put_number<T: H5Type>(&self, name: &str, value: T) -> Result<()> {
        let write = || self.file.new_attr::<T>().create(name)?.write_scalar(&value);
        write().map_err(Error::hdf5(&self.path, WRITING))
    }

    /// Writes a line of at most 128 bytes beside the datasets.
    pub fn put_text(&self, name: &str, value: &str) -> Result<()> {
        let text: Text = value.parse().map_err(|e| Error::pack(&self.path, format!("attribute {name:?}: {e:?}")))?;
        self.put_number(name, text)
    }

    /// Writes what is not written yet.
    pub fn close(self) -> Result<()> {
        self.file.close().map_err(Error::hdf5(&self.path, WRITING))
    }

    fn view<'a, T>(&self, name: &str, shape: &[usize], values: &'a [T]) -> Result<ArrayViewD<'a, T>> {
        ArrayView::from_shape(shape, values).map_err(|e| Error::pack(&self.path, format!("{name}: {e}")))
    }
}

/// A file whose checksum was found right.
pub(crate) struct Reader {
    file: File,
    path: PathBuf,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::with_options()
            .with_fapl(|p| p.fclose_degree(FileCloseDegree::Strong))
            .open(path)
            .map_err(Error::hdf5(path, "is not readable as HDF5"))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    fn wrong(&self, name: &str, what: impl std::fmt::Display) -> Error {
        Error::pack(&self.path, format!("{name:?}: {what}"))
    }

    /// A dataset.
    pub fn dataset(&self, name: &str) -> Result<Dataset> {
        self.file.dataset(name).map_err(|e| self.wrong(name, e))
    }

    /// An array whose shape must be `shape`.
    pub fn get<T: H5Type>(&self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        let dataset = self.dataset(name)?;
        let found = dataset.shape();
        if found != shape {
            return Err(self.wrong(name, format!("expected shape {shape:?}, found {found:?}")));
        }
        // Before anything is allocated for it.
        let bytes = shape.iter().try_fold(size_of::<T>() as u64, |bytes, &n| bytes.checked_mul(n as u64));
        if bytes.is_none_or(|bytes| bytes > self.file.size()) {
            return Err(self.wrong(name, format!("shape {shape:?} is larger than the file")));
        }
        dataset.read_raw().map_err(|e| self.wrong(name, e))
    }

    /// A one-dimensional array of any length.
    pub fn get_all<T: H5Type>(&self, name: &str) -> Result<Vec<T>> {
        let shape = self.dataset(name)?.shape();
        match shape.len() {
            1 => self.get(name, &shape),
            n => Err(self.wrong(name, format!("expected 1 dimension, found {n}"))),
        }
    }

    /// A small array beside the datasets, of `N` values.
    pub fn get_attribute<T: H5Type, const N: usize>(&self, name: &str) -> Result<[T; N]> {
        let values = self.file.attr(name).and_then(|a| a.read_raw::<T>()).map_err(|e| self.wrong(name, e))?;
        values.try_into().map_err(|v: Vec<T>| self.wrong(name, format!("expected {N} values, found {}", v.len())))
    }

    /// One number beside the datasets.
    pub fn get_number<T: H5Type>(&self, name: &str) -> Result<T> {
        self.get_attribute::<T, 1>(name).map(|[value]| value)
    }

    /// A line beside the datasets.
    pub fn get_text(&self, name: &str) -> Result<String> {
        let text = self.get_number::<Text>(name)?;
        std::str::from_utf8(text.as_bytes()).map(str::to_string).map_err(|e| self.wrong(name, e))
    }
}

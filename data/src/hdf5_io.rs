//! HDF5 files of plain arrays and attributes.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use hdf5::file::FileCloseDegree;
use hdf5::plist::dataset_create::{AllocTime, FillTime, Layout};
use hdf5::plist::file_access::FileAccessBuilder;
use hdf5::types::FixedUnicode;
use hdf5::{Dataset, File, H5Type};
use ndarray::{ArrayView, ArrayViewD};

use crate::error::{Error, Result, system_error};
use crate::format::HEADER_BYTES;

/// Text attributes have a fixed length, so no variable-length data lies outside the arrays.
type FixedText = FixedUnicode<128>;

/// Message of a failed write.
pub(crate) const WRITE_FAILED: &str =
    "cannot be written; finished shards are kept: free space, then run the same command again";

/// Compares one array or attribute of a file with the intended value.
type ContentCheck = Box<dyn Fn(&Hdf5Reader) -> Result<bool> + Send>;

/// An HDF5 file being written.
pub(crate) struct Hdf5Writer {
    file: File,
    /// Final path, for messages.
    path: PathBuf,
    checks: RefCell<Vec<(String, ContentCheck)>>,
}

/// The intended contents of a file, to verify it after writing.
pub(crate) struct IntendedContents {
    path: PathBuf,
    checks: Vec<(String, ContentCheck)>,
}

impl IntendedContents {
    /// Checks that the file `at` holds exactly the intended contents.
    pub fn verify(&self, at: &Path) -> Result<()> {
        let file = Hdf5Reader::open_with(at, without_locking).map_err(|e| read_back_mismatch(&self.path, e))?;
        for (name, check) in &self.checks {
            match check(&file) {
                Ok(true) => {}
                Ok(false) => return Err(read_back_mismatch(&self.path, format!("{name:?} holds other values"))),
                Err(error) => return Err(read_back_mismatch(&self.path, error)),
            }
        }
        Ok(())
    }
}

/// The error for a file that differs, read back, from what was written.
pub(crate) fn read_back_mismatch(path: &Path, what: impl std::fmt::Display) -> Error {
    let what = std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_string());
    Error::io(path, "read back, it is not what was written; run the same command again, or use another disk")(what)
}

impl Hdf5Writer {
    /// Creates a file at `at` with room for the header; every array is aligned to 4096 bytes.
    pub fn create(at: &Path, path: &Path) -> Result<Self> {
        let file = File::with_options()
            .with_fcpl(|p| p.userblock(HEADER_BYTES as u64))
            // Without the sieve buffer an array is written immediately and failures are reported. With it, small arrays
            // are written on drop, where errors are lost.
            .with_fapl(|p| without_locking(p).alignment(1, HEADER_BYTES as u64).sieve_buf_size(0))
            .create(at)
            .map_err(Error::hdf5(path, WRITE_FAILED))?;
        Ok(Self { file, path: path.to_path_buf(), checks: RefCell::default() })
    }

    /// Reserves a contiguous byte array to be filled outside the library. Returns its offset in the file.
    pub fn reserve(&self, name: &str, shape: &[usize]) -> Result<Option<u64>> {
        let dataset = self
            .file
            .new_dataset_builder()
            .empty::<u8>()
            .layout(Layout::Contiguous)
            .alloc_time(Some(AllocTime::Early))
            .fill_time(FillTime::Never)
            // Time stamps would make packs of the same images differ.
            .obj_track_times(false)
            .shape(shape)
            .create(name)
            .map_err(Error::hdf5(&self.path, WRITE_FAILED))?;
        Ok(dataset.offset())
    }

    /// Writes a dataset.
    pub fn write_dataset<T: H5Type + Comparable>(&self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        self.file
            .new_dataset_builder()
            .with_data(self.view(name, shape, values)?)
            .layout(Layout::Contiguous)
            .obj_track_times(false)
            .create(name)
            .map_err(Error::hdf5(&self.path, WRITE_FAILED))?;
        let shape = shape.to_vec();
        self.expect_values(name, values, move |file, name| file.read(name, &shape));
        Ok(())
    }

    /// Writes an array attribute.
    pub fn write_attribute<T: H5Type + Comparable>(&self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        let view = self.view(name, shape, values)?;
        self.file.new_attr_builder().with_data(view).create(name).map_err(Error::hdf5(&self.path, WRITE_FAILED))?;
        self.expect_values(name, values, |file, name| file.read_attribute_values(name));
        Ok(())
    }

    /// Writes a scalar attribute.
    pub fn write_number<T: H5Type + Comparable>(&self, name: &str, value: T) -> Result<()> {
        let write = || self.file.new_attr::<T>().create(name)?.write_scalar(&value);
        write().map_err(Error::hdf5(&self.path, WRITE_FAILED))?;
        self.expect_values(name, &[value], |file, name| file.read_attribute_values(name));
        Ok(())
    }

    /// Writes a text attribute of at most 128 bytes.
    pub fn write_text(&self, name: &str, value: &str) -> Result<()> {
        let text: FixedText =
            value.parse().map_err(|e| Error::pack(&self.path, format!("attribute {name:?}: {e:?}")))?;
        self.write_number(name, text)
    }

    /// Flushes and closes the file. Returns its intended contents.
    pub fn close(self) -> Result<IntendedContents> {
        // Closing flushes too, but cannot report errors.
        self.file.flush().map_err(Error::hdf5(&self.path, WRITE_FAILED))?;
        self.file.close().map_err(Error::hdf5(&self.path, WRITE_FAILED))?;
        Ok(IntendedContents { path: self.path, checks: self.checks.into_inner() })
    }

    /// Records the values `read` must return.
    fn expect_values<T: Comparable>(
        &self,
        name: &str,
        values: &[T],
        read: impl Fn(&Hdf5Reader, &str) -> Result<Vec<T>> + Send + 'static,
    ) {
        let values = values.to_vec();
        let key = name.to_string();
        let check = move |file: &Hdf5Reader| Ok(read(file, &key)? == values);
        self.checks.borrow_mut().push((name.to_string(), Box::new(check)));
    }

    fn view<'a, T>(&self, name: &str, shape: &[usize], values: &'a [T]) -> Result<ArrayViewD<'a, T>> {
        ArrayView::from_shape(shape, values).map_err(|e| Error::pack(&self.path, format!("{name}: {e}")))
    }
}

/// Values that can be compared after reading back; packs contain no NaNs.
pub(crate) trait Comparable: Clone + PartialEq + Send + 'static {}

impl<T: Clone + PartialEq + Send + 'static> Comparable for T {}

/// Access options for an unnamed temporary file, which no other process opens. HDF5's lock would outlive the close if a
/// child process spawned meanwhile holds the descriptor, and reopening the file would fail.
fn without_locking(plist: &mut FileAccessBuilder) -> &mut FileAccessBuilder {
    plist.fclose_degree(FileCloseDegree::Strong).file_locking(false)
}

/// An HDF5 file whose checksum has been verified.
pub(crate) struct Hdf5Reader {
    file: File,
    path: PathBuf,
}

impl Hdf5Reader {
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, |p| p.fclose_degree(FileCloseDegree::Strong))
    }

    fn open_with(path: &Path, access: fn(&mut FileAccessBuilder) -> &mut FileAccessBuilder) -> Result<Self> {
        let file =
            File::with_options().with_fapl(access).open(path).map_err(Error::hdf5(path, "is not readable as HDF5"))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// Error of the file, or of the system, which says nothing about the file.
    fn error_of(&self, name: &str, what: impl std::fmt::Display) -> Error {
        let message = what.to_string();
        match system_error(&message) {
            Some(source) => Error::io(&self.path, "cannot be read; try again")(source),
            None => Error::pack(&self.path, format!("{name:?}: {message}")),
        }
    }

    /// Opens a dataset.
    pub fn dataset(&self, name: &str) -> Result<Dataset> {
        self.file.dataset(name).map_err(|e| self.error_of(name, e))
    }

    /// Reads a dataset of the given shape.
    pub fn read<T: H5Type>(&self, name: &str, shape: &[usize]) -> Result<Vec<T>> {
        let dataset = self.dataset(name)?;
        let found = dataset.shape();
        if found != shape {
            return Err(self.error_of(name, format!("expected shape {shape:?}, found {found:?}")));
        }
        // Checked before allocating.
        let bytes = shape.iter().try_fold(size_of::<T>() as u64, |bytes, &n| bytes.checked_mul(n as u64));
        if bytes.is_none_or(|bytes| bytes > self.file.size()) {
            return Err(self.error_of(name, format!("shape {shape:?} is larger than the file")));
        }
        dataset.read_raw().map_err(|e| self.error_of(name, e))
    }

    /// Reads a one-dimensional dataset of any length.
    pub fn read_vector<T: H5Type>(&self, name: &str) -> Result<Vec<T>> {
        let shape = self.dataset(name)?.shape();
        match shape.len() {
            1 => self.read(name, &shape),
            n => Err(self.error_of(name, format!("expected 1 dimension, found {n}"))),
        }
    }

    /// Reads the values of an attribute.
    fn read_attribute_values<T: H5Type>(&self, name: &str) -> Result<Vec<T>> {
        self.file.attr(name).and_then(|a| a.read_raw::<T>()).map_err(|e| self.error_of(name, e))
    }

    /// Reads an array attribute of `N` values.
    pub fn read_attribute<T: H5Type, const N: usize>(&self, name: &str) -> Result<[T; N]> {
        let values = self.read_attribute_values(name)?;
        values.try_into().map_err(|v: Vec<T>| self.error_of(name, format!("expected {N} values, found {}", v.len())))
    }

    /// Reads a scalar attribute.
    pub fn read_number<T: H5Type>(&self, name: &str) -> Result<T> {
        self.read_attribute::<T, 1>(name).map(|[value]| value)
    }

    /// Reads a text attribute.
    pub fn read_text(&self, name: &str) -> Result<String> {
        let text = self.read_number::<FixedText>(name)?;
        std::str::from_utf8(text.as_bytes()).map(str::to_string).map_err(|e| self.error_of(name, e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: &Path, labels: &[u32]) -> IntendedContents {
        let file = Hdf5Writer::create(at, Path::new("shard-00000.h5")).unwrap();
        file.write_dataset("labels", &[labels.len()], labels).unwrap();
        file.write_attribute("mean_rgb", &[3], &[1.5f64, 2.5, 3.5]).unwrap();
        file.write_text("source", "folders").unwrap();
        file.close().unwrap()
    }

    /// Small arrays lost by a failed write read as zeros.
    #[test]
    fn lost_values_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let labels: Vec<u32> = (1..200).collect();
        let intended = write(&path, &labels);
        intended.verify(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let stored: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        let lost = [(stored, "labels"), (2.5f64.to_le_bytes().to_vec(), "mean_rgb"), (b"folders".to_vec(), "source")];
        for (stored, name) in lost {
            let at = bytes.windows(stored.len()).position(|window| window == stored).unwrap();
            let mut bytes = bytes.clone();
            bytes[at..at + stored.len()].fill(0);
            std::fs::write(&path, bytes).unwrap();
            let error = intended.verify(&path).unwrap_err().to_string();
            assert!(error.starts_with("shard-00000.h5: read back") && error.contains(name), "{error}");
        }
        write(&path, &labels[..3]);
        assert!(intended.verify(&path).unwrap_err().to_string().contains("expected shape"));
    }

    /// No array is written as late as closing, which cannot report errors.
    #[test]
    fn arrays_are_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let file = Hdf5Writer::create(&path, &path).unwrap();
        let labels: Vec<u32> = (1..200).collect();
        file.write_dataset("labels", &[labels.len()], &labels).unwrap();
        let stored: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.windows(stored.len()).any(|window| window == stored));
    }

    /// A child process that inherits a locked file keeps the lock after we closed it.
    #[test]
    fn a_file_being_written_is_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let _file = Hdf5Writer::create(&path, &path).unwrap();
        std::fs::File::open(&path).unwrap().try_lock().unwrap();
    }
}

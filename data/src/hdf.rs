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
use crate::format::BLOCK;

/// Text attributes have a fixed length: nothing variable lies outside the arrays.
type Text = FixedUnicode<128>;

/// What a failed write means for a pack.
pub(crate) const WRITING: &str =
    "cannot be written; finished shards are kept: free space, then run the same command again";

/// Compares one array or attribute of a file with what was to be written.
type Check = Box<dyn Fn(&Reader) -> Result<bool> + Send>;

/// A file in the making.
pub(crate) struct Writer {
    file: File,
    /// The name it will have, for messages.
    path: PathBuf,
    checks: RefCell<Vec<(String, Check)>>,
}

/// All that a file was meant to hold.
pub(crate) struct Intended {
    path: PathBuf,
    checks: Vec<(String, Check)>,
}

impl Intended {
    /// Fails unless the file `at` holds it: what a failed write may have left of it is found here.
    pub fn verify(&self, at: &Path) -> Result<()> {
        let file = Reader::open_with(at, unlocked).map_err(|e| unlike(&self.path, e))?;
        for (name, check) in &self.checks {
            match check(&file) {
                Ok(true) => {}
                Ok(false) => return Err(unlike(&self.path, format!("{name:?} holds other values"))),
                Err(error) => return Err(unlike(&self.path, error)),
            }
        }
        Ok(())
    }
}

/// The error of a file that, read back, is not what was written.
pub(crate) fn unlike(path: &Path, what: impl std::fmt::Display) -> Error {
    let what = std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_string());
    Error::io(path, "read back, it is not what was written; run the same command again, or use another disk")(what)
}

impl Writer {
    /// A new file `at` with room for the block at its start, and every array at a multiple of 4096 bytes.
    pub fn create(at: &Path, path: &Path) -> Result<Self> {
        let file = File::with_options()
            .with_fcpl(|p| p.userblock(BLOCK as u64))
            // Without the sieve buffer an array is written when it is put, and a failure is an error. With it, small ones
            // are written when they are dropped, where errors are lost.
            .with_fapl(|p| unlocked(p).alignment(1, BLOCK as u64).sieve_buf_size(0))
            .create(at)
            .map_err(Error::hdf5(path, WRITING))?;
        Ok(Self { file, path: path.to_path_buf(), checks: RefCell::default() })
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
            // A time stamp would make packs of the same images differ.
            .obj_track_times(false)
            .shape(shape)
            .create(name)
            .map_err(Error::hdf5(&self.path, WRITING))?;
        Ok(dataset.offset())
    }

    /// Writes an array.
    pub fn put<T: H5Type + Value>(&self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        self.file
            .new_dataset_builder()
            .with_data(self.view(name, shape, values)?)
            .layout(Layout::Contiguous)
            .obj_track_times(false)
            .create(name)
            .map_err(Error::hdf5(&self.path, WRITING))?;
        let shape = shape.to_vec();
        self.intend(name, values, move |file, name| file.get(name, &shape));
        Ok(())
    }

    /// Writes a small array beside the datasets.
    pub fn put_attribute<T: H5Type + Value>(&self, name: &str, shape: &[usize], values: &[T]) -> Result<()> {
        let view = self.view(name, shape, values)?;
        self.file.new_attr_builder().with_data(view).create(name).map_err(Error::hdf5(&self.path, WRITING))?;
        self.intend(name, values, |file, name| file.attribute(name));
        Ok(())
    }

    /// Writes one number beside the datasets.
    pub fn put_number<T: H5Type + Value>(&self, name: &str, value: T) -> Result<()> {
        let write = || self.file.new_attr::<T>().create(name)?.write_scalar(&value);
        write().map_err(Error::hdf5(&self.path, WRITING))?;
        self.intend(name, &[value], |file, name| file.attribute(name));
        Ok(())
    }

    /// Writes a line of at most 128 bytes beside the datasets.
    pub fn put_text(&self, name: &str, value: &str) -> Result<()> {
        let text: Text = value.parse().map_err(|e| Error::pack(&self.path, format!("attribute {name:?}: {e:?}")))?;
        self.put_number(name, text)
    }

    /// Writes what is not written yet. Gives what the file should hold then.
    pub fn close(self) -> Result<Intended> {
        // Closing writes too, but could not say what failed.
        self.file.flush().map_err(Error::hdf5(&self.path, WRITING))?;
        self.file.close().map_err(Error::hdf5(&self.path, WRITING))?;
        Ok(Intended { path: self.path, checks: self.checks.into_inner() })
    }

    /// Remembers what `read` should find.
    fn intend<T: Value>(
        &self,
        name: &str,
        values: &[T],
        read: impl Fn(&Reader, &str) -> Result<Vec<T>> + Send + 'static,
    ) {
        let values = values.to_vec();
        let key = name.to_string();
        let check = move |file: &Reader| Ok(read(file, &key)? == values);
        self.checks.borrow_mut().push((name.to_string(), Box::new(check)));
    }

    fn view<'a, T>(&self, name: &str, shape: &[usize], values: &'a [T]) -> Result<ArrayViewD<'a, T>> {
        ArrayView::from_shape(shape, values).map_err(|e| Error::pack(&self.path, format!("{name}: {e}")))
    }
}

/// Values that can be compared with what was read back; there are no NaNs among those of packs.
pub(crate) trait Value: Clone + PartialEq + Send + 'static {}

impl<T: Clone + PartialEq + Send + 'static> Value for T {}

/// How a file is opened before it has its name: nobody else opens it. HDF5's lock would outlive the close while a child
/// process, begun meanwhile, holds the file's descriptor, and opening the file again would fail.
fn unlocked(plist: &mut FileAccessBuilder) -> &mut FileAccessBuilder {
    plist.fclose_degree(FileCloseDegree::Strong).file_locking(false)
}

/// A file whose checksum was found right.
pub(crate) struct Reader {
    file: File,
    path: PathBuf,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_with(path, |p| p.fclose_degree(FileCloseDegree::Strong))
    }

    fn open_with(path: &Path, access: fn(&mut FileAccessBuilder) -> &mut FileAccessBuilder) -> Result<Self> {
        let file =
            File::with_options().with_fapl(access).open(path).map_err(Error::hdf5(path, "is not readable as HDF5"))?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// What is wrong with the file; or the system's error, which says nothing about the file.
    fn wrong(&self, name: &str, what: impl std::fmt::Display) -> Error {
        let words = what.to_string();
        match system_error(&words) {
            Some(source) => Error::io(&self.path, "cannot be read; try again")(source),
            None => Error::pack(&self.path, format!("{name:?}: {words}")),
        }
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

    /// The values beside the datasets under a name.
    fn attribute<T: H5Type>(&self, name: &str) -> Result<Vec<T>> {
        self.file.attr(name).and_then(|a| a.read_raw::<T>()).map_err(|e| self.wrong(name, e))
    }

    /// A small array beside the datasets, of `N` values.
    pub fn get_attribute<T: H5Type, const N: usize>(&self, name: &str) -> Result<[T; N]> {
        let values = self.attribute(name)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: &Path, labels: &[u32]) -> Intended {
        let file = Writer::create(at, Path::new("shard-00000.h5")).unwrap();
        file.put("labels", &[labels.len()], labels).unwrap();
        file.put_attribute("mean_rgb", &[3], &[1.5f64, 2.5, 3.5]).unwrap();
        file.put_text("source", "folders").unwrap();
        file.close().unwrap()
    }

    /// What a write that failed would have left of small arrays: zeros.
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

    /// No array waits for the file to be closed, which could not say that it failed.
    #[test]
    fn arrays_are_written_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let file = Writer::create(&path, &path).unwrap();
        let labels: Vec<u32> = (1..200).collect();
        file.put("labels", &[labels.len()], &labels).unwrap();
        let stored: Vec<u8> = labels.iter().flat_map(|label| label.to_le_bytes()).collect();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.windows(stored.len()).any(|window| window == stored));
    }

    /// A child process that inherits a locked file keeps the lock after we closed it.
    #[test]
    fn a_file_being_written_is_not_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.h5");
        let _file = Writer::create(&path, &path).unwrap();
        std::fs::File::open(&path).unwrap().try_lock().unwrap();
    }
}

//! A `.npy` file that is written row by row.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use files::Replacement;

use super::npy::header_of;

/// A matrix that is being written as numpy's `.npy` (version 1, f4, C order), in bounded memory. It gets its name when it
/// is complete; an old file is kept until then.
///
/// ```
/// use alexnet_formats::NpyRows;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("features.npy");
/// let mut rows = NpyRows::create(&path, 3, 2)?;
/// rows.append(&[1.0, 2.0, 3.0, 4.0])?;
/// rows.append(&[5.0, 6.0])?;
/// rows.finish()?;
/// assert!(std::fs::read(&path)?.starts_with(b"\x93NUMPY"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NpyRows {
    replacement: Replacement,
    file: BufWriter<File>,
    /// Values that are still to come.
    missing: usize,
}

impl NpyRows {
    /// Begins a matrix of `rows` x `columns` values.
    ///
    /// # Errors
    /// [`files::Error`] with the file and the step; a matrix of more values than memory has addresses.
    pub fn create(path: &Path, rows: usize, columns: usize) -> Result<Self, files::Error> {
        let missing = rows.checked_mul(columns).ok_or_else(|| wrong(path, "has too many values".into()))?;
        let replacement = Replacement::begin(path)?;
        let file = File::options().write(true).open(replacement.temporary());
        let mut file = BufWriter::new(file.map_err(|source| not_written(path, source))?);
        file.write_all(&header_of(&[rows, columns])).map_err(|source| not_written(path, source))?;
        Ok(Self { replacement, file, missing })
    }

    /// Appends values of whole rows, or of parts of them.
    ///
    /// # Errors
    /// [`files::Error`] if they cannot be written, or are more than the matrix has left.
    pub fn append(&mut self, values: &[f32]) -> Result<(), files::Error> {
        let path = self.replacement.path();
        let left = self.missing.checked_sub(values.len());
        self.missing = left.ok_or_else(|| wrong(path, format!("has place for {} more values", self.missing)))?;
        for value in values {
            self.file.write_all(&value.to_le_bytes()).map_err(|source| not_written(path, source))?;
        }
        Ok(())
    }

    /// Gives the complete file its name.
    ///
    /// # Errors
    /// [`files::Error`] if it cannot be written, or if values are missing.
    pub fn finish(self) -> Result<(), files::Error> {
        let Self { replacement, file, missing } = self;
        if missing > 0 {
            return Err(wrong(replacement.path(), format!("lacks {missing} values")));
        }
        file.into_inner().map_err(|error| not_written(replacement.path(), error.into_error()))?;
        replacement.commit()
    }
}

fn not_written(path: &Path, source: io::Error) -> files::Error {
    files::Error { path: path.to_path_buf(), what: files::if_there(path, KEPT, "cannot be written"), source }
}

const KEPT: &str = "cannot be written; the old file is kept";

fn wrong(path: &Path, what: String) -> files::Error {
    not_written(path, io::Error::new(io::ErrorKind::InvalidInput, format!("the matrix {what}")))
}

#[cfg(test)]
mod tests {
    use ndarray::arr2;

    use super::*;
    use crate::npy::parse;

    #[test]
    fn rows_are_the_array_that_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let mut rows = NpyRows::create(&path, 2, 3).unwrap();
        rows.append(&[1.0, 2.0]).unwrap();
        rows.append(&[3.0, 4.0, 5.0, 6.0]).unwrap();
        assert!(!path.exists());
        rows.finish().unwrap();
        let array = parse(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(array, arr2(&[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).into_dyn());
    }

    #[test]
    fn too_few_and_too_many_values_keep_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        std::fs::write(&path, "old").unwrap();
        let mut rows = NpyRows::create(&path, 2, 2).unwrap();
        rows.append(&[1.0, 2.0, 3.0]).unwrap();
        assert!(rows.append(&[4.0, 5.0]).unwrap_err().to_string().contains("a.npy"));
        let message = rows.finish().unwrap_err().to_string();
        assert!(message.contains("lacks 1 values") && message.contains("the old file is kept"), "{message}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

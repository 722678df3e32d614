//! Caffe: `.caffemodel` files, and means as `.binaryproto`.

use std::path::Path;

use crate::{Error, ForeignFile, Result};

/// Reads a file.
///
/// # Errors
/// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is damaged or holds something that is not read.
pub fn read(path: &Path) -> Result<ForeignFile> {
    Err(Error::refused(path, "is not read yet"))
}

//! New folders that survive power loss.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::replace::sync_folder;

/// Makes a folder and those above it that are missing, and makes each new name durable: a folder's name is kept by the
/// folder above it, which is synced. A folder that is there already is left as it is.
///
/// Where the system does not let a folder be synced (one that may be entered and not listed, some network disks), its
/// new name is as durable as the system makes it by itself.
///
/// # Errors
/// The system's; of a sync that failed, with the name of the folder.
pub fn create_all(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(_) if path.is_dir() => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let above = above(path).ok_or(error)?;
            create_all(above)?;
            match fs::create_dir(path) {
                // Another process was faster.
                Err(_) if path.is_dir() => return Ok(()),
                made => made?,
            }
        }
        Err(error) => return Err(error),
    }
    sync_name(path)
}

/// Fails unless `path`, with all folders above it, is UTF-8: HDF5 files are made by no other.
///
/// # Errors
/// The system's; [`ErrorKind::InvalidInput`] with the whole path.
pub fn check_utf8(path: &Path) -> io::Result<()> {
    let whole = std::path::absolute(path)?;
    if whole.to_str().is_some() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("HDF5 files need a path in UTF-8, and {whole:?} is none")))
}

/// Makes the name of a new folder durable.
fn sync_name(path: &Path) -> io::Result<()> {
    let above = above(path).unwrap_or(Path::new("."));
    match sync_folder(above) {
        Err(error) if !may_fail(&error) => {
            Err(io::Error::new(error.kind(), format!("{}: cannot be synced: {error}", above.display())))
        }
        _ => Ok(()),
    }
}

/// Whether syncing a folder is not possible here, in place of having failed.
fn may_fail(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::Unsupported)
}

/// The folder that a path lies in; none above a root and above the working folder's `.`.
fn above(path: &Path) -> Option<&Path> {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(Path::new(".")),
        parent => parent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_made_down_to_the_last_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b/c");
        create_all(&deep).unwrap();
        fs::write(deep.join("file"), "x").unwrap();
        create_all(&deep).unwrap();
        create_all(&folder.path().join("a")).unwrap();
        assert_eq!(fs::read_to_string(deep.join("file")).unwrap(), "x");
        create_all(Path::new(".")).unwrap();
        create_all(Path::new("/")).unwrap();
    }

    #[test]
    fn a_file_in_the_way_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(create_all(&folder.path().join("file")).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create_all(&folder.path().join("file/below")).unwrap_err().kind(), ErrorKind::NotADirectory);
        assert_eq!(create_all(Path::new("")).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

//! New folders that survive power loss.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::replace::sync_folder;

/// Creates a folder and its missing parents, and makes each new name durable: the name of a folder is stored in its
/// parent, which is synced. An existing folder is unchanged.
///
/// If a parent cannot be synced (it may not be listed, or is on certain network disks), the durability of the new name
/// is up to the system.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// alexnet_files::folder::create_all(&folder.path().join("runs/first"))?;
/// assert!(folder.path().join("runs/first").is_dir());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// The error of the system; that of a failed sync names the folder.
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

/// Fails unless `path`, with all folders above it, is UTF-8: HDF5 cannot create files under other paths.
///
/// # Errors
/// The error of the system; [`ErrorKind::InvalidInput`] with the whole path.
pub fn check_utf8(path: &Path) -> io::Result<()> {
    let whole = std::path::absolute(path)?;
    if whole.to_str().is_some() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("HDF5 files need a path in UTF-8, which {whole:?} is not")))
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

/// Whether an error means that a folder cannot be synced here, not that the sync failed.
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

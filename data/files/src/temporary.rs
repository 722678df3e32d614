//! Temporary files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Prefix of the names of temporary files.
const PREFIX: &str = ".alexnet-tmp-";

/// Most names that are tried: those that exist are of interrupted processes with the same number.
const MOST_NAMES: u32 = 1 << 16;

/// An empty file with a new name, which is removed when it is dropped. If the process is killed, the next
/// [`sweep`](crate::sweep) of the folder removes it.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let file = alexnet_files::TemporaryFile::create(folder.path())?;
/// std::fs::write(file.path(), "some text")?;
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 1);
/// drop(file);
/// assert_eq!(std::fs::read_dir(folder.path())?.count(), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TemporaryFile {
    path: PathBuf,
    is_kept: bool,
}

impl TemporaryFile {
    /// Creates a file in `folder` that its owner alone may read.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn create(folder: &Path) -> io::Result<Self> {
        Self::create_with_mode(folder, 0o600)
    }

    /// Creates a file with these permissions, less those that the umask takes away.
    pub(crate) fn create_with_mode(folder: &Path, mode: u32) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut last = io::Error::from(ErrorKind::AlreadyExists);
        for _ in 0..MOST_NAMES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{PREFIX}{:x}-{number:x}", std::process::id()));
            match open_new(&path, mode) {
                Ok(_) => return Ok(Self { path, is_kept: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file another name, in place of a file of that name.
    pub(crate) fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_kept = true;
        Ok(())
    }
}

/// Creates a file that must not exist, nor be a link.
fn open_new(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// Whether a file of this name is a temporary file.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX)
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if !self.is_kept {
            // What remains is removed by the next sweep.
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_new_and_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let files: Vec<TemporaryFile> = (0..20).map(|_| TemporaryFile::create(folder.path()).unwrap()).collect();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 20);
        assert!(files.iter().all(|file| is_temporary(&file.path().file_name().unwrap().to_string_lossy())));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(files[0].path()).unwrap().permissions().mode() & 0o777, 0o600);
        }
        drop(files);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(TemporaryFile::create(&folder.path().join("none")).unwrap_err().kind(), ErrorKind::NotFound);
    }

    /// Files of an interrupted process of the same number are left alone.
    #[test]
    fn names_that_exist_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let first = TemporaryFile::create(folder.path()).unwrap();
        let name = first.path().file_name().unwrap().to_string_lossy().into_owned();
        let number = u32::from_str_radix(name.rsplit('-').next().unwrap(), 16).unwrap();
        for next in number + 1..number + 40 {
            fs::write(folder.path().join(format!("{PREFIX}{:x}-{next:x}", std::process::id())), "old").unwrap();
        }
        let second = TemporaryFile::create(folder.path()).unwrap();
        assert_eq!(fs::read(second.path()).unwrap(), b"");
    }

    #[test]
    fn a_renamed_file_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("kept");
        fs::write(&to, "old").unwrap();
        let file = TemporaryFile::create(folder.path()).unwrap();
        fs::write(file.path(), "new").unwrap();
        file.rename(&to).unwrap();
        assert_eq!(fs::read_to_string(&to).unwrap(), "new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}

//! Atomic, durable replacement of a file.
//!
//! The contract: after [`replace`] returns `Ok`, the new content survives power loss. If it fails, or the process is
//! killed at any point, the old file is unchanged; a temporary file that remains beside it is removed by the next
//! replacement of the same file, on Linux, or by the next [`sweep`] of the folder.
//!
//! Only files are replaced: a device, a pipe or a folder of that name is an error. If the name is a link, the file that
//! it leads to is replaced, and the link is kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::temporary::{folder_of, sweep_for};
use crate::{Error, TemporaryFile, is_temporary, regular_file};

/// Maximum number of links to follow before they count as a cycle, as in Linux.
const MOST_LINKS: usize = 40;

/// Writes a new file in `path`'s folder with `write`, makes it durable, and gives it `path`'s name.
///
/// `write` gets the name of an empty temporary file to fill and must have closed it when it returns.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("log.txt");
/// std::fs::write(&path, "old")?;
/// // It fails: the old file stays.
/// let failed = alexnet_files::replace(&path, |temporary| -> Result<(), Box<dyn std::error::Error>> {
///     std::fs::write(temporary, "half of the new")?;
///     Err("out of words".into())
/// });
/// assert!(failed.is_err());
/// assert_eq!(std::fs::read_to_string(&path)?, "old");
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// `write`'s own error, or [`Error`] that names `path` and the step; the temporary file is removed. A path that exists
/// and is not a regular file is an error.
pub fn replace<E: From<Error>>(path: &Path, write: impl FnOnce(&Path) -> Result<(), E>) -> Result<(), E> {
    replace_on(&System, path, write)
}

/// A [`replace`] in steps, for a file that is written over a longer time. Dropping it without
/// [`commit`](Self::commit) removes the temporary file.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("table.csv");
/// let table = alexnet_files::Replacement::begin(&path)?;
/// std::fs::write(table.temporary(), "a,b\n")?;
/// assert!(!path.exists());
/// table.commit()?;
/// assert_eq!(std::fs::read_to_string(&path)?, "a,b\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Replacement {
    path: PathBuf,
    /// The file that `path` leads to.
    target: PathBuf,
    old_mode: Option<u32>,
    temporary: TemporaryFile,
}

impl Replacement {
    /// Creates an empty temporary file in `path`'s folder.
    ///
    /// # Errors
    /// [`Error`] that names `path` and the step. A path that exists and is not a regular file is an error.
    pub fn begin(path: &Path) -> Result<Self, Error> {
        let fail = |what| move |source| Error { path: path.to_path_buf(), what, source };
        let target = target(path).map_err(fail("cannot be replaced; choose another name"))?;
        let old_mode = mode_of(&target).map_err(fail("cannot be examined; nothing was replaced"))?;
        sweep_for(&target);
        let temporary = create(&target, old_mode)
            .map_err(fail("cannot create a file in this folder; choose another, or free space"))?;
        Ok(Self { path: path.to_path_buf(), target, old_mode, temporary })
    }

    /// The name of the file to be replaced.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the temporary file, to be written and closed before [`commit`](Self::commit).
    pub fn temporary(&self) -> &Path {
        self.temporary.path()
    }

    /// Makes the temporary file durable and gives it the name of the file to be replaced.
    ///
    /// # Errors
    /// [`Error`] that names the path and the step; the temporary file is removed.
    pub fn commit(self) -> Result<(), Error> {
        self.commit_on(&System)
    }

    fn commit_on(self, disk: &impl Disk) -> Result<(), Error> {
        let Self { path, target, old_mode, temporary } = self;
        let path = &path;
        let fail = |what| move |source| Error { path: path.clone(), what, source };
        set_mode(temporary.path(), old_mode).map_err(fail("cannot set permissions; nothing was replaced"))?;
        disk.sync_file(temporary.path()).map_err(fail("cannot make the new content durable; nothing was replaced"))?;
        disk.rename(temporary, &target)
            .map_err(fail("cannot give the new file its name; nothing was replaced, choose another folder"))?;
        disk.sync_folder(folder_of(&target))
            .map_err(fail("saved, but its durability is unconfirmed: the folder could not be synced"))
    }
}

/// Replaces `path`'s content by `bytes` as [`replace`] does, and compares what was written with them before the new
/// file gets its name.
///
/// # Errors
/// [`Error`] that names `path` and the step; the old file is kept.
pub fn replace_bytes(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |what| move |source| Error { path: path.to_path_buf(), what, source };
    let not_written = if_there(path, "cannot be written; the old file is kept", "cannot be written");
    replace(path, |temporary| {
        fs::write(temporary, bytes).map_err(fail(not_written))?;
        let written = fs::read(temporary).map_err(fail("cannot be read back, and is not put in its place"))?;
        if written != bytes {
            let what = "the disk returns other bytes than were written";
            return Err(fail(not_written)(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        Ok(())
    })
}

/// `kept` if there is a file of this name, else `none`.
pub fn if_there(path: &Path, kept: &'static str, none: &'static str) -> &'static str {
    if path.exists() { kept } else { none }
}

/// Fails if files cannot be created in `folder`, before a later [`replace`] does.
pub fn check_writable(folder: &Path) -> io::Result<()> {
    TemporaryFile::create(folder).map(drop)
}

/// The calls that make a replacement safe. Tests record them and simulate a loss of power.
trait Disk {
    /// Makes a file's content durable.
    fn sync_file(&self, path: &Path) -> io::Result<()>;
    /// Gives the temporary file the name `to`.
    fn rename(&self, temporary: TemporaryFile, to: &Path) -> io::Result<()>;
    /// Makes renames in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The operating system's disk.
struct System;

impl Disk for System {
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, temporary: TemporaryFile, to: &Path) -> io::Result<()> {
        temporary.rename(to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        sync_folder(folder)
    }
}

fn replace_on<E: From<Error>>(
    disk: &impl Disk,
    path: &Path,
    write: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let replacement = Replacement::begin(path)?;
    write(replacement.temporary())?;
    replacement.commit_on(disk)?;
    Ok(())
}

/// The file that `path` leads to through all links; it need not exist yet.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&target) {
            Ok(found) if !found.is_symlink() => return regular_file::check(&target).map(|()| target),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(target),
            // The step that fails because of this says what to do.
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(target),
            Err(error) => return Err(error),
        }
        // Links of the system itself (/dev/stdout) need not hold a path.
        match regular_file::check(&target) {
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return Err(error),
            _ => target = folder_of(&target).join(fs::read_link(&target)?),
        }
    }
    Err(io::Error::other("it is a cyclic link"))
}

/// Removes temporary files that earlier, interrupted writers left in `folder`.
///
/// Call it only while holding the lock that excludes other writers from the folder.
pub fn sweep(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()? {
        if is_temporary(&entry.file_name().to_string_lossy()) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed.push(entry.path());
        }
    }
    Ok(removed)
}

/// The permission bits of the file that is to be replaced, if there is one.
#[cfg(unix)]
fn mode_of(path: &Path) -> io::Result<Option<u32>> {
    use std::os::unix::fs::PermissionsExt;
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata.permissions().mode() & 0o777)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// An empty temporary file. Without an old file, it has the permissions that the umask leaves to any new file.
#[cfg(unix)]
fn create(target: &Path, old_mode: Option<u32>) -> io::Result<TemporaryFile> {
    // The owner must be able to write until the file is complete.
    let mode = old_mode.map_or(0o666, |mode| mode & 0o700 | 0o600);
    TemporaryFile::create_for(target, mode)
}

/// Gives the new file the old one's permissions.
#[cfg(unix)]
fn set_mode(temporary: &Path, old_mode: Option<u32>) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    old_mode.map_or(Ok(()), |mode| fs::set_permissions(temporary, fs::Permissions::from_mode(mode)))
}

#[cfg(not(unix))]
fn mode_of(_: &Path) -> io::Result<Option<u32>> {
    Ok(None)
}

#[cfg(not(unix))]
fn create(target: &Path, _: Option<u32>) -> io::Result<TemporaryFile> {
    TemporaryFile::create_for(target, 0o600)
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: Option<u32>) -> io::Result<()> {
    Ok(())
}

/// Makes a rename in `folder` durable. Systems without syncable folders have nothing to do.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests;

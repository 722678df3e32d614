//! Temporary files.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Prefix of the names of temporary files.
const PREFIX: &str = ".alexnet-tmp-";

/// Most names that are tried: those that exist are of interrupted processes with the same number.
const MOST_NAMES: u32 = 1 << 16;

/// Paths of all temporary files of this process.
static LIVE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn live() -> MutexGuard<'static, Vec<PathBuf>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes all temporary files of this process, for a process that exits without dropping them. What is being written is
/// lost; a file that was to be replaced stays as it was.
pub fn remove_temporary_files() {
    for path in live().drain(..) {
        // What remains is removed by the next sweep.
        let _ = fs::remove_file(path);
    }
}

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
        Self::create_named(folder, PREFIX, 0o600)
    }

    /// Creates a file beside the temporary file that [`replace`](fn@crate::replace) has given, for a part of its content.
    /// Its owner alone may read it. If the process is killed, the next replacement removes both.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn create_beside(temporary: &Path) -> io::Result<Self> {
        let name = temporary.file_name().unwrap_or_default().to_string_lossy();
        // The last two parts are the process and the number.
        let target = name.rsplitn(3, '-').nth(2).filter(|target| target.len() > PREFIX.len());
        let prefix = target.map_or(PREFIX.to_string(), |target| format!("{target}-"));
        Self::create_named(folder_of(temporary), &prefix, 0o600)
    }

    /// Creates a file for the next content of `target`, in its folder and with these permissions, less those that the
    /// umask takes away.
    pub(crate) fn create_for(target: &Path, mode: u32) -> io::Result<Self> {
        Self::create_named(folder_of(target), &prefix_of(target), mode)
    }

    fn create_named(folder: &Path, prefix: &str, mode: u32) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut last = io::Error::from(ErrorKind::AlreadyExists);
        for _ in 0..MOST_NAMES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{prefix}{:x}-{number:x}", std::process::id()));
            match open_new(&path, mode) {
                Ok(_) => {
                    live().push(path.clone());
                    return Ok(Self { path, is_kept: false });
                }
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

/// The beginning of the names of temporary files for `target`, which need not fit into a name itself.
fn prefix_of(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().as_encoded_bytes();
    // FNV-1a, 64 bits: the same in every version of this program.
    let hash = name
        .iter()
        .fold(0xcbf2_9ce4_8422_2325u64, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{PREFIX}{hash:016x}-")
}

/// Removes the temporary files for `target` of processes that have ended. What cannot be removed stays: the new content
/// does not depend on it.
pub(crate) fn sweep_for(target: &Path) {
    let prefix = prefix_of(target);
    let Ok(entries) = fs::read_dir(folder_of(target)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        let process = rest.and_then(|rest| u32::from_str_radix(rest.split('-').next()?, 16).ok());
        if process.is_some_and(has_ended) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether the system says that there is no process of this number. On other systems than Linux none is known to have
/// ended.
fn has_ended(process: u32) -> bool {
    let processes = Path::new("/proc");
    processes.join("self/stat").exists() && !processes.join(process.to_string()).exists()
}

/// The folder of a file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent.as_os_str() != OsStr::new("") => parent,
        _ => Path::new("."),
    }
}

/// Whether a file of this name is a temporary file.
pub fn is_temporary(name: &str) -> bool {
    name.starts_with(PREFIX)
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        live().retain(|path| *path != self.path);
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

    /// Only those of the same target, and of processes that are no more.
    #[test]
    fn files_of_killed_processes_are_swept() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("weights.pt");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = child.id();
        child.wait().unwrap();
        let named = |target: &Path, process: u32| folder.path().join(format!("{}{process:x}-0", prefix_of(target)));
        let stale = named(&target, ended);
        let others = [named(&folder.path().join("other.pt"), ended), named(&target, 1), folder.path().join("kept")];
        for path in others.iter().chain([&stale]) {
            fs::write(path, "half").unwrap();
        }
        let own = TemporaryFile::create_for(&target, 0o600).unwrap();
        let part = TemporaryFile::create_beside(own.path()).unwrap();
        assert!(part.path().file_name().unwrap().to_str().unwrap().starts_with(&prefix_of(&target)));
        sweep_for(&target);
        assert_eq!(stale.exists(), !cfg!(target_os = "linux"));
        assert!(own.path().exists() && part.path().exists() && others.iter().all(|path| path.exists()));
    }

    /// In a process of its own: the files of other tests are of this process, too.
    #[test]
    fn a_process_that_exits_can_remove_its_files() {
        const FOLDER: &str = "ALEXNET_TEST_TEMPORARY_FOLDER";
        if let Some(folder) = std::env::var_os(FOLDER) {
            let folder = Path::new(&folder);
            let kept = TemporaryFile::create(folder).unwrap();
            kept.rename(&folder.join("kept")).unwrap();
            let [_one, _other] = [(); 2].map(|()| TemporaryFile::create(folder).unwrap());
            remove_temporary_files();
            std::process::exit(0);
        }
        let folder = tempfile::tempdir().unwrap();
        let test = "temporary::tests::a_process_that_exits_can_remove_its_files";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let status = child.args(["--exact", test]).env(FOLDER, folder.path()).status().unwrap();
        assert!(status.success());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["kept"]);
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

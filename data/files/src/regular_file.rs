//! Opens paths that a user gives only if they are regular files, and reads text files only up to a size.
//!
//! Opening a named pipe would block until it has a writer, and a device may never end: both are refused before they are
//! opened.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Maximum size of a text file in bytes, far above that of settings, lists of names and networks.
pub const LARGEST_TEXT: u64 = 4 << 20;

/// Opens a regular file to read from; links are followed.
///
/// ```
/// use std::path::Path;
///
/// // A device, from which reading might never end.
/// assert!(alexnet_files::regular_file::open(Path::new("/dev/zero")).is_err());
/// ```
///
/// # Errors
/// The error of the system; for anything but a regular file, [`ErrorKind::InvalidInput`] and a message that says what
/// it is.
pub fn open(path: &Path) -> io::Result<File> {
    check(path)?;
    File::open(path)
}

/// Opens a file to lock it, and creates an empty one if there is none; links are followed.
///
/// # Errors
/// Those of [`open`].
pub fn open_lock(path: &Path) -> io::Result<File> {
    match check(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => File::options().create(true).truncate(false).write(true).open(path),
    }
}

/// Fails unless `path` is a regular file or a link to one.
///
/// # Errors
/// Those of [`open`].
pub fn check(path: &Path) -> io::Result<()> {
    let kind = fs::metadata(path)?.file_type();
    if kind.is_file() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::InvalidInput, format!("expected a file, found {}", name_of(kind))))
}

/// The content of a small text file in UTF-8.
///
/// # Errors
/// Those of [`open`]; [`ErrorKind::InvalidData`] for a file of more than [`LARGEST_TEXT`] bytes, of which no more are
/// read, and for one that is not UTF-8.
pub fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    open(path)?.take(LARGEST_TEXT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_TEXT {
        let what = format!("expected a text of at most {} MiB, found a larger file", LARGEST_TEXT >> 20);
        return Err(io::Error::new(ErrorKind::InvalidData, what));
    }
    String::from_utf8(bytes).map_err(|error| {
        let what = format!("expected text in UTF-8, found other bytes at offset {}", error.utf8_error().valid_up_to());
        io::Error::new(ErrorKind::InvalidData, what)
    })
}

fn name_of(kind: fs::FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt;
        if kind.is_fifo() {
            return "a named pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_char_device() || kind.is_block_device() {
            return "a device";
        }
    }
    if kind.is_dir() { "a folder" } else { "something else" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_small_texts_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let refusal = || read_text(&path).unwrap_err().to_string();
        fs::write(&path, "grün").unwrap();
        assert_eq!(read_text(&path).unwrap(), "grün");
        fs::write(&path, b"gr\xfcn").unwrap();
        assert_eq!(refusal(), "expected text in UTF-8, found other bytes at offset 2");
        fs::write(&path, vec![b' '; LARGEST_TEXT as usize]).unwrap();
        assert_eq!(read_text(&path).unwrap().len() as u64, LARGEST_TEXT);
        // A sparse file of a terabyte, of which only the maximum size is read.
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(refusal(), "expected a text of at most 4 MiB, found a larger file");
        fs::remove_file(&path).unwrap();
        assert_eq!(read_text(&path).unwrap_err().kind(), ErrorKind::NotFound);
        fs::create_dir(&path).unwrap();
        assert_eq!(refusal(), "expected a file, found a folder");
    }

    #[cfg(unix)]
    #[test]
    fn devices_pipes_and_sockets_are_refused_unopened() {
        let folder = tempfile::tempdir().unwrap();
        let refusal = |path: &Path| open(path).unwrap_err().to_string();
        assert_eq!(refusal(Path::new("/dev/zero")), "expected a file, found a device");
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(refusal(&socket), "expected a file, found a socket");
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert_eq!(refusal(&pipe), "expected a file, found a named pipe");
    }
}

//! The images of `predict`: files, folders, patterns, tars, standard input.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::thread;

use data::{DecodeOptions, ImageContent};
use flate2::read::MultiGzDecoder;

use crate::failure::{Failure, Result};

/// The most bytes of one image.
pub const MAX_IMAGE: u64 = 256 << 20;
/// Endings of files that are taken from folders and tars. Files that are named may have any.
const ENDINGS: [&str; 12] = ["jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "pbm", "pnm"];

/// An image that is not read yet, or the reason why there is none.
pub struct InputImage {
    pub name: String,
    content: Content,
}

enum Content {
    File(PathBuf),
    Bytes(Vec<u8>),
    Unreadable(String),
}

impl InputImage {
    fn file(path: PathBuf) -> Self {
        Self { name: path.display().to_string(), content: Content::File(path) }
    }

    /// The square of `size` pixels that a network takes its crops from, or a message that names the image.
    pub fn square(self, size: usize, options: &DecodeOptions) -> std::result::Result<Vec<u8>, String> {
        match self.content {
            Content::File(path) => data::read_square_with(&path, size, options).map_err(|error| error.to_string()),
            Content::Bytes(bytes) => {
                let square = ImageContent::Encoded(bytes).into_square(size, options);
                square.map(|image| image.pixels().to_vec()).map_err(|error| format!("{}: {error}", self.name))
            }
            Content::Unreadable(what) => Err(what),
        }
    }
}

/// All images of the command line, in order, read as they are needed.
pub struct Inputs {
    /// Images that are in memory.
    waiting: Vec<InputImage>,
    paths: Vec<PathBuf>,
}

/// Images that are read from tars before they are asked for.
const AHEAD: usize = 32;

impl Inputs {
    /// The images of arguments. Folders and patterns are listed at once.
    pub fn open(arguments: &[PathBuf]) -> Result<Self> {
        let mut paths = Vec::new();
        let mut waiting = Vec::new();
        for argument in arguments {
            if argument.as_os_str() == "-" {
                read_standard_input(&mut waiting, &mut paths)?;
            } else {
                paths.extend(expand(argument)?);
            }
        }
        Ok(Self { waiting, paths })
    }

    /// The number of images, where it is known.
    pub fn count(&self) -> Option<u64> {
        let has_tar = self.paths.iter().any(|path| is_tar_name(path));
        (!has_tar).then_some((self.waiting.len() + self.paths.len()) as u64)
    }

    /// The images, found by a thread of their own.
    pub fn images(self) -> Receiver<InputImage> {
        let (sender, receiver) = sync_channel(AHEAD);
        thread::spawn(move || {
            // Fails when nobody listens any more.
            let _ = self.send_all(&sender);
        });
        receiver
    }

    fn send_all(self, sender: &SyncSender<InputImage>) -> std::result::Result<(), SendError<InputImage>> {
        self.waiting.into_iter().try_for_each(|image| sender.send(image))?;
        for path in self.paths {
            if is_tar_name(&path) {
                send_tar(&path, sender)?;
            } else {
                sender.send(InputImage::file(path))?;
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: &io::Error) -> InputImage {
    let name = path.display().to_string();
    let what = format!("{name}: cannot be read: {error}");
    InputImage { name, content: Content::Unreadable(what) }
}

pub fn has_image_ending(path: &Path) -> bool {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    ENDINGS.contains(&ending.as_str())
}

fn is_tar_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    [".tar", ".tar.gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// The files of an argument: itself, all images below a folder, or those that a pattern matches.
pub fn expand(argument: &Path) -> Result<Vec<PathBuf>> {
    if argument.is_dir() {
        let mut found = Vec::new();
        list(argument, &mut found)?;
        if found.is_empty() {
            let what =
                format!("{}: no images are in this folder or below it ({})", argument.display(), ENDINGS.join(", "));
            return Err(Failure::Failed(what));
        }
        return Ok(found);
    }
    let text = argument.to_string_lossy();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Err(Failure::Usage(format!("{text}: images are not downloaded; download it first, or pipe it to -")));
    }
    if argument.exists() || !text.contains(['*', '?', '[']) {
        return Ok(vec![argument.to_path_buf()]);
    }
    let paths = glob::glob(&text).map_err(|error| Failure::Usage(format!("{text}: not a pattern: {error}")))?;
    let found: Vec<PathBuf> = paths.filter_map(std::result::Result::ok).filter(|path| path.is_file()).collect();
    if found.is_empty() {
        return Err(Failure::Failed(format!("{text}: no file matches this pattern")));
    }
    Ok(found)
}

/// Adds the images of a folder and all below it, by name. Links to folders are not followed, as they may be circles.
fn list(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let cannot = |error: io::Error| Failure::Failed(format!("{}: cannot be listed: {error}", folder.display()));
    let mut entries = fs::read_dir(folder).map_err(cannot)?.collect::<io::Result<Vec<_>>>().map_err(cannot)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().map_err(cannot)?.is_dir() {
            list(&path, found)?;
        } else if has_image_ending(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// One image, or paths, one a line.
fn read_standard_input(waiting: &mut Vec<InputImage>, paths: &mut Vec<PathBuf>) -> Result<()> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MAX_IMAGE + 1).read_to_end(&mut bytes);
    read.map_err(|error| Failure::Failed(format!("standard input cannot be read: {error}")))?;
    if bytes.len() as u64 > MAX_IMAGE {
        return Err(Failure::Failed("standard input: more than 256 MiB; give files, folders or a tar".into()));
    }
    let is_pnm =
        bytes.len() > 2 && bytes[0] == b'P' && (b'1'..=b'7').contains(&bytes[1]) && bytes[2].is_ascii_whitespace();
    match String::from_utf8(bytes) {
        Ok(text) if !is_pnm && !text.contains('\0') => {
            paths.extend(text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(PathBuf::from));
        }
        Ok(text) => waiting.push(standard_input(text.into_bytes())),
        Err(error) => waiting.push(standard_input(error.into_bytes())),
    }
    Ok(())
}

fn standard_input(bytes: Vec<u8>) -> InputImage {
    InputImage { name: "-".into(), content: Content::Bytes(bytes) }
}

/// Sends the images of a tar, compressed by gzip or not. An error of the archive takes the place of the rest.
fn send_tar(path: &Path, sender: &SyncSender<InputImage>) -> std::result::Result<(), SendError<InputImage>> {
    let mut archive = match open_tar(path) {
        Ok(archive) => archive,
        Err(error) => return sender.send(unreadable(path, &error)),
    };
    let entries = match archive.entries() {
        Ok(entries) => entries,
        Err(error) => return sender.send(unreadable(path, &error)),
    };
    for entry in entries {
        match entry.and_then(|entry| tar_image(path, entry)) {
            Ok(Some(image)) => sender.send(image)?,
            Ok(None) => {}
            Err(error) => return sender.send(unreadable(path, &error)),
        }
    }
    Ok(())
}

fn open_tar(path: &Path) -> io::Result<tar::Archive<Box<dyn Read>>> {
    let mut file = BufReader::new(File::open(path)?);
    let is_gzip = file.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    let reader: Box<dyn Read> = if is_gzip { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(tar::Archive::new(reader))
}

/// The image of an entry, if it is one by its name.
fn tar_image(tar: &Path, mut entry: tar::Entry<'_, Box<dyn Read>>) -> io::Result<Option<InputImage>> {
    let path = entry.path()?.into_owned();
    if !entry.header().entry_type().is_file() || !has_image_ending(&path) {
        return Ok(None);
    }
    let name = format!("{}/{}", tar.display(), path.display());
    if entry.size() > MAX_IMAGE {
        let what = format!("{name}: {} bytes are over the limit of 256 MiB", entry.size());
        return Ok(Some(InputImage { name, content: Content::Unreadable(what) }));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(Some(InputImage { name, content: Content::Bytes(bytes) }))
}

//! IDX, the format of MNIST and Fashion-MNIST: a file of images and one of labels, either of them optionally gzipped.
//!
//! Header: two zeros, the value type (8: u8), the number of axes, and the length of each axis as a big-endian u32; then
//! the values. Images are `[n, rows, columns]` or `[n, rows, columns, 3]`; labels `[n]`. The labels of
//! `train-images-...` are in `train-labels-...` in the same folder; a folder's training set is `train-*`, its test set
//! `t10k-*` or `test-*`. Torchvision keeps the files in `raw`.
//!
//! EMNIST prefixes names with the set: `emnist-letters-train-images-idx3-ubyte`. A folder with several sets is refused
//! as ambiguous. Classes are named by `emnist-letters-mapping.txt` if it exists.

use std::collections::BTreeSet;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::archive::{Container, GZIP, Gunzip, open_file};
use super::labels::read_text;
use super::numeric_labels::numeric_classes;
use super::sample_list::SampleListBuilder;
use super::{
    ImageContent, ImageReader, SampleList, Source, SourceOptions, Split, file_name, files_of, is_file, is_folder, list,
};
use crate::decode::Image;
use crate::error::{BadImage, Error, Result};

/// Maximum decompressed size, which is held in memory; larger sets must be uncompressed files, which are read in place.
const MAX_DECOMPRESSED: u64 = 1 << 30;

/// Values of a file, in memory if it was compressed.
enum IdxValues {
    Plain { file: Container, header: u64 },
    Unpacked(Vec<u8>),
}

struct IdxFile {
    values: IdxValues,
    shape: Vec<u64>,
}

/// Whether bytes start like an IDX file with 1, 3 or 4 axes.
pub(super) fn is_idx(start: &[u8]) -> bool {
    matches!(start, [0, 0, 8, 1 | 3 | 4, ..])
}

/// The first bytes of a file, decompressed.
pub(super) fn start(path: &Path) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    let mut file = reader(path)?;
    // A damaged gzip file is not IDX either.
    let _ = file.by_ref().take(64).read_to_end(&mut start);
    Ok(start)
}

/// Whether a name is that of an images file.
pub(super) fn is_name(name: &str) -> bool {
    name.contains("images") && (name.contains("idx3") || name.contains("idx4"))
}

fn reader(path: &Path) -> Result<Box<dyn Read>> {
    let fail = || Error::io(path, "cannot be read");
    let mut file = BufReader::new(open_file(path)?.0);
    let compressed = std::io::BufRead::fill_buf(&mut file).map_err(fail())?.starts_with(&GZIP);
    Ok(if compressed { Box::new(Gunzip::new(file)) } else { Box::new(file) })
}

impl IdxFile {
    fn open(path: &Path) -> Result<Self> {
        let wrong = |what: String| Error::source(path, what);
        let mut reader = reader(path)?;
        let mut magic = [0; 4];
        let cut = |e: std::io::Error| wrong(format!("cut short or damaged: {e}; copy it again"));
        reader.read_exact(&mut magic).map_err(cut)?;
        if !is_idx(&magic) {
            return Err(wrong(format!("begins with {magic:02x?}; expected an IDX file of bytes (00 00 08)")));
        }
        let mut shape = vec![0; magic[3].into()];
        for axis in &mut shape {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(cut)?;
            *axis = u64::from(u32::from_be_bytes(length));
        }
        let expected = shape.iter().try_fold(1u64, |n, &axis| n.checked_mul(axis));
        let expected = expected.ok_or_else(|| wrong(format!("the impossible shape {shape:?}")))?;
        let header = 4 + 4 * shape.len() as u64;
        let file = Container::open(path)?;
        let values = if file.start(0)?.starts_with(&GZIP) {
            IdxValues::Unpacked(decompress(path, reader, expected)?)
        } else {
            let found = file.length - header.min(file.length);
            if found != expected {
                return Err(wrong(format!(
                    "{found} bytes for the shape {shape:?}, expected {expected}; copy it again"
                )));
            }
            IdxValues::Plain { file, header }
        };
        Ok(Self { values, shape })
    }

    /// Reads `length` values from `offset` on.
    fn get(&self, offset: u64, length: u64) -> Result<Vec<u8>, BadImage> {
        match &self.values {
            IdxValues::Plain { file, header } => file.read_image(header + offset, length),
            IdxValues::Unpacked(bytes) => Ok(bytes[offset as usize..(offset + length) as usize].to_vec()),
        }
    }
}

/// Decompresses the data after the header, which must be exactly `expected` bytes.
fn decompress(path: &Path, reader: impl Read, expected: u64) -> Result<Vec<u8>> {
    if expected > MAX_DECOMPRESSED {
        let what = format!("{expected} bytes when unpacked, at most {MAX_DECOMPRESSED} are; unpack it first (gunzip)");
        return Err(Error::source(path, what));
    }
    let mut bytes = Vec::new();
    let wrong = |what: String| Error::source(path, format!("{what}; copy it again"));
    reader.take(expected + 1).read_to_end(&mut bytes).map_err(|e| wrong(format!("cut short or damaged: {e}")))?;
    match bytes.len() as u64 {
        n if n == expected => Ok(bytes),
        n => Err(wrong(format!(
            "unpacks to {} bytes than the {expected} of its header",
            if n > expected { "more" } else { "fewer" }
        ))),
    }
}

/// Reader of images of one size.
struct IdxImages {
    idx: IdxFile,
    height: usize,
    width: usize,
    channels: usize,
}

impl ImageReader for IdxImages {
    fn read(&self, _: &SampleList, index: usize) -> Result<ImageContent, BadImage> {
        let length = (self.height * self.width * self.channels) as u64;
        let values = self.idx.get(index as u64 * length, length)?;
        let pixels = if self.channels == 1 { values.iter().flat_map(|&v| [v; 3]).collect() } else { values };
        let wrong = || BadImage::ZeroSize { width: self.width as u64, height: self.height as u64 };
        Image::new(self.width, self.height, pixels).map(ImageContent::Pixels).ok_or_else(wrong)
    }
}

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let images = images_file(path, options.split)?;
    let labels_path = labels_file(&images)?;
    let idx = IdxFile::open(&images)?;
    let (n, height, width, channels) = match *idx.shape.as_slice() {
        [n, height, width] => (n, height, width, 1),
        [n, height, width, 3] => (n, height, width, 3),
        ref shape => {
            let what = format!("the shape {shape:?}; expected [n, rows, columns] or [n, rows, columns, 3]");
            return Err(Error::source(&images, what));
        }
    };
    let labels = IdxFile::open(&labels_path)?;
    if labels.shape != [n] || n == 0 {
        let what = format!("the shape {:?}; expected [{n}], a label for each image", labels.shape);
        return Err(Error::source(&labels_path, what));
    }
    let labels = labels.get(0, n).map_err(|e| Error::source(&labels_path, e.to_string()))?;
    let reader = IdxImages { idx, height: height as usize, width: width as usize, channels };
    let largest = labels.iter().copied().max().unwrap_or(0);
    let used = labels.iter().map(|&label| label.into()).collect();
    let numeric_classes = numeric_classes(path, &used, mapping(&images, largest)?, options)?;
    let mut builder = SampleListBuilder::new(numeric_classes.classes.clone());
    let name = file_name(&images);
    for (index, &label) in labels.iter().enumerate() {
        let content = reader.idx.get(index as u64 * height * width * channels as u64, height * width * channels as u64);
        let content = content.map_err(|e| Error::source(&images, e.to_string()))?;
        builder.push(
            format!("{name}/{index:05}").as_bytes(),
            crc32c::crc32c(&content).into(),
            numeric_classes.label_of(label.into()),
        );
    }
    let side = (height == width).then_some(reader.width);
    let note = name.starts_with("emnist").then(|| {
        "EMNIST stores its images transposed, rows for columns; they are kept as they are, as torchvision does"
            .to_string()
    });
    let source = Source::new(builder.finish(), reader).with_notes(note.into_iter().collect());
    Ok(match side {
        Some(side) => source.with_side(side),
        None => source,
    })
}

/// Folder with IDX images: `path`, its `raw`, or the `raw` of the only subfolder that has one.
///
/// # Errors
/// [`Error::Source`] if several subfolders have one.
pub(super) fn folder_of(path: &Path) -> Result<Option<PathBuf>> {
    let holds = |folder: &Path| Ok::<_, Error>(is_folder(folder)? && !files_of(folder, is_name)?.is_empty());
    for folder in [path.to_path_buf(), path.join("raw")] {
        if holds(&folder)? {
            return Ok(Some(folder));
        }
    }
    let mut found = Vec::new();
    for (name, _) in list(path)? {
        let raw = path.join(name).join("raw");
        if holds(&raw)? {
            found.push(raw);
        }
    }
    match found.as_slice() {
        [_, _, ..] => {
            let shown: Vec<String> = found.iter().map(|folder| folder.display().to_string()).collect();
            Err(Error::source(path, format!("holds several sets; give one of them: {}", shown.join(", "))))
        }
        _ => Ok(found.pop()),
    }
}

/// Prefix before `train-images` or similar in the name of an images file of `split`; `None` for another split.
fn set_prefix(name: &str, split: Split) -> Option<&str> {
    let parts: &[&str] = match split {
        Split::Train => &["train"],
        Split::Test => &["t10k", "test"],
    };
    let before = &name[..name.find("images")?];
    let before = before.strip_suffix(['-', '_', '.']).unwrap_or(before);
    let set = parts.iter().find_map(|part| before.strip_suffix(part))?;
    (set.is_empty() || set.ends_with(['-', '_', '.'])).then_some(set)
}

fn images_file(path: &Path, split: Split) -> Result<PathBuf> {
    if !is_folder(path)? {
        return Ok(path.to_path_buf());
    }
    let folder = folder_of(path)?.unwrap_or_else(|| path.to_path_buf());
    let files = files_of(&folder, |name| is_name(name) && set_prefix(name, split).is_some())?;
    let name = |file: &PathBuf| file_name(file);
    let sets: BTreeSet<String> =
        files.iter().filter_map(|file| set_prefix(&name(file), split).map(str::to_string)).collect();
    if sets.len() > 1 {
        let names: Vec<String> = files.iter().map(name).collect();
        let example = files[0].display();
        let what =
            format!("holds several sets; give the file of images of one, such as {example}: {}", names.join(", "));
        return Err(Error::source(&folder, what));
    }
    // The same set twice, uncompressed and compressed.
    let plain = files.iter().find(|file| !name(file).ends_with(".gz"));
    let part = if split == Split::Train { "train" } else { "t10k" };
    plain
        .or(files.first())
        .cloned()
        .ok_or_else(|| Error::source(&folder, format!("holds no {part}-images-idx3-ubyte, with or without .gz")))
}

/// EMNIST's names for the classes 0 to `largest`; each line has a class number and the codes of its characters.
fn mapping(images: &Path, largest: u8) -> Result<Option<Vec<String>>> {
    let name = file_name(images);
    let set = [Split::Train, Split::Test].iter().find_map(|&split| set_prefix(&name, split)).unwrap_or_default();
    let path = images.with_file_name(format!("{set}mapping.txt"));
    if !set.starts_with("emnist") || !is_file(&path)? {
        return Ok(None);
    }
    let mut names: Vec<String> = (0..=largest).map(|label| label.to_string()).collect();
    for line in read_text(&path)?.lines().filter(|line| !line.trim().is_empty()) {
        let numbers: Option<Vec<u32>> = line.split_whitespace().map(|word| word.parse().ok()).collect();
        let numbers = numbers.filter(|numbers| numbers.len() >= 2 && numbers[0] < 256);
        let expected = || Error::source(&path, format!("{line:?}; expected a class and the codes of its characters"));
        let numbers = numbers.ok_or_else(expected)?;
        let class = numbers[0] as usize;
        names.extend((names.len()..=class).map(|label| label.to_string()));
        names[class] = numbers[1..].iter().filter_map(|&code| char::from_u32(code)).collect();
    }
    Ok(Some(names))
}

/// The labels file beside an images file; either may be compressed.
fn labels_file(images: &Path) -> Result<PathBuf> {
    let name = file_name(images);
    let bare = name.strip_suffix(".gz").unwrap_or(&name);
    let wanted = bare.replacen("images", "labels", 1).replacen("idx3", "idx1", 1).replacen("idx4", "idx1", 1);
    for path in [wanted.clone(), format!("{wanted}.gz")].map(|name| images.with_file_name(name)) {
        if wanted != bare && is_file(&path)? {
            return Ok(path);
        }
    }
    Err(Error::source(images, format!("expected its labels beside it in {wanted}, with or without .gz")))
}

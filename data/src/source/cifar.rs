//! CIFAR-10 and CIFAR-100 in their binary form: records of a label (CIFAR-100: a coarse and a fine one), then 3 planes of
//! 32 x 32 bytes, R, G and B.
//!
//! A folder's training set is `data_batch_*.bin` or `train.bin`, its test set `test_batch.bin` or `test.bin`; the names of
//! the classes are in `batches.meta.txt` or `fine_label_names.txt`. CIFAR-100's labels are the 100 fine ones.

use std::fs;
use std::path::{Path, PathBuf};

use super::archive::Container;
use super::catalogue::{Lister, numbered};
use super::{Catalogue, Content, Pictures, Reading, Source, Split, file_name, files_of};
use crate::error::{BadPicture, Error, Result};
use crate::picture::Picture;

const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE * 3;

struct Records {
    files: Vec<Container>,
    /// The number of the first record of each file.
    firsts: Vec<usize>,
    /// Bytes of labels before the pixels of a record.
    labels: usize,
}

impl Pictures for Records {
    fn read(&self, _: &Catalogue, index: usize) -> Result<Content, BadPicture> {
        let file = self.firsts.partition_point(|&first| first <= index) - 1;
        let record = index - self.firsts[file];
        let offset = record * (self.labels + PIXELS) + self.labels;
        let planes = self.files[file].picture(offset as u64, PIXELS as u64)?;
        let (plane, wrong) = (SIDE * SIDE, || BadPicture::Damaged("not 32 x 32 pixels".into()));
        let pixels = (0..plane).flat_map(|at| [planes[at], planes[at + plane], planes[at + 2 * plane]]).collect();
        Picture::new(SIDE, SIDE, pixels).map(Content::Pixels).ok_or_else(wrong)
    }
}

/// Whether a file of this folder or by this name is of CIFAR.
pub(super) fn is_name(name: &str) -> bool {
    let batch = name.strip_prefix("data_batch_").and_then(|rest| rest.strip_suffix(".bin"));
    batch.is_some_and(|n| n.parse::<u32>().is_ok()) || matches!(name, "test_batch.bin" | "train.bin" | "test.bin")
}

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source> {
    let paths = files(path, reading.split)?;
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
    let labels = labels_a_record(&paths)?;
    let (mut records, mut all) = (Records { files: Vec::new(), firsts: Vec::new(), labels }, Vec::new());
    for path in &paths {
        let file = Container::open(path)?;
        records.firsts.push(all.len());
        read_labels(&file, labels, &mut all)?;
        records.files.push(file);
    }
    let (file, classes) = if labels == 2 { ("fine_label_names.txt", 100) } else { ("batches.meta.txt", 10) };
    // All of them, also where one file lacks some.
    let own = names(folder, file)?.unwrap_or_else(|| (0..classes).map(|class: u32| class.to_string()).collect());
    let largest = all.iter().map(|&(label, _)| label).max().unwrap_or(0);
    let mut lister = Lister::new(numbered(path, largest.into(), Some(own), reading)?);
    for (file, path) in paths.iter().enumerate() {
        let end = records.firsts.get(file + 1).copied().unwrap_or(all.len());
        for (record, &(label, checksum)) in all[records.firsts[file]..end].iter().enumerate() {
            lister.push(format!("{}/{record:05}", file_name(path)).as_bytes(), checksum.into(), label.into());
        }
    }
    Ok(Source::new(lister.finish(), records).with_side(SIDE))
}

fn files(path: &Path, split: Split) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let wanted = |name: &str| {
        let test = matches!(name, "test_batch.bin" | "test.bin");
        is_name(name) && test == (split == Split::Test)
    };
    let files = files_of(path, wanted)?;
    let expected = match split {
        Split::Train => "data_batch_1.bin to data_batch_5.bin (CIFAR-10) or train.bin (CIFAR-100)",
        Split::Test => "test_batch.bin (CIFAR-10) or test.bin (CIFAR-100)",
    };
    match files.is_empty() {
        true => Err(Error::source(path, format!("expected {expected}"))),
        false => Ok(files),
    }
}

/// 1 for CIFAR-10, 2 for CIFAR-100: by name, or by what divides the length.
fn labels_a_record(paths: &[PathBuf]) -> Result<usize> {
    let mut both = [true, true];
    for path in paths {
        let length = fs::metadata(path).map_err(Error::io(path, "cannot be read"))?.len();
        for (labels, fits) in (1..).zip(&mut both) {
            *fits &= length > 0 && length.is_multiple_of(labels + PIXELS as u64);
        }
        if both == [false, false] {
            let what =
                format!("{length} bytes; expected a multiple of 3073 (CIFAR-10) or 3074 (CIFAR-100); copy it again");
            return Err(Error::source(path, what));
        }
    }
    let hundred = paths.iter().any(|p| matches!(file_name(p).as_str(), "train.bin" | "test.bin"));
    Ok(if both == [false, true] || both == [true, true] && hundred { 2 } else { 1 })
}

/// The label of each record and a checksum of its pixels, which tells one from another of the same name.
fn read_labels(file: &Container, labels: usize, all: &mut Vec<(u8, u32)>) -> Result<()> {
    let mut record = vec![0; labels + PIXELS];
    for at in 0..file.length / record.len() as u64 {
        let offset = at * record.len() as u64;
        file.read_at(offset, &mut record).map_err(Error::io(&file.path, "cannot be read"))?;
        let (label, most) = (record[labels - 1], if labels == 1 { 9 } else { 99 });
        if label > most {
            let what = format!("record {at} at offset {offset}: the label {label}, expected 0 to {most}");
            return Err(Error::source(&file.path, what));
        }
        all.push((label, crc32c::crc32c(&record[labels..])));
    }
    Ok(())
}

/// The lines of a file of names, if it is there.
fn names(folder: &Path, name: &str) -> Result<Option<Vec<String>>> {
    let path = folder.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(Some(lines.map(str::to_string).collect()))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(&path, "cannot be read")(e)),
    }
}

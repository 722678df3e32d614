//! CIFAR-10 and CIFAR-100, as folders, single files, or the `.tar.gz` that they are distributed as:
//! - in binary form, records of a label (CIFAR-100: a coarse and a fine one), then 3 planes of 32 x 32 bytes, R, G and B;
//! - in their Python form, pickles of a dict with `labels` (or `fine_labels`) and `data`, an array of such planes.
//!
//! The training set is `data_batch_*` or `train`, the test set `test_batch` or `test`, with `.bin` in the binary form; the
//! names of the classes are in `batches.meta(.txt)`, `fine_label_names.txt` or `meta`. CIFAR-100's labels are the 100 fine ones.

mod batches;
mod files;
mod pickle;

use std::path::Path;
use std::sync::Arc;

use super::archive::Container;
use super::catalogue::Lister;
use super::numbered::numbered;
use super::{Catalogue, Content, ImageReader, Reading, Source, Split, is_folder};
use crate::decode::Image;
use crate::error::{BadImage, Error, Result};
use files::Part;
pub(super) use files::{begins_archive, folder_of, is_member, is_name};
use pickle::Pickle;
pub(super) use pickle::is_pickle;

const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE * 3;
/// The largest pickle that is read: CIFAR-100's has 155 MB.
const MAX_PICKLE: u64 = 512 << 20;

/// The records of a file: where their pixels are, and their labels.
struct RecordFile {
    name: String,
    file: Arc<Container>,
    /// Where the pixels of the first are.
    start: u64,
    /// From the pixels of one to those of the next.
    step: u64,
    labels: Vec<u8>,
    /// CIFAR-100.
    hundred: bool,
}

struct Records {
    files: Vec<RecordFile>,
    /// The number of the first record of each file.
    firsts: Vec<usize>,
}

impl ImageReader for Records {
    fn read(&self, _: &Catalogue, index: usize) -> Result<Content, BadImage> {
        let at = self.firsts.partition_point(|&first| first <= index) - 1;
        let file = &self.files[at];
        let offset = file.start + (index - self.firsts[at]) as u64 * file.step;
        let planes = file.file.image(offset, PIXELS as u64)?;
        let plane = SIDE * SIDE;
        let pixels = (0..plane).flat_map(|at| [planes[at], planes[at + plane], planes[at + 2 * plane]]).collect();
        let wrong = || BadImage::Damaged("not 32 x 32 pixels".into());
        Image::new(SIDE, SIDE, pixels).map(Content::Pixels).ok_or_else(wrong)
    }
}

pub(super) fn open(path: &Path, reading: &Reading) -> Result<Source> {
    let parts = files::parts(path)?;
    let is_single = parts.iter().filter(|part| !files::is_names(&part.name)).count() == 1 && !is_folder(path)?;
    let wanted = |part: &&Part| !files::is_names(&part.name) && (is_single || files::is_of(&part.name, reading.split));
    let chosen: Vec<&Part> = parts.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let expected = match reading.split {
            Split::Train => "data_batch_1.bin to data_batch_5.bin (CIFAR-10) or train.bin (CIFAR-100)",
            Split::Test => "test_batch.bin (CIFAR-10) or test.bin (CIFAR-100)",
        };
        return Err(Error::source(path, format!("expected {expected}, or the same of the Python form without .bin")));
    }
    if !is_single {
        batches::check(path, &chosen)?;
    }
    let files = chosen.iter().map(|part| records(part, &chosen)).collect::<Result<Vec<RecordFile>>>()?;
    let hundred = files.iter().any(|file| file.hundred);
    if !files.iter().all(|file| file.hundred == hundred) {
        return Err(Error::source(path, "holds files of CIFAR-10 and of CIFAR-100; expected one of them"));
    }
    let count = if hundred { 100 } else { 10u32 };
    // All of them, also where one file lacks some.
    let own = class_names(&parts, hundred)?.unwrap_or_else(|| (0..count).map(|class| class.to_string()).collect());
    let used = files.iter().flat_map(|file| &file.labels).map(|&label| label.into()).collect();
    let numbered = numbered(path, &used, Some(own), reading)?;
    let mut lister = Lister::new(numbered.classes.clone());
    let mut firsts = Vec::new();
    let mut total = 0;
    let mut pixels = vec![0; PIXELS];
    for file in &files {
        firsts.push(total);
        total += file.labels.len();
        for (record, &label) in file.labels.iter().enumerate() {
            let offset = file.start + record as u64 * file.step;
            file.file.read_at(offset, &mut pixels).map_err(Error::io(&file.file.path, "cannot be read"))?;
            // A checksum tells a record from another of the same name.
            let checksum = crc32c::crc32c(&pixels);
            lister.push(format!("{}/{record:05}", file.name).as_bytes(), checksum.into(), numbered.place(label.into()));
        }
    }
    let notes = if is_single { Vec::new() } else { batches::notes(&files) };
    Ok(Source::new(lister.finish(), Records { files, firsts }).with_side(SIDE).with_notes(notes))
}

fn records(part: &Part, all: &[&Part]) -> Result<RecordFile> {
    let begin = part.file.bytes_at(part.start, part.length.min(2) as usize)?;
    if is_pickle(&begin) && !part.name.ends_with(".bin") { python(part) } else { binary(part, all) }
}

fn wrong(part: &Part, what: impl std::fmt::Display) -> Error {
    let name = if part.file.path.ends_with(&part.name) { String::new() } else { format!("{}: ", part.name) };
    Error::source(&part.file.path, format!("{name}{what}"))
}

fn check_label(part: &Part, at: &str, label: i64, hundred: bool) -> Result<u8> {
    let most = if hundred { 99 } else { 9 };
    match u8::try_from(label) {
        Ok(label) if label <= most => Ok(label),
        _ => Err(wrong(part, format!("{at}: the label {label}, expected 0 to {most}"))),
    }
}

fn binary(part: &Part, all: &[&Part]) -> Result<RecordFile> {
    let labels = labels_a_record(all)?;
    let step = labels as u64 + PIXELS as u64;
    let mut found = Vec::new();
    for at in 0..part.length / step {
        let offset = part.start + at * step;
        let label = part.file.bytes_at(offset + labels as u64 - 1, 1)?[0];
        let place = format!("record {at} at offset {}", at * step);
        found.push(check_label(part, &place, label.into(), labels == 2)?);
    }
    let file = Arc::clone(&part.file);
    Ok(RecordFile {
        name: part.name.clone(),
        file,
        start: part.start + labels as u64,
        step,
        labels: found,
        hundred: labels == 2,
    })
}

/// 1 for CIFAR-10, 2 for CIFAR-100: by name, or by what divides the length.
fn labels_a_record(parts: &[&Part]) -> Result<usize> {
    let mut both = [true, true];
    for part in parts {
        for (labels, fits) in (1..).zip(&mut both) {
            *fits &= part.length > 0 && part.length.is_multiple_of(labels + PIXELS as u64);
        }
        if both == [false, false] {
            let expected = "expected a multiple of 3073 (CIFAR-10) or 3074 (CIFAR-100); copy it again";
            return Err(wrong(part, format!("{} bytes; {expected}", part.length)));
        }
    }
    let hundred = parts.iter().any(|part| matches!(part.name.as_str(), "train.bin" | "test.bin"));
    Ok(if both == [false, true] || both == [true, true] && hundred { 2 } else { 1 })
}

fn python(part: &Part) -> Result<RecordFile> {
    if part.length > MAX_PICKLE {
        return Err(wrong(part, format!("{} bytes, at most {MAX_PICKLE} are read as a pickle", part.length)));
    }
    let bytes = part.bytes()?;
    let pickle = Pickle::read(&bytes).map_err(|what| wrong(part, format!("no pickle of CIFAR: {what}")))?;
    let fine = pickle.numbers("fine_labels");
    let hundred = fine.is_some();
    let labels = fine.or_else(|| pickle.numbers("labels"));
    let Some((labels, (range, rows))) = labels.zip(pickle.array("data", PIXELS)) else {
        let expected = "expected a dict of \"labels\" or \"fine_labels\", and \"data\", bytes of the shape [n, 3072]";
        return Err(wrong(part, format!("no pickle of CIFAR: {expected}")));
    };
    if labels.len() != rows || rows == 0 {
        return Err(wrong(part, format!("{} labels for {rows} images", labels.len())));
    }
    let check = |(at, &label): (usize, &i64)| check_label(part, &format!("label {at}"), label, hundred);
    let labels = labels.iter().enumerate().map(check).collect::<Result<_>>()?;
    let start = part.start + range.start as u64;
    Ok(RecordFile {
        name: part.name.clone(),
        file: Arc::clone(&part.file),
        start,
        step: PIXELS as u64,
        labels,
        hundred,
    })
}

/// The names of the classes, if they are there.
fn class_names(parts: &[Part], hundred: bool) -> Result<Option<Vec<String>>> {
    let [text, binary, key] = if hundred {
        ["fine_label_names.txt", "meta", "fine_label_names"]
    } else {
        ["batches.meta.txt", "batches.meta", "label_names"]
    };
    let small = |name: &str| parts.iter().find(|part| part.name == name && part.length < 1 << 20);
    if let Some(part) = small(text) {
        let text = String::from_utf8_lossy(&part.bytes()?).into_owned();
        return Ok(Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect()));
    }
    let Some(part) = small(binary) else { return Ok(None) };
    let bytes = part.bytes()?;
    let pickle = Pickle::read(&bytes).map_err(|what| wrong(part, format!("no pickle of CIFAR: {what}")))?;
    let names = pickle.texts(key).ok_or_else(|| wrong(part, format!("expected a dict with a list of text {key:?}")))?;
    Ok(Some(names))
}

//! CIFAR-10 and CIFAR-100, as folders, single files, or the original `.tar.gz`:
//! - binary version: records of a label (CIFAR-100: a coarse and a fine one), then 3 planes of 32 x 32 bytes, R, G and
//!   B;
//! - Python version: pickles of a dict with `labels` (or `fine_labels`) and `data`, an array of such planes.
//!
//! The training set is `data_batch_*` or `train`, the test set `test_batch` or `test`, with `.bin` in the binary
//! version; class names are in `batches.meta(.txt)`, `fine_label_names.txt` or `meta`. CIFAR-100's labels are the 100
//! fine ones.

mod batches;
mod files;
mod pickle;

use std::path::Path;
use std::sync::Arc;

use super::archive::Container;
use super::numeric_labels::numeric_classes;
use super::sample_list::SampleListBuilder;
use super::{ImageContent, ImageReader, SampleList, Source, SourceOptions, Split, is_folder};
use crate::decode::Image;
use crate::error::{BadImage, Error, Result};
use files::CifarFile;
pub(super) use files::{begins_archive, folder_of, is_member, is_name};
use pickle::Pickle;
pub(super) use pickle::is_pickle;

const SIDE: usize = 32;
const PIXELS: usize = SIDE * SIDE * 3;
/// Maximum size of a pickle; CIFAR-100's has 155 MB.
const MAX_PICKLE: u64 = 512 << 20;

/// Positions and labels of the records of a file.
struct RecordFile {
    name: String,
    file: Arc<Container>,
    /// Offset of the first record's pixels.
    start: u64,
    /// Distance between the pixels of consecutive records.
    step: u64,
    labels: Vec<u8>,
    /// Whether it is CIFAR-100.
    is_cifar100: bool,
}

struct CifarReader {
    files: Vec<RecordFile>,
    /// Index of the first record of each file.
    first_records: Vec<usize>,
}

impl ImageReader for CifarReader {
    fn read(&self, _: &SampleList, index: usize) -> Result<ImageContent, BadImage> {
        let at = self.first_records.partition_point(|&first| first <= index) - 1;
        let file = &self.files[at];
        let offset = file.start + (index - self.first_records[at]) as u64 * file.step;
        let planes = file.file.read_image(offset, PIXELS as u64)?;
        let plane = SIDE * SIDE;
        let pixels = (0..plane).flat_map(|at| [planes[at], planes[at + plane], planes[at + 2 * plane]]).collect();
        let file_error = || BadImage::Damaged("not 32 x 32 pixels".into());
        Image::new(SIDE, SIDE, pixels).map(ImageContent::Pixels).ok_or_else(file_error)
    }
}

pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source> {
    let found = files::find_files(path)?;
    let is_single = found.iter().filter(|file| !files::is_class_names(&file.name)).count() == 1 && !is_folder(path)?;
    let wanted = |file: &&CifarFile| {
        !files::is_class_names(&file.name) && (is_single || files::is_of_split(&file.name, options.split))
    };
    let chosen: Vec<&CifarFile> = found.iter().filter(wanted).collect();
    if chosen.is_empty() {
        let expected = match options.split {
            Split::Train => "data_batch_1.bin to data_batch_5.bin (CIFAR-10) or train.bin (CIFAR-100)",
            Split::Test => "test_batch.bin (CIFAR-10) or test.bin (CIFAR-100)",
        };
        return Err(Error::source(path, format!("expected {expected}, or the same of the Python form without .bin")));
    }
    if !is_single {
        batches::check(path, &chosen)?;
    }
    let files = chosen.iter().map(|file| records(file, &chosen)).collect::<Result<Vec<RecordFile>>>()?;
    let is_cifar100 = files.iter().any(|file| file.is_cifar100);
    if !files.iter().all(|file| file.is_cifar100 == is_cifar100) {
        return Err(Error::source(path, "holds files of CIFAR-10 and of CIFAR-100; expected one of them"));
    }
    let count = if is_cifar100 { 100 } else { 10u32 };
    // All classes, even if a file lacks some.
    let own = class_names(&found, is_cifar100)?.unwrap_or_else(|| (0..count).map(|class| class.to_string()).collect());
    let used = files.iter().flat_map(|file| &file.labels).map(|&label| label.into()).collect();
    let classes = numeric_classes(path, &used, Some(own), options)?;
    let mut builder = SampleListBuilder::new(classes.classes.clone());
    let mut first_records = Vec::new();
    let mut total = 0;
    let mut pixels = vec![0; PIXELS];
    for file in &files {
        first_records.push(total);
        total += file.labels.len();
        for (record, &label) in file.labels.iter().enumerate() {
            let offset = file.start + record as u64 * file.step;
            file.file.read_at(offset, &mut pixels).map_err(Error::io(&file.file.path, "cannot be read"))?;
            // A checksum distinguishes records of the same name.
            let checksum = crc32c::crc32c(&pixels);
            builder.push(
                format!("{}/{record:05}", file.name).as_bytes(),
                checksum.into(),
                classes.label_of(label.into()),
            );
        }
    }
    let notes = if is_single { Vec::new() } else { batches::notes(&files) };
    Ok(Source::new(builder.finish(), CifarReader { files, first_records }).with_side(SIDE).with_notes(notes))
}

fn records(file: &CifarFile, all: &[&CifarFile]) -> Result<RecordFile> {
    let begin = file.file.bytes_at(file.start, file.length.min(2) as usize)?;
    if is_pickle(&begin) && !file.name.ends_with(".bin") { python_records(file) } else { binary_records(file, all) }
}

fn file_error(file: &CifarFile, what: impl std::fmt::Display) -> Error {
    let name = if file.file.path.ends_with(&file.name) { String::new() } else { format!("{}: ", file.name) };
    Error::source(&file.file.path, format!("{name}{what}"))
}

fn check_label(file: &CifarFile, at: &str, label: i64, is_cifar100: bool) -> Result<u8> {
    let most = if is_cifar100 { 99 } else { 9 };
    match u8::try_from(label) {
        Ok(label) if label <= most => Ok(label),
        _ => Err(file_error(file, format!("{at}: the label {label}, expected 0 to {most}"))),
    }
}

fn binary_records(file: &CifarFile, all: &[&CifarFile]) -> Result<RecordFile> {
    let labels_per_record = labels_per_record(all)?;
    let label_bytes = labels_per_record as u64;
    let step = label_bytes + PIXELS as u64;
    let is_cifar100 = labels_per_record == 2;
    let mut labels = Vec::new();
    for record in 0..file.length / step {
        // The fine label comes last.
        let offset = file.start + record * step + label_bytes - 1;
        let label = file.file.bytes_at(offset, 1)?[0];
        let position = format!("record {record} at offset {}", record * step);
        labels.push(check_label(file, &position, label.into(), is_cifar100)?);
    }
    Ok(RecordFile {
        name: file.name.clone(),
        file: Arc::clone(&file.file),
        start: file.start + label_bytes,
        step,
        labels,
        is_cifar100,
    })
}

/// Labels per record: 1 for CIFAR-10, 2 for CIFAR-100, by name or by the divisor of the length.
fn labels_per_record(files: &[&CifarFile]) -> Result<usize> {
    let mut both = [true, true];
    for file in files {
        for (labels, fits) in (1..).zip(&mut both) {
            *fits &= file.length > 0 && file.length.is_multiple_of(labels + PIXELS as u64);
        }
        if both == [false, false] {
            let expected = "expected a multiple of 3073 (CIFAR-10) or 3074 (CIFAR-100); copy it again";
            return Err(file_error(file, format!("{} bytes; {expected}", file.length)));
        }
    }
    let is_cifar100 = files.iter().any(|file| matches!(file.name.as_str(), "train.bin" | "test.bin"));
    Ok(if both == [false, true] || both == [true, true] && is_cifar100 { 2 } else { 1 })
}

fn python_records(file: &CifarFile) -> Result<RecordFile> {
    if file.length > MAX_PICKLE {
        return Err(file_error(file, format!("{} bytes, at most {MAX_PICKLE} are read as a pickle", file.length)));
    }
    let bytes = file.bytes()?;
    let pickle = Pickle::read(&bytes).map_err(|what| file_error(file, format!("no pickle of CIFAR: {what}")))?;
    let fine = pickle.numbers("fine_labels");
    let is_cifar100 = fine.is_some();
    let labels = fine.or_else(|| pickle.numbers("labels"));
    let Some((labels, (range, rows))) = labels.zip(pickle.array("data", PIXELS)) else {
        let expected = "expected a dict of \"labels\" or \"fine_labels\", and \"data\", bytes of the shape [n, 3072]";
        return Err(file_error(file, format!("no pickle of CIFAR: {expected}")));
    };
    if labels.len() != rows || rows == 0 {
        return Err(file_error(file, format!("{} labels for {rows} images", labels.len())));
    }
    let checked =
        labels.iter().enumerate().map(|(at, &label)| check_label(file, &format!("label {at}"), label, is_cifar100));
    let labels = checked.collect::<Result<_>>()?;
    let start = file.start + range.start as u64;
    Ok(RecordFile {
        name: file.name.clone(),
        file: Arc::clone(&file.file),
        start,
        step: PIXELS as u64,
        labels,
        is_cifar100,
    })
}

/// Class names, if present.
fn class_names(files: &[CifarFile], is_cifar100: bool) -> Result<Option<Vec<String>>> {
    let [text, pickled, key] = if is_cifar100 {
        ["fine_label_names.txt", "meta", "fine_label_names"]
    } else {
        ["batches.meta.txt", "batches.meta", "label_names"]
    };
    let small = |name: &str| files.iter().find(|file| file.name == name && file.length < 1 << 20);
    if let Some(file) = small(text) {
        let text = String::from_utf8_lossy(&file.bytes()?).into_owned();
        return Ok(Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_string).collect()));
    }
    let Some(file) = small(pickled) else { return Ok(None) };
    let bytes = file.bytes()?;
    let pickle = Pickle::read(&bytes).map_err(|what| file_error(file, format!("no pickle of CIFAR: {what}")))?;
    let names =
        pickle.strings(key).ok_or_else(|| file_error(file, format!("expected a dict with a list of text {key:?}")))?;
    Ok(Some(names))
}

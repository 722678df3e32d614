//! Reading HDF5 files: every size is checked against the file's length before memory is allocated.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;

use hdf5::types::{FloatSize, TypeDescriptor};
use hdf5::{Container, Dataset, File, Group, IndexType, IterationOrder, LinkType};
use ndarray::{ArrayD, IxDyn};

use super::text::{self, TextResult};
use super::{CRC, EXIF_ORIENTATION, Extra, FORMAT, MODEL_CRC, VERSION, failure, system_error};
use crate::model::Model;
use crate::weights::{
    HDF5_SIGNATURE, MAX_TENSORS, READING, Weights, byte_count, check_version, crc_of, description, refused,
    too_many_tensors, unreadable,
};
use crate::{Error, Result};

/// The most groups within groups: `optimizer/adam.m/conv1.weight`.
const MAX_DEPTH: usize = 4;

/// Loads a file, and the part of a checkpoint if it is one.
///
/// # Errors
/// Those of [`Weights::load`].
pub fn load_with(path: &Path) -> Result<(Weights, Option<Extra>)> {
    let length = check_length(path)?;
    hdf5::silence_errors(true);
    let (mut weights, extra) = match read_file(path, length) {
        // The library does not always report a failed read as such. A damaged file can be read, and fails again below.
        Err(Error::Weights { .. }) => {
            read_through(path)?;
            read_file(path, length)?
        }
        other => other?,
    };
    weights.fit(&path.display().to_string())?;
    description::check(path, &weights)?;
    Ok((weights, extra))
}

fn read_file(path: &Path, length: u64) -> Result<(Weights, Option<Extra>)> {
    let file = File::open(path).map_err(|e| failure(path, READING, "HDF5 cannot open it: ", &e.to_string()))?;
    check_format(path, &file)?;
    let damaged = |words: String| failure(path, READING, "", &words);
    let model = match attribute(&file, "model") {
        Some(text) => Some(Model::parse(&model_text(&file, text).map_err(damaged)?, &path.display().to_string())?),
        None => None,
    };
    let (mut weights, extra) = Reader::new(length).read(&file).map_err(damaged)?;
    weights.model = model;
    Ok((weights, extra))
}

/// Reads the whole file once.
///
/// # Errors
/// [`Error::File`] if the system cannot read it.
fn read_through(path: &Path) -> Result<()> {
    let mut file = fs::File::open(path).map_err(unreadable(path))?;
    std::io::copy(&mut file, &mut std::io::sink()).map_err(unreadable(path))?;
    Ok(())
}

/// Compares the file's length with the length in its first block: a clearer message than the library's.
pub(super) fn check_length(path: &Path) -> Result<u64> {
    let file = fs::File::open(path).map_err(unreadable(path))?;
    let length = file.metadata().map_err(unreadable(path))?.len();
    let mut block = Vec::with_capacity(56);
    file.take(56).read_to_end(&mut block).map_err(unreadable(path))?;
    let truncated = |needed: u64| refused(path, format!("truncated: need {needed} bytes, have {length}"));
    let Some(version) = block.get(8).filter(|_| block.starts_with(&HDF5_SIGNATURE)) else { return Err(truncated(48)) };
    // The offsets in the block of the width of offsets and of the file's end (HDF5 file format, section II.A).
    let (width, end) = match version {
        0 => (13, 40),
        1 => (13, 44),
        2 | 3 => (9, 28),
        v => {
            return Err(refused(
                path,
                format!("HDF5 of an unknown version {v}; it is damaged, or newer than this reads"),
            ));
        }
    };
    let Some(bytes) = block.get(end..end + 8) else { return Err(truncated(end as u64 + 8)) };
    if block[width] != 8 {
        return Err(refused(path, "HDF5 with other than 8-byte offsets; weights of ours have those"));
    }
    let needed = bytes.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
    match length {
        l if l < needed => Err(truncated(needed)),
        l if l > needed => Err(refused(path, format!("{} bytes follow its end; it is damaged", l - needed))),
        _ => Ok(length),
    }
}

pub(super) fn check_format(path: &Path, file: &File) -> Result<()> {
    // Listing the attributes reads their header, whose checksum distinguishes damage from absence.
    let damaged = "its header is damaged, use another copy: ";
    file.attr_names().map_err(|e| failure(path, READING, damaged, &e.to_string()))?;
    let format = attribute(file, "format").and_then(|a| text::read_text(&a).ok());
    if format.as_deref() != Some(FORMAT) {
        let keras = ["keras_version", "layer_names", "model_config"].iter().any(|name| attribute(file, name).is_some());
        let hint = if keras || file.link_exists("model_weights") { "; it looks like Keras'" } else { "" };
        let what = format!("HDF5, but not weights of ours (its attribute \"format\" is not {FORMAT:?}){hint}");
        return Err(refused(path, what));
    }
    match attribute(file, "version").map(|a| a.read_scalar::<u32>()) {
        Some(Ok(version)) => check_version(path, version, VERSION),
        _ => Err(refused(path, "its attribute \"version\" is missing or not a number; it is damaged")),
    }
}

pub(super) fn model_text(file: &File, attribute_: Container) -> TextResult<String> {
    let text = text::read_text(&attribute_).map_err(|e| format!("attribute model: {e}"))?;
    match attribute(file, MODEL_CRC).map(|a| a.read_scalar::<u32>()) {
        Some(Ok(crc)) => check_crc("model", text::crc_of(&[&text]), crc)?,
        _ => return Err(format!("attribute {MODEL_CRC} is missing or not a number; the file is damaged")),
    }
    Ok(text)
}

/// Whether the EXIF orientation was applied. Older files lack the attribute.
pub(super) fn exif_orientation(file: &File) -> TextResult<bool> {
    match attribute(file, EXIF_ORIENTATION).map(|a| a.read_scalar::<u8>()) {
        None | Some(Ok(0)) => Ok(false),
        Some(Ok(1)) => Ok(true),
        Some(_) => Err(format!("attribute {EXIF_ORIENTATION}: expected 0 or 1; the file is damaged")),
    }
}

/// An attribute, if there is one.
pub(super) fn attribute(group: &Group, name: &str) -> Option<Container> {
    group.attr(name).ok().map(|attribute| (*attribute).clone())
}

pub(super) fn check_crc(name: &str, got: u32, stored: u32) -> TextResult<()> {
    if got == stored {
        return Ok(());
    }
    Err(format!("checksum of {name} is {got:08x}, stored is {stored:08x}; the file is damaged, use another copy"))
}

/// The names in a group, none of which may be a link: it could lead out of the file, or in a circle.
fn names(group: &Group, prefix: &str) -> TextResult<Vec<String>> {
    let links = group
        .links(IndexType::Name, IterationOrder::Increasing)
        .map_err(|e| format!("group {:?} cannot be listed: {e}", group.name()))?;
    let name = |(name, info): (String, hdf5::LinkInfo)| match info.link_type {
        LinkType::Hard => Ok(name),
        _ => Err(format!("{prefix}{name} is a link to elsewhere; expected a dataset or a group")),
    };
    links.into_iter().map(name).collect()
}

/// The reader of a file: its length, and the bytes that its datasets take.
pub(super) struct Reader {
    length: u64,
    /// The end and the name of each dataset, by its start.
    taken: BTreeMap<u64, (u64, String)>,
    /// Tensors and groups of them so far.
    datasets: usize,
}

impl Reader {
    /// The reader of a file of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self { length, taken: BTreeMap::new(), datasets: 0 }
    }

    fn read(&mut self, file: &File) -> TextResult<(Weights, Option<Extra>)> {
        names(file, "")?;
        let parameters = file.group("parameters").map_err(|e| format!("group parameters: {e}"))?;
        let tensors = self.tensors(&parameters, "")?;
        let classes = if file.link_exists("classes") { self.classes(file)? } else { Vec::new() };
        let mean_image = if file.link_exists("mean_image") { Some(self.mean_image(file)?) } else { None };
        let mean_rgb = if file.link_exists("mean_rgb") { Some(self.mean_rgb(file)?) } else { None };
        let extra = if file.link_exists("training") { Some(self.extra(file)?) } else { None };
        let exif_orientation = exif_orientation(file)?;
        Ok((Weights { model: None, tensors, classes, mean_image, mean_rgb, exif_orientation }, extra))
    }

    fn extra(&mut self, file: &File) -> TextResult<Extra> {
        let training = file.group("training").map_err(|e| format!("group training: {e}"))?;
        names(&training, "training/")?;
        let state = self.state(&training)?;
        let optimizer = training.group("optimizer").map_err(|e| format!("group optimizer: {e}"))?;
        Ok(Extra { state, tensors: self.tensors(&optimizer, "")? })
    }

    /// The state of the run.
    pub fn state(&mut self, training: &Group) -> TextResult<String> {
        let dataset = open(training, "state")?;
        let bytes = text::stored_length(&dataset).map_err(|e| format!("state: {e}"))? as u64;
        self.place("state", &dataset, bytes)?;
        let state = text::read_text(&dataset).map_err(|e| format!("state: {e}"))?;
        check_crc("state", text::crc_of(&[&state]), stored_crc("state", &dataset)?)?;
        Ok(state)
    }

    /// All datasets of a group and of the groups in it.
    fn tensors(&mut self, group: &Group, prefix: &str) -> TextResult<Vec<(String, ArrayD<f32>)>> {
        if prefix.split('/').count() > MAX_DEPTH {
            return Err(format!("group {prefix} is nested too deep"));
        }
        let links = names(group, prefix)?;
        let mut tensors = Vec::with_capacity(links.len());
        for link in links {
            self.datasets += 1;
            if self.datasets > MAX_TENSORS {
                return Err(too_many_tensors());
            }
            let name = format!("{prefix}{link}");
            match group.group(&link) {
                Ok(inner) => tensors.extend(self.tensors(&inner, &format!("{name}/"))?),
                Err(_) => {
                    let values = self.tensor(&name, &open(group, &link)?)?;
                    tensors.push((name, values));
                }
            }
        }
        Ok(tensors)
    }

    /// The offset of a dataset of f32 values in one block.
    pub fn place_of_tensor(&mut self, name: &str, dataset: &Dataset) -> TextResult<u64> {
        let kind = dataset.dtype().and_then(|t| t.to_descriptor()).map_err(|e| format!("{name}: {e}"))?;
        if kind != TypeDescriptor::Float(FloatSize::U4) {
            return Err(format!("{name}: expected f32 values, got {kind}"));
        }
        self.place(name, dataset, 4)
    }

    fn tensor(&mut self, name: &str, dataset: &Dataset) -> TextResult<ArrayD<f32>> {
        self.place_of_tensor(name, dataset)?;
        let values: Vec<f32> = dataset.read_raw().map_err(|e| format!("{name} cannot be read: {e}"))?;
        check_crc(name, crc_of(&values), stored_crc(name, dataset)?)?;
        ArrayD::from_shape_vec(IxDyn(&dataset.shape()), values).map_err(|e| format!("{name}: {e}"))
    }

    /// The offset of a dataset of items of `size` bytes, after a check that it is one block within the file and overlaps no
    /// other dataset.
    fn place(&mut self, name: &str, dataset: &Dataset, size: u64) -> TextResult<u64> {
        let space = dataset.space().map_err(|e| format!("{name}: {e}"))?;
        let shape: Vec<u64> = space.shape().iter().map(|&axis| axis as u64).collect();
        let needed = byte_count(&shape, size).filter(|_| !space.is_null());
        let Some(needed) = needed else { return Err(format!("{name}: shape {shape:?} does not fit in memory")) };
        let stored = dataset.storage_size();
        let Some(start) = dataset.offset().filter(|_| stored == needed) else {
            let what = "expected one contiguous block, uncompressed";
            return Err(format!("{name}: {what}, of {needed} bytes for shape {shape:?}; {stored} bytes are stored"));
        };
        let Some(end) = start.checked_add(needed).filter(|&end| end <= self.length) else {
            return Err(format!("{name}: its {needed} bytes from {start} leave the file of {} bytes", self.length));
        };
        // Those before do not overlap, so that the last one that starts before the end has the highest end.
        if let Some((_, (_, other))) =
            self.taken.range(..end).next_back().filter(|(_, (other_end, _))| start < *other_end)
        {
            return Err(format!("{name} and {other} overlap"));
        }
        self.taken.insert(start, (end, name.into()));
        Ok(start)
    }

    /// The names of the classes.
    pub fn classes(&mut self, file: &File) -> TextResult<Vec<String>> {
        let dataset = open(file, "classes")?;
        let length = text::stored_length(&dataset).map_err(|e| format!("classes: {e}"))?;
        self.place("classes", &dataset, length as u64)?;
        let classes = text::read_list(&dataset).map_err(|e| format!("classes: {e}"))?;
        check_crc("classes", text::crc_of(&classes), stored_crc("classes", &dataset)?)?;
        Ok(classes)
    }

    fn mean_image(&mut self, file: &File) -> TextResult<ndarray::Array3<f32>> {
        let image = self.tensor("mean_image", &open(file, "mean_image")?)?;
        let got = image.shape().to_vec();
        match image.into_dimensionality() {
            Ok(image) if got[2] == 3 => Ok(image),
            _ => Err(format!("mean_image: expected shape [height, width, 3], got {got:?}")),
        }
    }

    fn mean_rgb(&mut self, file: &File) -> TextResult<[f32; 3]> {
        let rgb = self.tensor("mean_rgb", &open(file, "mean_rgb")?)?;
        let got = rgb.shape().to_vec();
        rgb.into_raw_vec_and_offset().0.try_into().map_err(|_| format!("mean_rgb: expected shape [3], got {got:?}"))
    }
}

pub(super) fn open(group: &Group, name: &str) -> TextResult<Dataset> {
    group.dataset(name).map_err(|e| format!("dataset {name} cannot be opened: {e}"))
}

pub(super) fn stored_crc(name: &str, dataset: &Dataset) -> TextResult<u32> {
    let crc = dataset.attr(CRC).and_then(|attribute| attribute.read_scalar());
    crc.map_err(|e| match e.to_string() {
        words if system_error(&words).is_some() => words,
        _ => format!("{name}: its checksum (attribute {CRC}) is missing; the file is damaged"),
    })
}

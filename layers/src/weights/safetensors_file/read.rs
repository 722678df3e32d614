//! Reading safetensors.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use ndarray::{Array3, ArrayD, Axis, Ix3, IxDyn};

use super::convert;
use super::header::{self, Entry, Header, MAX_LENGTH};
use super::names::{is_ignored, match_entries};
use super::{
    CHECKED_KEYS, CLASSES_KEY, CRC_KEY, EXIF_ORIENTATION_KEY, FORMAT, FORMAT_KEY, MEAN_IMAGE, MEAN_RGB, MODEL_KEY,
};
use super::{VERSION, VERSION_KEY, means};
use crate::Result;
use crate::model::{Model, ParameterSpec};
use crate::weights::{AxisOrder, Weights, check_version, description, refused, torchvision, unreadable};

/// The file's checksums by name.
type Checksums = BTreeMap<String, u32>;

/// Loads a file for the network that it names, else for `model`, else for torchvision's AlexNet.
pub(in crate::weights) fn load(path: &Path, model: Option<&Model>) -> Result<Weights> {
    let mut file = OpenFile::open(path)?;
    file.entries.retain(|entry| !is_ignored(&entry.name));
    let mut mean_image = None;
    let mut mean_rgb = None;
    let mut classes = Vec::new();
    let mut own_model = None;
    let mut exif_orientation = false;
    let is_ours = file.description.is_some();
    if let Some(ours) = file.description.take() {
        own_model = ours.model;
        classes = ours.classes;
        exif_orientation = ours.exif_orientation;
        // Tensors of the first version.
        mean_image = take(&mut file.entries, MEAN_IMAGE).map(|entry| file.reader.mean_image(&entry)).transpose()?;
        mean_rgb = take(&mut file.entries, MEAN_RGB).map(|entry| file.reader.mean_rgb(&entry)).transpose()?;
        mean_image = ours.mean_image.or(mean_image);
        mean_rgb = ours.mean_rgb.or(mean_rgb);
    } else {
        strip_data_parallel(&mut file.entries);
    }
    // The layouts are those of the file's own network, even if the caller loads it for another.
    let model = match own_model.or_else(|| model.cloned()) {
        Some(model) => model,
        None if is_ours => return Err(refused(path, NO_NETWORK)),
        None => torchvision::detect(path, &file.entries)?,
    };
    let tensors = file.parameters(&model.parameters()?)?;
    let weights = Weights { model: Some(model), tensors, classes, mean_image, mean_rgb, exif_orientation };
    description::check(path, &weights)?;
    Ok(weights)
}

/// Loads the parameters of these specifications, in this crate's layouts.
pub(in crate::weights) fn load_parameters(path: &Path, specs: &[ParameterSpec]) -> Result<Vec<(String, ArrayD<f32>)>> {
    let mut file = OpenFile::open(path)?;
    // The means of a training set are no parameters.
    file.entries.retain(|entry| !is_ignored(&entry.name) && ![MEAN_IMAGE, MEAN_RGB].contains(&entry.name.as_str()));
    let is_prefixed = |spec: &ParameterSpec| spec.name.starts_with(DATA_PARALLEL);
    if !specs.iter().all(is_prefixed) {
        strip_data_parallel(&mut file.entries);
    }
    file.parameters(specs)
}

/// Loads all tensors under their names in the file, in the file's layouts.
pub(in crate::weights) fn load_tensors(path: &Path) -> Result<Vec<(String, ArrayD<f32>)>> {
    let OpenFile { mut reader, mut entries, .. } = OpenFile::open(path)?;
    entries.retain(|entry| entry.dtype != "I64" || !is_ignored(&entry.name));
    entries.into_iter().map(|entry| Ok((entry.name.clone(), reader.tensor(&entry)?))).collect()
}

/// The metadata of a file: texts by key.
pub(in crate::weights) fn load_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut file = File::open(path).map_err(unreadable(path))?;
    Ok(read_header(path, &mut file)?.0.metadata)
}

/// The types of the tensors of a file by their names.
pub(in crate::weights) fn tensor_types(path: &Path) -> Result<BTreeMap<String, String>> {
    let mut file = File::open(path).map_err(unreadable(path))?;
    let entries = read_header(path, &mut file)?.0.entries.into_iter();
    Ok(entries.map(|entry| (entry.name, entry.dtype)).collect())
}

/// The error of a file of this crate that names no network.
const NO_NETWORK: &str =
    "holds the parameters of a module in code and names no network; load them into such a module, or name the network";

/// The prefix of all names in a checkpoint of PyTorch's `DataParallel`.
const DATA_PARALLEL: &str = "module.";

/// Removes the prefix of `DataParallel` if all names have it.
fn strip_data_parallel(entries: &mut [Entry]) {
    if entries.iter().all(|entry| entry.name.starts_with(DATA_PARALLEL)) {
        entries.iter_mut().for_each(|entry| drop(entry.name.drain(..DATA_PARALLEL.len())));
    }
}

/// A file whose header has been read.
struct OpenFile<'a> {
    reader: TensorReader<'a>,
    entries: Vec<Entry>,
    /// None for a file of another program.
    description: Option<Description>,
}

impl<'a> OpenFile<'a> {
    fn open(path: &'a Path) -> Result<Self> {
        let mut file = File::open(path).map_err(unreadable(path))?;
        let (Header { metadata, entries }, start) = read_header(path, &mut file)?;
        let description = match metadata.get(FORMAT_KEY) {
            Some(_) => Some(Description::parse(path, &metadata, &entries)?),
            None => None,
        };
        let checksums = description.as_ref().map(|ours| ours.checksums.clone()).unwrap_or_default();
        Ok(Self { reader: TensorReader { path, file, start, checksums }, entries, description })
    }

    /// The parameters of these specifications, in this crate's layouts.
    fn parameters(&mut self, specs: &[ParameterSpec]) -> Result<Vec<(String, ArrayD<f32>)>> {
        let path = self.reader.path;
        let mut tensors = Vec::with_capacity(specs.len());
        for (spec, entry) in specs.iter().zip(match_entries(path, specs, &self.entries)?) {
            let values = AxisOrder::PyTorch.into_own(spec, self.reader.tensor(entry)?);
            tensors.push((spec.name.clone(), values.map_err(|e| refused(path, format!("{}: {e}", entry.name)))?));
        }
        Ok(tensors)
    }
}

fn take(entries: &mut Vec<Entry>, name: &str) -> Option<Entry> {
    let place = entries.iter().position(|entry| entry.name == name)?;
    Some(entries.remove(place))
}

/// The header, and the offset of the first tensor.
fn read_header(path: &Path, file: &mut File) -> Result<(Header, u64)> {
    let have = file.metadata().map_err(unreadable(path))?.len();
    if have < 8 {
        return Err(refused(path, format!("truncated: need at least 8 bytes, have {have}")));
    }
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(unreadable(path))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_LENGTH {
        return Err(refused(
            path,
            format!("its header claims {length} bytes; at most {MAX_LENGTH} are read, it is damaged"),
        ));
    }
    let start = 8 + length;
    if start > have {
        return Err(refused(path, format!("truncated: need {start} bytes for its header, have {have}")));
    }
    let mut json = vec![0; length as usize];
    file.read_exact(&mut json).map_err(unreadable(path))?;
    let header = header::parse(&json, have - start).map_err(|what| refused(path, what))?;
    Ok((header, start))
}

/// The metadata of a file of this crate.
struct Description {
    /// None for the parameters of a module in code.
    model: Option<Model>,
    classes: Vec<String>,
    exif_orientation: bool,
    mean_image: Option<Array3<f32>>,
    mean_rgb: Option<[f32; 3]>,
    checksums: Checksums,
}

impl Description {
    fn parse(path: &Path, metadata: &BTreeMap<String, String>, entries: &[Entry]) -> Result<Self> {
        let wrong = |key: &str, what: String| refused(path, format!("metadata {key:?}: {what}"));
        let text = |key: &str| metadata.get(key).ok_or_else(|| wrong(key, "missing; the file is damaged".into()));
        let format = text(FORMAT_KEY)?;
        if format != FORMAT {
            return Err(wrong(FORMAT_KEY, format!("expected {FORMAT:?}, got {format:?}")));
        }
        let version = text(VERSION_KEY)?;
        let number = version.parse().map_err(|_| wrong(VERSION_KEY, format!("expected a number, got {version:?}")))?;
        check_version(path, number, VERSION)?;
        let checksums = checksums(text(CRC_KEY)?).map_err(|what| wrong(CRC_KEY, what))?;
        let mut described: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        for key in CHECKED_KEYS {
            let Some(text) = metadata.get(key) else { continue };
            if let Some(&crc) = checksums.get(key) {
                check_crc(key, crc32c::crc32c(text.as_bytes()), crc).map_err(|what| refused(path, what))?;
            }
            described.insert(key);
        }
        let classes = match metadata.get(CLASSES_KEY) {
            Some(json) => {
                serde_json::from_str(json).map_err(|e| wrong(CLASSES_KEY, format!("expected a list of names: {e}")))?
            }
            None => Vec::new(),
        };
        let exif_orientation = match metadata.get(EXIF_ORIENTATION_KEY) {
            Some(text) => text
                .parse()
                .map_err(|_| wrong(EXIF_ORIENTATION_KEY, format!("expected true or false, got {text:?}")))?,
            None => false,
        };
        let mean_image = metadata.get(MEAN_IMAGE).map(|text| means::image_of_text(text)).transpose();
        let mean_rgb = metadata.get(MEAN_RGB).map(|text| means::colour_of_text(text)).transpose();
        if !described.iter().copied().eq(checksums.keys().map(String::as_str)) {
            return Err(wrong(CRC_KEY, "does not name what the file holds; the file is damaged".into()));
        }
        let model = metadata.get(MODEL_KEY);
        Ok(Self {
            model: model.map(|text| Model::parse(text, &path.display().to_string())).transpose()?,
            classes,
            exif_orientation,
            mean_image: mean_image.map_err(|what| wrong(MEAN_IMAGE, what))?,
            mean_rgb: mean_rgb.map_err(|what| wrong(MEAN_RGB, what))?,
            checksums,
        })
    }
}

fn checksums(json: &str) -> std::result::Result<Checksums, String> {
    let texts: BTreeMap<String, String> = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let number = |(name, text): (String, String)| match u32::from_str_radix(&text, 16) {
        Ok(crc) => Ok((name, crc)),
        Err(_) => Err(format!("expected 8 hexadecimal digits for {name}, got {text:?}")),
    };
    texts.into_iter().map(number).collect()
}

fn check_crc(name: &str, got: u32, stored: u32) -> std::result::Result<(), String> {
    if got == stored {
        return Ok(());
    }
    Err(format!("checksum of {name} is {got:08x}, stored is {stored:08x}; the file is damaged, use another copy"))
}

/// Reads tensors. All offsets have been compared with the file's length.
struct TensorReader<'a> {
    path: &'a Path,
    file: File,
    start: u64,
    checksums: Checksums,
}

impl TensorReader<'_> {
    /// A tensor's values, in the file's layout.
    fn tensor(&mut self, entry: &Entry) -> Result<ArrayD<f32>> {
        let [from, to] = entry.bytes;
        let mut bytes = vec![0; (to - from) as usize];
        self.file.seek(SeekFrom::Start(self.start + from)).map_err(unreadable(self.path))?;
        self.file.read_exact(&mut bytes).map_err(unreadable(self.path))?;
        if let Some(&stored) = self.checksums.get(&entry.name) {
            check_crc(&entry.name, crc32c::crc32c(&bytes), stored).map_err(|what| refused(self.path, what))?;
        }
        let Entry { name, shape, dtype, .. } = entry;
        let values = convert::to_f32(dtype, &bytes).map_err(|what| refused(self.path, format!("{name}: {what}")))?;
        ArrayD::from_shape_vec(IxDyn(shape), values).map_err(|e| refused(self.path, format!("{name}: {e}")))
    }

    fn mean_image(&mut self, entry: &Entry) -> Result<Array3<f32>> {
        let got = &entry.shape;
        let image = self.tensor(entry)?.into_dimensionality::<Ix3>().ok().filter(|image| image.len_of(Axis(0)) == 3);
        let image = image.ok_or_else(|| {
            refused(self.path, format!("{MEAN_IMAGE}: expected shape [3, height, width], got {got:?}"))
        })?;
        Ok(image.permuted_axes([1, 2, 0]).as_standard_layout().into_owned())
    }

    fn mean_rgb(&mut self, entry: &Entry) -> Result<[f32; 3]> {
        let wrong = |_| refused(self.path, format!("{MEAN_RGB}: expected shape [3], got {:?}", entry.shape));
        let (values, _) = self.tensor(entry)?.into_raw_vec_and_offset();
        values.try_into().map_err(wrong)
    }
}

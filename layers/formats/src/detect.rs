use std::fmt::{self, Display, Formatter};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::str::FromStr;

use files::regular_file;
use zip::ZipArchive;

use crate::error::Fault;
use crate::{Error, Result, keras, shards, torch, wire};

/// The formats of weights files, by their content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// This workspace's HDF5.
    Own,
    /// safetensors, of any program.
    Safetensors,
    /// The index of safetensors or PyTorch files that share a network's parameters.
    Shards,
    /// PyTorch: a zip of a pickle and its storages, or the form before 1.6.
    Torch,
    /// Keras' `.keras`: a zip of a configuration and HDF5 weights.
    KerasArchive,
    /// Keras' `.weights.h5`, or its `.h5` of models.
    KerasHdf5,
    /// A network of Caffe with its parameters.
    Caffe,
    /// An ONNX graph.
    Onnx,
}

/// A format's names.
struct Names {
    format: Format,
    /// The name that a user gives.
    name: &'static str,
    /// The endings of files that are written in it; none if it is only read.
    endings: &'static [&'static str],
    /// The name in messages.
    title: &'static str,
}

const fn names(format: Format, name: &'static str, endings: &'static [&'static str], title: &'static str) -> Names {
    Names { format, name, endings, title }
}

const FORMATS: [Names; 8] = [
    names(Format::Own, "hdf5", &[".h5", ".hdf5"], "HDF5 of alexnet"),
    names(Format::Safetensors, "safetensors", &[".safetensors"], "safetensors"),
    names(Format::Shards, "shards", &[], "an index of shards"),
    names(Format::Torch, "pytorch", &[".pt", ".pth"], "PyTorch"),
    names(Format::KerasArchive, "keras", &[".keras"], "Keras"),
    names(Format::KerasHdf5, "keras-weights", &[".weights.h5"], "HDF5 of Keras"),
    names(Format::Caffe, "caffe", &[], "Caffe"),
    names(Format::Onnx, "onnx", &[".onnx"], "ONNX"),
];

/// The formats that are read, for messages on other files.
const READ: &str = "weights are HDF5 of alexnet, safetensors (also an index of shards), PyTorch's .pt and .pth, Keras' \
                    .keras, .weights.h5 and .h5, Caffe's .caffemodel, or ONNX";

/// The first bytes of every HDF5 file.
const HDF5: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The magic number of PyTorch's form before 1.6, as its first pickle has it.
const TORCH_MAGIC: &[u8] = b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";

/// The most names of records in a message.
const SHOWN: usize = 6;

impl Format {
    /// The format of a file, by its content.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; [`Error::Refused`] if it is of no known format.
    pub fn of(path: &Path) -> Result<Self> {
        let mut start = Vec::with_capacity(64);
        let file = regular_file::open(path).map_err(Error::file(path))?;
        file.take(64).read_to_end(&mut start).map_err(Error::file(path))?;
        match start.as_slice() {
            bytes if bytes.starts_with(b"PK\x03\x04") => of_zip(path),
            bytes if bytes.starts_with(b"\x80") && has(bytes, TORCH_MAGIC) => Ok(Self::Torch),
            bytes if bytes.starts_with(HDF5) => Ok(if is_keras(path, bytes) { Self::KerasHdf5 } else { Self::Own }),
            // The header's length, which no header makes as long as eight bytes can say, and its first byte.
            [_, _, _, _, _, _, _, 0, b'{', ..] => Ok(Self::Safetensors),
            bytes if bytes.trim_ascii_start().starts_with(b"{") && shards::is_index(path) => Ok(Self::Shards),
            bytes if bytes.starts_with(b"\x80") && bytes.get(1).is_some_and(|version| *version <= 5) => {
                let what = "a Python pickle that torch.save did not make; it can run any code and so is not read; save a \
                            state dict with torch.save, or safetensors";
                Err(Error::refused(path, what))
            }
            bytes if is_prototxt(bytes) => {
                let what = "describes a network of Caffe without its weights; the .caffemodel holds both";
                Err(Error::refused(path, what))
            }
            // This workspace's reader says what such files are.
            bytes if bytes.len() < 9 => Ok(Self::Own),
            bytes => match protobuf(path, bytes)? {
                Some(format) => Ok(format),
                None => Err(Error::refused(path, format!("is of no known format by its content; {READ}"))),
            },
        }
    }

    /// The format that the ending of a file's name says, to write it.
    ///
    /// # Errors
    /// [`Error::Refused`] for another ending.
    pub fn of_name(path: &Path) -> Result<Self> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_ascii_lowercase();
        let endings = FORMATS.iter().flat_map(|row| row.endings.iter().map(move |ending| (row.format, *ending)));
        // `.weights.h5` is longer than `.h5`.
        let fitting = endings.clone().filter(|(_, ending)| name.ends_with(ending));
        match fitting.max_by_key(|(_, ending)| ending.len()) {
            Some((format, _)) => Ok(format),
            None => {
                let known: Vec<&str> = endings.map(|(_, ending)| ending).collect();
                let what = format!("weights are written as {}; give the file such a name", known.join(", "));
                Err(Error::refused(path, what))
            }
        }
    }

    /// The names of the formats that are written, as [`from_str`](str::parse) reads them.
    pub fn written() -> impl Iterator<Item = &'static str> {
        FORMATS.iter().filter(|row| !row.endings.is_empty()).map(|row| row.name)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        match FORMATS.iter().find(|row| row.name == name) {
            Some(row) => Ok(row.format),
            None => {
                let names: Vec<&str> = FORMATS.iter().map(|row| row.name).collect();
                Err(format!("no format {name:?}; there are {}", names.join(", ")))
            }
        }
    }
}

/// Whether a protocol buffer is an ONNX graph or a network of Caffe, by the numbers of its fields.
fn protobuf(path: &Path, start: &[u8]) -> Result<Option<Format>> {
    // HDF5, and safetensors, whose JSON begins after eight bytes.
    if start.starts_with(b"\x89HDF") || start.get(8) == Some(&b'{') {
        return Ok(None);
    }
    let file = regular_file::open(path).map_err(Error::file(path))?;
    let Some(fields) = wire::first_fields(file) else { return Ok(None) };
    let has = |field: (u32, bool)| fields.contains(&field);
    // ONNX: 1 is the version of the format, 7 the graph, 8 the operators. Caffe: 1 is a name, 2 and 100 are layers. A
    // mean of Caffe: 5 are its values, 1 and 7 say their shape.
    let is_mean = has((5, true)) && (has((1, false)) || has((7, true))) && !has((2, true)) && !has((100, true));
    let is_onnx = has((1, false)) && (has((7, true)) || has((8, true))) && !is_mean;
    let is_caffe = (has((2, true)) || has((100, true))) && !has((7, true)) && !has((1, false));
    if is_mean {
        return Err(Error::refused(path, "is a mean of Caffe (.binaryproto) and holds no weights"));
    }
    if is_onnx { Ok(Some(Format::Onnx)) } else { Ok(is_caffe.then_some(Format::Caffe)) }
}

impl Display for Format {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let found = FORMATS.iter().find(|row| row.format == *self);
        f.write_str(found.map_or("unknown", |row| row.title))
    }
}

/// Whether a file is the text of a network of Caffe, by its first words.
fn is_prototxt(start: &[u8]) -> bool {
    let start = start.trim_ascii_start();
    let begins = [&b"name:"[..], b"layer", b"input:"].iter().any(|word| start.starts_with(word));
    begins && (has(start, b"layer") || has(start, b"input"))
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The format of a zip file, by the names of its records.
fn of_zip(path: &Path) -> Result<Format> {
    let file = File::open(path).map_err(Error::file(path))?;
    let zip = ZipArchive::new(BufReader::new(file)).map_err(|e| Fault::from(e).of(path))?;
    let is_there = |name: &str| zip.index_for_name(name).is_some();
    if is_there("config.json") && zip.file_names().any(|name| name.ends_with(".weights.h5")) {
        return Ok(Format::KerasArchive);
    }
    if torch::is_archive(zip.file_names()) {
        return Ok(Format::Torch);
    }
    let names: Vec<String> = zip.file_names().take(SHOWN).map(|name| files::printable::brief(name, 60)).collect();
    let what = format!("is a zip file of neither PyTorch nor Keras: it holds {}; {READ}", names.join(", "));
    Err(Error::refused(path, what))
}

/// Whether an HDF5 file is for Keras' reader. Files of this workspace are of the superblock's version 2 or later, with
/// checksums of their structure. The library that reads them can crash on a damaged one without, as Keras writes them.
fn is_keras(path: &Path, start: &[u8]) -> bool {
    matches!(start.get(8), Some(0 | 1)) || keras::is_hdf5(path)
}

//! Files as other programs write them, from their parts.

use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;

use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub use crate::common::{bits, model, temporary_file, weights};

/// A network with every layout but a local layer's, in few parameters. Its exported names are partly its own.
pub const SMALL: &str = r#"
name = "small"
about = "Every layout."
classes = 3

[input]
size = 7
crop = 6
channels = "rgb"
scale = 1.0
mean = "pack-image"

[[layer]]
name = "conv1"
kind = "conv"
export = "features.0"
filters = 4
kernel = 3

[[layer]]
name = "bn1"
kind = "batch-norm"

[[layer]]
name = "conv2"
kind = "conv"
filters = 4
kernel = [1, 2]
groups = 2

[[layer]]
name = "fc6"
kind = "linear"
units = 5

[[layer]]
name = "fc8"
kind = "linear"
units = "classes"
"#;

/// A temporary file of these bytes.
pub fn file(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let (folder, path) = temporary_file(name);
    fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// A pickle that is put together.
#[derive(Clone)]
pub struct Pickle(pub Vec<u8>);

impl Pickle {
    pub fn new() -> Self {
        Self(b"\x80\x02".to_vec())
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.raw(b"X").raw(&length).raw(text.as_bytes())
    }

    pub fn number(self, number: i32) -> Self {
        self.raw(b"J").raw(&number.to_le_bytes())
    }

    pub fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    pub fn numbers(mut self, numbers: &[i32]) -> Self {
        self = self.raw(b"(");
        for &number in numbers {
            self = self.number(number);
        }
        self.raw(b"t")
    }

    /// A storage of a class such as `Float`.
    pub fn storage(self, class: &str, key: &str, len: i32) -> Self {
        let class = format!("{class}Storage");
        self.raw(b"(").text("storage").global("torch", &class).text(key).text("cpu").number(len).raw(b"tQ")
    }

    /// A part of a storage.
    pub fn tensor(self, (class, key, len): (&str, &str, i32), offset: i32, shape: &[i32], strides: &[i32]) -> Self {
        let opened = self.global("torch._utils", "_rebuild_tensor_v2").raw(b"(").storage(class, key, len);
        opened.number(offset).numbers(shape).numbers(strides).raw(b"\x89}tR")
    }

    /// A row of all numbers of a storage.
    pub fn row(self, class: &str, key: &str, len: i32) -> Self {
        self.tensor((class, key, len), 0, &[len], &[1])
    }

    pub fn end(self) -> Vec<u8> {
        self.raw(b".").0
    }
}

/// A zip file of these records.
pub fn zip(records: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in records {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// PyTorch's zip of a pickle and storages.
pub fn archive(pickle: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let names: Vec<String> = storages.iter().map(|(key, _)| format!("any name/data/{key}")).collect();
    let mut records: Vec<(&str, &[u8])> = vec![("any name/data.pkl", pickle)];
    records.extend(names.iter().zip(storages).map(|(name, (_, bytes))| (name.as_str(), *bytes)));
    records.push(("any name/version", b"3\n"));
    zip(&records, CompressionMethod::Stored)
}

/// PyTorch's form before 1.6 of a pickle and storages: keys, lengths in numbers and bytes.
pub fn legacy(pickle: &[u8], storages: &[(&str, u64, &[u8])]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.".to_vec();
    bytes.extend(Pickle::new().raw(b"}").text("little_endian").raw(b"\x88s").end());
    bytes.extend(pickle);
    let mut keys = Pickle::new().raw(b"](");
    for (key, ..) in storages {
        keys = keys.text(key);
    }
    bytes.extend(keys.raw(b"e").end());
    for (_, length, values) in storages {
        bytes.extend(length.to_le_bytes());
        bytes.extend(*values);
    }
    bytes
}

/// Little-endian bytes.
pub fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

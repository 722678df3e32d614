//! Images and packs for tests.
#![allow(dead_code, reason = "each test file uses some of it")]

pub mod jpegs;
pub mod loading;
pub mod place;
pub mod running;
pub mod tiff;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alexnet_data::{Pack, PackOptions, PackReport, pack, read_square};
use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// An image with slopes, an edge and some noise, different for each `seed`.
pub fn image(width: u32, height: u32, seed: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise =
            (x.wrapping_mul(7919) ^ y.wrapping_mul(104_729) ^ seed.wrapping_mul(31)).wrapping_mul(2_654_435_761);
        let edge = if (x + y + seed).is_multiple_of(23) { 60 } else { 0 };
        let value = |slope: u32| ((x * slope / 3 + y * 2 + seed * 17 + edge) % 224 + (noise >> 28)) as u8;
        Rgb([value(2), value(5), value(1) / 2])
    })
}

/// Creates class folders with this number of images each: PNG and JPEG of several sizes.
pub fn draw_source(root: &Path, classes: &[(&str, usize)]) {
    for (c, (class, count)) in classes.iter().enumerate() {
        let folder = root.join(class);
        fs::create_dir_all(&folder).unwrap();
        for i in 0..*count {
            let i = i as u32;
            let c = c as u32;
            let suffix = if i.is_multiple_of(3) { "png" } else { "jpg" };
            image(40 + i * 7 % 31, 36 + i * 5 % 17, i * 10 + c).save(folder.join(format!("{i:03}.{suffix}"))).unwrap();
        }
    }
}

/// A source of 23 images in three classes, and room for packs.
pub struct Setting {
    folder: TempDir,
}

impl Setting {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        draw_source(&folder.path().join("source"), &[("ant", 9), ("bee", 6), ("cow", 8)]);
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn source(&self) -> PathBuf {
        self.path("source")
    }

    /// Options for squares of 32, five per shard.
    pub fn options(&self, out: &str) -> PackOptions {
        PackOptions {
            size: 32,
            jobs: 2,
            shard_bytes: 5 * 32 * 32 * 3,
            ..PackOptions::new(self.source(), self.path(out))
        }
    }

    pub fn pack(&self, out: &str) -> PackReport {
        pack(&self.options(out), |_| ()).unwrap()
    }

    pub fn open(&self, out: &str) -> Arc<Pack> {
        Arc::new(Pack::open(self.path(out)).unwrap())
    }
}

/// The contents of a file.
pub type Bytes = Vec<u8>;

/// An image as a JPEG file.
pub fn jpeg(width: u32, height: u32, seed: u32) -> Bytes {
    let mut bytes = Vec::new();
    let encoder = jpeg_encoder::Encoder::new(&mut bytes, 85);
    let colour = jpeg_encoder::ColorType::Rgb;
    encoder.encode(image(width, height, seed).as_raw(), width as u16, height as u16, colour).unwrap();
    bytes
}

/// A tar of files.
pub fn tar_of(members: &[(String, Bytes)]) -> Bytes {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Packs `source`, found by content, and opens the pack.
pub fn packed(setting: &Setting, source: &Path) -> Pack {
    packed_with(setting, source, |options| options)
}

/// Same as above, with other options.
pub fn packed_with(setting: &Setting, source: &Path, set: impl Fn(PackOptions) -> PackOptions) -> Pack {
    let out = setting.path(&format!("{}.pack", source.file_name().unwrap().to_string_lossy()));
    let _ = fs::remove_dir_all(&out);
    let options = set(PackOptions { size: 32, jobs: 2, ..PackOptions::new(source, &out) });
    pack(&options, |_| ()).unwrap();
    let pack = Pack::open(&out).unwrap();
    pack.verify().unwrap();
    pack
}

/// The error message of packing `source`.
pub fn failure(setting: &Setting, source: &Path, set: impl Fn(PackOptions) -> PackOptions) -> String {
    let options = set(PackOptions { size: 32, ..PackOptions::new(source, setting.path("failed.pack")) });
    pack(&options, |_| ()).unwrap_err().to_string()
}

/// Decodes the bytes of an image file to a square.
pub fn square(setting: &Setting, bytes: &[u8]) -> Vec<u8> {
    let path = setting.path("one.image");
    fs::write(&path, bytes).unwrap();
    read_square(&path, 32).unwrap()
}

/// Writes a file and its parent folders.
pub fn write(setting: &Setting, name: &str, bytes: &[u8]) -> PathBuf {
    let path = setting.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, bytes).unwrap();
    path
}

/// The bytes of all files of a folder except hidden ones, by name.
pub fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .filter(|(name, _)| !name.starts_with('.'))
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Updates the header of a file to match its content.
pub fn seal(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let long = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let start = long(&bytes, 32);
    let count = long(&bytes, 40);
    let head = if count > 0 { &bytes[4096..start] } else { &bytes[4096..] };
    let tail = if count > 0 { &bytes[start + count..] } else { &[] };
    let content = crc32c::crc32c_append(crc32c::crc32c(head), tail);
    bytes[48..52].copy_from_slice(&content.to_le_bytes());
    let own = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&own.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

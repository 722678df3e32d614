//! Opening and validating a pack.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use files::regular_file;
use memmap2::Mmap;
use ndarray::Array3;

use super::Pack;
use super::shard::{MappedShard, Offsets};
use crate::decode::check_square;
use crate::error::{Error, Result};
use crate::format::{EXIF_APPLIED, FileHeader, FileKind, HEADER_BYTES, Storage, TABLE_FILE, shard_name};
use crate::hdf5_io::Hdf5Reader;
use crate::statistics::Statistics;

/// A mapped pack file with a verified header.
struct MappedFile {
    header: FileHeader,
    map: Mmap,
    file: File,
    modified: Option<SystemTime>,
}

/// Maps a pack file and verifies its header, its length and the checksum of everything except the images.
pub(crate) fn open_checked(path: &Path, kind: FileKind) -> Result<(FileHeader, Mmap)> {
    map_file(path, kind).map(|mapped| (mapped.header, mapped.map))
}

fn map_file(path: &Path, kind: FileKind) -> Result<MappedFile> {
    let file = regular_file::open(path).map_err(Error::io(path, "cannot be opened"))?;
    // Taken before any read that relies on it.
    let metadata = file.metadata().map_err(Error::io(path, "cannot be read"))?;
    if metadata.len() == 0 {
        return Err(Error::Truncated { path: path.into(), need: HEADER_BYTES as u64, have: 0 });
    }
    // SAFETY: pack files are replaced as a whole and never written in place, so the mapped bytes do not change. If
    // another program writes to them anyway, any byte value is still valid; if it truncates them, the length check
    // before each read catches it (see the module `reader`).
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "cannot be mapped"))?;
    let header = FileHeader::decode(path, &map[..map.len().min(HEADER_BYTES)], map.len() as u64, kind)?;
    header.check_content(path, &map)?;
    Ok(MappedFile { header, map, file, modified: metadata.modified().ok() })
}

pub(super) fn open(path: &Path) -> Result<Pack> {
    // The path of the table is accepted for its folder.
    let folder = if path.ends_with(TABLE_FILE) { path.parent().unwrap_or(path) } else { path };
    let table_path = &folder.join(TABLE_FILE);
    check_exists(folder, table_path)?;
    open_checked(table_path, FileKind::Table)?;
    let table = Hdf5Reader::open(table_path)?;
    let size: u64 = table.read_number("size")?;
    let size = usize::try_from(size).unwrap_or(0);
    check_square(size).map_err(|e| Error::pack(table_path, e.to_string()))?;
    let storage = match table.read_number::<u8>("jpeg_quality")? {
        0 => Storage::Raw,
        quality => Storage::Jpeg { quality },
    };
    let classes: Vec<u8> = table.read_vector("classes")?;
    let classes: Vec<String> =
        serde_json::from_slice(&classes).map_err(|e| Error::pack(table_path, format!("dataset \"classes\": {e}")))?;
    let counts: Vec<u64> = table.read_vector("shard_pictures")?;
    let contents: Vec<u32> = table.read("shard_crc32c", &[counts.len()])?;
    let mut pack = Pack {
        path: folder.to_path_buf(),
        size,
        storage,
        classes,
        statistics: statistics(table_path, &table, size)?,
        fingerprint: table.read_text("fingerprint")?,
        exif_orientation: table.read_text("settings")?.ends_with(EXIF_APPLIED),
        shards: Vec::new(),
        starts: Vec::new(),
        len: 0,
        bytes_read: AtomicU64::new(0),
    };
    for (number, (&count, &content)) in counts.iter().zip(&contents).enumerate() {
        let shard = open_shard(&pack, number, count, content)?;
        pack.starts.push(pack.len);
        pack.len += shard.labels.len();
        pack.shards.push(shard);
    }
    if pack.len == 0 || pack.len as u64 != pack.statistics.images {
        let what = format!("expected {} images, its shards hold {}", pack.statistics.images, pack.len);
        return Err(Error::pack(table_path, what));
    }
    Ok(pack)
}

/// Whether a folder holds files of a pack.
pub(super) fn is_pack(folder: &Path) -> bool {
    folder.ends_with(TABLE_FILE) || folder.join(TABLE_FILE).exists() || folder.join(shard_name(0)).exists()
}

fn check_exists(folder: &Path, table: &Path) -> Result<()> {
    let what = match fs::metadata(folder) {
        Ok(metadata) if metadata.is_dir() => {
            if exists(table)? {
                return Ok(());
            }
            if exists(&folder.join(shard_name(0)))? {
                "packing was not finished; run the same `alexnet pack` command again"
            } else {
                "is not a pack: it holds no pack.h5; make one with `alexnet pack SOURCE OUT`"
            }
        }
        Ok(_) => "is a file, a pack is a folder",
        Err(e) if e.kind() == ErrorKind::NotFound => "no such pack; make one with `alexnet pack SOURCE OUT`",
        Err(e) => return Err(Error::io(folder, "cannot be accessed")(e)),
    };
    Err(Error::source(folder, what))
}

/// An inaccessible path is an error, not a missing file.
fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(Error::io(path, "cannot be accessed"))
}

fn statistics(path: &Path, table: &Hdf5Reader, size: usize) -> Result<Statistics> {
    let mean_image: Vec<f32> = table.read("mean_image", &[size, size, 3])?;
    let rows = |m: [f32; 9]| [[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]];
    let m: [f64; 9] = table.read_attribute("covariance")?;
    Ok(Statistics {
        images: table.read_number("pictures")?,
        mean_rgb: table.read_attribute("mean_rgb")?,
        mean_image: Array3::from_shape_vec((size, size, 3), mean_image)
            .map_err(|e| Error::pack(path, e.to_string()))?,
        covariance: [[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]],
        eigenvalues: table.read_attribute("eigenvalues")?,
        eigenvectors: rows(table.read_attribute("eigenvectors")?),
    })
}

fn open_shard(pack: &Pack, number: usize, count: u64, content: u32) -> Result<MappedShard> {
    let path = &pack.path.join(shard_name(number));
    let MappedFile { header, map, file, modified } = map_file(path, FileKind::Shard)?;
    if header.content_checksum != content {
        return Err(Error::pack(path, "is a shard of another pack"));
    }
    let hdf5 = Hdf5Reader::open(path)?;
    let labels: Vec<u32> = hdf5.read_vector("labels")?;
    let n = labels.len();
    if n as u64 != count {
        return Err(Error::pack(path, format!("expected {count} images, found {n}")));
    }
    let names: Vec<u8> = hdf5.read_vector("names")?;
    let name_offsets: Vec<u64> = hdf5.read("name_offsets", &[n + 1])?;
    check_offsets(path, "name_offsets", &name_offsets, names.len() as u64)?;
    if let Some(record) = labels.iter().position(|&label| label as usize >= pack.classes.len()) {
        let from = name_offsets[record] as usize;
        let to = name_offsets[record + 1] as usize;
        let name = String::from_utf8_lossy(&names[from..to]);
        let what = format!("record {record} ({name}): label {} of {} classes", labels[record], pack.classes.len());
        return Err(Error::pack(path, what));
    }
    let offsets = offsets(pack, path, &hdf5, &header, n)?;
    let verified = (0..n.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
    let checksums = hdf5.read("crc32c", &[n])?;
    #[cfg(unix)]
    super::sigbus::register(path, &map);
    let path = path.clone();
    Ok(MappedShard { path, file, map, modified, offsets, labels, checksums, names, name_offsets, verified })
}

/// Byte ranges of the images. HDF5 and the header must agree on their position.
fn offsets(pack: &Pack, path: &Path, hdf5: &Hdf5Reader, header: &FileHeader, n: usize) -> Result<Offsets> {
    let images = hdf5.dataset("images")?;
    let bytes = header.images.end - header.images.start;
    let found = images.offset().unwrap_or(0);
    if found != header.images.start && bytes > 0 {
        let what = format!("dataset \"images\" lies at {found}, the header says {}", header.images.start);
        return Err(Error::pack(path, what));
    }
    let start = header.images.start as usize;
    let (shape, expected) = match pack.storage {
        Storage::Raw => (images.shape(), vec![n, pack.size, pack.size, 3]),
        Storage::Jpeg { .. } => (images.shape(), vec![bytes as usize]),
    };
    if shape != expected || expected.iter().product::<usize>() as u64 != bytes {
        return Err(Error::pack(
            path,
            format!("dataset \"images\": expected shape {expected:?}, found {shape:?} in {bytes} bytes"),
        ));
    }
    match pack.storage {
        Storage::Raw => Ok(Offsets::Fixed { start, bytes: pack.size * pack.size * 3 }),
        Storage::Jpeg { .. } => {
            let offsets: Vec<u64> = hdf5.read("offsets", &[n + 1])?;
            check_offsets(path, "offsets", &offsets, bytes)?;
            Ok(Offsets::Variable { start, offsets })
        }
    }
}

/// Checks that offsets begin at 0, never decrease and end at `end`, so every record lies inside.
fn check_offsets(path: &Path, name: &str, offsets: &[u64], end: u64) -> Result<()> {
    if let Some(record) = offsets.windows(2).position(|pair| pair[0] > pair[1]) {
        let what = format!("{name}: record {record} is said to lie at {}..{}", offsets[record], offsets[record + 1]);
        return Err(Error::pack(path, what));
    }
    match (offsets.first(), offsets.last()) {
        (Some(0), Some(&last)) if last == end => Ok(()),
        (first, last) => Err(Error::pack(path, format!("{name}: expected 0 to {end}, found {first:?} to {last:?}"))),
    }
}

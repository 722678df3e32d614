//! Opening a pack: nothing is believed before it is checked.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::time::SystemTime;

use memmap2::Mmap;
use ndarray::Array3;
use tensor::regular_file;

use super::Pack;
use super::shard::{Offsets, Shard};
use crate::decode::check_square;
use crate::error::{Error, Result};
use crate::format::{BLOCK, Block, Role, Storage, TABLE, TURNED, shard_name};
use crate::hdf::Reader;
use crate::statistics::Statistics;

/// Maps a file of a pack after checking its block, its length and the checksum of all but its images.
pub(crate) fn open_checked(path: &Path, role: Role) -> Result<(Block, Mmap)> {
    map(path, role).map(|(block, map, ..)| (block, map))
}

/// Also the file, and when it was last written to.
fn map(path: &Path, role: Role) -> Result<(Block, Mmap, File, Option<SystemTime>)> {
    let file = regular_file::open(path).map_err(Error::io(path, "cannot be opened"))?;
    // Before anything is read that later reads rely on.
    let metadata = file.metadata().map_err(Error::io(path, "cannot be read"))?;
    if metadata.len() == 0 {
        return Err(Error::Truncated { path: path.into(), need: BLOCK as u64, have: 0 });
    }
    // SAFETY: files of a pack are replaced as a whole and never written in place, so the mapped bytes do not change.
    // Should another program write to them all the same, they are bytes still, whatever their value; should it cut
    // them, the length is compared before each read (see the module `reader`).
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io(path, "cannot be mapped"))?;
    let block = Block::decode(path, &map[..map.len().min(BLOCK)], map.len() as u64, role)?;
    block.check_content(path, &map)?;
    Ok((block, map, file, metadata.modified().ok()))
}

pub(super) fn open(path: &Path) -> Result<Pack> {
    // The name of the table stands for its folder.
    let folder = if path.ends_with(TABLE) { path.parent().unwrap_or(path) } else { path };
    let table_path = &folder.join(TABLE);
    check_exists(folder, table_path)?;
    open_checked(table_path, Role::Table)?;
    let table = Reader::open(table_path)?;
    let size: u64 = table.get_number("size")?;
    let size = usize::try_from(size).unwrap_or(0);
    check_square(size).map_err(|e| Error::pack(table_path, e.to_string()))?;
    let storage = match table.get_number::<u8>("jpeg_quality")? {
        0 => Storage::Raw,
        quality => Storage::Jpeg { quality },
    };
    let classes: Vec<u8> = table.get_all("classes")?;
    let classes: Vec<String> =
        serde_json::from_slice(&classes).map_err(|e| Error::pack(table_path, format!("dataset \"classes\": {e}")))?;
    let counts: Vec<u64> = table.get_all("shard_pictures")?;
    let contents: Vec<u32> = table.get("shard_crc32c", &[counts.len()])?;
    let mut pack = Pack {
        path: folder.to_path_buf(),
        size,
        storage,
        classes,
        statistics: statistics(table_path, &table, size)?,
        fingerprint: table.get_text("fingerprint")?,
        exif_orientation: table.get_text("settings")?.ends_with(TURNED),
        shards: Vec::new(),
        starts: Vec::new(),
        len: 0,
    };
    for (number, (&count, &content)) in counts.iter().zip(&contents).enumerate() {
        let shard = shard(&pack, number, count, content)?;
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
        Err(e) => return Err(Error::io(folder, "cannot be looked at")(e)),
    };
    Err(Error::source(folder, what))
}

/// What the system does not let one see is an error, not missing.
fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(Error::io(path, "cannot be looked at"))
}

fn statistics(path: &Path, table: &Reader, size: usize) -> Result<Statistics> {
    let mean_image: Vec<f32> = table.get("mean_image", &[size, size, 3])?;
    let rows = |m: [f32; 9]| [[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]];
    let m: [f64; 9] = table.get_attribute("covariance")?;
    Ok(Statistics {
        images: table.get_number("pictures")?,
        mean_rgb: table.get_attribute("mean_rgb")?,
        mean_image: Array3::from_shape_vec((size, size, 3), mean_image)
            .map_err(|e| Error::pack(path, e.to_string()))?,
        covariance: [[m[0], m[1], m[2]], [m[3], m[4], m[5]], [m[6], m[7], m[8]]],
        eigenvalues: table.get_attribute("eigenvalues")?,
        eigenvectors: rows(table.get_attribute("eigenvectors")?),
    })
}

fn shard(pack: &Pack, number: usize, count: u64, content: u32) -> Result<Shard> {
    let path = &pack.path.join(shard_name(number));
    let (block, map, file, modified) = map(path, Role::Shard)?;
    if block.content != content {
        return Err(Error::pack(path, "is a shard of another pack"));
    }
    let hdf = Reader::open(path)?;
    let labels: Vec<u32> = hdf.get_all("labels")?;
    let n = labels.len();
    if n as u64 != count {
        return Err(Error::pack(path, format!("expected {count} images, found {n}")));
    }
    let names: Vec<u8> = hdf.get_all("names")?;
    let name_offsets: Vec<u64> = hdf.get("name_offsets", &[n + 1])?;
    check_offsets(path, "name_offsets", &name_offsets, names.len() as u64)?;
    if let Some(record) = labels.iter().position(|&label| label as usize >= pack.classes.len()) {
        let from = name_offsets[record] as usize;
        let to = name_offsets[record + 1] as usize;
        let name = String::from_utf8_lossy(&names[from..to]);
        let what = format!("record {record} ({name}): label {} of {} classes", labels[record], pack.classes.len());
        return Err(Error::pack(path, what));
    }
    let offsets = offsets(pack, path, &hdf, &block, n)?;
    let checked = (0..n.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
    let checksums = hdf.get("crc32c", &[n])?;
    #[cfg(unix)]
    super::sigbus::watch(path, &map);
    let path = path.clone();
    Ok(Shard { path, file, map, modified, offsets, labels, checksums, names: (names, name_offsets), checked })
}

/// Where the images lie; HDF5's word for it must be the block's.
fn offsets(pack: &Pack, path: &Path, hdf: &Reader, block: &Block, n: usize) -> Result<Offsets> {
    let images = hdf.dataset("images")?;
    let bytes = block.images.end - block.images.start;
    let found = images.offset().unwrap_or(0);
    if found != block.images.start && bytes > 0 {
        let what = format!("dataset \"images\" lies at {found}, the block says {}", block.images.start);
        return Err(Error::pack(path, what));
    }
    let start = block.images.start as usize;
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
        Storage::Raw => Ok(Offsets::Even { start, bytes: pack.size * pack.size * 3 }),
        Storage::Jpeg { .. } => {
            let offsets: Vec<u64> = hdf.get("offsets", &[n + 1])?;
            check_offsets(path, "offsets", &offsets, bytes)?;
            Ok(Offsets::Listed { start, offsets })
        }
    }
}

/// Offsets begin at 0, never fall, and end at the end: then every record lies inside.
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

//! Opening and reading of damaged packs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use alexnet_data::{Pack, PackOptions, Storage};
use tempfile::TempDir;

use crate::seeds;

const FILES: [&str; 3] = ["pack.h5", "shard-00000.h5", "shard-00001.h5"];

/// A pack of a few small images, in memory.
struct Template {
    files: Vec<Vec<u8>>,
    /// Ranges of the dataset values of each file.
    values: Vec<Vec<(usize, usize)>>,
    /// Offset of the shards' checksums in the table.
    checksums: usize,
}

static TEMPLATES: LazyLock<[Template; 2]> = LazyLock::new(|| [template(Storage::Raw), template(Storage::JPEG)]);
static FOLDER: LazyLock<TempDir> = LazyLock::new(folder);

/// A folder in memory if possible.
pub fn folder() -> TempDir {
    let place = Path::new("/dev/shm");
    if place.is_dir() { tempfile::tempdir_in(place) } else { tempfile::tempdir() }.expect("a folder to work in")
}

fn template(storage: Storage) -> Template {
    let folder = folder();
    for (i, class) in ["ant", "bee"].iter().cycle().take(8).enumerate() {
        let path = folder.path().join("source").join(class);
        fs::create_dir_all(&path).expect("a folder can be made");
        fs::write(path.join(format!("{i}.jpg")), seeds::jpeg(12, 10, i as u32)).expect("a file can be written");
    }
    let out = folder.path().join("out");
    let shard_bytes = if storage == Storage::Raw { 4 * 768 } else { 4 * 96 };
    let options =
        PackOptions { size: 16, storage, shard_bytes, ..PackOptions::new(folder.path().join("source"), &out) };
    alexnet_data::pack(&options, |_| ()).expect("good images can be packed");
    let paths: Vec<PathBuf> = FILES.iter().map(|name| out.join(name)).collect();
    let files: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).expect("it is there")).collect();
    let table = hdf5::File::open(&paths[0]).expect("a pack is HDF5");
    let checksums = table.dataset("shard_crc32c").expect("it is there").offset().expect("it has values") as usize;
    let values = paths.iter().map(|path| values(path)).collect();
    Template { files, values, checksums }
}

fn values(path: &Path) -> Vec<(usize, usize)> {
    let file = hdf5::File::open(path).expect("a pack is HDF5");
    let datasets = file.datasets().expect("it has some");
    datasets.iter().filter_map(|d| Some((d.offset()? as usize, d.storage_size() as usize))).collect()
}

/// Updates the header of a file to match its content.
fn seal(bytes: &mut [u8]) -> u32 {
    let long = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes")) as usize;
    let start = long(bytes, 32);
    let count = long(bytes, 40);
    let content = match start.checked_add(count).filter(|&end| count > 0 && start >= 4096 && end <= bytes.len()) {
        Some(end) => crc32c::crc32c_append(crc32c::crc32c(&bytes[4096..start]), &bytes[end..]),
        None => crc32c::crc32c(&bytes[4096..]),
    };
    bytes[48..52].copy_from_slice(&content.to_le_bytes());
    let own = crc32c::crc32c(&bytes[..4092]);
    bytes[4092..4096].copy_from_slice(&own.to_le_bytes());
    content
}

/// The first byte selects the pack. Then follow edits of eight bytes: file, position, values. If the second bit of the
/// first byte is set, checksums are updated, and only dataset values are edited, not HDF5's structures.
pub fn pack(data: &[u8]) {
    let Some((&mode, edits)) = data.split_first() else { return };
    let template = &TEMPLATES[usize::from(mode & 1)];
    let sealed = mode & 2 != 0;
    let mut files = template.files.clone();
    for edit in edits.chunks_exact(8) {
        let file = usize::from(edit[0]) % files.len();
        let place = usize::from(u16::from_le_bytes([edit[2], edit[3]]));
        let at = if !sealed {
            (usize::from(edit[1]) << 16 | place) % files[file].len()
        } else if edit[1] % 4 == 0 {
            // The block.
            place % 56
        } else {
            // The values of a dataset.
            let values = &template.values[file];
            let (start, length) = values[usize::from(edit[1]) % values.len()];
            start + place % length.max(1)
        };
        let count = 1 + usize::from(edit[1] >> 6);
        for (byte, &value) in files[file].iter_mut().skip(at).take(count).zip(&edit[4..]) {
            *byte = value;
        }
    }
    let changed = files != template.files;
    if sealed {
        for shard in 1..files.len() {
            let content = seal(&mut files[shard]);
            let at = template.checksums + 4 * (shard - 1);
            files[0][at..at + 4].copy_from_slice(&content.to_le_bytes());
        }
        seal(&mut files[0]);
    }
    for (name, bytes) in FILES.iter().zip(&files) {
        fs::write(FOLDER.path().join(name), bytes).expect("a file can be written");
    }
    let read = read(FOLDER.path());
    assert!(sealed || changed == read.is_err(), "changed: {changed}, read: {read:?}");
}

/// Opens a pack and reads all of it.
fn read(folder: &Path) -> alexnet_data::Result<()> {
    let pack = Pack::open(folder)?;
    assert_eq!(pack.class_counts().iter().sum::<usize>(), pack.len());
    for index in 0..pack.len().min(1000) {
        assert!((pack.label(index) as usize) < pack.classes().len());
        let _ = (pack.name(index), pack.pixels(index).map(|p| assert_eq!(p.len(), pack.size() * pack.size() * 3)));
    }
    pack.verify()
}

//! Damaged packs.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use alexnet_data::{CropAndNormalize, Error, Loader, LoaderOptions, Pack, PackOptions, Storage, pack};
use proptest::prelude::*;

use crate::common::{Setting, seal};

const SHARD: &str = "out/shard-00001.h5";

/// Changes a value of a dataset of shard 1 and updates the checksums of shard and table: damage that no checksum
/// reveals.
fn forge<T: hdf5::H5Type + Copy>(setting: &Setting, dataset: &str, at: usize, value: T) -> String {
    let shard = setting.path(SHARD);
    let write = |path: &Path, dataset: &str, change: &dyn Fn(&hdf5::Dataset)| {
        let file = hdf5::File::open_rw(path).unwrap();
        change(&file.dataset(dataset).unwrap());
        file.close().unwrap();
        seal(path);
    };
    write(&shard, dataset, &|d| {
        let mut values: Vec<T> = d.read_raw().unwrap();
        values[at] = value;
        d.write_raw(&values).unwrap();
    });
    let content = u32::from_le_bytes(fs::read(&shard).unwrap()[48..52].try_into().unwrap());
    write(&setting.path("out/pack.h5"), "shard_crc32c", &|d| {
        let mut values: Vec<u32> = d.read_raw().unwrap();
        values[1] = content;
        d.write_raw(&values).unwrap();
    });
    match Pack::open(setting.path("out")) {
        Ok(pack) => pack.verify().map_or_else(|e| e.to_string(), |()| "no error".into()),
        Err(error) => error.to_string(),
    }
}

fn packed() -> Setting {
    let setting = Setting::new();
    setting.pack("out");
    setting
}

#[test]
fn what_is_out_of_range_is_named_at_opening() {
    let error = forge(&packed(), "labels", 3, 7u32);
    assert!(error.contains("shard-00001.h5: record 3 (ant/008.jpg): label 7 of 3 classes"), "{error}");
    let error = forge(&packed(), "name_offsets", 2, 5000u64);
    assert!(error.contains("name_offsets: record 2 is said to lie at 5000.."), "{error}");
    let error = forge(&packed(), "name_offsets", 5, 54u64);
    assert!(error.contains("name_offsets: expected 0 to "), "{error}");
    let error = forge(&packed(), "crc32c", 4, 1u32);
    assert!(error.contains("checksum of record 9 (bee/000.png) is "), "{error}");
    let error = forge(&packed(), "crc32c", 4, 2u32);
    assert!(error.contains("expected 00000002"), "{error}");

    let setting = Setting::new();
    pack(&PackOptions { storage: Storage::JPEG, shard_bytes: 2000, ..setting.options("out") }, |_| ()).unwrap();
    let error = forge(&setting, "offsets", 1, u64::MAX);
    assert!(error.contains("offsets: record 1 is said to lie at 18446744073709551615.."), "{error}");
    let error = forge(&setting, "offsets", 1, 0u64);
    assert!(error.contains("checksum of record "), "{error}");
}

#[test]
fn versions_and_other_files_are_told_apart() {
    let setting = packed();
    let path = setting.path(SHARD);
    let whole = fs::read(&path).unwrap();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        Pack::open(setting.path("out")).unwrap_err()
    };
    let error = with(&|b| b[16] = 2);
    assert!(matches!(error, Error::Version { found: 2, supported: 1, .. }), "{error}");
    assert!(error.to_string().ends_with("written as format version 2, this program reads up to 1; update the program"));
    let error = with(&|b| b.extend([0; 3]));
    assert!(
        error.to_string().contains(&format!("expected {} bytes, found {}", whole.len(), whole.len() + 3)),
        "{error}"
    );
    let error = with(&|b| *b = b"not HDF5".to_vec());
    assert!(error.to_string().contains("is not a file of a pack"), "{error}");
    let error = with(&|b| *b = fs::read(setting.path("out/pack.h5")).unwrap());
    assert!(error.to_string().contains("is another file of a pack than its name says"), "{error}");
    let error = with(&|b| *b = fs::read(setting.path("out/shard-00000.h5")).unwrap());
    assert!(error.to_string().contains("is a shard of another pack"), "{error}");
    // Lengths near 2^64 are refused before anything is read or allocated.
    for at in [24, 32, 40] {
        let error = with(&|b| {
            b[at..at + 8].fill(0xff);
            let own = crc32c::crc32c(&b[..4092]);
            b[4092..4096].copy_from_slice(&own.to_le_bytes());
        });
        assert!(matches!(error, Error::Truncated { .. } | Error::Pack { .. }), "{error}");
    }
    fs::remove_file(&path).unwrap();
    let error = Pack::open(setting.path("out")).unwrap_err().to_string();
    assert!(error.contains("shard-00001.h5: cannot be opened"), "{error}");
}

#[test]
fn what_is_no_pack_is_named() {
    let setting = Setting::new();
    let error = |name: &str| Pack::open(setting.path(name)).unwrap_err().to_string();
    assert!(error("none").contains("/none: no such pack; make one with"), "{}", error("none"));
    assert!(error("source").contains("/source: is not a pack: it holds no pack.h5"), "{}", error("source"));
    assert!(error("source/ant/000.png").ends_with("is a file, a pack is a folder"));
    setting.pack("out");
    assert_eq!(Pack::open(setting.path("out/pack.h5")).unwrap().len(), 23);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn a_file_cut_anywhere_is_refused(table: bool, part in 0.0..1.0f64) {
        let setting = packed();
        let path = setting.path(if table { "out/pack.h5" } else { SHARD });
        let need = fs::metadata(&path).unwrap().len();
        let have = (need as f64 * part) as u64;
        File::options().write(true).open(&path).unwrap().set_len(have).unwrap();
        match Pack::open(setting.path("out")).unwrap_err() {
            Error::Truncated { need: n, have: h, .. } => {
                prop_assert_eq!(h, have);
                prop_assert!(n == need || have < 4096);
            }
            error => prop_assert!(false, "{}", error),
        }
    }

    #[test]
    fn every_flipped_bit_is_found(table: bool, at: prop::sample::Index, bit in 0..8u8) {
        let setting = packed();
        let path = setting.path(if table { "out/pack.h5" } else { SHARD });
        let mut bytes = fs::read(&path).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        fs::write(&path, bytes).unwrap();
        let found = Pack::open(setting.path("out")).and_then(|pack| pack.verify());
        prop_assert!(found.is_err(), "byte {} of {}", at, path.display());
    }
}

#[test]
fn a_changed_image_is_named_by_record_and_source() {
    let setting = packed();
    let path = setting.path(SHARD);
    let mut bytes = fs::read(&path).unwrap();
    let start = u64::from_le_bytes(bytes[32..40].try_into().unwrap()) as usize;
    bytes[start + 2 * 3072 + 17] ^= 4;
    fs::write(&path, bytes).unwrap();
    let pack = setting.open("out");
    assert!(pack.pixels(6).is_ok());
    let expected = "checksum of record 7 (ant/007.jpg) is ";
    for error in [pack.pixels(7).unwrap_err(), pack.pixels(7).unwrap_err(), pack.verify().unwrap_err()] {
        assert!(error.to_string().contains(expected), "{error}");
    }
    // The loader hands it on, and ends.
    let input = CropAndNormalize::crop_only(32);
    let loader = Loader::new(pack, input, LoaderOptions { batch: 4, ..LoaderOptions::default() }).unwrap();
    let results: Vec<_> = loader.batches(0, 0).collect();
    assert_eq!(results.len(), 2);
    assert!(results[1].as_ref().unwrap_err().to_string().contains(expected));
}

#[test]
fn a_file_cut_under_a_batch_is_an_error() {
    let setting = packed();
    let options = LoaderOptions { batch: 4, ..LoaderOptions::default() };
    let loader = Loader::new(setting.open("out"), CropAndNormalize::crop_only(32), options).unwrap();
    let batch = loader.batches(0, 1).next().unwrap().unwrap();
    assert!(loader.crops(&batch).is_ok() && loader.check_unchanged(&batch.indices).is_ok());
    File::options().write(true).open(setting.path(SHARD)).unwrap().set_len(5000).unwrap();
    for error in [loader.crops(&batch).unwrap_err(), loader.check_unchanged(&batch.indices).unwrap_err()] {
        assert!(matches!(error, Error::Truncated { have: 5000, .. }), "{error}");
    }
}

#[test]
fn a_file_cut_while_open_is_an_error() {
    let setting = packed();
    let pack: Arc<Pack> = setting.open("out");
    assert!(pack.pixels(8).is_ok());
    let path = setting.path(SHARD);
    let need = fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(5000).unwrap();
    for index in [8, 9] {
        let error = pack.pixels(index).unwrap_err();
        assert!(matches!(error, Error::Truncated { need: n, have: 5000, .. } if n == need), "{error}");
    }
    assert!(matches!(pack.verify(), Err(Error::Truncated { have: 5000, .. })));
    assert!(pack.pixels(0).is_ok());
}

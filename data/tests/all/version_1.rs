//! Packs that the first version of the format wrote, and the source that they were made of. They are never made anew: what is
//! read from them must not change.

use std::fs::{self, File};
use std::path::Path;

use alexnet_data::{Pack, PackOptions, Storage, pack};
use flate2::read::GzDecoder;
use tempfile::TempDir;

/// `source`, `version_1_raw` and `version_1_jpeg`.
fn unpacked() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/version_1_packs.tar.gz");
    tar::Archive::new(GzDecoder::new(File::open(path).unwrap())).unpack(folder.path()).unwrap();
    folder
}

/// The pixels of image `i` of a class, as the source has them.
fn pixels(class: usize, i: usize) -> Vec<u8> {
    let [red, green, blue] = [[20, 40, 200], [210, 30, 40]][class];
    let at = |x: usize, y: usize| [red as u8, ((green + x * y * (i + 1)) % 256) as u8, ((blue + 16 * x) % 256) as u8];
    (0..64).flat_map(|place| at(place % 8, place / 8)).collect()
}

fn check(pack: &Pack) {
    assert_eq!((pack.len(), pack.size(), pack.shards()), (8, 8, 1));
    assert_eq!(pack.classes(), ["blue", "red"]);
    for index in 0..8 {
        let class = index / 4;
        let i = index % 4;
        assert_eq!(pack.label(index) as usize, class);
        assert_eq!(pack.name(index), format!("{}/{i}.png", pack.classes()[class]));
        let found = pack.pixels(index).unwrap();
        let expected = pixels(class, i);
        let worst = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        // Noise of this size is much for JPEG.
        assert!(worst <= if pack.storage() == Storage::Raw { 0 } else { 48 }, "record {index}: {worst}");
    }
    let statistics = pack.statistics();
    assert_eq!((statistics.images, statistics.mean_rgb), (8, [115.0, 65.625, 112.0]));
    assert_eq!(
        statistics.mean_image.iter().take(6).copied().collect::<Vec<_>>(),
        [115.0, 35.0, 120.0, 115.0, 35.0, 136.0]
    );
    assert_eq!(statistics.covariance[0], [9025.0, -475.0, -1520.0]);
    assert_eq!(statistics.eigenvalues, [9628.088, 5161.1255, 1315.7704]);
    pack.verify().unwrap();
}

#[test]
fn packs_of_version_1_are_read() {
    let folder = unpacked();
    let raw = Pack::open(folder.path().join("version_1_raw")).unwrap();
    check(&raw);
    assert_eq!(raw.fingerprint(), "99af2a5536c8b0f795004e3a546f73e0");
    let jpeg = Pack::open(folder.path().join("version_1_jpeg")).unwrap();
    assert_eq!(jpeg.storage(), Storage::JPEG);
    check(&jpeg);
}

/// The packer knows its own, complete or not.
#[test]
fn packs_of_version_1_are_gone_on_with() {
    let folder = unpacked();
    for (name, storage) in [("version_1_raw", Storage::Raw), ("version_1_jpeg", Storage::JPEG)] {
        let out = folder.path().join(name);
        let options =
            PackOptions { size: 8, storage, max_bad: 1, ..PackOptions::new(folder.path().join("source"), &out) };
        let complete = pack(&options, |_| ()).unwrap();
        assert_eq!((complete.images, complete.resumed_shards), (8, 1));
        assert_eq!(complete.refused[0].name, "red/bad.png");
        fs::remove_file(out.join("pack.h5")).unwrap();
        let again = pack(&options, |_| ()).unwrap();
        assert_eq!((again.resumed_shards, &again.fingerprint), (1, &complete.fingerprint));
        check(&Pack::open(&out).unwrap());
    }
}

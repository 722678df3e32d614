//! Packs of images that the caller reads: the bytes of `pack`, resuming, and refusals.

use std::fs;
use std::path::{Path, PathBuf};

use alexnet_data::{
    BadImage, Dataset, Error, Image, ImageContent, Pack, PackOptions, PackReport, PackWriter, PackWriterOptions,
    Result, SourceImages, SourceSettings, Statistics, Storage, pack,
};
use proptest::prelude::*;

use crate::common::{Setting, contents};

const CLASSES: [&str; 3] = ["ant", "bee", "cow"];

/// The files of the setting's source, in order.
fn files(setting: &Setting) -> Vec<(String, Vec<u8>, u32)> {
    let mut found = Vec::new();
    for (label, class) in (0..).zip(CLASSES) {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(setting.source().join(class)).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let name = format!("{class}/{}", path.file_name().unwrap().to_str().unwrap());
            found.push((name, fs::read(&path).unwrap(), label));
        }
    }
    found
}

fn options(setting: &Setting, jobs: usize) -> PackWriterOptions {
    let PackOptions { size, storage, shard_bytes, .. } = setting.options("out");
    PackWriterOptions { size, storage, shard_bytes, jobs, ..PackWriterOptions::default() }
}

fn push(writer: &mut PackWriter, files: &[(String, Vec<u8>, u32)]) -> Result<()> {
    files.iter().try_for_each(|(name, bytes, label)| writer.push(name, ImageContent::Encoded(bytes.clone()), *label))
}

fn written(out: &Path, files: &[(String, Vec<u8>, u32)], options: PackWriterOptions) -> Result<PackReport> {
    let mut writer = PackWriter::create(out, CLASSES, options)?;
    push(&mut writer, files)?;
    writer.finish()
}

#[test]
fn files_that_are_pushed_give_the_bytes_of_pack() {
    let setting = Setting::new();
    let files = files(&setting);
    assert_eq!(files.len(), 23);
    for (storage, jobs, shard_bytes) in [(Storage::Raw, 1, 15_360), (Storage::JPEG, 3, 2000)] {
        let packed = setting.path(&format!("packed {storage}"));
        let options = PackWriterOptions { storage, shard_bytes, ..options(&setting, jobs) };
        let packing = PackOptions { storage, shard_bytes, out: packed.clone(), ..setting.options("out") };
        let report = pack(&packing, |_| ()).unwrap();
        let out = setting.path(&format!("written {storage}"));
        let found = written(&out, &files, options.clone()).unwrap();
        assert_eq!(found, report);
        assert!(contents(&out) == contents(&packed), "other bytes");
        assert!(found.shards >= 3, "{} shards", found.shards);
        // Again: all is there, and no byte changes.
        let again = written(&out, &files, options).unwrap();
        assert!(again.was_complete && again.fingerprint == report.fingerprint);
        assert!(contents(&out) == contents(&packed), "other bytes");
    }
}

/// Interrupted anywhere, and with any number of threads, a second run makes the same bytes.
#[test]
fn an_interrupted_writer_continues() {
    let setting = Setting::new();
    let files = files(&setting);
    let whole = setting.path("whole");
    written(&whole, &files, options(&setting, 2)).unwrap();
    let config = ProptestConfig { cases: 12, ..ProptestConfig::default() };
    proptest!(config, |(first in 0..24usize, second in 0..24usize, jobs in 1..4usize)| {
        let out = setting.path("interrupted");
        let _ = fs::remove_dir_all(&out);
        for end in [first.min(23), second.min(23)] {
            let mut writer = PackWriter::create(&out, CLASSES, options(&setting, jobs)).unwrap();
            push(&mut writer, &files[..end]).unwrap();
            prop_assert_eq!(writer.len(), end);
        }
        let report = written(&out, &files, options(&setting, jobs)).unwrap();
        prop_assert_eq!(report.resumed_shards, first.max(second).min(23) / 5);
        prop_assert!(contents(&out) == contents(&whole), "other bytes");
    });
}

/// Pixels of any size are cropped and come back, in the order of pushing.
#[test]
fn pixels_come_back() {
    proptest!(ProptestConfig { cases: 16, ..ProptestConfig::default() }, |(
        sizes in prop::collection::vec((1..40usize, 1..40usize, any::<bool>()), 1..20), shard_bytes in 200..3000u64,
    )| {
        let setting = Setting::new();
        let out = setting.path("pixels");
        let options = PackWriterOptions { size: 8, shard_bytes, ..PackWriterOptions::default() };
        let mut writer = PackWriter::create(&out, ["a", "b"], options).unwrap();
        let mut expected = Vec::new();
        for (number, &(width, height, is_square)) in sizes.iter().enumerate() {
            let [width, height] = if is_square { [8, 8] } else { [width, height] };
            let pixels: Vec<u8> = (0..width * height * 3).map(|at| (at * 37 + number * 11) as u8).collect();
            let image = Image::new(width, height, pixels).unwrap();
            expected.push(if is_square { image.clone() } else { alexnet_data::resize_and_crop(&image, 8).unwrap() });
            writer.push(number.to_string(), ImageContent::Pixels(image), (number % 2) as u32).unwrap();
        }
        let report = writer.finish().unwrap();
        let pack = Pack::open(&out).unwrap();
        pack.verify().unwrap();
        prop_assert_eq!((report.images, pack.len()), (sizes.len(), sizes.len()));
        for (number, image) in expected.iter().enumerate() {
            prop_assert_eq!(&*pack.pixels(number).unwrap(), image.pixels());
            prop_assert_eq!((pack.label(number), pack.name(number)), ((number % 2) as u32, number.to_string()));
        }
        let statistics = Statistics::of(&pack).unwrap();
        prop_assert_eq!(pack.statistics(), &statistics);
    });
}

/// A source that is loaded without a pack, and packed by the writer.
#[test]
fn a_data_set_is_packed() {
    let setting = Setting::new();
    setting.pack("packed");
    let images = SourceImages::open(setting.source(), 32, SourceSettings::default()).unwrap();
    let out = setting.path("written");
    let mut writer = PackWriter::create(&out, images.classes().to_vec(), options(&setting, 2)).unwrap();
    writer.push_all(&images).unwrap();
    writer.finish().unwrap();
    assert!(contents(&out) == contents(&setting.path("packed")), "other bytes");
    // A pack is a data set too.
    let copy = setting.path("copy");
    let mut writer = PackWriter::create(&copy, CLASSES, options(&setting, 1)).unwrap();
    writer.push_all(&*setting.open("packed")).unwrap();
    assert_eq!(writer.finish().unwrap().fingerprint, Pack::open(&out).unwrap().fingerprint());
}

#[test]
fn rejected_images_are_listed_and_counted() {
    let setting = Setting::new();
    let mut files = files(&setting);
    files[4].1 = b"no image".to_vec();
    let out = setting.path("out");
    let run = |max_bad: usize| {
        let mut writer =
            PackWriter::create(&out, CLASSES, PackWriterOptions { max_bad, ..options(&setting, 2) }).unwrap();
        push(&mut writer, &files).unwrap();
        writer.reject("raw/1.dng", BadImage::Unsupported("a lens of another world".into()), 2).unwrap();
        writer.finish()
    };
    let error = run(1).unwrap_err();
    assert!(matches!(error, Error::TooManyBad { bad: 2, total: 24, allowed: 1, .. }), "{error}");
    let report = run(2).unwrap();
    assert_eq!((report.images, report.rejected.len(), report.resumed_shards), (22, 2, 5));
    let list = fs::read_to_string(out.join("bad.csv")).unwrap();
    assert!(list.ends_with("raw/1.dng,unsupported format: a lens of another world\r\n"), "{list}");
    assert!(list.contains(&files[4].0), "{list}");
}

#[test]
fn other_images_and_labels_are_refused() {
    let setting = Setting::new();
    let files = files(&setting);
    let out = setting.path("out");
    let mut writer = PackWriter::create(&out, CLASSES, options(&setting, 2)).unwrap();
    let error = writer.push("x", ImageContent::Encoded(Vec::new()), 3).unwrap_err().to_string();
    assert_eq!(error, "label: expected less than 3, the number of classes, got 3 for x");
    // The writer goes on after a label that it refused.
    push(&mut writer, &files[..12]).unwrap();
    let locked = PackWriter::create(&out, CLASSES, options(&setting, 2)).unwrap_err();
    assert!(matches!(locked, Error::Locked { .. }), "{locked}");
    drop(writer);

    let mut changed = files.clone();
    changed[7].1.push(0);
    let error = written(&out, &changed, options(&setting, 2)).unwrap_err();
    let advice = "if images of this pack were changed, delete this file and push all images again";
    assert!(matches!(error, Error::OtherPack { .. }) && error.to_string().ends_with(advice), "{error}");
    let error = written(&out, &files[1..], options(&setting, 2)).unwrap_err();
    assert!(matches!(error, Error::OtherPack { .. }), "{error}");
    let fewer = written(&out, &files[..4], options(&setting, 2)).unwrap_err();
    assert!(matches!(fewer, Error::OtherPack { .. }), "{fewer}");
    let error = written(&out, &files, PackWriterOptions { size: 31, ..options(&setting, 2) }).unwrap_err();
    assert!(matches!(error, Error::OtherPack { .. }), "{error}");
    written(&out, &files, options(&setting, 2)).unwrap();
    // A complete pack is compared and never extended.
    let more = [files.as_slice(), &files[..3]].concat();
    let error = written(&out, &more, options(&setting, 2)).unwrap_err();
    assert!(matches!(error, Error::OtherPack { .. }), "{error}");
}

#[test]
fn wrong_options_are_refused_before_anything_is_written() {
    let setting = Setting::new();
    let check = |classes: &[&str], options: PackWriterOptions, expected: &str| {
        let out = setting.path("none");
        let error = PackWriter::create(&out, classes.iter().copied(), options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!out.exists());
    };
    check(&[], options(&setting, 1), "classes: expected at least one class");
    check(&["a", "a"], options(&setting, 1), "two classes are named \"a\"");
    check(&["a"], options(&setting, 0), "jobs: expected at least 1");
    check(&["a"], PackWriterOptions { size: 0, ..options(&setting, 1) }, "size");
    let error = PackWriter::create(setting.source(), CLASSES, options(&setting, 1)).unwrap_err().to_string();
    assert!(error.contains("which holds"), "{error}");
    let empty = PackWriter::create(setting.path("empty"), CLASSES, options(&setting, 1)).unwrap();
    assert!(empty.is_empty());
    assert!(empty.finish().unwrap_err().to_string().ends_with("no image was pushed"));
}

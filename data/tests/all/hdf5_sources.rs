//! HDF5 files of images with false headers, or with values stored elsewhere.

use std::path::PathBuf;

use alexnet_data::{DecodeOptions, PackOptions, pack};
use hdf5::types::{FixedAscii, FixedUnicode};
use hdf5::{Dataset, File, H5Type};

use crate::common::{Setting, failure, packed, write};

/// A file with unwritten `images` of this shape, and what `fill` adds.
fn claims(setting: &Setting, name: &str, shape: &[usize], chunk: Option<&[usize]>, fill: impl Fn(&File)) -> PathBuf {
    let path = setting.path(name);
    let file = File::create(&path).unwrap();
    let builder = file.new_dataset_builder().empty::<u8>();
    match chunk {
        Some(chunk) => builder.chunk(chunk).shape(shape).create("images").unwrap(),
        None => builder.shape(shape).create("images").unwrap(),
    };
    fill(&file);
    file.close().unwrap();
    path
}

/// A file with small images.
fn images(file: &File, n: usize) -> Dataset {
    let values: Vec<u8> = (0..n * 8 * 8).map(|i| (i * 31 % 251) as u8).collect();
    let array = ndarray::ArrayD::from_shape_vec(vec![n, 8, 8], values).unwrap();
    file.new_dataset_builder().with_data(&array).create("images").unwrap()
}

/// Four images with these labels.
fn labelled<T: H5Type>(setting: &Setting, name: &str, labels: &[T]) -> PathBuf {
    let path = setting.path(name);
    let file = File::create(&path).unwrap();
    images(&file, 4);
    file.new_dataset_builder().with_data(labels).create("labels").unwrap();
    file.close().unwrap();
    path
}

#[test]
fn headers_that_claim_too_much_are_refused() {
    let setting = Setting::new();
    let labels = |file: &File| drop(file.new_dataset_builder().with_data(&[0u8, 1][..]).create("labels").unwrap());
    let fails = |path: PathBuf| failure(&setting, &path, |o| o);
    let error = fails(claims(&setting, "wide.h5", &[2, 100_000, 100_000], None, labels));
    assert!(
        error.contains("\"images\": 100000 x 100000 pixels are over the limit of 64000000 pixels per image"),
        "{error}"
    );
    let error = fails(claims(&setting, "never.h5", &[2, 5000, 5000], None, labels));
    assert!(error.contains("\"images\": the shape [2, 5000, 5000], for which "), "{error}");
    let error = fails(claims(&setting, "chunks.h5", &[2, 8000, 8000, 1], Some(&[2, 8000, 8000, 1]), labels));
    assert!(error.contains("for which 0 bytes are said to be stored in a file of"), "{error}");
    let small = claims(&setting, "small.h5", &[2, 20, 10], None, labels);
    let limit = DecodeOptions { max_pixels: 100, ..DecodeOptions::default() };
    let error = failure(&setting, &small, |o| PackOptions { decode: limit.clone(), ..o });
    assert!(error.contains("\"images\": 10 x 20 pixels are over the limit of 100 pixels"), "{error}");
    // As many labels and names as there is no memory for.
    let path = setting.path("labels.h5");
    let file = File::create(&path).unwrap();
    file.new_dataset_builder().empty::<u8>().chunk([1 << 20, 1, 1]).shape([1 << 36, 1, 1]).create("images").unwrap();
    file.new_dataset_builder().empty::<i64>().chunk([1 << 20]).shape([1usize << 36]).create("labels").unwrap();
    file.close().unwrap();
    let error = fails(path);
    assert!(error.contains("\"images\": the shape [68719476736, 1, 1], for which 0 bytes"), "{error}");
    let path = setting.path("names.h5");
    let file = File::create(&path).unwrap();
    images(&file, 2);
    labels(&file);
    let names = file.new_dataset_builder().empty::<hdf5::types::VarLenUnicode>();
    names.chunk([1 << 20]).shape([1usize << 36]).create("classes").unwrap();
    file.close().unwrap();
    let error = fails(path);
    assert!(error.contains("\"classes\": the shape [68719476736]"), "{error}");
}

#[test]
fn values_elsewhere_are_not_followed() {
    let setting = Setting::new();
    let target = labelled(&setting, "target.h5", &[0u8, 1, 1, 0]);
    let fails = |path: PathBuf| failure(&setting, &path, |o| o);
    // In a file that is no HDF5.
    write(&setting, "raw", &[7; 256]);
    let path = setting.path("external.h5");
    let file = File::create(&path).unwrap();
    let raw = setting.path("raw").display().to_string();
    file.new_dataset_builder().empty::<u8>().external(&raw, 0, 256).shape([4, 8, 8]).create("images").unwrap();
    file.new_dataset_builder().with_data(&[0u8, 1, 1, 0][..]).create("labels").unwrap();
    file.close().unwrap();
    let error = fails(path);
    assert!(error.contains("\"images\": stored in other files or datasets, which are not followed"), "{error}");
    // By links.
    let path = setting.path("soft.h5");
    let file = File::create(&path).unwrap();
    file.create_group("inner").unwrap().new_dataset_builder().with_data(&[0u8, 1, 1, 0][..]).create("labels").unwrap();
    images(&file, 4);
    file.link_soft("/inner/labels", "labels").unwrap();
    file.close().unwrap();
    let error = fails(path);
    assert!(error.contains("\"labels\": a link to elsewhere, which is not followed"), "{error}");
    let path = setting.path("out.h5");
    let file = File::create(&path).unwrap();
    file.link_external(&target.display().to_string(), "/images", "images").unwrap();
    file.new_dataset_builder().with_data(&[0u8, 1, 1, 0][..]).create("labels").unwrap();
    file.close().unwrap();
    let error = fails(path);
    assert!(error.contains("\"images\": a link to elsewhere, which is not followed"), "{error}");
    // In another dataset.
    let path = setting.path("virtual.h5");
    let file = File::create(&path).unwrap();
    images(&file, 4);
    let builder = file.new_dataset_builder().empty::<u8>().shape([4]);
    let shown = target.display().to_string();
    builder.virtual_map(shown, "labels", [4], 0..4, [4], 0..4).create("labels").unwrap();
    file.close().unwrap();
    let error = fails(path);
    assert!(error.contains("\"labels\": stored in other files or datasets"), "{error}");
}

/// An unfinished pack is not continued from another file of the same shapes.
#[test]
fn another_file_of_the_same_shapes_is_another_source() {
    let setting = Setting::new();
    let path = labelled(&setting, "images.h5", &[0u8, 1, 1, 0]);
    let again = || pack(&PackOptions { size: 8, ..PackOptions::new(&path, setting.path("out")) }, |_| ());
    again().unwrap();
    assert!(again().unwrap().was_complete);
    let file = File::open_rw(&path).unwrap();
    file.dataset("images").unwrap().write_raw(&[9u8; 4 * 64][..]).unwrap();
    file.close().unwrap();
    let error = again().unwrap_err().to_string();
    assert!(error.contains("images of another or changed source"), "{error}");
}

/// Fixed-length strings, as written by NumPy.
#[test]
fn names_of_classes_are_text_of_any_kind() {
    let setting = Setting::new();
    let with = |name: &str, add: &dyn Fn(&File)| {
        let path = setting.path(name);
        let file = File::create(&path).unwrap();
        images(&file, 4);
        file.new_dataset_builder().with_data(&[0u8, 1, 1, 0]).create("labels").unwrap();
        add(&file);
        file.close().unwrap();
        path
    };
    let fixed = ["dog", "cat"].map(|name| FixedAscii::<5>::from_ascii(name).unwrap());
    let wide = ["dog", "cat"].map(|name| name.parse::<FixedUnicode<9>>().unwrap());
    for path in [
        with("ascii.h5", &|file| drop(file.new_dataset_builder().with_data(&fixed).create("classes").unwrap())),
        with("unicode.h5", &|file| drop(file.new_dataset_builder().with_data(&wide).create("classes").unwrap())),
        with("attribute.h5", &|file| drop(file.new_attr_builder().with_data(&fixed).create("classes").unwrap())),
    ] {
        assert_eq!(packed(&setting, &path).classes(), ["dog", "cat"], "{}", path.display());
    }
    let twice = ["cat"; 2].map(|name| FixedAscii::<5>::from_ascii(name).unwrap());
    let twice = with("twice.h5", &|file| drop(file.new_dataset_builder().with_data(&twice).create("classes").unwrap()));
    let error = failure(&setting, &twice, |o| o);
    assert!(error.ends_with("twice.h5: two classes are named \"cat\"; give each its own name"), "{error}");
    let numbers =
        with("numbers.h5", &|file| drop(file.new_attr_builder().with_data(&[1u8, 2]).create("classes").unwrap()));
    let error = failure(&setting, &numbers, |o| o);
    assert!(error.contains("\"classes\": expected names as text of at most 256 bytes each, found"), "{error}");
}

#[test]
fn labels_are_whole_numbers_of_any_type() {
    let setting = Setting::new();
    for path in [
        labelled(&setting, "u8.h5", &[0u8, 3, 1, 0]),
        labelled(&setting, "u64.h5", &[0u64, 3, 1, 0]),
        labelled(&setting, "i16.h5", &[0i16, 3, 1, 0]),
        labelled(&setting, "f64.h5", &[0f64, 3.0, 1.0, 0.0]),
    ] {
        let found = packed(&setting, &path);
        assert_eq!((0..4).map(|i| found.label(i)).collect::<Vec<_>>(), [0, 3, 1, 0], "{}", path.display());
    }
    let fails = |path: PathBuf| failure(&setting, &path, |o| o);
    let error = fails(labelled(&setting, "half.h5", &[0.0f32, 1.5, 0.5, 1.0]));
    assert!(error.contains("half.h5: \"labels\": label 1 is 1.5; expected whole numbers of 0 or more"), "{error}");
    assert!(fails(labelled(&setting, "nan.h5", &[0.0, f64::NAN, 1.0, 1.0])).contains("label 1 is NaN"));
    assert!(fails(labelled(&setting, "minus.h5", &[0i64, -1, 1, 1])).contains("the label -1; expected 0 or more"));
}

//! Labels that are numbers, and sources with names of their own, among given classes.

use std::path::PathBuf;

use alexnet_data::PackOptions;
use hdf5::types::VarLenUnicode;

use crate::common::place::{Place, expected};
use crate::common::{Bytes, image, jpeg, tar_of};

fn names(classes: &[&str]) -> Option<Vec<String>> {
    Some(classes.iter().map(|class| (*class).to_string()).collect())
}

/// The classes of a source, in the order of its images, where these are given.
fn among(place: &Place, source: &str, given: &[&str]) -> Result<Vec<String>, String> {
    let found = place.classes(source, |o| PackOptions { classes: names(given), ..o })?;
    Ok(found.into_values().collect())
}

/// As the folders 1 to 12 are sorted.
const TWELVE: [&str; 12] = ["1", "10", "11", "12", "2", "3", "4", "5", "6", "7", "8", "9"];

#[test]
fn numbers_in_a_file_are_names_of_classes_that_are_numbers() {
    let place = Place::new();
    place.images(&["s/a.jpg", "s/b.jpg", "s/c.jpg"]);
    let label = |labels: [&str; 3], given: &[&str]| {
        let csv = format!("image,label\na.jpg,{}\nb.jpg,{}\nc.jpg,{}\n", labels[0], labels[1], labels[2]);
        let file = place.write("l.csv", csv.as_bytes());
        let found = place.classes("s", |o| PackOptions { labels: Some(file.clone()), classes: names(given), ..o })?;
        Ok::<Vec<String>, String>(found.into_values().collect())
    };
    let lacks = |labels: [&str; 3], given: &[&str], missing: &str| {
        let error = label(labels, given).unwrap_err();
        let said = format!(
            "l.csv: the label {missing} is not among the given classes, which are named by numbers: {}",
            given.join(", ")
        );
        assert!(error.contains(&said), "{error}");
    };
    lacks(["1", "3", "4"], &["0", "1", "2", "4", "5"], "3");
    lacks(["4", "0", "2"], &["1", "2", "3", "4", "5"], "0");
    lacks(["4", "0", "2"], &TWELVE, "0");
    assert_eq!(label(["1", "4", "5"], &["0", "1", "2", "4", "5"]).unwrap(), ["1", "4", "5"]);
    assert_eq!(label(["4", "1", "2"], &["01", "02", "03", "04", "05"]).unwrap(), ["04", "01", "02"]);
    assert_eq!(label(["2.0", "10.0", "11.0"], &TWELVE).unwrap(), ["2", "10", "11"]);
    // Names that are no numbers have places.
    assert_eq!(label(["2", "0", "1"], &["cat", "dog", "owl"]).unwrap(), ["owl", "cat", "dog"]);
    assert_eq!(label(["2", "0", "1"], &["0", "1", "owl"]).unwrap(), ["owl", "0", "1"]);
    // Of some that are, the label 5 may be the name or a place that is not there.
    let error = label(["2", "5", "1"], &["cat", "5", "owl"]).unwrap_err();
    assert!(error.contains("is not among the given classes"), "{error}");
    let error = label(["2", "3", "2"], &["1", "01", "2"]).unwrap_err();
    assert!(error.contains("of the given classes 1, 01, 2 some are the same number"), "{error}");
}

#[test]
fn numbers_of_sources_are_names_of_classes_that_are_numbers() {
    let place = Place::new();
    let samples = |classes: [&str; 3]| {
        let sample = |(name, class): (&str, &str)| {
            [(format!("{name}.jpg"), jpeg(12, 11, 1)), (format!("{name}.cls"), class.as_bytes().to_vec())]
        };
        place.write("w.tar", &tar_of(&["a", "b", "c"].into_iter().zip(classes).flat_map(sample).collect::<Vec<_>>()));
    };
    samples(["2", "10", "11"]);
    assert_eq!(among(&place, "w.tar", &TWELVE).unwrap(), ["2", "10", "11"]);
    samples(["2", "0", "1"]);
    assert_eq!(among(&place, "w.tar", &["cat", "dog", "owl"]).unwrap(), ["owl", "cat", "dog"]);
    let error = among(&place, "w.tar", &TWELVE).unwrap_err();
    assert!(error.contains("w.tar: the label 0 is not among the given classes, which are named by numbers"), "{error}");
    samples(["2", "0", "3"]);
    let error = among(&place, "w.tar", &["cat", "dog", "owl"]).unwrap_err();
    assert!(error.contains("the label 3, with names for 3 classes (0 to 2)"), "{error}");

    let values: Bytes = (0..3 * 8 * 8u32).map(|i| (i * 31 % 251) as u8).collect();
    let header: Bytes = [3u32, 8, 8].iter().flat_map(|axis| axis.to_be_bytes()).collect();
    place.write("i/train-images-idx3-ubyte", &[&[0, 0, 8, 3], header.as_slice(), &values].concat());
    place.write("i/train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 3, 2, 10, 11]);
    assert_eq!(among(&place, "i", &TWELVE).unwrap(), ["2", "10", "11"]);
    let error = among(&place, "i", &["1", "2", "11"]).unwrap_err();
    assert!(error.contains("the label 10 is not among the given classes"), "{error}");
}

/// Four small images with these names of classes.
fn hdf5(place: &Place, classes: &[&str]) -> PathBuf {
    let path = place.path("own.h5");
    let file = hdf5::File::create(&path).unwrap();
    let values: Bytes = (0..4 * 8 * 8u32).map(|i| (i * 31 % 251) as u8).collect();
    let images = ndarray::ArrayD::from_shape_vec(vec![4, 8, 8], values).unwrap();
    file.new_dataset_builder().with_data(&images).create("images").unwrap();
    file.new_dataset_builder().with_data(&[0u8, 1, 1, 0][..]).create("labels").unwrap();
    let names: Vec<VarLenUnicode> = classes.iter().map(|class| class.parse().unwrap()).collect();
    file.new_dataset_builder().with_data(&names[..]).create("classes").unwrap();
    file.close().unwrap();
    path
}

#[test]
fn own_names_are_looked_up_among_given_classes() {
    let place = Place::new();
    hdf5(&place, &["dog", "cat"]);
    for given in [&["cat", "dog"][..], &["dog", "cat"], &["ant", "cat", "dog"]] {
        assert_eq!(among(&place, "own.h5", given).unwrap(), ["dog", "cat", "cat", "dog"], "{given:?}");
    }
    let error = among(&place, "own.h5", &["cat", "owl"]).unwrap_err();
    assert!(error.contains("own.h5: its classes dog are not among the given classes cat, owl; give a pack"), "{error}");
    let error = among(&place, "own.h5", &["ant", "bee"]).unwrap_err();
    assert!(
        error.contains("its classes are named dog, cat, and the given classes ant, bee: none is the same"),
        "{error}"
    );
    // Numbers in order name nothing.
    hdf5(&place, &["0", "1"]);
    assert_eq!(among(&place, "own.h5", &["ant", "bee"]).unwrap(), ["ant", "bee", "bee", "ant"]);

    let record = |(seed, label): (u32, u8)| {
        let pixels = image(32, 32, seed).into_raw();
        let planes = (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied().collect::<Bytes>());
        [vec![label], planes.collect()].concat()
    };
    let records: Bytes = (0..).zip([7, 0, 9]).flat_map(record).collect();
    place.write("ten/data_batch_1.bin", &records);
    let own = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];
    let mut given = own;
    given.reverse();
    assert_eq!(among(&place, "ten", &own).unwrap(), ["horse", "airplane", "truck"]);
    assert_eq!(among(&place, "ten", &given).unwrap(), ["bird", "truck", "airplane"]);
    place.write("ten/batches.meta.txt", own.join("\n").as_bytes());
    assert_eq!(among(&place, "ten", &given).unwrap(), ["horse", "airplane", "truck"]);
    assert_eq!(among(&place, "ten", &own).unwrap(), ["horse", "airplane", "truck"]);
}

#[test]
fn other_names_for_classes_with_names_are_refused() {
    let place = Place::new();
    hdf5(&place, &["dog", "cat"]);
    let named = |lines: &[&str]| {
        let found = place.classes("own.h5", |o| PackOptions { class_names: names(lines), ..o })?;
        Ok::<Vec<String>, String>(found.into_values().collect())
    };
    assert_eq!(named(&["dog", "cat"]).unwrap(), ["dog", "cat", "cat", "dog"]);
    let error = named(&["cat", "dog"]).unwrap_err();
    let said = "class_names: expected a source that only numbers its classes, or a wnid and its words a line";
    assert!(error.starts_with(said) && error.ends_with("whose classes are named dog, cat"), "{error}");
    hdf5(&place, &["n02119789", "n01440764"]);
    let words = ["n01440764 tench", "n02119789 kit fox"];
    assert_eq!(named(&words).unwrap(), ["kit fox", "tench", "tench", "kit fox"]);
    hdf5(&place, &["0", "1"]);
    assert_eq!(named(&["cat", "dog"]).unwrap(), ["cat", "dog", "dog", "cat"]);
    // Both, as the validation set of two is packed.
    let both = |o| PackOptions { classes: names(&["dog", "cat"]), class_names: names(&["cat", "dog"]), ..o };
    let found = place.classes("own.h5", both).unwrap();
    let pairs =
        [("images/000000", "cat"), ("images/000001", "dog"), ("images/000002", "dog"), ("images/000003", "cat")];
    assert_eq!(found, expected(&pairs));
}

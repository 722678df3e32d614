//! Rows of a file of labels that must not be lost, moved, or taken for another image's.

use std::collections::BTreeMap;

use alexnet_data::PackOptions;

use crate::common::place::{Place, expected};

/// The classes of the images of `s`, by this text and column of labels.
fn by_column(place: &Place, text: &str, column: &str) -> Result<BTreeMap<String, String>, String> {
    let labels = place.write("k.csv", text.as_bytes());
    place.classes("s", |o| PackOptions { labels: Some(labels.clone()), label_column: Some(column.into()), ..o })
}

fn numbered(names: std::ops::RangeInclusive<u32>, name: fn(u32) -> String) -> Place {
    let place = Place::new();
    let names: Vec<String> = names.map(|i| format!("s/{}", name(i))).collect();
    place.images(&names.iter().map(String::as_str).collect::<Vec<_>>());
    place
}

#[test]
fn a_number_is_the_place_of_a_column_where_no_header_says_otherwise() {
    let place = numbered(1..=4, |i| format!("a{i}.png"));
    let classes = |a: &str, b: &str| expected(&[("a1.png", a), ("a2.png", b), ("a3.png", a), ("a4.png", b)]);
    let text = "a1.png,3,7\na2.png,4,8\na3.png,3,7\na4.png,4,8\n";
    assert_eq!(by_column(&place, text, "3").unwrap(), classes("7", "8"));
    assert_eq!(by_column(&place, text, "2").unwrap(), classes("3", "4"));
    assert_eq!(by_column(&place, "a1.png,2\na2.png,3\na3.png,2\na4.png,3\n", "2").unwrap(), classes("2", "3"));
    assert_eq!(by_column(&place, "a1,2\na2,3\na3,2\na4,3\n", "2").unwrap(), classes("2", "3"));
    // A label of the first row is no name of a column.
    let error = by_column(&place, "a1.png,cat\na2.png,dog\na3.png,cat\na4.png,dog\n", "cat").unwrap_err();
    assert!(error.starts_with("label_column: expected a column of "), "{error}");
    let text = "filename,3,2\na1.png,x,u\na2.png,y,v\na3.png,x,u\na4.png,y,v\n";
    assert_eq!(by_column(&place, text, "2").unwrap(), classes("u", "v"));
    assert_eq!(by_column(&place, &text.replace("filename", "foto"), "2").unwrap(), classes("x", "y"));
}

#[test]
fn a_list_needs_names_whose_order_is_known() {
    let place = numbered(1..=12, |i| format!("{i}.png"));
    let labels = place.write("list.txt", "cat\ndog\n".repeat(6).as_bytes());
    let error = place.by("s", &labels).unwrap_err();
    let said = "list.txt: holds labels in the order of the images' names, which is not known for certain: 12.png is before 2.png \
                by its letters, and after it by its number; write the image before each label (IMAGE,LABEL)";
    assert!(error.ends_with(said), "{error}");
    let place = numbered(1..=12, |i| format!("{i:02}.png"));
    let labels = place.write("list.txt", "cat\ndog\n".repeat(6).as_bytes());
    let (pack, report) = place.pack("s", |o| PackOptions { labels: Some(labels.clone()), ..o }).unwrap();
    assert_eq!((0..4).map(|i| pack.label(i)).collect::<Vec<_>>(), [0, 1, 0, 1]);
    let note = "list.txt: its labels go to the 12 images in the order of their names, the first, cat, to 01.png";
    assert!(report.notes.iter().any(|found| found == note), "{:?}", report.notes);
}

#[test]
fn a_header_of_a_list_is_no_label() {
    let place = numbered(1..=5, |i| format!("{i}.png"));
    for header in ["label", "class", "Class Name"] {
        let error = place.by("s", &place.write("l.txt", format!("{header}\ncat\ncat\ndog\ndog\n").as_bytes()));
        let error = error.unwrap_err();
        assert!(error.contains(&format!("l.txt: line 1: {header:?} is the name of a column; remove")), "{error}");
    }
    let found = place.by("s", &place.write("l.txt", b"target\nnoise\ntarget\nnoise\nnoise\n")).unwrap();
    assert_eq!((found["1.png"].as_str(), found["2.png"].as_str()), ("target", "noise"));
}

#[test]
fn quotes_that_are_not_closed_swallow_no_rows() {
    let place = numbered(0..=11, |i| format!("a{i:02}.png"));
    let rows = |changed: &[(u32, &str)]| {
        let label = |i: u32| changed.iter().find(|(at, _)| *at == i).map_or(["cat", "dog"][i as usize % 2], |(_, l)| l);
        (0..12).map(|i| format!("a{i:02}.png,{}\n", label(i))).collect::<String>()
    };
    let fails = |text: &str| place.by("s", &place.write("q.csv", text.as_bytes())).unwrap_err();
    let error = fails(&rows(&[(4, "\"dog"), (9, "\"cat")]));
    assert!(error.contains("q.csv: line 5: a quote (\") that is not closed where its field ends; close it"), "{error}");
    let error = fails(&format!("# about\n{}", rows(&[(10, "\"dog")])));
    assert!(error.contains("q.csv: line 12: a quote"), "{error}");
    assert!(fails(&format!("\"{}", rows(&[]))).contains("q.csv: line 1: a quote"));
    let error = fails(&rows(&[(4, "\"dog"), (9, "cat\"")]));
    assert!(error.contains("q.csv: line 5: the image's name or the label holds the end of a line"), "{error}");
    // Other columns may hold lines.
    let text = "filename,label,text\n".to_string() + &rows(&[]).replace("\n", ",\"one\ntwo\"\n");
    assert_eq!(place.by("s", &place.write("q.csv", text.as_bytes())).unwrap().len(), 12);
}

#[test]
fn a_first_row_that_names_an_image_is_no_header() {
    let place = numbered(1..=3, |i| format!("a{i}.png"));
    let classes = expected(&[("a1.png", "target"), ("a2.png", "noise"), ("a3.png", "target")]);
    let labels = place.write("l.csv", b"a1,target\na2,noise\na3,target\n");
    assert_eq!(place.by("s", &labels).unwrap(), classes);
    // Images named as columns are no proof.
    place.images(&["t/id.jpg", "t/a.jpg", "t/1.jpg"]);
    let labels = place.write("l.csv", b"id,label\nid,cat\na,dog\n1,cat\n");
    assert_eq!(place.by("t", &labels).unwrap(), expected(&[("id.jpg", "cat"), ("a.jpg", "dog"), ("1.jpg", "cat")]));
    place.images(&["u/0.jpg", "u/1.jpg", "u/2.jpg"]);
    let labels = place.write("l.csv", b"filename,0,1\n0.jpg,1,0\n1.jpg,0,1\n2.jpg,1,0\n");
    assert_eq!(place.by("u", &labels).unwrap(), expected(&[("0.jpg", "0"), ("1.jpg", "1"), ("2.jpg", "0")]));
}

#[test]
fn rows_of_another_part_label_nothing() {
    let place = Place::new();
    place.images(&["d/test/1.png", "d/test/2.png", "d/test/3.png", "d/test/4.png"]);
    let text = "train/1.png,cat\ntrain/2.png,cat\ntest/1.png,dog\ntest/3.png,dog\ntest/4.png,owl\n";
    let labels = place.write("l.csv", text.as_bytes());
    let found = place.by("d/test", &labels).unwrap();
    assert_eq!(found, expected(&[("1.png", "dog"), ("3.png", "dog"), ("4.png", "owl")]));
    let text: String = (1..=4).map(|i| format!("train/{i}.png,{}\n", ["cat", "dog"][i % 2])).collect();
    for text in [text.clone(), format!("path,label\n{text}"), text.replace(',', " ")] {
        let error = place.by("d/test", &place.write("l.csv", text.as_bytes())).unwrap_err();
        let said = "names none of the 4 images of ";
        let why = "d/test, give the labels of this one";
        assert!(error.contains(said) && error.contains("\"train/1.png\" is of another part of"), "{error}");
        assert!(error.contains(why), "{error}");
    }
    // Of the same part by another name.
    place.images(&["v/valid/1.png", "v/valid/2.png"]);
    let labels = place.write("l.csv", b"val/1.png,cat\nval/2.png,cat\ntrain/1.png,dog\ntrain/3.png,dog\n");
    let error = place.by("v/valid", &labels).unwrap_err();
    assert!(error.contains("holds one class only"), "{error}");
}

#[test]
fn an_image_by_two_paths_has_one_label() {
    let place = Place::new();
    place.images(&["h20/a00.png", "h20/a01.png", "h20/a02.png"]);
    let rows = ["a00.png,dog\n", "h20/a00.png,cat\n", "a01.png,cat\n", "a02.png,cat\n"];
    for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
        let labels = place.write("l.csv", order.map(|at| rows[at]).concat().as_bytes());
        let error = place.by("h20", &labels).unwrap_err();
        assert!(error.contains("a00.png\" is ") && error.contains("an image with two labels; remove"), "{error}");
    }
    let same = rows.concat().replace("dog", "cat").replace("a02.png,cat", "a02.png,dog");
    let classes = expected(&[("a00.png", "cat"), ("a01.png", "cat"), ("a02.png", "dog")]);
    assert_eq!(place.by("h20", &place.write("l.csv", same.as_bytes())).unwrap(), classes);
    // Of other folders the one that is the source's counts.
    let other = same.replace("a00.png,cat\nh20/a00.png,cat", "h21/a00.png,dog\nh20/a00.png,cat");
    assert_eq!(place.by("h20", &place.write("l.csv", other.as_bytes())).unwrap(), classes);
}

/// What is asked for and is not there is never passed over.
#[test]
fn columns_of_a_list_and_parts_of_a_folder_are_refused() {
    let place = numbered(1..=4, |i| format!("a{i}.png"));
    let error = by_column(&place, "cat\ndog\ncat\ndog\n", "3").unwrap_err();
    assert!(error.ends_with("k.csv: has one column only, where the column \"3\" was asked for"), "{error}");
    by_column(&place, "cat\ndog\ncat\ndog\n", "1").unwrap();
    let labels = place.write("k.csv", b"cat\ndog\ncat\ndog\n");
    let image_column = |o| PackOptions { labels: Some(labels.clone()), image_column: Some("x".into()), ..o };
    let error = place.classes("s", image_column).unwrap_err();
    assert!(error.ends_with("where the column \"x\" was asked for"), "{error}");
    let test = |o| PackOptions { labels: Some(labels.clone()), split: alexnet_data::Split::Test, ..o };
    let error = place.classes("s", test).unwrap_err();
    assert!(error.starts_with("split: expected train, or a source of CIFAR or MNIST"), "{error}");
}

//! Columns and rows that are not what they seem: splits, sizes, lists of classes, images of another split or by other
//! names.

use std::collections::BTreeMap;
use std::path::Path;

use crate::common::place::{Place, expected, four};
use alexnet_data::PackOptions;

/// Six images `im/1.jpg` to `im/6.jpg`.
fn six() -> Place {
    let place = Place::new();
    place.images(&["im/1.jpg", "im/2.jpg", "im/3.jpg", "im/4.jpg", "im/5.jpg", "im/6.jpg"]);
    place
}

/// A table of this header, whose rows are an image and these fields.
fn table(header: &str, rows: [&str; 6]) -> String {
    let rows: String = (1..).zip(rows).map(|(i, fields): (usize, _)| format!("{i}.jpg,{fields}\n")).collect();
    format!("{header}\n{rows}")
}

/// Packs the six images by a file of this text.
fn by(place: &Place, text: &str, label_column: Option<&str>) -> Result<BTreeMap<String, String>, String> {
    let labels = Some(place.write("l.csv", text.as_bytes()));
    let column = label_column.map(str::to_string);
    place.classes("im", |o| PackOptions { labels: labels.clone(), label_column: column.clone(), ..o })
}

fn fails(place: &Place, text: &str) -> String {
    by(place, text, None).unwrap_err()
}

#[test]
fn the_rest_of_a_line_is_the_label() {
    let place = six();
    let text = "1 Boeing\n2 Boeing\n3 McDonnell Douglas\n4 Airbus\n5 Airbus\n6 McDonnell Douglas\n";
    let labels = place.write("train.txt", text.as_bytes());
    let (pack, report) = place.pack("im", |o| PackOptions { labels: Some(labels.clone()), ..o }).unwrap();
    assert_eq!((pack.len(), pack.classes().join("|").as_str()), (6, "Airbus|Boeing|McDonnell Douglas"));
    assert_eq!(report.notes, ["train.txt: images from column 1, labels from column 2"]);
    // Names of images with spaces, whose first word is also the name of a column.
    place.images(&["t/img 1.jpg", "t/img 2.jpg", "t/img 3.jpg"]);
    let labels = place.write("t.txt", b"img 1.jpg cat\nimg 2.jpg cat\nimg 3.jpg dog\n");
    let found = place.by("t", &labels).unwrap();
    assert_eq!(found, expected(&[("img 1.jpg", "cat"), ("img 2.jpg", "cat"), ("img 3.jpg", "dog")]));
    // DTD, where some images have several classes.
    let labels = place.write("joint.txt", b"1.jpg banded \n2.jpg banded blotchy\n3.jpg blotchy \n4.jpg blotchy \n");
    let error = place.by("im", &labels).unwrap_err();
    assert!(error.contains("joint.txt: the label \"banded blotchy\" is a list of several classes"), "{error}");
}

#[test]
fn labels_of_another_split_are_refused() {
    let place = Place::new();
    for (folder, other) in [
        ("images_train", "images_test"),
        ("train2017", "val2017"),
        ("test_A", "test_B"),
        ("fold1", "fold2"),
        ("train", "val_images"),
        ("trainset/images", "testset/images"),
    ] {
        place.images(&[1, 2, 3, 4].map(|i| format!("{folder}/{i}.jpg")).each_ref().map(String::as_str));
        let rows = |folder: &str| -> String {
            (1..=4).map(|i| format!("{folder}/{i}.jpg,{}\n", ["cat", "dog"][i % 2])).collect()
        };
        let error =
            place.by(folder, &place.write("o.csv", format!("file,label\n{}", rows(other)).as_bytes())).unwrap_err();
        let said = format!("\"{other}/1.jpg\" is of another part of the data set than ");
        assert!(error.contains("names none of the 4 images of ") && error.contains(&said), "{folder}: {error}");
        assert!(!error.contains("say which is which"), "{error}");
        let own = place.write("o.csv", format!("file,label\n{}{}", rows(folder), rows(other)).as_bytes());
        assert_eq!(place.by(folder, &own).unwrap().len(), 4, "{folder}");
        let bare = place.write("o.csv", rows("photos").as_bytes());
        assert_eq!(place.by(folder, &bare).unwrap().len(), 4, "{folder}");
    }
}

#[test]
fn columns_of_splits_and_sizes_are_no_labels() {
    let place = six();
    for name in
        ["partition", "split", "set", "Data Set", "subset", "is_train", "fold", "width", "height", "caption", "tags"]
    {
        let text = table(&format!("image_id,{name}"), ["0", "0", "0", "0", "1", "2"]);
        let error = fails(&place, &text);
        assert!(error.contains(&format!("l.csv: column 2 ({name}) holds no classes by its name")), "{error}");
        assert!(error.contains("name it (--label-column)"), "{error}");
        assert_eq!(by(&place, &text, Some(name)).unwrap().len(), 6);
    }
    let rows = "1.jpg 0\n2.jpg 0\n3.jpg 0\n4.jpg 0\n5.jpg 1\n6.jpg 2\n";
    let labels = place.write("list_eval_partition.txt", rows.as_bytes());
    let error = place.by("im", &labels).unwrap_err();
    assert!(error.contains("list_eval_partition.txt: is a list of the splits of the images by its name"), "{error}");
    assert_eq!(place.by("im", &place.write("list.txt", rows.as_bytes())).unwrap().len(), 6);
}

#[test]
fn images_of_several_splits_are_not_packed_together() {
    let place = six();
    for name in ["split", "is_train", "set", "data set", "subset", "partition", "Usage"] {
        let text = table(&format!("file,label,{name}"), ["cat,1", "dog,1", "cat,2", "dog,2", "cat,3", "dog,3"]);
        let error = fails(&place, &text);
        let said =
            format!("l.csv: column 3 ({name}) says that the images are of 3 splits (1, 2, 3), which would be packed");
        assert!(error.contains(&said) && error.contains("write the rows of each into a file of its own"), "{error}");
        let named = by(&place, &text, Some("label")).unwrap_err();
        assert!(named.contains(&said), "{named}");
    }
    // Rows of other splits whose images are elsewhere, and folds, are fine.
    let own = table("file,label,split", ["cat,train", "dog,train", "cat,train", "dog,train", "cat,train", "dog,train"]);
    assert_eq!(by(&place, &format!("{own}7.jpg,cat,test\n8.jpg,dog,test\n"), None).unwrap().len(), 6);
    let folds = table("file,label,fold", ["cat,1", "dog,1", "cat,2", "dog,2", "cat,3", "dog,3"]);
    assert_eq!(by(&place, &folds, None).unwrap().len(), 6);
    // Among columns of classes too.
    let text = table("image,is_cat,is_train", ["1,0", "0,1", "1,0", "0,1", "1,0", "0,1"]);
    assert!(fails(&place, &text).contains("column 3 (is_train) says that the images are of 2 splits (0, 1)"));
}

#[test]
fn cells_that_are_lists_are_no_classes() {
    let place = six();
    for (cells, which) in [
        (["healthy", "scab", "scab frog_eye", "scab", "scab frog_eye", "healthy"], "scab frog_eye"),
        (["A|B", "A", "A|B", "A", "B", "B"], "A|B"),
        (["['A']", "['B']", "\"['A', 'B']\"", "['A']", "['B']", "['A']"], "['A', 'B']"),
        (["\"a,b\"", "a", "b", "a", "b", "\"a,b\""], "a,b"),
        (["16 0", "25", "7 1", "16 0", "25", "7 1"], "16 0"),
    ] {
        let error = fails(&place, &table("image,labels", cells));
        let said =
            format!("l.csv: the label {which:?} is a list of several classes; expected one: an image has one class");
        assert!(error.contains(&said), "{cells:?}: {error}");
    }
    // Names of several words are none, nor are words whose column is named.
    let names = ["golden retriever", "tabby cat", "siamese cat", "golden retriever", "tabby cat", "siamese cat"];
    assert_eq!(by(&place, &table("image,labels", names), None).unwrap().len(), 6);
    let words = table("image,labels", ["a", "b", "a b", "a", "b", "a b"]);
    let error = by(&place, &words, None).unwrap_err();
    assert!(error.contains("the label \"a b\" is a list of several classes"), "{error}");
    assert_eq!(by(&place, &words, Some("labels")).unwrap()["3.jpg"], "a b");
    // In a list of labels alone.
    let labels = place.write("list.txt", b"A|B\nA\nB\nA\nB\nA|B\n");
    assert!(place.by("im", &labels).unwrap_err().contains("list.txt: the label \"A|B\" is a list of several classes"));
}

#[test]
fn rows_that_say_that_a_class_is_absent_are_refused() {
    let place = six();
    let text = table("ImageID,LabelName,Confidence", ["/m/a,1", "/m/b,0", "/m/a,1", "/m/b,1", "/m/b,0.0", "/m/b,1"]);
    let error = fails(&place, &text);
    assert!(
        error.contains(
            "l.csv: line 3: its confidence is 0, which says that the image is not of this class, and so of 1"
        ),
        "{error}"
    );
    assert_eq!(by(&place, &text.replace(",0.0\n", ",0.7\n").replace(",0\n", ",0.9\n"), None).unwrap().len(), 6);
    let text = table("image_id,label", ["-1", "-1", "0", "0", "1", "1"]);
    let error = fails(&place, &text);
    assert!(
        error.contains("the label -1: a number below 0 stands for an image without the class or a label; remove"),
        "{error}"
    );
    let named = by(&place, &text, Some("label")).unwrap_err();
    assert!(named.contains("the label -1: a number below 0"), "{named}");
    let text = table("image_id,Male", ["-1", "-1", "-1", "1", "1", "1"]);
    assert!(fails(&place, &text).contains("where -1 and 1 are the two classes, name their column (--label-column)"));
    assert_eq!(by(&place, &text, Some("Male")).unwrap()["1.jpg"], "-1");
}

#[test]
fn names_that_differ_are_shown_from_both_sides() {
    let place = Place::new();
    place.images(&["s/00001.jpg", "s/00002.jpg", "s/00003.jpg", "s/a b.jpg"]);
    let fails = |text: &str| place.by("s", &place.write("l.csv", text.as_bytes())).unwrap_err();
    for (first, said) in [
        ("1", "\"1\" may be 00001.jpg; write the names as the files have them"),
        ("00002.png", "\"00002.png\" may be 00002.jpg; write"),
        ("a%20b.jpg", "\"a%20b.jpg\" is written as in a URL; write"),
        ("x.jpg", "its first is \"x.jpg\"; write"),
    ] {
        let error = fails(&format!("id,label\n{first},cat\nz2,dog\nz3,cat\n"));
        assert!(
            error.contains("names none of the 4 images of ") && error.contains("such as 00001.jpg; column 1 (id)"),
            "{error}"
        );
        assert!(error.contains(said) && !error.contains("say which is which"), "{error}");
    }
    // The column of images asked for as that of labels.
    let place = six();
    let text = table("file,label,age", ["cat,31", "dog,32", "cat,31", "dog,32", "cat,31", "dog,32"]);
    let error = by(&place, &text, Some("file")).unwrap_err();
    assert!(
        error.contains("column 1 is asked for as that of the labels, and holds the names of the images"),
        "{error}"
    );
    // A name comes before a number.
    let text = table("image_id,3,2", ["a,cat", "b,cat", "a,cat", "b,dog", "a,dog", "b,dog"]);
    assert_eq!(by(&place, &text, Some("3")).unwrap()["1.jpg"], "a");
}

#[test]
fn an_image_that_is_listed_by_several_paths_is_noted() {
    let place = six();
    let text = "x/1.jpg,cat\ny/1.jpg,cat\n2.jpg,dog\n3.jpg,cat\n3.jpg,cat\n";
    let labels = place.write("l.csv", text.as_bytes());
    let notes = place.pack("im", |o| PackOptions { labels: Some(labels.clone()), ..o }).unwrap().1.notes;
    let said = "1 rows are of images that other rows have by another path, with the same label";
    assert!(notes.contains(&said.to_string()), "{notes:?}");
}

#[test]
fn json_and_lists_of_images_are_no_labels() {
    let (place, _) = four();
    let fails = |name: &str, text: &str| place.by("s", &place.write(name, text.as_bytes())).unwrap_err();
    for text in [
        "[\n\"cat\",\n\"dog\"\n]\n",
        "{\"img_0.jpg\": \"cat\"}",
        "{\"file\": \"img_0.jpg\", \"label\": 0}\n{\"file\": \"img_1.jpg\", \"label\": 1}\n",
        "[[\"img_0.jpg\", 0], [\"img_1.jpg\", 1]]",
        "{\n \"broken\": \n",
    ] {
        assert!(
            fails("l.json", text).contains("l.json: is JSON; expected a table of images and labels (CSV)"),
            "{text}"
        );
    }
    // Food-101's and SUN397's lists of images, whose folders are the classes.
    place.images(&["f/pie/1.jpg", "f/pie/2.jpg", "f/cake/3.jpg", "f/cake/4.jpg"]);
    for text in ["pie/1\npie/2\ncake/3\n", "/pie/1.jpg\n/pie/2.jpg\n/cake/3.jpg\n/cake/9.jpg\n"] {
        let error = place.by("f", &place.write("train.txt", text.as_bytes())).unwrap_err();
        let said = " without a label; expected lines of an image and its label, or one label per line in the order of the \
                    image names; where the folders are the classes, pack without the option labels";
        assert!(error.contains("train.txt: line 1: ") && error.ends_with(said), "{error}");
    }
    let labels = place.write("l.txt", b"img_0\nimg_2\nimg_1\n");
    assert!(place.by("s", Path::new(&labels)).unwrap_err().contains("line 1: img_0 is an image of "));
}

//! Files of labels that are refused because what they say is not known for certain.

use std::ffi::CString;
use std::path::Path;

use alexnet_data::{PackOptions, SourceKind};

use crate::common::place::{expected, four};

#[test]
fn what_is_not_known_for_certain_is_refused_with_its_columns() {
    let (place, classes) = four();
    let rows = "img_0.jpg,7,young,cat\nimg_1.jpg,8,old,dog\nimg_2.jpg,7,old,dog\nimg_3.jpg,8,young,cat\n";
    let labels = place.write("l.csv", format!("photo,patient,age,kind\n{rows}").as_bytes());
    let error = place.by("s", &labels).unwrap_err();
    let end = "l.csv: which column holds the labels is not known for certain; columns of line 1: 1 \"photo\", 2 \"patient\", \
               3 \"age\", 4 \"kind\"; line 2: \"img_0.jpg\", \"7\", \"young\", \"cat\"; say which is which: --image-column and \
               --label-column, each with a name or a number from 1 on";
    assert!(error.ends_with(end), "{error}");
    let asked = |labels: &Path, image: Option<&str>, label: &str| {
        let columns = (image.map(str::to_string), label.to_string());
        place.classes("s", |o| PackOptions {
            labels: Some(labels.to_path_buf()),
            image_column: columns.0.clone(),
            label_column: Some(columns.1.clone()),
            ..o
        })
    };
    for (image, label) in [(None, "kind"), (Some("photo"), "Kind"), (Some("1"), "4"), (None, "4")] {
        assert_eq!(asked(&labels, image, label).unwrap(), classes, "{image:?} {label}");
    }
    let unheaded = place.write("u.csv", rows.as_bytes());
    assert!(place.by("s", &unheaded).unwrap_err().contains("columns of line 1: 1 \"img_0.jpg\", 2 \"7\""));
    assert_eq!(asked(&unheaded, None, "4").unwrap(), classes);
    let error = asked(&labels, None, "5").unwrap_err();
    assert!(error.starts_with("label_column: expected a column of ") && error.ends_with("got \"5\""), "{error}");
    assert!(asked(&labels, Some("1"), "1").unwrap_err().contains("the same column is asked for"));
    // Found beside the images, two columns are not enough to know the labels.
    place.write("s/sizes.csv", b"filename,width\nimg_0.jpg,20\nimg_1.jpg,20\nimg_2.jpg,30\nimg_3.jpg,30\n");
    let error = place.pack("s", |o| o).unwrap_err();
    assert!(error.contains("sizes.csv: which column holds the labels is not known for certain"), "{error}");
    let error =
        place.pack("s", |o| PackOptions { from: Some(SourceKind::Folders), label_column: Some("x".into()), ..o });
    assert!(error.unwrap_err().starts_with("label_column: expected a source with labels in a file"));
}

#[test]
fn labels_that_cannot_be_classes_are_refused() {
    let (place, _) = four();
    let fails = |name: &str, text: &str| place.by("s", &place.write(name, text.as_bytes())).unwrap_err();
    let error = fails("own.csv", "image,label\nimg_0.jpg,a\nimg_1.jpg,b\nimg_2.jpg,c\nimg_3.jpg,d\n");
    assert!(error.contains("its labels make each of the 4 images a class of its own (a, b, c, ...)"), "{error}");
    assert!(fails("own.txt", "a\nb\nc\nd\n").contains("its labels make each of the 4 images a class of its own"));
    assert!(fails("numbers.txt", "0\n1\n2\n3\n").contains("numbers.txt: only numbers its lines, it holds no labels"));
    let error = fails("names.txt", "img_0.jpg\nimg_1.jpg\nimg_2.jpg\nimg_3.jpg\n");
    assert!(
        error.contains("names.txt: line 1: img_0.jpg is an image of ") && error.contains("without a label"),
        "{error}"
    );
    let error = fails("index.txt", "1 img_0.jpg\n2 img_1.jpg\n3 img_2.jpg\n4 img_3.jpg\n");
    assert!(error.contains("column 1 only numbers the rows, it holds no labels; columns of line 1"), "{error}");
    let error = fails("ages.csv", "image,label\nimg_0.jpg,0.5\nimg_1.jpg,1.5\nimg_2.jpg,0.5\nimg_3.jpg,1.5\n");
    assert!(error.contains("the label 0.5 is a fraction; expected a class"), "{error}");
    let error = fails("nan.csv", "image,label\nimg_0.jpg,1.0\nimg_1.jpg,nan\n");
    assert!(error.contains("line 3: an empty file or label"), "{error}");
    // Lines of several words that name nothing.
    let error = fails("other.txt", "x_0 1 1\nx_1 1 2\nx_2 2 1\nx_3 2 2\n");
    assert!(
        error.contains("other.txt: names none of the 4 images of ") && error.contains("columns of line 1: 1 \"x_0"),
        "{error}"
    );
    // A path that may be two images.
    place.images(&["two/a/1.jpg", "two/b/1.jpg"]);
    let labels = place.write("two.csv", b"path,label\n1.jpg,cat\n1.jpg,cat\n");
    let error = place.by("two", &labels).unwrap_err();
    assert!(
        error.contains("line 2: \"1.jpg\" may be a/1.jpg or b/1.jpg; expected the path that tells them apart"),
        "{error}"
    );
    // Of paths of two sets, those of this one count.
    place.images(&["set/Test/1.jpg", "set/Test/2.jpg", "set/Test/3.jpg"]);
    let text = "path,label\nTrain/1.jpg,dog\nTest/1.jpg,cat\nTest/2.jpg,cat\nTrain/2.jpg,dog\nTest/3.jpg,dog\n";
    let found = place.by("set/Test", &place.write("both.csv", text.as_bytes())).unwrap();
    assert_eq!(found, expected(&[("1.jpg", "cat"), ("2.jpg", "cat"), ("3.jpg", "dog")]));
}

#[cfg(unix)]
#[test]
fn a_fifo_is_no_file_of_labels() {
    let (place, _) = four();
    let fifo = place.path("labels.csv");
    let name = CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the name ends with a zero byte.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let error = place.by("s", &fifo).unwrap_err();
    assert!(error.ends_with("labels.csv: cannot be read: expected a file, found a named pipe"), "{error}");
    let error = place.pack("labels.csv", |o| o).unwrap_err();
    assert!(error.ends_with("labels.csv: cannot be read: expected a file, found a named pipe"), "{error}");
}

//! Files of the names of classes, and labels that are the numbers of these names.

use std::path::Path;

use crate::common::place::{Place, expected};
use alexnet_data::{PackOptions, read_class_names};

/// Six images with these labels.
fn six(labels: [&str; 6]) -> Place {
    let place = Place::new();
    place.images(&["im/0.jpg", "im/1.jpg", "im/2.jpg", "im/3.jpg", "im/4.jpg", "im/5.jpg"]);
    let rows: String = (0..).zip(labels).map(|(i, label): (usize, _)| format!("{i}.jpg,{label}\n")).collect();
    place.write("l.csv", format!("file,label\n{rows}").as_bytes());
    place
}

/// The classes of the images, all classes, and what was noted.
type Named = (Vec<String>, Vec<String>, Vec<String>);

/// The class names read from a file of this text, or the error.
fn named(place: &Place, text: &str) -> Result<Named, String> {
    let path = place.write("names.txt", text.as_bytes());
    let lines = read_class_names(&path).map_err(|e| e.to_string())?;
    let labels = Some(place.path("l.csv"));
    let set = |o| PackOptions { labels: labels.clone(), class_names: Some(lines.clone()), ..o };
    let (pack, report) = place.pack("im", set)?;
    let of_images = (0..pack.len()).map(|i| pack.classes()[pack.label(i) as usize].clone()).collect();
    Ok((of_images, pack.classes().to_vec(), report.notes))
}

#[test]
fn labels_find_their_names_in_every_form() {
    let place = six(["0", "0", "0", "1", "1", "2"]);
    for text in [
        "cat\ndog\nemu\n",
        "emu 2\ncat 0\ndog 1\n",
        "name,id\nemu,2\ncat,0\ndog,1\n",
        "0: cat\n1: dog\n2: emu\n",
        "[\n  \"cat\",\n  \"dog\",\n  \"emu\"\n]\n",
        "{\"0\": \"cat\", \"1\": \"dog\", \"2\": \"emu\"}",
        "# my classes\ncat\ndog\nemu\n",
        "n01440764 cat\nn01443537 dog\nn01484850 emu\n",
    ] {
        let (of_images, classes, _) = named(&place, text).unwrap();
        assert_eq!(of_images, ["cat", "cat", "cat", "dog", "dog", "emu"], "{text}");
        assert_eq!(classes, ["cat", "dog", "emu"], "{text}");
    }
    // Of all lines, as of Caffe's val.txt and synset_words.txt.
    let lines: String = (0..1000).map(|i| format!("n{i:08} name {i}\n")).collect();
    let (of_images, classes, _) = named(&place, &lines).unwrap();
    assert_eq!((classes.len(), of_images[5].as_str()), (1000, "name 2"));
}

#[test]
fn numbers_from_1_on_are_those_of_the_labels() {
    let place = six(["1", "1", "2", "2", "3", "3"]);
    let (of_images, ..) = named(&place, "emu 3\ncat 1\ndog 2\n").unwrap();
    assert_eq!(of_images, ["cat", "cat", "dog", "dog", "emu", "emu"]);
    let error = named(&place, "cat\ndog\nemu\n").unwrap_err();
    assert!(error.contains("l.csv: the label 3 with 3 classes, 0 to 2; the labels seem to begin at 1"), "{error}");
    // The third class has no image: nothing proves that the labels begin at 1.
    let place = six(["1", "1", "2", "2", "1", "2"]);
    let (of_images, ..) = named(&place, "1,cat\n2,dog\n3,emu\n").unwrap();
    assert_eq!(of_images, ["cat", "cat", "dog", "dog", "cat", "dog"]);
    let (.., notes) = named(&place, "cat\ndog\nemu\n").unwrap();
    assert!(notes.iter().any(|note| note.contains("no label is 0, and the label 1 is taken for \"dog\"")), "{notes:?}");
    // A label that no name has.
    let place = six(["0", "1", "2", "2", "1", "0"]);
    let error = named(&place, "1,cat\n2,dog\n3,emu\n").unwrap_err();
    assert!(error.contains("the label 0 with 3 classes, 1 to 3"), "{error}");
}

#[test]
fn a_file_of_another_form_is_refused_by_its_name() {
    let place = six(["0", "0", "0", "1", "1", "2"]);
    for text in [
        "name\ncat\ndog\nemu\n",
        "names:\n- cat\n- dog\n- emu\n",
        "cat\n# no more\n",
        "cat,a\ndog,b\nemu,c\n",
        "cat 0\ndog 2\nemu 4\n",
        "{\"names\": [\"cat\"]}",
        "[\"cat\"",
    ] {
        let error = named(&place, text).unwrap_err();
        assert!(error.contains("names.txt: ") && error.contains("a JSON list of the names"), "{text}: {error}");
    }
    // Lines that are given without a file.
    let class_names = Some(vec!["names:".to_string(), "- cat".to_string()]);
    let error = place.pack("im", |o| PackOptions { class_names: class_names.clone(), ..o }).unwrap_err();
    assert!(
        error.starts_with("class_names: expected names of classes, one per line, got the line \"names:\""),
        "{error}"
    );
    let error = read_class_names(Path::new("absent.txt")).unwrap_err().to_string();
    assert!(error.starts_with("absent.txt: cannot be read as names of classes: "), "{error}");
}

#[test]
fn names_that_are_given_are_used_or_refused() {
    // Words for wnids, where the labels are other names.
    let place = six(["cat", "cat", "cat", "dog", "dog", "dog"]);
    let error = named(&place, "n01440764 tench\nn01443537 goldfish\n").unwrap_err();
    assert!(
        error.starts_with("class_names: expected a source that only numbers its classes, or lines of a wnid"),
        "{error}"
    );
    let place = six(["n01440764", "n01440764", "n01440764", "n01443537", "n01443537", "n01443537"]);
    let (of_images, ..) = named(&place, "n01440764 tench\nn01443537 goldfish\n").unwrap();
    assert_eq!((of_images[0].as_str(), of_images[5].as_str()), ("tench", "goldfish"));
}

#[test]
fn labels_are_the_numbers_that_names_begin_with() {
    let given = |labels: [&str; 6], names: &[&str]| {
        let place = six(labels);
        let classes = Some(names.iter().map(|name| (*name).to_string()).collect::<Vec<_>>());
        let labels = Some(place.path("l.csv"));
        let found = place.classes("im", |o| PackOptions { labels: labels.clone(), classes: classes.clone(), ..o })?;
        Ok::<Vec<String>, String>(found.into_values().collect())
    };
    let birds = ["001.BF", "002.LA", "003.SO", "004.XX"];
    let found = given(["1", "1", "1", "2", "2", "3"], &birds).unwrap();
    assert_eq!(found, ["001.BF", "001.BF", "001.BF", "002.LA", "002.LA", "003.SO"]);
    let error = given(["0", "0", "1", "1", "2", "3"], &birds).unwrap_err();
    assert!(
        error.contains("the label 0 is not among the given classes, whose names begin with their numbers"),
        "{error}"
    );
    // Some of a set: numbers and places contradict, unless a label can be no place.
    let some = ["001.BF", "003.SO", "004.XX", "000.AA"];
    assert_eq!(given(["1", "1", "0", "0", "3", "3"], &some).unwrap_err().matches("may be the class").count(), 1);
    let some = ["001.BF", "003.SO", "009.XX"];
    assert_eq!(given(["1", "1", "9", "9", "3", "3"], &some).unwrap()[2..4], ["009.XX", "009.XX"]);
    // Numbers of another meaning: labels are places.
    assert_eq!(given(["0", "0", "1", "1", "1", "0"], &["5-9 years", "10-19 years"]).unwrap()[0], "5-9 years");
    let place = six(["1", "1", "1", "2", "2", "3"]);
    assert_eq!(named(&place, "001.BF\n002.LA\n003.SO\n").unwrap().0[5], "003.SO");
    // The same of a source without a file of labels.
    let sample = |i: u32, class: &str| {
        [(format!("{i}.jpg"), crate::common::jpeg(12, 11, i)), (format!("{i}.cls"), class.as_bytes().to_vec())]
    };
    place.write("w.tar", &crate::common::tar_of(&[sample(0, "1"), sample(1, "3"), sample(2, "2")].concat()));
    let names = Some(birds[..3].iter().map(|name| (*name).to_string()).collect::<Vec<_>>());
    for set in [
        PackOptions { class_names: names.clone(), ..PackOptions::new("", "") },
        PackOptions { classes: names.clone(), ..PackOptions::new("", "") },
    ] {
        let found = place.classes("w.tar", |o| PackOptions {
            class_names: set.class_names.clone(),
            classes: set.classes.clone(),
            ..o
        });
        assert_eq!(
            found.unwrap(),
            expected(&[("w.tar/0.jpg", "001.BF"), ("w.tar/1.jpg", "003.SO"), ("w.tar/2.jpg", "002.LA")])
        );
    }
    let names = Some(["1 ant", "2 bee", "3 cow"].map(String::from).to_vec());
    let found = place.classes("w.tar", |o| PackOptions { class_names: names.clone(), ..o }).unwrap();
    assert_eq!(found, expected(&[("w.tar/0.jpg", "ant"), ("w.tar/1.jpg", "cow"), ("w.tar/2.jpg", "bee")]));
}

//! Tars as ImageNet and others are distributed, but small: whole, cut and changed.

use std::io::Write;

use alexnet_data::{Pack, PackOptions, pack};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::{Bytes, Setting, failure, jpeg, packed, packed_with, square, tar_of, write};

/// Class, name and pixels of every image.
fn all(pack: &Pack) -> Vec<(String, String, Vec<u8>)> {
    let class = |i: usize| pack.classes()[pack.label(i) as usize].clone();
    (0..pack.len()).map(|i| (class(i), pack.name(i), pack.pixels(i).unwrap().into_owned())).collect()
}

/// Three classes of ILSVRC: names and bytes of their images, not in order.
fn ilsvrc() -> Vec<(&'static str, Vec<(String, Bytes)>)> {
    let wnids = [("n02119789", 3), ("n01440764", 4), ("n02100735", 2)];
    let images = |c: u32, wnid: &str, n: u32| {
        (0..n).rev().map(|i| (format!("{wnid}_{i}.JPEG"), jpeg(40 + i * 3, 50 + c, i * 10 + c))).collect()
    };
    (0..).zip(wnids).map(|(c, (wnid, n))| (wnid, images(c, wnid, n))).collect()
}

/// As `ILSVRC2012_img_train.tar`.
fn train_tar() -> Bytes {
    let tars: Vec<(String, Bytes)> =
        ilsvrc().iter().map(|(wnid, images)| (format!("{wnid}.tar"), tar_of(images))).collect();
    tar_of(&tars)
}

#[test]
fn a_tar_of_class_tars_is_read_in_place() {
    let setting = Setting::new();
    let tar = write(&setting, "ILSVRC2012_img_train.tar", &train_tar());
    let pack = packed(&setting, &tar);
    assert_eq!(pack.classes(), ["n01440764", "n02100735", "n02119789"]);
    assert_eq!(pack.class_counts(), [4, 2, 3]);
    let found = all(&pack);
    assert_eq!(found[0].1, "n01440764/n01440764_0.JPEG");
    assert!(found.is_sorted_by_key(|(_, name, _)| name.clone()));
    for (wnid, images) in ilsvrc() {
        for (name, bytes) in images {
            let (class, _, pixels) = found.iter().find(|(_, n, _)| *n == format!("{wnid}/{name}")).unwrap();
            assert_eq!((class.as_str(), pixels), (wnid, &square(&setting, &bytes)));
        }
    }
    // The same as class folders, and as a folder of class tars, is the same pack.
    for (wnid, images) in ilsvrc() {
        write(&setting, &format!("tars/{wnid}.tar"), &tar_of(&images));
        for (name, bytes) in images {
            write(&setting, &format!("folders/{wnid}/{name}"), &bytes);
        }
    }
    for other in ["tars", "folders"] {
        let other = packed(&setting, &setting.path(other));
        assert_eq!((other.fingerprint(), all(&other)), (pack.fingerprint(), all(&pack)));
    }
}

#[test]
fn a_tar_of_class_folders_is_a_source() {
    let setting = Setting::new();
    let mut members = vec![("./photos/README".to_string(), b"about".to_vec())];
    for (wnid, images) in ilsvrc() {
        members.extend(images.into_iter().map(|(name, bytes)| (format!("./photos/{wnid}/{name}"), bytes)));
    }
    let options = PackOptions {
        size: 32,
        ..PackOptions::new(write(&setting, "photos.tar", &tar_of(&members)), setting.path("p"))
    };
    assert_eq!(pack(&options, |_| ()).unwrap().notes, ["1 files beside the class folders are ignored"]);
    let pack = packed(&setting, &setting.path("photos.tar"));
    assert_eq!((pack.class_counts(), pack.name(0).as_str()), (vec![4, 2, 3], "n01440764/n01440764_0.JPEG"));
    let error = failure(&setting, &write(&setting, "flat.tar", &tar_of(&ilsvrc()[0].1)), |o| o);
    assert!(error.contains("flat.tar: holds no class folders; for images that have their labels elsewhere"), "{error}");
    // A validation set that lacks some classes, by the training's table.
    let classes: Vec<String> = ["n00000001", "n01440764", "n02100735", "n02119789"].map(String::from).to_vec();
    let table = |o| PackOptions { classes: Some(classes.clone()), ..o };
    let pack = packed_with(&setting, &setting.path("photos.tar"), table);
    assert_eq!(pack.class_counts(), [0, 4, 2, 3]);
}

#[test]
fn damaged_tars_are_named_with_member_and_offset() {
    let setting = Setting::new();
    let whole = train_tar();
    let fails = |bytes: &[u8]| failure(&setting, &write(&setting, "train.tar", bytes), |o| o);
    // Cut within a class tar, and within a header.
    let error = fails(&whole[..6000]);
    assert!(error.contains("train.tar: cut short: member \"n02119789.tar\" at offset 512 has "), "{error}");
    let second = whole.windows(9).position(|w| w == b"n01440764").unwrap();
    let error = fails(&whole[..second + 100]);
    assert!(
        error.contains(&format!(
            "cut short at offset {}, after member \"n02119789.tar\": 100 bytes of a header",
            second + 100
        )),
        "{error}"
    );
    // A changed header, of a class and of an image.
    let mut bytes = whole.clone();
    bytes[second + 3] ^= 1;
    let error = fails(&bytes);
    let said = format!("damaged at offset {second}, after member \"n02119789.tar\": no header of a member");
    assert!(error.contains(&said), "{error}");
    let mut bytes = whole.clone();
    bytes[512 + 130] ^= 7;
    let error = fails(&bytes);
    assert!(error.contains("class tar \"n02119789\": no tar begins at offset 512"), "{error}");
    assert!(fails(&[]).contains("train.tar: is empty"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&whole).unwrap();
    let error = fails(&gzip.finish().unwrap());
    assert!(error.contains("is compressed by gzip, which cannot be read in place; unpack it first"), "{error}");
    // An image that is damaged is bad, the archive is not.
    let mut bytes = whole.clone();
    let frame = bytes.windows(4).position(|w| w == [0xff, 0xc0, 0, 17]).unwrap();
    bytes[frame + 5] = 0;
    bytes[frame + 6] = 0;
    let error = fails(&bytes);
    assert!(error.contains("1 of 9 images cannot be used") && error.contains("n02119789/n02119789_2.JPEG"), "{error}");
}

#[test]
fn webdatasets_have_a_class_beside_each_image() {
    let setting = Setting::new();
    let sample = |i: u32, class: &str| {
        let members =
            [(format!("a/{i:04}.jpg"), jpeg(40, 40 + i, i)), (format!("a/{i:04}.cls"), class.as_bytes().to_vec())];
        [members.to_vec(), vec![(format!("a/{i:04}.json"), b"{}".to_vec())]].concat()
    };
    let tar = |range: std::ops::Range<u32>| {
        tar_of(&range.flat_map(|i| sample(i, &format!("{}\n", i % 3))).collect::<Vec<_>>())
    };
    write(&setting, "wds/train-000000.tar", &tar(0..5));
    write(&setting, "wds/train-000001.tar", &tar(5..8));
    let pack = packed(&setting, &setting.path("wds"));
    assert_eq!((pack.len(), pack.classes()), (8, ["0", "1", "2"].map(String::from).as_slice()));
    assert_eq!((pack.name(5).as_str(), pack.label(5)), ("train-000001.tar/a/0005.jpg", 2));
    assert_eq!(pack.pixels(6).unwrap(), square(&setting, &jpeg(40, 46, 6)));
    let names = Some(["ant", "bee", "cow"].map(String::from).to_vec());
    let one = packed_with(&setting, &setting.path("wds/train-000000.tar"), |o| PackOptions {
        class_names: names.clone(),
        ..o
    });
    assert_eq!((one.len(), one.classes()[2].as_str()), (5, "cow"));
    let words = tar_of(&[sample(0, "dog"), sample(1, "cat")].concat());
    assert_eq!(packed(&setting, &write(&setting, "words.tar", &words)).classes(), ["cat", "dog"]);

    let few = Some(["ant", "bee"].map(String::from).to_vec());
    let error = failure(&setting, &setting.path("wds"), |o| PackOptions { class_names: few.clone(), ..o });
    assert!(error.contains("the label 2, with names for 2 classes (0 to 1)"), "{error}");
    write(&setting, "wds/val-000000.tar", &tar(0..2));
    let error = failure(&setting, &setting.path("wds"), |o| o);
    assert!(error.contains("holds several series of tars (train-.tar, val-.tar); expected one to a folder"), "{error}");
}

/// Packs a WebDataset of these members: class, or reason of refusal, by image.
fn samples(members: &[(&str, Bytes)], key: Option<&str>) -> Result<Vec<String>, String> {
    let setting = Setting::new();
    let members: Vec<(String, Bytes)> =
        members.iter().map(|(name, bytes)| ((*name).to_string(), bytes.clone())).collect();
    let source = write(&setting, "s.tar", &tar_of(&members));
    let options = PackOptions {
        size: 32,
        max_bad: 9,
        label_column: key.map(str::to_string),
        ..PackOptions::new(source, setting.path("s.pack"))
    };
    let report = pack(&options, |_| ()).map_err(|e| e.to_string())?;
    let opened = Pack::open(setting.path("s.pack")).unwrap();
    let good = all(&opened).into_iter().map(|(class, name, _)| format!("{name} {class}"));
    Ok(good.chain(report.refused.iter().map(|r| format!("{} {}", r.name, r.reason))).collect())
}

#[test]
fn a_bad_sample_is_a_bad_image_and_not_the_end() {
    let ppm = b"P6 2 2 255 abcdefghijkl".to_vec();
    let image = jpeg(40, 40, 1);
    let cls = |text: &str| text.as_bytes().to_vec();
    let found = samples(
        &[
            ("a.jpg", image.clone()),
            ("a.cls", cls("\u{feff}dog\n")),
            ("b.ppm", ppm),
            ("b.cls", cls("cat")),
            ("c.avif", b"x".to_vec()),
            ("c.cls", cls("cat")),
            ("d.jpg", image.clone()),
            ("e.jpg", b"no image".to_vec()),
            ("e.cls", cls("dog")),
            ("f.jpg", image.clone()),
            ("f.cls", cls("")),
            ("g.jpg", image.clone()),
            ("g.json", cls("{\"label\": \"dog\"}")),
            ("readme.txt", b"about".to_vec()),
        ],
        None,
    );
    let found = found.unwrap();
    assert_eq!(found[..2], ["s.tar/a.jpg dog", "s.tar/b.ppm cat"]);
    let images = "no image (.jpg, .jpeg, .jpe, .png, .webp, .gif, .bmp, .tif, .tiff, .ppm, .pgm, .pbm, .pnm) in the sample, but .avif";
    let refused = [
        format!("s.tar/c not an image: {images}"),
        "s.tar/d.jpg not an image: no .cls beside the image".into(),
        "s.tar/e.jpg not an image: a text file".into(),
        "s.tar/f.jpg not an image: its .cls is not one class, a number or a name".into(),
        "s.tar/g.jpg not an image: no .cls beside the image, though other samples have one".into(),
    ];
    assert_eq!(found[2..], refused);
}

#[test]
fn labels_in_json_are_known_by_their_key() {
    let image = jpeg(40, 40, 1);
    let of = |jsons: &[&str], key: Option<&str>| {
        let names: Vec<(String, String)> =
            (0..jsons.len()).map(|i| (format!("{i}.jpg"), format!("{i}.json"))).collect();
        let members = names
            .iter()
            .zip(jsons)
            .flat_map(|((jpg, json), text)| [(jpg.as_str(), image.clone()), (json.as_str(), text.as_bytes().to_vec())]);
        samples(&members.collect::<Vec<_>>(), key)
    };
    let named = |classes: [&str; 3]| (0..3).map(|i| format!("s.tar/{i}.jpg {}", classes[i])).collect::<Vec<_>>();
    let by_label = of(&["{\"label\": 2, \"w\": 9}", "{\"label\": 0}", "{\"label\": 2.0}"], None);
    assert_eq!(by_label.unwrap(), named(["2", "0", "2"]));
    let by_class = of(&["{\"class\": \"dog\"}", "{\"cls\": \"cat\"}", "{\"label\": \"dog\"}"], None);
    assert_eq!(by_class.unwrap(), named(["dog", "cat", "dog"]));
    let kinds =
        ["{\"kind\": \"b\", \"label\": 1}", "{\"kind\": \"a\", \"label\": 1}", "{\"kind\": \"b\", \"label\": 0}"];
    assert_eq!(of(&kinds, Some("kind")).unwrap(), named(["b", "a", "b"]));
    let error = of(&["{\"kind\": \"b\"}", "{\"kind\": \"a\"}", "{}"], None).unwrap_err();
    let said = "holds no samples of an image and a .cls, or a .json with a label; 0.jpg: no .cls, and its .json has none of the \
                keys label, cls, class, but kind; say which is the label (--label-column KEY)";
    assert!(error.contains(said), "{error}");
    let error = of(&["{\"label\": 1, \"class\": \"b\"}"], None).unwrap_err();
    assert!(error.contains("has the keys label and class; say which is the label"), "{error}");
    let refused = of(&["{\"label\": 0.5}", "{\"label\": 0}", "{\"label\": 1}"], None).unwrap();
    assert_eq!(
        refused[2],
        "s.tar/0.jpg not an image: no .cls, and its .json has 0.5 as \"label\"; expected a whole number or a name"
    );
    let error = of(&["{\"id\": \"x\"}", "{\"id\": \"y\"}", "{\"id\": \"z\"}"], Some("id")).unwrap_err();
    assert!(error.contains("make each of the 3 images a class of its own"), "{error}");
}

#[test]
fn what_is_no_source_is_named() {
    let setting = Setting::new();
    let fails = |name: &str, bytes: &[u8]| failure(&setting, &write(&setting, name, bytes), |o| o);
    assert!(
        fails("notes.txt", b"some text")
            .contains("notes.txt: is no source that is known by its content; expected a folder")
    );
    assert!(fails("a.zip", b"PK\x03\x04....").contains("is a ZIP archive; unpack it first (unzip)"));
    write(&setting, "all/ILSVRC2012_img_train.tar", &train_tar());
    write(&setting, "all/ILSVRC2012_img_val.tar", &tar_of(&ilsvrc()[1].1));
    let error = failure(&setting, &setting.path("all"), |o| o);
    assert!(error.contains("holds archives of whole sets; give one of them, such as "), "{error}");
    let error = failure(&setting, &setting.path("all/ILSVRC2012_img_val.tar"), |o| o);
    assert!(
        error.contains("holds no class folders; for images that have their labels elsewhere, give them"),
        "{error}"
    );
}

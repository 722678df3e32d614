//! Labels that lie beside the images: development kits of ILSVRC, CSV, lists.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use alexnet_data::{Pack, PackOptions, SourceKind, pack};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::{Bytes, Setting, failure, jpeg, packed_with, square, tar_of, write};

/// Validation images and their wnids, in the order of their names.
fn val() -> (Vec<(String, Bytes)>, Vec<&'static str>) {
    let wnids = vec!["n02100735", "n02119789", "n01440764", "n02119789", "n02100735"];
    let name = |i: u32| format!("ILSVRC2012_val_{i:08}.JPEG");
    ((1..=5).map(|i| (name(i), jpeg(50, 40 + i, i))).collect(), wnids)
}

/// ILSVRC's own numbers of the three wnids, as their development kit has them.
const NUMBERS: [(&str, u32); 3] = [("n02119789", 1), ("n02100735", 2), ("n01440764", 3)];

fn truth() -> String {
    let number = |wnid: &&str| NUMBERS.iter().find(|(w, _)| w == wnid).unwrap().1;
    val().1.iter().map(|wnid| format!("{}\n", number(wnid))).collect()
}

/// An element of a MAT-file, padded to 8 bytes; short ones in the small form that MATLAB writes.
fn element(kind: u32, body: &[u8]) -> Bytes {
    let mut bytes = Vec::new();
    if body.len() <= 4 && !body.is_empty() {
        bytes.extend((kind | (body.len() as u32) << 16).to_le_bytes());
        bytes.extend(body);
        bytes.resize(8, 0);
        return bytes;
    }
    bytes.extend(kind.to_le_bytes());
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn array(class: u32, rows: u32, columns: u32, name: &str, content: &[u8]) -> Bytes {
    let flags = [class.to_le_bytes(), [0; 4]].concat();
    let size = [rows.to_le_bytes(), columns.to_le_bytes()].concat();
    element(14, &[element(6, &flags), element(5, &size), element(1, name.as_bytes()), content.to_vec()].concat())
}

fn number(value: u32) -> Bytes {
    // As MATLAB stores small whole doubles.
    array(6, 1, 1, "", &element(2, &[value as u8]))
}

fn text(value: &str) -> Bytes {
    let units: Bytes = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    array(4, 1, value.len() as u32, "", &element(4, &units))
}

/// As `meta.mat`: a struct of the synsets, the classes of the challenge and one above them, compressed.
fn meta(compressed: bool) -> Bytes {
    let fields = ["ILSVRC2012_ID", "WNID", "words", "num_children"];
    let names: Bytes = fields.iter().flat_map(|f| [f.as_bytes(), &[0u8; 32][f.len()..]].concat()).collect();
    let mut content = [element(5, &32u32.to_le_bytes()), element(1, &names)].concat();
    for (wnid, id) in NUMBERS.into_iter().chain([("n00001740", 4)]) {
        content.extend([number(id), text(wnid), text("some words"), number(u32::from(id == 4) * 3)].concat());
    }
    let synsets = array(2, 4, 1, "synsets", &content);
    let mut file = b"MATLAB 5.0 MAT-file".to_vec();
    file.resize(124, b' ');
    file.extend([0, 1, b'I', b'M']);
    if compressed {
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(&synsets).unwrap();
        let packed = zlib.finish().unwrap();
        file.extend(15u32.to_le_bytes());
        file.extend((packed.len() as u32).to_le_bytes());
        file.extend(packed);
    } else {
        file.extend(synsets);
    }
    file
}

#[test]
fn validation_images_get_their_labels_from_a_development_kit() {
    let setting = Setting::new();
    let (images, wnids) = val();
    let tar = write(&setting, "ILSVRC2012_img_val.tar", &tar_of(&images));
    let truth = truth();
    let kit = |name: &str, files: &[(&str, &[u8])]| -> PathBuf {
        let members: Vec<(String, Bytes)> =
            files.iter().map(|(file, bytes)| (format!("ILSVRC2012_devkit_t12/data/{file}"), bytes.to_vec())).collect();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&tar_of(&members)).unwrap();
        write(&setting, name, &gzip.finish().unwrap())
    };
    const TRUTH: &str = "ILSVRC2012_validation_ground_truth.txt";
    let lines = |form: fn(&str, u32) -> String| NUMBERS.map(|(wnid, number)| form(wnid, number)).concat();
    let archive = kit("kit.tar.gz", &[("meta.mat", &meta(true)), (TRUTH, truth.as_bytes()), ("readme.txt", b"x")]);
    write(&setting, &format!("kit/data/{TRUTH}"), truth.as_bytes());
    write(&setting, "kit/data/meta.mat", &meta(false));
    write(&setting, &format!("text/{TRUTH}"), truth.as_bytes());
    write(&setting, "text/map_clsloc.txt", lines(|w, n| format!("{w} {n} name\n")).as_bytes());
    write(&setting, &format!("list/{TRUTH}"), truth.as_bytes());
    write(&setting, "list/synsets.txt", lines(|w, _| format!("{w}\n")).as_bytes());
    let plain: String = wnids.iter().map(|wnid| format!("{wnid}\n")).collect();
    let named: String = images.iter().zip(&wnids).rev().map(|((n, _), w)| format!("{n} {w}\n")).collect();
    let csv: String = images.iter().zip(&wnids).map(|((n, _), w)| format!("{},{w} 1 2 3 4\n", &n[..23])).collect();
    let labels = [
        archive,
        setting.path("kit"),
        setting.path("kit/data"),
        setting.path(&format!("kit/data/{TRUTH}")),
        setting.path(&format!("text/{TRUTH}")),
        setting.path("list"),
        write(&setting, "plain.txt", plain.as_bytes()),
        write(&setting, "named.txt", named.as_bytes()),
        write(&setting, "kaggle.csv", format!("ImageId,PredictionString\n{csv}").as_bytes()),
    ];
    for labels in labels {
        let pack = packed_with(&setting, &tar, |o| PackOptions { labels: Some(labels.clone()), ..o });
        assert_eq!(pack.classes(), ["n01440764", "n02100735", "n02119789"], "{}", labels.display());
        for (index, ((name, bytes), wnid)) in images.iter().zip(&wnids).enumerate() {
            let found = (&pack.name(index), pack.classes()[pack.label(index) as usize].as_str());
            assert_eq!(found, (name, *wnid), "{}", labels.display());
            assert_eq!(pack.pixels(index).unwrap(), square(&setting, bytes));
        }
    }
    // Numbers are indices into a given table.
    let indices = write(&setting, "indices.txt", b"1\n2\n0\n2\n1\n");
    let classes: Vec<String> = ["n01440764", "n02100735", "n02119789"].map(String::from).to_vec();
    let with = |labels: &Path| {
        let labels = Some(labels.to_path_buf());
        let classes = Some(classes.clone());
        move |o| PackOptions { labels: labels.clone(), classes: classes.clone(), ..o }
    };
    let pack = packed_with(&setting, &tar, with(&indices));
    assert_eq!((0..5).map(|i| pack.label(i)).collect::<Vec<_>>(), [1, 2, 0, 2, 1]);
    // ILSVRC's own numbers in a list by another name are noticed.
    let error = failure(&setting, &tar, with(&write(&setting, "truth.txt", truth.as_bytes())));
    assert!(
        error.contains("truth.txt: the label 3 with 3 classes, 0 to 2; if these are ILSVRC's own numbers"),
        "{error}"
    );
}

#[test]
fn labels_that_do_not_fit_are_named() {
    let setting = Setting::new();
    let tar = write(&setting, "val.tar", &tar_of(&val().0));
    let fails = |name: &str, bytes: &[u8]| {
        let labels = write(&setting, name, bytes);
        failure(&setting, &tar, move |o| PackOptions { labels: Some(labels.clone()), ..o })
    };
    let error = fails("short.txt", b"a\nb\n");
    assert!(error.contains("short.txt: 2 labels for the 5 images of "), "{error}");
    assert!(fails("empty.txt", b"\n").contains("holds no labels"));
    let error = fails("other.csv", b"x.jpg,a\ny.jpg,b\n");
    assert!(error.contains("names none of the 5 images of "), "{error}");
    assert!(fails("bytes.txt", &[0xff, 0xfe, 0x41]).contains("is no text in UTF-8"));
    let error = fails("kit/ILSVRC2012_validation_ground_truth.txt", b"1\n2\n3\n1\n2\n");
    assert!(error.contains("expected meta.mat (or map_clsloc.txt"), "{error}");
    let sorted = "n01440764\nn02100735\nn02119789\n";
    fs::write(setting.path("kit/synsets.txt"), sorted).unwrap();
    let error = fails("kit/ILSVRC2012_validation_ground_truth.txt", b"1\n2\n3\n1\n2\n");
    assert!(error.contains("synsets.txt: is sorted by wnid, which is not the order of ILSVRC's numbers"), "{error}");
    fs::write(setting.path("kit/meta.mat"), meta(true)).unwrap();
    let error = fails("kit/ILSVRC2012_validation_ground_truth.txt", b"1\n2\n9\n1\n2\n");
    assert!(error.contains("line 3: \"9\" is not among the 3 classes"), "{error}");
    let whole = meta(false);
    for cut in [100, 140, 300, whole.len() - 9] {
        fs::write(setting.path("kit/meta.mat"), &whole[..cut]).unwrap();
        let error = fails("kit/ILSVRC2012_validation_ground_truth.txt", b"1\n");
        assert!(error.contains("meta.mat: ") && error.contains("short"), "{cut}: {error}");
    }
    let error = failure(&setting, &setting.source(), |o| PackOptions {
        from: Some(SourceKind::Folders),
        labels: Some(setting.path("short.txt")),
        ..o
    });
    assert!(error.starts_with("labels: expected a source without labels of its own"), "{error}");
}

#[test]
fn a_folder_with_a_csv_is_a_source() {
    let setting = Setting::new();
    let mut csv = String::from("image,breed,age\n");
    for i in 0..7u32 {
        write(&setting, &format!("dogs/images/{i}.jpg"), &jpeg(40, 40, i));
        csv.push_str(&format!("{i}.jpg,\"{}\",3\n", ["pug, black", "collie"][i as usize % 2]));
    }
    csv.push_str("99.jpg,collie,1\n");
    write(&setting, "dogs/images/unlabelled.jpg", &jpeg(40, 40, 9));
    write(&setting, "dogs/labels.csv", csv.as_bytes());
    let options = PackOptions { size: 32, ..PackOptions::new(setting.path("dogs"), setting.path("dogs.pack")) };
    let report = pack(&options, |_| ()).unwrap();
    assert_eq!(
        report.notes,
        [
            "labels.csv: images from column 1 (image), labels from column 2 (breed)",
            "1 images without a label are left out, the first is images/unlabelled.jpg",
            "1 labels are of files that are not there"
        ]
    );
    let opened = Pack::open(setting.path("dogs.pack")).unwrap();
    assert_eq!(opened.classes(), ["collie", "pug, black"]);
    assert_eq!((opened.class_counts(), opened.name(0).as_str()), (vec![3, 4], "images/0.jpg"));
    // Numbers are in the order of their values.
    let list: String = (0..8).map(|i| format!("{}\n", [10, 9, 2][i % 3])).collect();
    let labels = Some(write(&setting, "list.txt", list.as_bytes()));
    let pack = packed_with(&setting, &setting.path("dogs/images"), |o| PackOptions { labels: labels.clone(), ..o });
    assert_eq!(pack.classes(), ["2", "9", "10"]);
    write(&setting, "dogs/more.csv", b"a,b");
    let error = failure(&setting, &setting.path("dogs"), |o| PackOptions { from: Some(SourceKind::Labelled), ..o });
    assert!(error.contains("holds 2 .csv files; say which has the labels"), "{error}");
}

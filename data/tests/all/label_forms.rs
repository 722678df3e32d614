//! Labels files in the formats of real data sets.

use std::collections::BTreeMap;
use std::fs;

use alexnet_data::PackOptions;

use crate::common::jpeg;
use crate::common::place::{Place, expected, four};

#[test]
fn gtsrb_as_on_kaggle_and_as_published() {
    let place = Place::new();
    place.images(&["g/Train/20/a_0.png", "g/Train/20/a_1.png", "g/Train/0/a_0.png", "g/Train/1/a_0.png"]);
    let csv = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n\
               27,26,5,5,22,20,20,Train/20/a_0.png\n28,27,5,6,23,22,20,Train/20/a_1.png\n\
               29,26,6,5,24,21,0,Train/0/a_0.png\n32,27,5,5,27,22,1,Train/1/a_0.png\n";
    place.write("g/Train.csv", csv.as_bytes());
    let classes = expected(&[
        ("Train/0/a_0.png", "0"),
        ("Train/1/a_0.png", "1"),
        ("Train/20/a_0.png", "20"),
        ("Train/20/a_1.png", "20"),
    ]);
    // Found by itself.
    let (pack, report) = place.pack("g", |o| o).unwrap();
    assert_eq!((pack.classes().join(" ").as_str(), pack.label(0)), ("0 1 20", 0));
    assert_eq!(report.notes, ["Train.csv: images from column 8 (Path), labels from column 7 (ClassId)"]);
    assert_eq!(place.classes("g", |o| o).unwrap(), classes);
    // The test set, whose paths have a folder more than the source.
    place.images(&["Test/00000.png", "Test/00001.png", "Test/00002.png"]);
    let csv = "Width,Height,Roi.X1,Roi.Y1,Roi.X2,Roi.Y2,ClassId,Path\n\
               53,54,6,5,48,49,16,Test/00000.png\n42,45,5,5,36,40,1,Test/00001.png\n48,52,6,6,43,47,1,Test/00002.png\n";
    let labels = place.write("Test.csv", csv.as_bytes());
    let classes = expected(&[("00000.png", "16"), ("00001.png", "1"), ("00002.png", "1")]);
    assert_eq!(place.by("Test", &labels).unwrap(), classes);
    // As published: semicolons, and the file first.
    let csv = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\r\n\
               00000.ppm;53;54;6;5;48;49;16\r\n00001.ppm;42;45;5;5;36;40;1\r\n00002.ppm;48;52;6;6;43;47;1\r\n";
    place.images(&["ppm/00000.ppm", "ppm/00001.ppm", "ppm/00002.ppm"]);
    place.write("ppm/GT-final_test.csv", csv.as_bytes());
    let classes = expected(&[("00000.ppm", "16"), ("00001.ppm", "1"), ("00002.ppm", "1")]);
    assert_eq!(place.classes("ppm", |o| o).unwrap(), classes);
    // The parts beside each other are no classes.
    place.images(&["kaggle/Train/0/a.png", "kaggle/Test/b.png", "kaggle/Meta/0.png"]);
    let error = place.pack("kaggle", |o| o).unwrap_err();
    assert!(
        error.contains("kaggle: holds Train, Test beside Meta: splits of a data set, not classes; give one of"),
        "{error}"
    );
}

#[test]
fn ham10000_is_labelled_by_its_diagnoses() {
    let place = Place::new();
    place.images(&[
        "h/part_1/ISIC_0027419.jpg",
        "h/part_1/ISIC_0025030.jpg",
        "h/part_2/ISIC_0026769.jpg",
        "h/part_2/ISIC_1.jpg",
    ]);
    let csv = "lesion_id,image_id,dx,dx_type,age,sex,localization\n\
               HAM_0000118,ISIC_0027419,bkl,histo,80.0,male,scalp\nHAM_0000118,ISIC_0025030,bkl,histo,80.0,male,scalp\n\
               HAM_0002730,ISIC_0026769,nv,histo,80.0,male,scalp\nHAM_0002731,ISIC_1,nv,histo,,male,scalp\n";
    let classes = expected(&[
        ("part_1/ISIC_0025030.jpg", "bkl"),
        ("part_1/ISIC_0027419.jpg", "bkl"),
        ("part_2/ISIC_0026769.jpg", "nv"),
        ("part_2/ISIC_1.jpg", "nv"),
    ]);
    let labels = place.write("HAM10000_metadata.csv", csv.as_bytes());
    assert_eq!(place.by("h", &labels).unwrap(), classes);
    let csv =
        "image_id,patient,age,dx\nISIC_0027419,7,80,bkl\nISIC_0025030,8,70,bkl\nISIC_0026769,7,60,nv\nISIC_1,8,50,nv\n";
    assert_eq!(place.by("h", &place.write("patients.csv", csv.as_bytes())).unwrap(), classes);
    // Folders beside a file of labels may be the classes or not.
    fs::copy(&labels, place.path("h/HAM10000_metadata.csv")).unwrap();
    let error = place.pack("h", |o| o).unwrap_err();
    assert!(
        error.contains(
            "holds folders and HAM10000_metadata.csv, either of which may be the labels; say which: option from: "
        ),
        "{error}"
    );
}

#[test]
fn one_hot_columns_have_exactly_one_class() {
    let place = Place::new();
    place.images(&["s/ISIC_0.jpg", "s/ISIC_1.jpg", "s/ISIC_2.jpg", "s/ISIC_3.jpg"]);
    let header = "image,MEL,NV,BCC,UNK\n";
    let rows = "ISIC_0,1.0,0.0,0.0,0.0\nISIC_1,0.0,1.0,0.0,0.0\nISIC_2,0.0,0.0,1.0,0.0\n";
    let isic = |last: &str| place.write("isic.csv", format!("{header}{rows}{last}\n").as_bytes());
    let classes = expected(&[("ISIC_0.jpg", "MEL"), ("ISIC_1.jpg", "NV"), ("ISIC_2.jpg", "BCC"), ("ISIC_3.jpg", "NV")]);
    let labels = isic("ISIC_3,0.0,1.0,0.0,0.0");
    assert_eq!(place.by("s", &labels).unwrap(), classes);
    let (pack, _) = place.pack("s", |o| PackOptions { labels: Some(labels.clone()), ..o }).unwrap();
    assert_eq!(pack.classes().join(" "), "BCC MEL NV UNK");
    let error = place.by("s", &isic("ISIC_3,0.0,0.0,0.0,0.0")).unwrap_err();
    assert!(error.contains("isic.csv: line 5: 0 of the 4 columns of classes are 1; expected exactly one"), "{error}");
    let error = place.by("s", &isic("ISIC_3,1.0,0.0,1.0,0.0")).unwrap_err();
    assert!(error.contains("line 5: 2 of the 4 columns of classes are 1 (MEL, BCC); expected exactly one"), "{error}");
    let error = place.by("s", &isic("ISIC_3,0.7,0.1,0.1,0.1")).unwrap_err();
    assert!(error.contains("which column holds the labels is ambiguous; columns of line 1: 1 \"image\""), "{error}");
    // Roboflow's has spaces, and lies beside the images.
    let csv =
        "filename, cat, dog, owl\nISIC_0.jpg, 1, 0, 0\nISIC_1.jpg, 0, 1, 0\nISIC_2.jpg, 0, 0, 1\nISIC_3.jpg, 0, 1, 0\n";
    place.write("s/_classes.csv", csv.as_bytes());
    let classes =
        expected(&[("ISIC_0.jpg", "cat"), ("ISIC_1.jpg", "dog"), ("ISIC_2.jpg", "owl"), ("ISIC_3.jpg", "dog")]);
    assert_eq!(place.classes("s", |o| o).unwrap(), classes);
}

#[test]
fn an_index_named_id_is_no_image() {
    let place = Place::new();
    place.images(&["s/0.jpg", "s/1.jpg", "s/2.jpg", "s/3.jpg"]);
    let csv = "id,filename,label\n0,1.jpg,cat\n1,2.jpg,dog\n2,3.jpg,cat\n3,0.jpg,dog\n";
    place.write("s/labels.csv", csv.as_bytes());
    let classes = expected(&[("0.jpg", "dog"), ("1.jpg", "cat"), ("2.jpg", "dog"), ("3.jpg", "cat")]);
    assert_eq!(place.classes("s", |o| o).unwrap(), classes);
    // An index without a name, as pandas writes it, and an empty column.
    let csv = ",filename,label,\n0,1.jpg,cat,\n1,2.jpg,dog,\n2,3.jpg,cat,\n3,0.jpg,dog,\n";
    assert_eq!(place.by("s", &place.write("i.csv", csv.as_bytes())).unwrap(), classes);
    // Names that say as little: those that mean images of the source, if only one does.
    let csv = "id,name,label\n0,1.jpg,cat\n1,2.jpg,dog\n2,3.jpg,cat\n3,0.jpg,dog\n";
    let error = place.by("s", &place.write("n.csv", csv.as_bytes())).unwrap_err();
    assert!(
        error.contains("which column holds the images is ambiguous; columns of line 1: 1 \"id\", 2 \"name\""),
        "{error}"
    );
    let csv = csv.replace("\n0,", "\n70,").replace("\n1,", "\n71,").replace("\n2,", "\n72,").replace("\n3,", "\n73,");
    assert_eq!(place.by("s", &place.write("n.csv", csv.as_bytes())).unwrap(), classes);
}

#[test]
fn ilsvrcs_image_sets_say_their_classes_by_folder_or_not_at_all() {
    let place = Place::new();
    let name = |i: u32| format!("val/ILSVRC2012_val_{i:08}.JPEG");
    (1..=4).for_each(|i| drop(place.write(&name(i), &jpeg(12, 11, i))));
    let set: String = (1..=4).map(|i| format!("ILSVRC2012_val_{i:08} {i}\n")).collect();
    let labels = place.write("val.txt", set.as_bytes());
    let refused =
        "column 2 only numbers the rows, it holds no labels; ILSVRC's ImageSets hold no classes of its validation";
    let error = place.by("val", &labels).unwrap_err();
    assert!(error.contains(refused) && error.contains("give the development kit"), "{error}");
    // With a table of classes it would have been taken for indices.
    let classes: Vec<String> = (0..1000).map(|i| format!("n{i:08}")).collect();
    let with = |o| PackOptions { labels: Some(labels.clone()), classes: Some(classes.clone()), ..o };
    let error = place.pack("val", with).unwrap_err();
    assert!(error.contains(refused), "{error}");
    // The same form with classes.
    let text: String = (1..=4).map(|i| format!("ILSVRC2012_val_{i:08} {}\n", i % 2)).collect();
    let (pack, _) =
        place.pack("val", |o| PackOptions { labels: Some(place.write("c.txt", text.as_bytes())), ..o }).unwrap();
    assert_eq!((0..4).map(|i| pack.label(i)).collect::<Vec<_>>(), [1, 0, 1, 0]);
    // The training set, in folders or not.
    let names =
        ["n01440764/n01440764_10026", "n01440764/n01440764_10027", "n02119789/n02119789_3", "n02119789/n02119789_9"];
    let set: String = (1..).zip(names).map(|(i, name)| format!("{name} {i}\n")).collect();
    let labels = place.write("train_cls.txt", set.as_bytes());
    names.iter().for_each(|name| drop(place.write(&format!("train/{name}.JPEG"), &jpeg(12, 11, 5))));
    let found = place.by("train", &labels).unwrap();
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|(name, class)| name.starts_with(class.as_str())), "{found:?}");
}

#[test]
fn oxfords_pets_are_numbered_as_in_their_lists() {
    let place = Place::new();
    place.images(&[
        "images/Abyssinian_100.jpg",
        "images/american_bulldog_100.jpg",
        "images/Bengal_1.jpg",
        "images/Bengal_2.jpg",
    ]);
    place.write("images/Abyssinian_100.mat", b"MATLAB");
    let list = "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\n#SPECIES: 1:Cat 2:Dog\n#All images with 1st letter as \
                captial are cat images\nAbyssinian_100 1 1 1\namerican_bulldog_100 2 2 1\nBengal_1 6 1 2\nBengal_2 6 1 2\n";
    let labels = place.write("annotations/list.txt", list.as_bytes());
    let (pack, _) = place.pack("images", |o| PackOptions { labels: Some(labels.clone()), ..o }).unwrap();
    assert_eq!(pack.classes(), ["Abyssinian", "american_bulldog", "Bengal"]);
    let found: Vec<(String, u32)> = (0..4).map(|i| (pack.name(i), pack.label(i))).collect();
    let expected = [("Abyssinian_100", 0), ("Bengal_1", 2), ("Bengal_2", 2), ("american_bulldog_100", 1)];
    assert_eq!(found, expected.map(|(name, label)| (format!("{name}.jpg"), label)));
    // Four columns of another meaning are not taken for it.
    let list = "Abyssinian_100 1 1 1\namerican_bulldog_100 1 2 1\nBengal_1 6 1 2\nBengal_2 6 1 2\n";
    let error = place.by("images", &place.write("other.txt", list.as_bytes())).unwrap_err();
    assert!(error.contains("which column holds the labels is ambiguous"), "{error}");
}

#[test]
fn mxnets_lists_and_kaggles_tables() {
    let (place, classes) = four();
    let numbers: BTreeMap<String, String> =
        classes.iter().map(|(name, class)| (name.clone(), u8::from(class == "dog").to_string())).collect();
    let list =
        "2\t1.000000\tx/img_2.jpg\n0\t0.000000\tx/img_0.jpg\n1\t1.000000\tx/img_1.jpg\n3\t0.000000\tx/img_3.jpg\n";
    assert_eq!(place.by("s", &place.write("train.lst", list.as_bytes())).unwrap(), numbers);
    let several = list.replace("\tx/", "\t3.0\tx/");
    let error = place.by("s", &place.write("train.lst", several.as_bytes())).unwrap_err();
    assert!(error.contains("train.lst: 2 labels an image; expected lines of a number, a label and a path"), "{error}");
    for (header, with) in [
        ("id,breed", &["img_0,cat", "img_1,dog", "img_2,dog", "img_3,cat"]),
        ("Image,Id", &["img_0.jpg,cat", "img_1.jpg,dog", "img_2.jpg,dog", "img_3.jpg,cat"]),
        ("id_code,diagnosis", &["img_0,cat", "img_1,dog", "img_2,dog", "img_3,cat"]),
        ("subject,classname,img", &["p2,cat,img_0.jpg", "p2,dog,img_1.jpg", "p2,dog,img_2.jpg", "p1,cat,img_3.jpg"]),
        (
            "filepath,class_id,class_name",
            &["a/img_0.jpg,4,cat", "a/img_1.jpg,2,dog", "a/img_2.jpg,2,dog", "a/img_3.jpg,4,cat"],
        ),
    ] {
        let csv = format!("{header}\n{}\n", with.join("\n"));
        assert_eq!(place.by("s", &place.write("k.csv", csv.as_bytes())).unwrap(), classes, "{csv}");
    }
    let wnids = "ImageId,PredictionString\nimg_0,n02085620 1 2 3 4 n02085620 5 6 7 8\nimg_1,n02119789 1 2 3 4 \n\
                 img_2,n02119789 1 2 3 4\nimg_3,n02085620 1 2 3 4\n";
    let found = place.by("s", &place.write("LOC_val_solution.csv", wnids.as_bytes())).unwrap();
    assert_eq!(found["img_2.jpg"], "n02119789");
    // Two columns of labels that part the images in different ways.
    let csv = "image,label,species\nimg_0.jpg,a,x\nimg_1.jpg,a,y\nimg_2.jpg,b,x\nimg_3.jpg,b,y\n";
    let error = place.by("s", &place.write("two.csv", csv.as_bytes())).unwrap_err();
    assert!(error.contains("which of several columns holds the labels is ambiguous"), "{error}");
}

#[test]
fn lists_of_several_forms_give_the_same_labels() {
    let (place, classes) = four();
    let rows = [("img_0.jpg", "cat"), ("img_1.jpg", "dog"), ("img_2.jpg", "dog"), ("img_3.jpg", "cat")];
    let text = |form: fn(&str, &str) -> String| rows.map(|(name, class)| form(name, class)).concat();
    let forms: [fn(&str, &str) -> String; 12] = [
        |n, c| format!("{n} {c}\n"),
        |n, c| format!("{c} {n}\n"),
        |n, c| format!("{n},{c}\n"),
        |n, c| format!("{n};{c}\r\n"),
        |n, c| format!("{n}\t{c}\n"),
        |n, c| format!("{} {c}\n", &n[..5]),
        |n, c| format!("train/{n} {c}\n"),
        |n, c| format!("/data/x/{n}\t{c}\n"),
        |n, c| format!("C:\\data\\s\\{n},{c}\n"),
        |n, c| format!("{},{c}\n", n.to_uppercase()),
        |n, c| format!("\"./s/{n}\",\"{c}\"\n"),
        |_, c| format!("{c}\n"),
    ];
    for form in forms {
        let text = text(form);
        for name in ["l.txt", "l.csv", "l.tsv"] {
            let single = !text.contains("img") && !text.contains("IMG");
            if !(single && name == "l.csv") {
                assert_eq!(place.by("s", &place.write(name, text.as_bytes())).unwrap(), classes, "{name}: {text}");
            }
        }
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let marked = [b"\xff\xfe".as_slice(), &wide].concat();
        assert_eq!(place.by("s", &place.write("u.txt", &marked)).unwrap(), classes, "UTF-16: {text}");
        let marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        assert_eq!(place.by("s", &place.write("u.txt", &marked)).unwrap(), classes, "with a mark: {text}");
    }
    // Names of images and of classes with spaces.
    place.images(&["t/a 1.jpg", "t/a 2.jpg", "t/b.jpg"]);
    let labels = place.write("spaces.txt", b"a 1.jpg cat\na 2.jpg cat\nb.jpg dog\n");
    assert_eq!(place.by("t", &labels).unwrap(), expected(&[("a 1.jpg", "cat"), ("a 2.jpg", "cat"), ("b.jpg", "dog")]));
    let labels = place.write("words.txt", b"golden retriever\ntabby cat\ntabby cat\n");
    let classes = [("a 1.jpg", "golden retriever"), ("a 2.jpg", "tabby cat"), ("b.jpg", "tabby cat")];
    assert_eq!(place.by("t", &labels).unwrap(), expected(&classes));
}

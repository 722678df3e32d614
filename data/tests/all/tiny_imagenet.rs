//! Tiny ImageNet as it is distributed.

use std::fs;

use alexnet_data::{Pack, PackOptions, TrainValReport, pack_train_and_val};

use crate::common::jpeg;
use crate::common::place::Place;

const WNIDS: [&str; 3] = ["n01443537", "n01629819", "n02012849"];
const WORDS: &str = "n00001740\tentity\nn01443537\tgoldfish, Carassius auratus\n\
                     n01629819\tEuropean fire salamander\nn02012849\tcrane\nn03126707\tcrane\n";

/// The labels of the validation images: a file, its wnid and a box.
fn annotations() -> String {
    (0..6).map(|i| format!("val_{i}.JPEG\t{}\t0\t32\t44\t62\n", WNIDS[i % 3])).collect()
}

/// A grey JPEG.
fn grey(side: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_pixel(side, side, image::Luma([90])).write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// The data set in `tiny`, with images of 12 x 12 pixels.
fn distributed() -> Place {
    let place = Place::new();
    for (c, wnid) in (0..).zip(WNIDS) {
        for i in 0..3 {
            place.write(&format!("tiny/train/{wnid}/images/{wnid}_{i}.JPEG"), &jpeg(12, 12, c * 3 + i));
        }
        let boxes: String = (0..3).map(|i| format!("{wnid}_{i}.JPEG\t0\t10\t63\t58\n")).collect();
        place.write(&format!("tiny/train/{wnid}/{wnid}_boxes.txt"), boxes.as_bytes());
    }
    place.write("tiny/train/n01629819/images/n01629819_1.JPEG", &grey(12));
    place.write("tiny/train/n01443537/.DS_Store", b"\0\0\0\x01Bud1");
    place.write("tiny/val/val_annotations.txt", annotations().as_bytes());
    (0..6).for_each(|i| drop(place.write(&format!("tiny/val/images/val_{i}.JPEG"), &jpeg(12, 12, i))));
    (0..2).for_each(|i| drop(place.write(&format!("tiny/test/images/test_{i}.JPEG"), &jpeg(12, 12, i))));
    place.write("tiny/words.txt", WORDS.as_bytes());
    place.write("tiny/wnids.txt", WNIDS.join("\n").as_bytes());
    place
}

fn pack_both(place: &Place, size: usize) -> Result<(TrainValReport, [Pack; 2]), String> {
    let out = place.path("packs");
    let _ = fs::remove_dir_all(&out);
    let options = PackOptions { size, jobs: 1, ..PackOptions::new(place.path("tiny"), &out) };
    let report = pack_train_and_val(&options, None, |_, _| ()).map_err(|e| e.to_string())?;
    Ok((report, ["train.pack", "val.pack"].map(|pack| Pack::open(out.join(pack)).unwrap())))
}

#[test]
fn it_is_two_packs_with_words_for_classes() {
    let place = distributed();
    let (report, [train, val]) = pack_both(&place, 12).unwrap();
    let named = ["goldfish, Carassius auratus", "European fire salamander", "crane"];
    assert_eq!((train.classes(), val.classes()), (named.map(String::from).as_slice(), train.classes()));
    assert_eq!((train.class_counts(), val.class_counts()), (vec![3, 3, 3], vec![2, 2, 2]));
    assert_eq!((0..6).map(|i| val.label(i)).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    assert!(report.train.rejected.is_empty() && report.val.rejected.is_empty());
    assert!(report.notes.last().unwrap().ends_with("test is not packed"), "{:?}", report.notes);
    let skipped = "3 metadata files among the images are skipped, the first is n01443537/n01443537_boxes.txt";
    assert_eq!(report.train.notes, [skipped]);
    let pixels = train.pixels(4).unwrap();
    assert!(pixels.chunks(3).all(|rgb| rgb[0] == rgb[1] && rgb[1] == rgb[2]), "grey is copied to three channels");
    // Images of a complete pack are not read again, so the note on their size is not repeated.
    let enlarged = "the images are 12 x 12, stored as 16 x 16; a size of 12 keeps them";
    let (report, _) = pack_both(&place, 16).unwrap();
    assert_eq!(report.train.notes, [skipped, enlarged]);
    let options = PackOptions { size: 16, jobs: 1, ..PackOptions::new(place.path("tiny"), place.path("packs")) };
    assert_eq!(pack_train_and_val(&options, None, |_, _| ()).unwrap().train.notes, [skipped]);
}

#[test]
fn its_parts_alone_have_the_same_labels() {
    let place = distributed();
    fs::remove_file(place.path("tiny/words.txt")).unwrap();
    let (train, _) = place.pack("tiny/train", |o| o).unwrap();
    assert_eq!((train.class_counts(), train.classes()), (vec![3, 3, 3], WNIDS.map(String::from).as_slice()));
    let classes = Some(WNIDS.map(String::from).to_vec());
    let (val, _) = place.pack("tiny/val", |o| PackOptions { classes: classes.clone(), ..o }).unwrap();
    assert_eq!((0..6).map(|i| val.label(i)).collect::<Vec<_>>(), [0, 1, 2, 0, 1, 2]);
    // The words where the file is given.
    fs::rename(place.path("tiny/train"), place.path("alone")).unwrap();
    let lines: Vec<String> = WORDS.lines().map(str::to_string).collect();
    let (given, _) = place.pack("alone", |o| PackOptions { class_names: Some(lines.clone()), ..o }).unwrap();
    assert_eq!(given.classes(), ["goldfish, Carassius auratus", "European fire salamander", "crane"]);
}

#[test]
fn other_folders_than_listed_are_noted() {
    let place = distributed();
    place.images(&["tiny/train/n03126707/images/n03126707_0.JPEG"]);
    place.write("tiny/wnids.txt", b"\nn01443537\nn01629819\nn02012849\nn99999999");
    let (report, [train, val]) = pack_both(&place, 8).unwrap();
    assert_eq!(train.classes()[2..], ["crane (n02012849)", "crane (n03126707)"]);
    assert_eq!((train.class_counts(), val.class_counts()), (vec![3, 3, 3, 1], vec![2, 2, 2, 0]));
    let notes = [
        "1 class folders are not in wnids.txt and are packed as classes too, the first is n03126707",
        "1 classes of wnids.txt have no folder and are left out, the first is n99999999",
    ];
    assert_eq!(report.train.notes[1..], notes);
}

#[test]
fn missing_and_damaged_parts_are_named() {
    let place = distributed();
    let error = |place: &Place| pack_both(place, 8).map(|_| ()).unwrap_err();
    // An image without a label is left out, with a note.
    let annotated = annotations();
    let rows: Vec<&str> = annotated.lines().collect();
    place.write("tiny/val/val_annotations.txt", rows[..5].join("\n").as_bytes());
    let (report, [_, val]) = pack_both(&place, 8).unwrap();
    assert_eq!(val.len(), 5);
    let note = "1 images without a label are skipped, the first is images/val_5.JPEG";
    assert!(report.val.notes.contains(&note.to_string()), "{:?}", report.val.notes);
    // A wnid without a class, a row cut short, an empty file, none.
    place.write("tiny/val/val_annotations.txt", annotated.replace("n01629819", "n01629820").as_bytes());
    assert!(error(&place).contains("the class \"n01629820\" is not among the given classes"), "{}", error(&place));
    place.write("tiny/val/val_annotations.txt", &annotated.as_bytes()[..annotated.len() - 27]);
    assert!(error(&place).contains("val_annotations.txt"), "{}", error(&place));
    place.write("tiny/val/val_annotations.txt", b"");
    assert!(error(&place).contains("val_annotations.txt: holds no labels"), "{}", error(&place));
    fs::remove_file(place.path("tiny/val/val_annotations.txt")).unwrap();
    let said = "val: holds one folder, \"images\", which is none of the given classes; if it holds images of several \
                classes, the file of their labels is missing: val_annotations.txt in Tiny ImageNet";
    assert!(error(&place).contains(said), "{}", error(&place));
    // A class of which only the boxes are left.
    let place = distributed();
    fs::remove_dir_all(place.path("tiny/train/n02012849/images")).unwrap();
    assert!(error(&place).contains("n02012849: a class folder without images; add some"), "{}", error(&place));
    // A file of words that is none.
    let place = distributed();
    place.write("tiny/words.txt", b"goldfish\n");
    assert!(error(&place).contains("words.txt: expected lines of a wnid and its words"), "{}", error(&place));
}

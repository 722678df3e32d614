//! Training and validation packs of one folder, and folders that must not be packed into.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_data::{
    HoldOut, Pack, PackOptions, SourceKind, Subset, TrainValReport, holds_train_and_val, pack, pack_train_and_val,
};
use proptest::prelude::*;

use crate::common::{Setting, contents, draw_source, jpeg, tar_of, write};

fn options(setting: &Setting, source: &str, out: &str) -> PackOptions {
    let source = setting.path(source);
    let out = setting.path(out);
    PackOptions { size: 32, jobs: 2, shard_bytes: 5 * 32 * 32 * 3, ..PackOptions::new(source, out) }
}

fn both(setting: &Setting, out: &str) -> [Pack; 2] {
    ["train.pack", "val.pack"].map(|pack| Pack::open(setting.path(out).join(pack)).unwrap())
}

fn names(pack: &Pack) -> BTreeSet<String> {
    (0..pack.len()).map(|i| pack.name(i)).collect()
}

fn held_out(setting: &Setting, out: &str, fraction: f64, seed: u64) -> TrainValReport {
    let hold_out = Some(HoldOut { fraction, seed });
    pack_train_and_val(&options(setting, "source", out), hold_out, |_, _| ()).unwrap()
}

#[test]
fn a_share_of_each_class_is_held_out() {
    let setting = Setting::new();
    let report = held_out(&setting, "both", 0.25, 1);
    assert_eq!((report.train.images, report.val.images), (17, 6));
    let [train, val] = both(&setting, "both");
    assert_eq!((train.classes(), val.classes()), (val.classes(), train.classes()));
    // 9, 6 and 8 images.
    assert_eq!((train.class_counts(), val.class_counts()), (vec![7, 4, 6], vec![2, 2, 2]));
    assert!(names(&train).is_disjoint(&names(&val)));
    let whole = setting.pack("whole");
    assert_eq!(names(&train).len() + names(&val).len(), whole.images);
    let whole = setting.open("whole");
    let by_name: BTreeMap<String, usize> = (0..whole.len()).map(|i| (whole.name(i), i)).collect();
    for part in [&train, &val] {
        for i in 0..part.len() {
            let same = by_name[&part.name(i)];
            assert_eq!((part.label(i), part.pixels(i).unwrap()), (whole.label(same), whole.pixels(same).unwrap()));
        }
    }
    // The same again, elsewhere and for a tar; another seed holds out others.
    held_out(&setting, "again", 0.25, 1);
    let bytes = |out: &str, part: &str| contents(&setting.path(out).join(part));
    assert!(bytes("both", "train.pack") == bytes("again", "train.pack"));
    assert!(bytes("both", "val.pack") == bytes("again", "val.pack"));
    held_out(&setting, "other", 0.25, 2);
    assert_ne!(names(&both(&setting, "other")[1]), names(&val));
    let members: Vec<(String, Vec<u8>)> =
        by_name.keys().map(|name| (name.clone(), fs::read(setting.source().join(name)).unwrap())).collect();
    write(&setting, "source.tar", &tar_of(&members));
    let hold_out = Some(HoldOut { fraction: 0.25, seed: 1 });
    pack_train_and_val(&options(&setting, "source.tar", "tar"), hold_out, |_, _| ()).unwrap();
    assert_eq!(names(&both(&setting, "tar")[1]), names(&val));
    // Another share into the same folder is another pack.
    let error =
        pack_train_and_val(&options(&setting, "source", "both"), Some(HoldOut { fraction: 0.5, seed: 1 }), |_, _| ());
    assert!(
        error.unwrap_err().to_string().contains("both/train.pack/pack.h5: holds images of another or changed source")
    );
    let error =
        pack_train_and_val(&options(&setting, "source", "x"), Some(HoldOut { fraction: 1.5, seed: 1 }), |_, _| ());
    assert_eq!(error.unwrap_err().to_string(), "val_fraction: expected more than 0 and less than 1, got 1.5");
    assert!(!setting.path("x").exists());
}

#[test]
fn classes_that_cannot_be_in_both_are_noted() {
    let setting = Setting::new();
    assert!(held_out(&setting, "both", 0.25, 1).notes.is_empty());
    write(&setting, "source/dodo/last.jpg", &jpeg(40, 40, 1));
    for _ in ["packed", "complete already"] {
        let report = held_out(&setting, "more", 0.25, 1);
        assert_eq!(report.notes.len(), 1, "{report:?}");
        let expected = "1 class has fewer than two images, too few to be in both packs: \"dodo\"; ";
        assert!(report.notes[0].starts_with(expected), "{report:?}");
    }
    let [train, val] = both(&setting, "more");
    assert_eq!((train.class_counts()[3], val.class_counts()[3]), (1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn parts_are_disjoint_complete_and_stratified(
        counts in prop::collection::vec(1..7usize, 2..4),
        fraction in 0.05..0.95f64,
        seed in any::<u64>(),
    ) {
        prop_assume!(counts.iter().any(|&count| count > 1));
        let setting = Setting::new();
        let classes: Vec<String> = (0..counts.len()).map(|class| format!("c{class}")).collect();
        let drawn: Vec<(&str, usize)> = classes.iter().map(String::as_str).zip(counts.iter().copied()).collect();
        draw_source(&setting.path("drawn"), &drawn);
        let hold_out = Some(HoldOut { fraction, seed });
        pack_train_and_val(&options(&setting, "drawn", "both"), hold_out, |_, _| ()).unwrap();
        let [train, val] = both(&setting, "both");
        prop_assert!(names(&train).is_disjoint(&names(&val)));
        for (class, &count) in counts.iter().enumerate() {
            let kept = train.class_counts()[class];
            let held = val.class_counts()[class];
            prop_assert_eq!(kept + held, count);
            prop_assert!(kept >= 1 && (held >= 1) == (count > 1));
            prop_assert!((held as f64 - count as f64 * fraction).abs() <= 1.0);
        }
    }
}

#[test]
fn a_stopped_run_resumes() {
    let setting = Setting::new();
    held_out(&setting, "whole", 0.3, 1);
    let hold_out = Some(HoldOut { fraction: 0.3, seed: 1 });
    // Stopped in either part.
    for (part, done) in [(Subset::Train, 7), (Subset::Val, 3)] {
        let cancel = Arc::new(AtomicBool::new(false));
        let stopped = PackOptions { cancel: Some(Arc::clone(&cancel)), ..options(&setting, "source", "cut") };
        let error = pack_train_and_val(&stopped, hold_out, |at, progress| {
            cancel.fetch_or(at == part && progress.done == done, Ordering::Relaxed);
        });
        assert!(error.unwrap_err().to_string().contains("run the same command again to continue"));
        let report = pack_train_and_val(&options(&setting, "source", "cut"), hold_out, |_, _| ()).unwrap();
        assert!(report.train.resumed_shards > 0);
        for pack in ["train.pack", "val.pack"] {
            assert!(contents(&setting.path("whole").join(pack)) == contents(&setting.path("cut").join(pack)), "{pack}");
        }
        fs::remove_dir_all(setting.path("cut")).unwrap();
    }
}

#[test]
fn a_folder_of_train_and_val_is_two_packs() {
    let setting = Setting::new();
    draw_source(&setting.path("sets/Train"), &[("ant", 3), ("bee", 2), ("cow", 2)]);
    draw_source(&setting.path("sets/valid"), &[("bee", 2), ("cow", 1)]);
    draw_source(&setting.path("sets/test"), &[("bee", 1)]);
    write(&setting, "sets/README.txt", b"about");
    assert!(holds_train_and_val(&setting.path("sets")).unwrap());
    let report = pack_train_and_val(&options(&setting, "sets", "both"), None, |_, _| ()).unwrap();
    assert_eq!((report.train.images, report.val.images), (7, 3));
    let shown = setting.path("sets").display().to_string();
    let notes = ["Train is packed as train.pack", "valid is packed as val.pack", "test is not packed"];
    assert_eq!(report.notes, notes.map(|note| format!("{shown}/{note}")));
    let [train, val] = both(&setting, "both");
    assert_eq!((train.classes().join(" "), train.classes()), ("ant bee cow".into(), val.classes()));
    assert_eq!((train.class_counts(), val.class_counts()), (vec![3, 2, 2], vec![0, 2, 1]));
    // As one source it is refused: they are no classes.
    let error = pack(&options(&setting, "sets", "one"), |_| ()).unwrap_err().to_string();
    assert!(error.contains("sets: holds Train and valid, two sets and not two classes; give one of them"), "{error}");
    // The test set where there is no other, and labels in files.
    let row = |i: u32| write(&setting, &format!("rob/train/{i}.jpg"), &jpeg(40, 40, i));
    (0..4).for_each(|i| drop(row(i)));
    write(&setting, "rob/train/_classes.csv", b"filename, a, b\n0.jpg, 1, 0\n1.jpg, 0, 1\n2.jpg, 1, 0\n3.jpg, 0, 1\n");
    write(&setting, "rob/test/9.jpg", &jpeg(40, 40, 9));
    write(&setting, "rob/test/_classes.csv", b"filename, a, b\n9.jpg, 0, 1\n");
    pack_train_and_val(&options(&setting, "rob", "rob.both"), None, |_, _| ()).unwrap();
    assert_eq!(both(&setting, "rob.both").map(|pack| pack.class_counts()), [vec![2, 2], vec![0, 1]]);
    // Beside others, or alone.
    fs::create_dir(setting.path("sets/meta")).unwrap();
    let error = holds_train_and_val(&setting.path("sets")).unwrap_err().to_string();
    assert!(error.contains("holds Train, valid, test beside meta: splits of a data set, not classes"), "{error}");
    assert!(!holds_train_and_val(&setting.source()).unwrap());
    let error = pack_train_and_val(&options(&setting, "source", "none"), None, |_, _| ()).unwrap_err().to_string();
    assert!(error.contains("source: expected a folder that holds the folders train and val"), "{error}");
}

/// Folders that are splits by other names, or images and masks of one, are not classes unless requested.
#[test]
fn parts_by_other_names_are_no_classes() {
    let setting = Setting::new();
    for (name, folders) in [
        ("kaggle", &["test_set", "training_set"][..]),
        ("intel", &["seg_pred", "seg_test", "seg_train"]),
        ("joined", &["test_images", "train_images"]),
        ("masks", &["images", "masks"]),
        ("dev", &["dev", "train"]),
        ("short", &["eval", "holdout", "trn"]),
    ] {
        let classes: Vec<(&str, usize)> = folders.iter().map(|folder| (*folder, 2)).collect();
        draw_source(&setting.path(name), &classes);
        let options = options(&setting, name, &format!("{name}.pack"));
        let error = pack(&options, |_| ()).unwrap_err().to_string();
        let said = format!("{name}: holds {}: splits of a data set, not classes; give one of them", folders.join(", "));
        assert!(error.contains(&said), "{error}");
        let options = PackOptions { from: Some(SourceKind::Folders), ..options };
        assert_eq!(pack(&options, |_| ()).unwrap().classes, folders.len());
    }
    // Words that name a split for some of the images only.
    draw_source(&setting.path("plain"), &[("test tube", 2), ("cat images", 2)]);
    assert_eq!(pack(&options(&setting, "plain", "plain.pack"), |_| ()).unwrap().classes, 2);
}

#[test]
fn a_folder_of_something_else_is_not_packed_into() {
    let setting = Setting::new();
    let other = setting.path("other");
    draw_source(&other, &[("ant", 1)]);
    let before = contents(&other.join("ant"));
    let error = pack(&options(&setting, "source", "other"), |_| ()).unwrap_err().to_string();
    let said = format!(
        "out: expected a new or empty folder, or one with a pack, got {}, which holds ant and no pack",
        other.display()
    );
    assert_eq!(error, said);
    let hold_out = Some(HoldOut { fraction: 0.5, seed: 1 });
    let error = pack_train_and_val(&options(&setting, "source", "other"), hold_out, |_, _| ()).unwrap_err().to_string();
    assert!(
        error.starts_with("out: expected a new or empty folder, or one with train.pack and val.pack, got "),
        "{error}"
    );
    assert_eq!((fs::read_dir(&other).unwrap().count(), contents(&other.join("ant"))), (1, before));
    // Empty, or with what an interrupted run leaves, it may be.
    write(&setting, "begun/.lock", b"");
    write(&setting, "begun/.alexnet-tmp-x", b"half");
    pack(&options(&setting, "source", "begun"), |_| ()).unwrap();
    pack(&options(&setting, "source", "begun"), |_| ()).unwrap();
}

//! Class folders, and their errors.
#![cfg(unix)]

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;

use alexnet_data::{Pack, PackOptions, pack};
use proptest::prelude::*;

use crate::common::{Setting, draw_source};

fn failure(setting: &Setting) -> String {
    pack(&setting.options("out"), |_| ()).unwrap_err().to_string()
}

#[test]
fn classes_must_have_images_and_be_several() {
    let setting = Setting::new();
    fs::create_dir(setting.source().join("dog")).unwrap();
    assert_eq!(
        failure(&setting),
        format!("{}/dog: a class folder without images; add some, or remove the folder", setting.source().display())
    );
    let only = PackOptions { source: setting.path("only"), ..setting.options("out") };
    draw_source(&only.source.join("train"), &[("ant", 1), ("bee", 1)]);
    let error = pack(&only, |_| ()).unwrap_err().to_string();
    let shown = only.source.display();
    assert_eq!(
        error,
        format!(
            "{shown}: holds one class only, \"train\"; expected at least two class folders; did you mean {shown}/train?"
        )
    );
    let flat = PackOptions { source: setting.source().join("ant"), ..setting.options("out") };
    let error = pack(&flat, |_| ()).unwrap_err().to_string();
    assert!(
        error.contains("holds files but no folders; expected one folder of images for each class; if the labels"),
        "{error}"
    );
    fs::create_dir(setting.path("empty")).unwrap();
    let error = pack(&PackOptions { source: setting.path("empty"), ..flat }, |_| ()).unwrap_err().to_string();
    assert!(error.contains("is empty; expected"), "{error}");
}

#[test]
fn a_class_table_numbers_the_classes() {
    let setting = Setting::new();
    let table = |names: &[&str]| Some(names.iter().map(|n| (*n).to_string()).collect::<Vec<_>>());
    let given = PackOptions { classes: table(&["cow", "eel", "bee", "ant"]), ..setting.options("out") };
    pack(&given, |_| ()).unwrap();
    let opened = setting.open("out");
    assert_eq!(opened.classes(), ["cow", "eel", "bee", "ant"]);
    assert_eq!(opened.class_counts(), [8, 0, 6, 9]);
    let error = pack(&PackOptions { classes: table(&["ant", "bee"]), ..setting.options("two") }, |_| ()).unwrap_err();
    let expected = "/source/cow: the class \"cow\" is not among the given classes; remove or rename the folder";
    assert!(error.to_string().ends_with(expected), "{error}");
    let named = PackOptions { class_names: table(&["a", "b", "c"]), ..setting.options("named") };
    let error = pack(&named, |_| ()).unwrap_err().to_string();
    assert!(error.starts_with("class_names: expected a source that only numbers its classes"), "{error}");
    // A single class is no mistake where the table has more.
    fs::remove_dir_all(setting.source().join("ant")).unwrap();
    fs::remove_dir_all(setting.source().join("bee")).unwrap();
    let one = pack(&PackOptions { classes: table(&["ant", "cow"]), ..setting.options("one") }, |_| ()).unwrap();
    assert_eq!((one.images, one.classes), (8, 2));
}

#[test]
fn links_are_followed_but_not_in_circles() {
    let setting = Setting::new();
    let elsewhere = setting.path("elsewhere");
    draw_source(&elsewhere, &[("deep", 2)]);
    symlink(&elsewhere, setting.source().join("dog")).unwrap();
    symlink(elsewhere.join("deep/000.png"), setting.source().join("ant/linked.png")).unwrap();
    let report = setting.pack("out");
    assert_eq!((report.images, report.classes), (26, 4));
    let opened = setting.open("out");
    assert!((0..26).any(|i| opened.name(i) == "dog/deep/001.jpg"));

    // The target may be away for a while, as a disk can be: that is no bad image.
    let broken = setting.source().join("ant/broken.png");
    symlink(setting.path("nowhere"), &broken).unwrap();
    let error = pack(&PackOptions { max_bad: 1, ..setting.options("more") }, |_| ()).unwrap_err().to_string();
    assert!(error.contains("ant/broken.png: cannot be read: No such file"), "{error}");
    fs::remove_file(broken).unwrap();

    symlink(setting.source().join("bee"), setting.source().join("bee/again")).unwrap();
    let error = failure(&setting);
    let real = setting.source().join("bee").canonicalize().unwrap();
    let expected = format!("bee/again: a link in a loop: it leads back to {}; remove it", real.display());
    assert!(error.ends_with(&expected), "{error}");
}

#[test]
fn file_names_may_be_any_bytes_and_class_names_utf8() {
    let setting = Setting::new();
    let raw = OsString::from_vec(b"caf\xe9, \"1\"\n.png".to_vec());
    fs::copy(setting.source().join("ant/000.png"), setting.source().join("ant").join(&raw)).unwrap();
    setting.pack("out");
    let opened = setting.open("out");
    assert_eq!(opened.len(), 24);
    assert!((0..24).any(|i| opened.name(i) == "ant/caf\u{fffd}, \"1\"\n.png"));
    fs::rename(setting.source().join("bee"), setting.source().join(OsString::from_vec(b"b\xff".to_vec()))).unwrap();
    let error = failure(&setting);
    assert!(error.ends_with("the class folder \"b\\xFF\" has a name that is not UTF-8; rename it"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn any_class_names_come_back_in_order(names in prop::collection::btree_set("[^/\0.][^/\0]{0,12}", 2..6)) {
        let setting = Setting::new();
        let classes: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let source = setting.path("named");
        draw_source(&source, &classes);
        pack(&PackOptions { source, ..setting.options("out") }, |_| ()).unwrap();
        let opened = Pack::open(setting.path("out")).unwrap();
        prop_assert_eq!(opened.classes(), names.iter().cloned().collect::<Vec<_>>());
        for (i, name) in names.iter().enumerate() {
            prop_assert_eq!(opened.label(i) as usize, i);
            prop_assert_eq!(opened.name(i), format!("{name}/000.png"));
        }
    }
}

//! Images the system cannot read: packing stops, rejects none of them, and resumes.

use std::fs;
use std::path::Path;

use alexnet_data::{Error, PackOptions, PackReport, Progress, Result, pack};

use crate::common::{Setting, contents, seal};

/// Packs, and injects `fault` after the source is listed and before an image is read.
fn pack_with(options: &PackOptions, fault: impl FnOnce()) -> Result<PackReport> {
    let mut fault = Some(fault);
    pack(options, |_: Progress| {
        if let Some(fault) = fault.take() {
            fault();
        }
    })
}

#[test]
fn a_missing_file_stops_packing_until_it_is_restored() {
    let setting = Setting::new();
    setting.pack("unbroken");
    // In the second shard of five.
    let file = setting.source().join("ant/007.jpg");
    let away = setting.path("away");
    for max_bad in [0, 23] {
        let options = PackOptions { max_bad, ..setting.options("out") };
        let error = pack_with(&options, || fs::rename(&file, &away).unwrap()).unwrap_err();
        assert!(matches!(&error, Error::Unreadable { name, .. } if name == "ant/007.jpg"), "{error}");
        let message = error.to_string();
        assert!(message.contains("ant/007.jpg: cannot be read: No such file or directory"), "{message}");
        assert!(message.contains("run the same command again"), "{message}");
        let left: Vec<String> = contents(&setting.path("out")).into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, ["shard-00000.h5"]);
        fs::rename(&away, &file).unwrap();
    }
    let report = setting.pack("out");
    assert_eq!((report.resumed_shards, report.rejected.len()), (1, 0));
    assert!(contents(&setting.path("out")) == contents(&setting.path("unbroken")));
}

/// A removed image does not invalidate earlier shards.
#[test]
fn the_same_call_also_completes_the_pack_without_the_file() {
    let setting = Setting::new();
    let file = setting.source().join("ant/007.jpg");
    pack_with(&setting.options("out"), || fs::remove_file(&file).unwrap()).unwrap_err();
    let report = setting.pack("out");
    assert_eq!((report.resumed_shards, report.images), (1, 22));
    setting.pack("fresh");
    assert!(contents(&setting.path("out")) == contents(&setting.path("fresh")));
}

#[cfg(unix)]
#[test]
fn a_link_to_nowhere_and_a_link_to_itself_stop_the_pack() {
    let setting = Setting::new();
    for (target, reason) in [("nowhere", "No such file or directory"), ("000-link.png", "symbolic links")] {
        let link = setting.source().join("cow/000-link.png");
        std::os::unix::fs::symlink(target, &link).unwrap();
        let error = pack(&PackOptions { max_bad: 9, ..setting.options("out") }, |_| ()).unwrap_err().to_string();
        assert!(error.contains("cow/000-link.png: cannot be ") && error.contains(reason), "{error}");
        fs::remove_file(&link).unwrap();
    }
    // The shards of the classes before it are kept.
    assert_eq!(setting.pack("out").resumed_shards, 3);
}

#[test]
fn only_the_shards_of_repaired_images_are_packed_again() {
    let setting = Setting::new();
    let bad = ["ant/002.jpg", "cow/003.png"].map(|name| setting.source().join(name));
    let good = bad.each_ref().map(|path| fs::read(path).unwrap());
    for path in &bad {
        fs::write(path, "text").unwrap();
    }
    let error = pack(&setting.options("out"), |_| ()).unwrap_err().to_string();
    assert!(error.contains("only shards with repaired images are packed again"), "{error}");
    for (path, bytes) in bad.iter().zip(&good) {
        fs::write(path, bytes).unwrap();
    }
    assert_eq!(setting.pack("out").resumed_shards, 3);
    setting.pack("fresh");
    assert!(contents(&setting.path("out")) == contents(&setting.path("fresh")));
}

/// A valid image changes its length.
#[test]
fn a_changed_image_of_an_unfinished_pack_is_packed_again() {
    let setting = Setting::new();
    setting.pack("out");
    fs::remove_file(setting.path("out/pack.h5")).unwrap();
    fs::copy(setting.source().join("bee/001.jpg"), setting.source().join("bee/004.jpg")).unwrap();
    assert_eq!(setting.pack("out").resumed_shards, 4);
    setting.pack("fresh");
    assert!(contents(&setting.path("out")) == contents(&setting.path("fresh")));
}

/// Changes a rejection in a shard to one that earlier versions stored.
fn forge_unread(shard: &Path) {
    let file = hdf5::File::open_rw(shard).unwrap();
    let dataset = file.dataset("bad").unwrap();
    let bad = String::from_utf8(dataset.read_raw::<u8>().unwrap()).unwrap();
    let forged = bad.replace("not an image: a text file", "cannot be read: it is off");
    assert!(forged != bad && forged.len() == bad.len());
    dataset.write_raw(forged.as_bytes()).unwrap();
    drop(dataset);
    file.close().unwrap();
    seal(shard);
}

#[test]
fn images_that_earlier_versions_could_not_read_are_tried_again() {
    let setting = Setting::new();
    let file = setting.source().join("ant/002.jpg");
    let image = fs::read(&file).unwrap();
    // Of the same length: only a different length would show that it was replaced.
    fs::write(&file, " ".repeat(image.len())).unwrap();
    pack(&setting.options("out"), |_| ()).unwrap_err();
    forge_unread(&setting.path("out/shard-00000.h5"));
    fs::write(&file, &image).unwrap();
    let report = setting.pack("out");
    assert_eq!((report.resumed_shards, report.images), (4, 23));
    setting.pack("fresh");
    assert!(contents(&setting.path("out")) == contents(&setting.path("fresh")));
}

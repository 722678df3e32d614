//! Packing of folders: the stored data, and its independence of threads and interruptions.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use alexnet_data::{Error, Pack, PackOptions, Statistics, Storage, pack, read_square};

use crate::common::{Setting, contents};

#[test]
fn pixels_labels_and_names_come_back() {
    let setting = Setting::new();
    let report = setting.pack("out");
    assert_eq!((report.images, report.classes, report.shards, report.resumed_shards), (23, 3, 5, 0));
    let pack = setting.open("out");
    assert_eq!((pack.len(), pack.size(), pack.shards(), pack.is_empty()), (23, 32, 5, false));
    assert_eq!(pack.classes(), ["ant", "bee", "cow"]);
    assert_eq!(pack.class_counts(), [9, 6, 8]);
    assert_eq!(pack.fingerprint(), report.fingerprint);
    let mut expected = Vec::new();
    for (label, class) in pack.classes().iter().enumerate() {
        let mut files: Vec<_> =
            fs::read_dir(setting.source().join(class)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        expected.extend(files.into_iter().map(|path| (label as u32, path)));
    }
    for (index, (label, path)) in expected.iter().enumerate() {
        assert_eq!(pack.label(index), *label);
        assert!(path.ends_with(pack.name(index)), "{} is {}", pack.name(index), path.display());
        assert_eq!(pack.pixels(index).unwrap().as_ref(), read_square(path, 32).unwrap());
    }
    pack.verify().unwrap();
}

#[test]
fn statistics_are_those_of_the_stored_pixels() {
    let setting = Setting::new();
    setting.pack("out");
    let pack = setting.open("out");
    let Statistics { images, mean_rgb, mean_image, covariance, eigenvalues, eigenvectors } = pack.statistics();
    let all: Vec<Vec<f64>> = (0..23).map(|i| pack.pixels(i).unwrap().iter().map(|&v| f64::from(v)).collect()).collect();
    assert_eq!(*images, 23);
    for (place, &mean) in mean_image.iter().enumerate() {
        let plain = all.iter().map(|p| p[place]).sum::<f64>() / 23.0;
        assert!((plain - f64::from(mean)).abs() < 1e-4, "{place}: {mean} for {plain}");
    }
    let pixels: Vec<&[f64]> = all.iter().flat_map(|p| p.chunks_exact(3)).collect();
    let mean = |c: usize| pixels.iter().map(|p| p[c]).sum::<f64>() / pixels.len() as f64;
    let means = [mean(0), mean(1), mean(2)];
    for i in 0..3 {
        assert!((means[i] - f64::from(mean_rgb[i])).abs() < 1e-4);
        for j in 0..3 {
            let sum: f64 = pixels.iter().map(|p| (p[i] - means[i]) * (p[j] - means[j])).sum();
            assert!((sum / pixels.len() as f64 - covariance[i][j]).abs() < 1e-6 * covariance[0][0]);
            let rebuilt: f64 =
                (0..3).map(|k| f64::from(eigenvalues[k] * eigenvectors[k][i] * eigenvectors[k][j])).sum();
            assert!((rebuilt - covariance[i][j]).abs() < 1e-4 * covariance[0][0]);
        }
    }
}

#[test]
fn the_bytes_do_not_depend_on_threads() {
    let setting = Setting::new();
    for (storage, shard_bytes) in [(Storage::Raw, 20_000), (Storage::JPEG, 2000)] {
        for jobs in [1, 3] {
            let out = format!("{storage:?}-{jobs}");
            pack(&PackOptions { jobs, storage, shard_bytes, ..setting.options(&out) }, |_| ()).unwrap();
        }
        let [one, three] = [1, 3].map(|jobs| contents(&setting.path(&format!("{storage:?}-{jobs}"))));
        assert!(one.len() > 2 && one == three, "{storage:?}");
    }
}

#[test]
fn a_stopped_run_resumes_to_the_same_bytes() {
    let setting = Setting::new();
    setting.pack("unbroken");
    let out = setting.path("out");

    let cancel = Arc::new(AtomicBool::new(false));
    let options = PackOptions { cancel: Some(Arc::clone(&cancel)), ..setting.options("out") };
    let error = pack(&options, |p| cancel.store(p.done == 12, Ordering::Relaxed)).unwrap_err();
    assert!(matches!(error, Error::Cancelled { kept: 10, total: 23, .. }), "{error}");
    let names: Vec<String> = contents(&out).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["shard-00000.h5", "shard-00001.h5"]);
    let error = Pack::open(&out).unwrap_err().to_string();
    assert!(error.ends_with("packing was not finished; run the same `alexnet pack` command again"), "{error}");

    // Other remains of a killed run: half a temporary file, and a shard of which the disk lost a part.
    fs::write(out.join(".alexnet-tmp-x1"), "half").unwrap();
    let shard = fs::read(out.join("shard-00001.h5")).unwrap();
    fs::write(out.join("shard-00001.h5"), &shard[..shard.len() / 2]).unwrap();

    let mut first = None;
    let report = pack(&setting.options("out"), |p| first = first.or(Some((p.done, p.bytes)))).unwrap();
    assert_eq!((report.resumed_shards, report.images, first), (1, 23, Some((5, 0))));
    assert!(contents(&out) == contents(&setting.path("unbroken")));
    assert!(!out.join(".alexnet-tmp-x1").exists());

    // A missing table alone is written again; a complete pack is left alone.
    fs::remove_file(out.join("pack.h5")).unwrap();
    assert_eq!(setting.pack("out").resumed_shards, 5);
    let again = setting.pack("out");
    assert_eq!((again.resumed_shards, again.images, &again.fingerprint), (5, 23, &report.fingerprint));
    assert!(contents(&out) == contents(&setting.path("unbroken")));
}

#[test]
fn a_folder_with_another_pack_is_refused() {
    let setting = Setting::new();
    setting.pack("out");
    let before = contents(&setting.path("out"));
    let refused = |options: &PackOptions, part: &str| {
        let error = pack(options, |_| ()).unwrap_err();
        assert!(matches!(error, Error::OtherPack { .. }) && error.to_string().contains(part), "{error}");
    };
    refused(&PackOptions { size: 31, ..setting.options("out") }, "size 32, raw");
    refused(&PackOptions { storage: Storage::JPEG, ..setting.options("out") }, "expected images with size 32, jpeg");
    fs::copy(setting.source().join("ant/000.png"), setting.source().join("ant/new.png")).unwrap();
    refused(&setting.options("out"), "another or changed source");
    refused(
        &setting.options("out"),
        "delete this file and run the same command again: shards of unchanged images are kept",
    );
    // The same of a pack that is not complete.
    fs::remove_file(setting.path("out/pack.h5")).unwrap();
    refused(&setting.options("out"), "another or changed source");
    fs::remove_dir_all(setting.source().join("cow")).unwrap();
    refused(&setting.options("out"), "of another source");
    fs::write(setting.path("out/pack.h5"), &before[0].1).unwrap();
    assert!(contents(&setting.path("out")) == before);
}

#[test]
fn a_second_packer_is_refused() {
    let setting = Setting::new();
    fs::create_dir(setting.path("out")).unwrap();
    let lock = fs::File::create(setting.path("out/.lock")).unwrap();
    lock.lock().unwrap();
    let error = pack(&setting.options("out"), |_| ()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(lock);
    setting.pack("out");
}

#[test]
fn jpeg_packs_are_small_and_near() {
    let setting = Setting::new();
    setting.pack("raw");
    pack(&PackOptions { storage: Storage::Jpeg { quality: 95 }, ..setting.options("jpeg") }, |_| ()).unwrap();
    let raw = setting.open("raw");
    let jpeg = setting.open("jpeg");
    assert_eq!(jpeg.storage(), Storage::Jpeg { quality: 95 });
    assert_eq!(jpeg.statistics(), raw.statistics());
    assert_ne!(jpeg.fingerprint(), raw.fingerprint());
    for index in 0..raw.len() {
        assert_eq!((jpeg.label(index), jpeg.name(index)), (raw.label(index), raw.name(index)));
        assert!(jpeg.stored(index).unwrap().len() < raw.stored(index).unwrap().len());
        let a = raw.pixels(index).unwrap();
        let b = jpeg.pixels(index).unwrap();
        let difference: u64 = a.iter().zip(b.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        assert!(difference < 8 * a.len() as u64, "{difference} over {} bytes", a.len());
    }
    jpeg.verify().unwrap();
}

#[test]
fn bad_images_are_listed_all_of_them() {
    let setting = Setting::new();
    let ant = setting.source().join("ant");
    fs::write(ant.join("empty.jpg"), "").unwrap();
    fs::write(ant.join("a, \"quoted\".jpg"), "some text").unwrap();
    let whole = fs::read(ant.join("001.jpg")).unwrap();
    fs::write(setting.source().join("cow/half.jpg"), &whole[..whole.len() / 2]).unwrap();
    // Hidden files are no images, good or bad.
    fs::write(ant.join(".DS_Store"), "x").unwrap();

    let error = pack(&PackOptions { max_bad: 2, ..setting.options("out") }, |_| ()).unwrap_err();
    let csv = setting.path("out").join("bad.csv");
    assert_eq!(
        error.to_string(),
        format!(
            "3 of 26 images cannot be used, 2 are allowed; all are listed in {}, the first is \
             ant/a, \"quoted\".jpg: not an image: a text file; repair them, or allow that many rejected \
             images, and run the same command again: only shards with repaired images are packed again",
            csv.display()
        )
    );
    assert_eq!(
        fs::read_to_string(&csv).unwrap(),
        "file,reason\r\n\"ant/a, \"\"quoted\"\".jpg\",not an image: a text file\r\nant/empty.jpg,empty file\r\n\
         cow/half.jpg,cut short: its data ends before its last pixel\r\n"
    );
    // Allowing more costs no second decoding.
    let report = pack(&PackOptions { max_bad: 3, ..setting.options("out") }, |_| ()).unwrap();
    assert_eq!((report.images, report.resumed_shards, report.rejected.len()), (23, 6, 3));
    assert_eq!(report.rejected[1].name, "ant/empty.jpg");
    assert_eq!(setting.open("out").len(), 23);
    assert!(!report.was_complete);
}

/// The limit on rejected images also applies to a complete pack.
#[test]
fn bad_images_of_a_complete_pack_count() {
    let setting = Setting::new();
    fs::write(setting.source().join("ant/text.jpg"), "text").unwrap();
    let options = |max_bad| PackOptions { max_bad, ..setting.options("out") };
    let fresh = pack(&options(0), |_| ()).unwrap_err().to_string();
    pack(&options(1), |_| ()).unwrap();
    let list = setting.path("out/bad.csv");
    fs::remove_file(&list).unwrap();
    let table = fs::read(setting.path("out/pack.h5")).unwrap();
    assert_eq!(pack(&options(0), |_| ()).unwrap_err().to_string(), fresh);
    assert!(fs::read_to_string(&list).unwrap().contains("ant/text.jpg"));
    assert!(fs::read(setting.path("out/pack.h5")).unwrap() == table);
    let report = pack(&options(1), |_| ()).unwrap();
    assert_eq!((report.was_complete, report.images, report.rejected.len()), (true, 23, 1));
}

#[test]
fn a_shard_of_bad_images_only_is_empty() {
    let setting = Setting::new();
    for i in 0..12 {
        fs::write(setting.source().join(format!("ant/0-{i:02}.jpg")), "text").unwrap();
    }
    for (storage, out) in [(Storage::Raw, "raw"), (Storage::JPEG, "jpeg")] {
        let report = pack(&PackOptions { max_bad: 12, storage, ..setting.options(out) }, |_| ()).unwrap();
        let pack = setting.open(out);
        assert_eq!((report.images, pack.len()), (23, 23));
        (0..23).for_each(|i| assert_eq!(pack.pixels(i).unwrap().len(), 3072));
        pack.verify().unwrap();
    }
}

#[test]
fn nothing_but_bad_images_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    for class in ["a", "b"] {
        fs::create_dir_all(folder.path().join("source").join(class)).unwrap();
        fs::write(folder.path().join("source").join(class).join("x.jpg"), "text").unwrap();
    }
    let options =
        PackOptions { max_bad: 9, ..PackOptions::new(folder.path().join("source"), folder.path().join("out")) };
    let error = pack(&options, |_| ()).unwrap_err().to_string();
    assert!(error.ends_with("none of its 2 files is an image"), "{error}");
}

#[test]
fn options_out_of_range_are_named() {
    let setting = Setting::new();
    let check = |options: PackOptions, expected: &str| {
        let error = pack(&options, |_| ()).unwrap_err();
        assert!(matches!(error, Error::Option { .. }) && error.to_string().starts_with(expected), "{error}");
    };
    check(PackOptions { size: 0, ..setting.options("out") }, "size: expected 1 to 4096, got 0");
    check(PackOptions { jobs: 0, ..setting.options("out") }, "jobs: expected at least 1, got 0");
    check(PackOptions { shard_bytes: 0, ..setting.options("out") }, "shard_bytes: ");
    check(PackOptions { storage: Storage::Jpeg { quality: 0 }, ..setting.options("out") }, "storage: ");
    check(PackOptions { classes: Some(vec![]), ..setting.options("out") }, "classes: ");
    check(setting.options("source/ant/pack"), "out: expected a folder outside of the source");
    let error = pack(&PackOptions { source: setting.path("none"), ..setting.options("out") }, |_| ()).unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}: cannot be read: ", setting.path("none").display())), "{error}");
    assert!(!setting.path("out").exists());
}

//! Small versions of CIFAR's Python version and of the archives that CIFAR is distributed as.

use std::io::Write;

use alexnet_data::{PackOptions, Split};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::{Bytes, Setting, failure, image, packed, packed_with, tar_of, write};

/// An image of 32 x 32 as CIFAR's planes, and as pixels.
fn record(seed: u32) -> (Bytes, Bytes) {
    let pixels = image(32, 32, seed).into_raw();
    let planes = (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).copied().collect::<Bytes>()).collect();
    (planes, pixels)
}

/// A short string as pickled by Python 2, and its memo index.
fn text(text: &str, memo: u8) -> Bytes {
    [b"U", &[text.len() as u8][..], text.as_bytes(), b"q", &[memo]].concat()
}

fn labels(labels: &[u8]) -> Bytes {
    let items: Bytes = labels.iter().flat_map(|&label| [b'K', label]).collect();
    [b"]q\x04(", items.as_slice(), b"e"].concat()
}

/// A file like those of cifar-10-batches-py: a pickle of protocol 2 of a dict with a numpy array.
fn pickle(key: &str, classes: &[u8], rows: u16, data: &[u8]) -> Bytes {
    let shape = [b"K\x01M", &rows.to_le_bytes()[..], b"M\x00\x0c\x86q\x0c"].concat();
    let names: Bytes = classes.iter().flat_map(|i| text(&format!("dog_{i}.png"), 0x20 + i)).collect();
    [
        b"\x80\x02}q\x01(".to_vec(),
        text("batch_label", 2),
        text("training batch 1 of 5", 3),
        text(key, 5),
        labels(classes),
        text("data", 6),
        b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85q\tU\x01bq\n\x87q\x0bRq\r(".to_vec(),
        shape,
        b"cnumpy\ndtype\nq\x0eU\x02u1q\x0fK\x00K\x01\x87q\x10Rq\x11(K\x03U\x01|q\x12NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x13b\x89".to_vec(),
        [b"T", &(data.len() as u32).to_le_bytes()[..], data, b"q\x14tq\x15b"].concat(),
        text("filenames", 0x16),
        [b"]q\x17(", names.as_slice(), b"e"].concat(),
        b"u.".to_vec(),
    ]
    .concat()
}

fn names(key: &str, classes: &[String]) -> Bytes {
    let items: Bytes = classes.iter().flat_map(|class| text(class, 9)).collect();
    [b"\x80\x02}q\x01(".to_vec(), text(key, 2), b"]q\x03(".to_vec(), items, b"eu.".to_vec()].concat()
}

fn batch(key: &str, classes: &[u8], first: u32) -> Bytes {
    let data: Bytes = (first..).take(classes.len()).flat_map(|seed| record(seed).0).collect();
    pickle(key, classes, classes.len() as u16, &data)
}

const TEN: [&str; 10] = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The files of cifar-10-batches-py.
fn ten() -> Vec<(String, Bytes)> {
    let file = |name: &str, bytes| (format!("cifar-10-batches-py/{name}"), bytes);
    vec![
        file("batches.meta", names("label_names", &TEN.map(String::from))),
        file("data_batch_1", batch("labels", &[6, 9, 9, 4], 0)),
        file("data_batch_2", batch("labels", &[1, 0], 4)),
        file("test_batch", batch("labels", &[3, 8, 8], 6)),
        file("readme.html", b"<meta>".to_vec()),
    ]
}

fn gzipped(bytes: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn the_python_version_is_the_binary_version() {
    let setting = Setting::new();
    ten().iter().for_each(|(name, bytes)| drop(write(&setting, &format!("root/{name}"), bytes)));
    let archive = gzipped(&tar_of(&ten()));
    write(&setting, "cifar-10-python.tar.gz", &archive);
    write(&setting, "cifar-10-python.tar", &tar_of(&ten()));
    let binary = |range: std::ops::Range<u32>, classes: &[u8]| -> Bytes {
        range.zip(classes).flat_map(|(seed, &class)| [vec![class], record(seed).0].concat()).collect()
    };
    let files = [
        ("batches.meta.txt", format!("{}\n\n", TEN.join("\n")).into_bytes()),
        ("data_batch_1.bin", binary(0..4, &[6, 9, 9, 4])),
        ("data_batch_2.bin", binary(4..6, &[1, 0])),
        ("test_batch.bin", binary(6..9, &[3, 8, 8])),
    ];
    let members = files.map(|(name, bytes)| (format!("cifar-10-batches-bin/{name}"), bytes));
    members.iter().for_each(|(name, bytes)| drop(write(&setting, &format!("bin/{name}"), bytes)));
    write(&setting, "cifar-10-binary.tar.gz", &gzipped(&tar_of(&members)));
    for split in [Split::Train, Split::Test] {
        let of = |source: &str| packed_with(&setting, &setting.path(source), |o| PackOptions { split, ..o });
        let expected = of("bin/cifar-10-batches-bin");
        assert_eq!(
            (expected.len(), expected.classes()),
            (if split == Split::Train { 6 } else { 3 }, TEN.map(String::from).as_slice())
        );
        for source in [
            "root/cifar-10-batches-py",
            "root",
            "cifar-10-python.tar.gz",
            "cifar-10-python.tar",
            "bin",
            "cifar-10-binary.tar.gz",
        ] {
            let found = of(source);
            assert_eq!(found.fingerprint(), expected.fingerprint(), "{source} {split:?}");
        }
    }
    let train = packed(&setting, &setting.path("root"));
    assert_eq!((train.name(4).as_str(), train.label(4)), ("data_batch_2/00000", 1));
    (0..6).for_each(|i| assert!(*train.pixels(i as usize).unwrap() == record(i).1));
    let one = packed(&setting, &setting.path("root/cifar-10-batches-py/test_batch"));
    assert_eq!((one.len(), one.label(1), one.classes()[8].as_str()), (3, 8, "ship"));
    // Both versions in one folder.
    ten().iter().for_each(|(name, bytes)| drop(write(&setting, &format!("bin/{name}"), bytes)));
    let error = failure(&setting, &setting.path("bin"), |o| o);
    assert!(error.contains("bin: holds cifar-10-batches-bin and cifar-10-batches-py; give one of them"), "{error}");
}

#[test]
fn cifar_100s_python_version_has_fine_labels() {
    let setting = Setting::new();
    let hundred: Vec<String> = (0..100).map(|i| format!("fine{i}")).collect();
    write(&setting, "cifar-100-python/meta", &names("fine_label_names", &hundred));
    write(&setting, "cifar-100-python/train", &batch("fine_labels", &[19, 99, 0], 0));
    write(&setting, "cifar-100-python/test", &batch("fine_labels", &[49, 33], 3));
    let train = packed(&setting, &setting.path("cifar-100-python"));
    assert_eq!(
        (train.classes(), (0..3).map(|i| train.label(i)).collect::<Vec<_>>()),
        (hundred.as_slice(), vec![19, 99, 0])
    );
    let test = packed_with(&setting, &setting.path("cifar-100-python"), |o| PackOptions { split: Split::Test, ..o });
    assert_eq!((test.len(), test.label(1), test.name(0).as_str()), (2, 33, "test/00000"));
}

#[test]
fn pickles_of_another_form_are_refused() {
    let setting = Setting::new();
    let fails = |bytes: &[u8]| failure(&setting, &write(&setting, "data_batch_1", bytes), |o| o);
    let good = batch("labels", &[1, 2], 0);
    for cut in [3, 40, good.len() / 2, good.len() - 1] {
        let error = fails(&good[..cut]);
        assert!(error.contains("data_batch_1: no pickle of CIFAR: cut short at offset"), "{cut}: {error}");
    }
    assert!(fails(&batch("labels", &[1, 10], 0)).contains("label 1: the label 10, expected 0 to 9"));
    let error = fails(&batch("label", &[1, 2], 0));
    assert!(
        error.contains("expected a dict of \"labels\" or \"fine_labels\", and \"data\", bytes of the shape [n, 3072]"),
        "{error}"
    );
    let planes = record(0).0;
    assert!(fails(&pickle("labels", &[1, 2], 2, &planes)).contains("bytes of the shape [n, 3072]"));
    assert!(fails(&pickle("labels", &[1, 2], 1, &planes)).contains("data_batch_1: 2 labels for 1 images"));
    // Opcodes that call something are refused.
    let error = fails(b"\x80\x02cos\nsystem\nq\x00U\x02idq\x01\x85Rq\x02.");
    assert!(error.contains("no pickle of CIFAR: expected a dict"), "{error}");
    assert!(fails(b"\x80\x02i.").contains("the instruction 0x69 at offset 2, which CIFAR's files do not have"));
    let error = failure(&setting, &write(&setting, "cifar-10-python.tar.gz", &gzipped(&tar_of(&ten()))[..900]), |o| o);
    assert!(error.contains("cifar-10-python.tar.gz: cut short or damaged"), "{error}");
}

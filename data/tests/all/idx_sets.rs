//! IDX sets as torchvision and EMNIST have them.

use std::fs;
use std::io::Write;

use alexnet_data::{Pack, PackOptions, Split, pack};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::common::{Bytes, Setting, failure, packed_with, write};

fn idx(shape: &[u32], values: &[u8]) -> Bytes {
    let mut bytes = vec![0, 0, 8, shape.len() as u8];
    shape.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
    [bytes, values.to_vec()].concat()
}

fn gzipped(bytes: &[u8]) -> Bytes {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Writes images and labels of a part, packed by `wrap`.
fn set(setting: &Setting, start: &str, end: &str, labels: &[u8], wrap: fn(&[u8]) -> Bytes) {
    let n = labels.len() as u32;
    let values: Bytes = (0..n * 28 * 28).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    write(setting, &format!("{start}-images-idx3-ubyte{end}"), &wrap(&idx(&[n, 28, 28], &values)));
    write(setting, &format!("{start}-labels-idx1-ubyte{end}"), &wrap(&idx(&[n], labels)));
}

fn sized(o: PackOptions) -> PackOptions {
    PackOptions { size: 28, ..o }
}

#[test]
fn torchvisions_folders_have_their_files_in_raw() {
    let setting = Setting::new();
    set(&setting, "data/MNIST/raw/train", "", &[3, 0, 4], <[u8]>::to_vec);
    set(&setting, "data/MNIST/raw/train", ".gz", &[3, 0, 4], gzipped);
    set(&setting, "data/MNIST/raw/t10k", "", &[7, 1], <[u8]>::to_vec);
    for source in ["data", "data/MNIST", "data/MNIST/raw"] {
        let train = packed_with(&setting, &setting.path(source), sized);
        assert_eq!((0..3).map(|i| train.label(i)).collect::<Vec<_>>(), [3, 0, 4], "{source}");
        let test = packed_with(&setting, &setting.path(source), |o| PackOptions { split: Split::Test, ..sized(o) });
        assert_eq!((test.len(), test.label(0)), (2, 7), "{source}");
    }
    set(&setting, "data/FashionMNIST/raw/train", "", &[1, 0], <[u8]>::to_vec);
    let error = failure(&setting, &setting.path("data"), sized);
    assert!(
        error.contains("data: holds several sets; give one of them: ") && error.contains("FashionMNIST/raw, "),
        "{error}"
    );
}

#[test]
fn zeros_after_gzip_are_padding() {
    let setting = Setting::new();
    set(&setting, "m/train", ".gz", &[3, 0, 4], |bytes| [gzipped(bytes), vec![0; 700]].concat());
    assert_eq!(packed_with(&setting, &setting.path("m"), sized).len(), 3);
    set(&setting, "n/train", ".gz", &[3, 0, 4], |bytes| [gzipped(bytes), b"more".to_vec()].concat());
    let error = failure(&setting, &setting.path("n"), sized);
    assert!(error.contains("cut short or damaged"), "{error}");
}

#[test]
fn emnists_folder_is_several_sets() {
    let setting = Setting::new();
    set(&setting, "e/emnist-letters-train", ".gz", &[23, 1, 26], gzipped);
    set(&setting, "e/emnist-letters-test", ".gz", &[2, 1], gzipped);
    write(&setting, "e/emnist-letters-mapping.txt", b"1 65 97\n2 66 98\n23 87 119\n26 90 122\n");
    let out = setting.path("e.pack");
    let report = pack(&sized(PackOptions::new(setting.path("e"), &out)), |_| ()).unwrap();
    let found = Pack::open(&out).unwrap();
    let class = |i: usize| found.classes()[found.label(i) as usize].as_str();
    assert_eq!((found.classes().len(), [class(0), class(1), class(2)]), (27, ["Ww", "Aa", "Zz"]));
    assert_eq!(
        report.notes,
        [
            "EMNIST stores its images transposed, rows for columns; they are kept as they are, as torchvision does",
            "24 classes have no image: 0, Bb, 3, 4, 5, ..."
        ]
    );
    let test = packed_with(&setting, &setting.path("e"), |o| PackOptions { split: Split::Test, ..sized(o) });
    assert_eq!((test.len(), test.label(0), test.classes()[2].as_str()), (2, 2, "Bb"));
    set(&setting, "e/emnist-digits-train", ".gz", &[9, 0], gzipped);
    let error = failure(&setting, &setting.path("e"), sized);
    let said = "emnist-digits-train-images-idx3-ubyte.gz: emnist-digits-train-images-idx3-ubyte.gz, emnist-letters-train-images-";
    assert!(
        error.contains("holds several sets; give the file of images of one, such as ") && error.contains(said),
        "{error}"
    );
    let one = packed_with(&setting, &setting.path("e/emnist-digits-train-images-idx3-ubyte.gz"), sized);
    assert_eq!((one.len(), one.label(0)), (2, 9));
    fs::remove_file(setting.path("e/emnist-letters-mapping.txt")).unwrap();
    let one = packed_with(&setting, &setting.path("e/emnist-letters-train-images-idx3-ubyte.gz"), sized);
    assert_eq!(one.classes()[23], "23");
}

//! Packing of malformed sources: tars, IDX, CIFAR, and labels files.

use std::fs;
use std::path::Path;

use alexnet_data::{PackOptions, pack};

use crate::packs::folder;
use crate::seeds;

/// The first byte selects what the rest is: a source, or labels for a valid one.
pub fn source(data: &[u8]) {
    let Some((&kind, bytes)) = data.split_first() else { return };
    // HDF5 files are left out: malicious ones crash the HDF5 library, which is not part of this project.
    if bytes.starts_with(b"\x89HDF") {
        return;
    }
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, bytes: &[u8]| fs::write(path(name), bytes).expect("a file can be written");
    let labelled = |labels: &str| {
        write(labels, bytes);
        write("val.tar", &seeds::tar(&[("1.jpg", &seeds::jpeg(9, 8, 1)), ("2.jpg", &seeds::jpeg(8, 9, 2))]));
        run(folder.path(), "val.tar", Some(labels));
    };
    match kind % 6 {
        0 => {
            write("x.tar", bytes);
            run(folder.path(), "x.tar", None);
        }
        1 => {
            write("train-images-idx3-ubyte", bytes);
            write("train-labels-idx1-ubyte", &[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]);
            run(folder.path(), "train-images-idx3-ubyte", None);
        }
        2 => {
            write("test_batch.bin", bytes);
            run(folder.path(), "test_batch.bin", None);
        }
        3 => labelled("labels.csv"),
        4 => labelled("labels.txt"),
        _ => {
            write("meta.mat", bytes);
            write("ILSVRC2012_validation_ground_truth.txt", b"1\n2\n");
            write("val.tar", &seeds::tar(&[("1.jpg", &seeds::jpeg(9, 8, 1)), ("2.jpg", &seeds::jpeg(8, 9, 2))]));
            run(folder.path(), "val.tar", Some("ILSVRC2012_validation_ground_truth.txt"));
        }
    }
}

fn run(folder: &Path, source: &str, labels: Option<&str>) {
    let options = PackOptions {
        size: 8,
        jobs: 1,
        max_bad: usize::MAX,
        labels: labels.map(|name| folder.join(name)),
        ..PackOptions::new(folder.join(source), folder.join("out"))
    };
    if pack(&options, |_| ()).is_ok() {
        let opened = alexnet_data::Pack::open(folder.join("out")).expect("what was packed opens");
        opened.verify().expect("what was packed is whole");
    }
}

//! The fuzz target of the readers of weights files: it must return for any bytes.
//!
//! With cargo-fuzz (nightly Rust), from `layers/formats`: `cargo fuzz run weights --features fuzzer`. On stable Rust, from
//! `layers/formats/fuzz`: `cargo run --release --bin weights -- 60` mutates the seeds for 60 seconds; `SEEDS=torch` takes
//! only those whose path contains this. `cargo run --bin seeds -- FOLDER` writes the seeds for cargo-fuzz.

#[path = "../../../../data/fuzz/src/drive.rs"]
mod drive;
pub mod seeds;

use std::path::Path;
use std::sync::LazyLock;

use alexnet_formats::layers::Model;
use alexnet_formats::{Format, load, load_without_top, read};
use tempfile::TempDir;

pub use drive::drive;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| {
    let place = Path::new("/dev/shm");
    if place.is_dir() { tempfile::tempdir_in(place) } else { tempfile::tempdir() }.expect("a folder to work in")
});

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::preset("linear").expect("a preset is a network"));

/// A network whose layers but the last are those of the files `headless.*`, which are among the seeds.
static WHOLE: LazyLock<Model> =
    LazyLock::new(|| Model::parse(include_str!("whole.toml"), "whole.toml").expect("it is a network"));

/// Reads a weights file of any format, and loads it for no network and for a small one, with its last layers and without.
pub fn weights(data: &[u8]) {
    let path = FOLDER.path().join("weights");
    std::fs::write(&path, data).expect("a file can be written");
    if let Ok(Some(file)) = read(&path) {
        // A file of a few kilobytes cannot hold more, but a graph may fill tensors with one value, up to a limit.
        let values: usize = file.tensors.iter().map(|tensor| tensor.values.len()).sum();
        let filled = if file.format == Format::Onnx { 1 << 27 } else { 0 };
        assert!(values <= (1 << 20) + 8 * data.len() + filled, "{values} values in {} bytes", data.len());
    }
    for model in [None, Some(&*MODEL)] {
        if let Ok(loaded) = load(&path, model) {
            let known = loaded.weights.model.expect("what is loaded has a network").parameters().expect("it is one");
            assert_eq!(known.len(), loaded.weights.tensors.len());
        }
    }
    if let Ok(Some(loaded)) = load_without_top(&path, &WHOLE) {
        assert!(loaded.weights.tensors.len() < WHOLE.parameters().expect("it is a network").len());
    }
}

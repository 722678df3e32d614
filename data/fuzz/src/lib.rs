//! What the fuzz targets do with bytes: each must return, whatever they are.
//!
//! With cargo-fuzz (nightly Rust), from `data`: `cargo fuzz run picture --features fuzzer`. On stable Rust, from
//! `data/fuzz`: `cargo run --release --bin picture -- 60` changes the seeds by chance for 60 seconds. Seeds are made,
//! not kept: `cargo run --bin seeds -- picture FOLDER` writes them out for cargo-fuzz.

mod drive;
mod packs;
pub mod seeds;
mod sources;

use alexnet_data::{DecodeOptions, decode_picture, resize_and_crop};

pub use drive::drive;
pub use packs::pack;
pub use sources::source;

/// Decodes a picture, and makes a square of it.
pub fn picture(data: &[u8]) {
    // Small enough that a large picture is no slow one.
    let options =
        DecodeOptions { max_pixels: 1 << 20, apply_orientation: data.len() % 2 == 1, ..DecodeOptions::default() };
    if let Ok(picture) = decode_picture(data.to_vec(), &options) {
        assert_eq!(picture.pixels().len(), picture.width() * picture.height() * 3);
        assert!(picture.width() * picture.height() <= 1 << 20);
        let square = resize_and_crop(&picture, 32).expect("any picture can be resized");
        assert_eq!(square.pixels().len(), 32 * 32 * 3);
    }
}

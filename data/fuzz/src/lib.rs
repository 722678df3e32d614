//! What the fuzz targets do with bytes: each must return, whatever they are.
//!
//! With cargo-fuzz (nightly Rust), from `data`: `cargo fuzz run picture --features fuzzer`. On stable Rust, from
//! `data/fuzz`: `cargo run --release --bin picture -- 60` changes the seeds by chance for 60 seconds. Seeds are made,
//! not kept: `cargo run --bin seeds -- picture FOLDER` writes them out for cargo-fuzz.

mod drive;
mod packs;
pub mod seeds;
mod sources;

use alexnet_data::{DecodeOptions, decode_picture, decode_square, resize_and_crop};

pub use drive::drive;
pub use packs::pack;
pub use sources::source;

/// Decodes a picture and makes a square of it, and a square from no more than it needs: the same one.
pub fn picture(data: &[u8]) {
    // Small enough that a large picture is no slow one.
    let options =
        DecodeOptions { max_pixels: 1 << 20, apply_orientation: data.len() % 2 == 1, ..DecodeOptions::default() };
    let square = decode_square(data.to_vec(), 32, &options);
    match decode_picture(data.to_vec(), &options) {
        Ok(picture) => {
            assert_eq!(picture.pixels().len(), picture.width() * picture.height() * 3);
            assert!(picture.width() * picture.height() <= 1 << 20);
            let of_whole = resize_and_crop(&picture, 32).expect("any picture can be resized");
            let square = square.expect("a square of a picture");
            assert_eq!(square.pixels().len(), 32 * 32 * 3);
            let near = square.pixels().iter().zip(of_whole.pixels()).all(|(a, b)| a.abs_diff(*b) <= 1);
            assert!(near, "a square that is not that of the whole picture");
        }
        Err(_) => assert!(square.is_err(), "a square of no picture"),
    }
}

//! The fuzz targets: each must return for any bytes.
//!
//! With cargo-fuzz (nightly Rust), from `data`: `cargo fuzz run image --features fuzzer`. On stable Rust, from
//! `data/fuzz`: `cargo run --release --bin image -- 60` mutates the seeds for 60 seconds. Seeds are generated, not
//! stored: `cargo run --bin seeds -- image FOLDER` writes them for cargo-fuzz.

mod drive;
mod packs;
pub mod seeds;
mod sources;

use alexnet_data::{DecodeOptions, decode_image, decode_square, resize_and_crop};

pub use drive::drive;
pub use packs::pack;
pub use sources::source;

/// Decodes an image and crops it to a square, and decodes the square from its region: both must agree.
pub fn image(data: &[u8]) {
    // Small enough that a large image is no slow one.
    let options =
        DecodeOptions { max_pixels: 1 << 20, apply_orientation: data.len() % 2 == 1, ..DecodeOptions::default() };
    let square = decode_square(data.to_vec(), 32, &options);
    match decode_image(data.to_vec(), &options) {
        Ok(image) => {
            assert_eq!(image.pixels().len(), image.width() * image.height() * 3);
            assert!(image.width() * image.height() <= 1 << 20);
            let of_whole = resize_and_crop(&image, 32).expect("any image can be resized");
            let square = square.expect("a square of an image");
            assert_eq!(square.pixels().len(), 32 * 32 * 3);
            let near = square.pixels().iter().zip(of_whole.pixels()).all(|(a, b)| a.abs_diff(*b) <= 1);
            assert!(near, "a square that is not that of the whole image");
        }
        Err(_) => assert!(square.is_err(), "a square of no image"),
    }
}

//! The ten crops of an image (Krizhevsky, Sutskever, Hinton 2012, section 4.1): corners and centre, and their mirrors.
//!
//! `cargo run -p alexnet-crop --example ten_crops`

use alexnet_crop::{CropAndNormalize, CropParams, Mean};

const SIZE: usize = 256;
const CROP: usize = 224;

fn main() {
    // Bright at the left, dark at the right.
    let image: Vec<u8> = (0..SIZE * SIZE * 3).map(|i| 255 - (i / 3 % SIZE) as u8).collect();
    let input = CropAndNormalize { mean: Mean::Rgb([127.5; 3]), ..CropAndNormalize::crop_only(CROP) };
    let margin = (SIZE - CROP) as u32;
    let centre = margin / 2;
    let places = [(0, 0), (margin, 0), (0, margin), (margin, margin), (centre, centre)];
    let mut values = vec![0.0f32; input.crop_len()];
    for (left, top, mirror) in [false, true].into_iter().flat_map(|mirror| places.map(|(x, y)| (x, y, mirror))) {
        input.write_crop(SIZE, &image, &CropParams::new(0, left, top, mirror), None, &mut values);
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        println!("left {left:2}, top {top:2}, mirrored {mirror:5}: first value {:6.1}, mean {mean:5.1}", values[0]);
    }
}

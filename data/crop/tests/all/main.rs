//! Crops against plain loops in `f64`.

use alexnet_crop::ndarray::Array3;
use alexnet_crop::{CropAndNormalize, CropParams, Mean};
use proptest::prelude::*;

fn image(size: usize, seed: u8) -> Vec<u8> {
    (0..3 * size * size).map(|i| (i * 89 + i / 255) as u8 ^ seed).collect()
}

/// A value by the formula, for the output pixel at `(y, x)` and channel `c` of R, G and B.
fn plain(input: &CropAndNormalize, size: usize, image: &[u8], crop: &CropParams, y: usize, x: usize, c: usize) -> f64 {
    let column = crop.left as usize + if crop.mirror { input.crop - 1 - x } else { x };
    let row = crop.top as usize + y;
    let mean = match &input.mean {
        Mean::None => 0.0,
        Mean::Rgb(rgb) => f64::from(rgb[c]),
        Mean::Image(image) => f64::from(image[(row, column, c)]),
    };
    let pixel = f64::from(image[3 * (row * size + column) + c]) + f64::from(crop.shift[c]);
    let deviation = f64::from(input.deviation.map_or(1.0, |d| d[c]));
    (pixel * f64::from(input.scale) - mean) / deviation * f64::from(crop.damping)
}

proptest! {
    #[test]
    fn values_are_those_of_the_formula(
        size in 1..40usize,
        places in prop::array::uniform3(any::<prop::sample::Index>()),
        mirror: bool,
        bgr: bool,
        mean in 0..3usize,
        scale in 0.01..2.0f32,
        deviation in prop::option::of(prop::array::uniform3(0.2..3.0f32)),
        shift in prop::array::uniform3(-20.0..20.0f32),
        damping in 0.5..1.0f32,
        seed: u8,
    ) {
        let side = places[0].index(size) + 1;
        let left = places[1].index(size - side + 1) as u32;
        let top = places[2].index(size - side + 1) as u32;
        let mean = match mean {
            0 => Mean::None,
            1 => Mean::Rgb([10.0, 20.0, 30.0]),
            _ => Mean::Image(Array3::from_shape_fn((size, size, 3), |(y, x, c)| (y * 7 + x * 3 + c) as f32 % 255.0)),
        };
        let input = CropAndNormalize { crop: side, bgr, scale, mean, deviation };
        let crop = CropParams { shift, damping, ..CropParams::new(0, left, top, mirror) };
        let image = image(size, seed);
        let mean = input.normalized_mean_image();
        let mut values = vec![0.0f32; input.crop_len()];
        input.write_crop(size, &image, &crop, mean.as_ref().and_then(|mean| mean.as_slice()), &mut values);
        let wide = mean.map(|mean| mean.mapv(f64::from));
        let mut doubles = vec![0.0f64; input.crop_len()];
        input.write_crop(size, &image, &crop, wide.as_ref().and_then(|mean| mean.as_slice()), &mut doubles);
        for (place, (&value, &double)) in values.iter().zip(&doubles).enumerate() {
            let c = if bgr { 2 - place % 3 } else { place % 3 };
            let expected = plain(&input, size, &image, &crop, place / 3 / side, place / 3 % side, c);
            prop_assert!((f64::from(value) - expected).abs() < 1e-2, "{value} for {expected} at {place}");
            prop_assert!((double - expected).abs() < 2e-3, "{double} for {expected} at {place}");
        }
    }
}

#[test]
#[should_panic = "range"]
fn a_crop_outside_of_the_image_is_refused() {
    let mut values = [0.0f32; 12];
    CropAndNormalize::crop_only(2).write_crop(3, &image(3, 0), &CropParams::new(0, 1, 2, false), None, &mut values);
}

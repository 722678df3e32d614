//! Maps of values as colours, over an image or alone.

use image::{Rgb, RgbImage};
use ndarray::{ArrayView2, ArrayView3};

use super::paint::{self, GREY, WHITE, area};
use super::text::{self, Style};

/// Colours of values from 0 to 1, dark to bright, at even distances.
const RAMP: [[f32; 3]; 6] = [
    [20.0, 11.0, 53.0],
    [85.0, 15.0, 109.0],
    [158.0, 40.0, 100.0],
    [222.0, 73.0, 50.0],
    [249.0, 142.0, 9.0],
    [252.0, 230.0, 110.0],
];
/// The part of an image that shines through the lowest and the highest value.
const SHINING: [f32; 2] = [0.55, 0.25];
/// The quantile that is as bright as anything: single pixels of a gradient would darken all others.
const BRIGHTEST: f64 = 0.995;

/// Margin of a key.
const MARGIN: i64 = 24;
/// Width and height of the colours of a key.
const BAR: [i64; 2] = [240, 14];

/// The largest value that has a colour of its own: a map's quantile of 99.5 %. 0 for a map without positive values.
pub fn brightest(map: ArrayView2<f32>) -> f32 {
    quantile(map.iter().copied())
}

fn quantile(values: impl Iterator<Item = f32>) -> f32 {
    let mut values: Vec<f32> = values.filter(|v| v.is_finite()).collect();
    if values.is_empty() {
        return 0.0;
    }
    let place = ((values.len() - 1) as f64 * BRIGHTEST).round() as usize;
    let (_, &mut value, _) = values.select_nth_unstable_by(place, f32::total_cmp);
    value.max(0.0)
}

/// A map over an image of its size: values from 0 to `top` from dark to bright colours, and the image shining through in
/// grey. Negative values are 0.
pub fn heat_over(image: &RgbImage, map: ArrayView2<f32>, top: f32) -> RgbImage {
    let (height, width) = map.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let share = share(map[[y as usize, x as usize]], top);
        let [red, green, blue] = image.get_pixel_checked(x, y).map_or([0; 3], |pixel| pixel.0).map(f32::from);
        let grey = 0.299 * red + 0.587 * green + 0.114 * blue;
        let through = SHINING[0] + (SHINING[1] - SHINING[0]) * share;
        Rgb(colour(share).map(|own| (own * (1.0 - through) + grey * through).round() as u8))
    })
}

/// A key of the colours of [`heat_over`], between names of the lowest and the highest value.
pub fn heat_key(names: [&str; 2]) -> RgbImage {
    let style = Style::small(GREY);
    let [width, height] = BAR;
    let left = MARGIN + style.width(names[0]) + 10;
    let right = left + width + 10;
    let mut key = RgbImage::from_pixel((right + style.width(names[1]) + MARGIN) as u32, 36, WHITE);
    text::draw(&mut key, MARGIN, 4, names[0], style);
    text::draw(&mut key, right, 4, names[1], style);
    for x in 0..width {
        let shade = colour(x as f32 / (width - 1) as f32).map(|value| value.round() as u8);
        paint::fill(&mut key, area(left + x, 5, 1, height), Rgb(shade));
    }
    key
}

/// A map alone, black at 0 and white at `top` and above. Negative values are black.
pub fn grey_map(map: ArrayView2<f32>, top: f32) -> RgbImage {
    let (height, width) = map.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let value = (share(map[[y as usize, x as usize]], top) * 255.0).round() as u8;
        Rgb([value; 3])
    })
}

/// A gradient `[height, width, 3]` by the colours of an image: grey at 0, brighter and darker up to the
/// quantile of 99.5 % of its sizes.
pub fn gradient_image(gradient: ArrayView3<f32>, bgr: bool) -> RgbImage {
    let (height, width, _) = gradient.dim();
    let largest = quantile(gradient.iter().map(|v| v.abs())).max(f32::MIN_POSITIVE);
    let order = if bgr { [2, 1, 0] } else { [0, 1, 2] };
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        Rgb(order.map(|channel| {
            let value = gradient[[y as usize, x as usize, channel]] / largest;
            (128.0 + 127.0 * value).round().clamp(0.0, 255.0) as u8
        }))
    })
}

/// The part of `top` that a value is, from 0 to 1.
fn share(value: f32, top: f32) -> f32 {
    if top > 0.0 && value > 0.0 { (value / top).min(1.0) } else { 0.0 }
}

fn colour(share: f32) -> [f32; 3] {
    let place = share * (RAMP.len() - 1) as f32;
    let first = (place as usize).min(RAMP.len() - 2);
    let part = place - first as f32;
    std::array::from_fn(|channel| RAMP[first][channel] * (1.0 - part) + RAMP[first + 1][channel] * part)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, Array3};

    use super::*;

    #[test]
    fn larger_values_are_brighter() {
        let map = Array2::from_shape_fn((1, 12), |(_, x)| x as f32 / 10.0 - 0.1);
        let image = RgbImage::from_pixel(12, 1, Rgb([90, 90, 90]));
        for drawn in [heat_over(&image, map.view(), 1.0), grey_map(map.view(), 1.0)] {
            let light: Vec<u32> = drawn.pixels().map(|p| p.0.iter().map(|&v| u32::from(v)).sum()).collect();
            assert_eq!(light[0], light[1], "negative values are 0");
            assert!(light[1..].windows(2).all(|pair| pair[0] < pair[1]), "{light:?}");
        }
        assert!(
            heat_over(&image, map.view(), 0.0)
                .pixels()
                .all(|p| p == heat_over(&image, map.view(), 0.0).get_pixel(0, 0))
        );
    }

    #[test]
    fn a_key_has_the_colours_from_dark_to_bright() {
        let key = heat_key(["a", "b"]);
        let left = (MARGIN + Style::small(GREY).width("a") + 10) as u32;
        let [first, last] = [left, left + BAR[0] as u32 - 1].map(|x| key.get_pixel(x, 10).0);
        assert_eq!((first, last), ([20, 11, 53], [252, 230, 110]));
        assert_eq!(key.get_pixel(left - 1, 10).0, [255; 3]);
    }

    #[test]
    fn single_pixels_do_not_set_the_scale() {
        let mut map = Array2::from_elem((40, 40), 1.0);
        map[[3, 3]] = 100.0;
        assert_eq!(brightest(map.view()), 1.0);
        assert_eq!(brightest(Array2::from_elem((2, 2), -1.0).view()), 0.0);
        assert_eq!(brightest(Array2::from_elem((2, 2), f32::NAN).view()), 0.0);
    }

    #[test]
    fn a_gradient_has_the_order_of_the_image() {
        let gradient = Array3::from_shape_vec((1, 1, 3), vec![1.0, 0.0, -1.0]).unwrap();
        assert_eq!(gradient_image(gradient.view(), false).get_pixel(0, 0).0, [255, 128, 1]);
        assert_eq!(gradient_image(gradient.view(), true).get_pixel(0, 0).0, [1, 128, 255]);
        // A single large value does not make all others grey.
        let mut gradient = Array3::from_elem((40, 40, 3), 0.01);
        gradient[[3, 3, 0]] = 100.0;
        assert_eq!(gradient_image(gradient.view(), false).get_pixel(0, 0).0, [255; 3]);
    }
}

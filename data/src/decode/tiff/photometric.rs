//! Conversion of TIFF samples to RGB.

use crate::error::BadImage;

/// Colour interpretation of samples.
pub(super) enum Photometric {
    Grey { inverted: bool },
    Rgb,
    Palette(Vec<[u8; 3]>),
    Cmyk,
    YCbCr(Box<YCbCr>),
}

impl Photometric {
    /// Creates a palette from three lists of 16-bit values: red, green, blue.
    pub fn palette(map: &[u64], size: usize) -> Result<Self, BadImage> {
        if map.len() < 3 * size {
            let what = format!("a palette of {} values, expected {}", map.len(), 3 * size);
            return Err(BadImage::Damaged(what));
        }
        // Some programs wrote 8-bit values, which libtiff detects like this.
        let shift = if map.iter().all(|&value| value < 256) { 0 } else { 8 };
        let colour = |i: usize| [i, size + i, 2 * size + i].map(|at| (map[at] >> shift) as u8);
        Ok(Self::Palette((0..size).map(colour).collect()))
    }

    /// Number of samples per colour.
    pub fn channels(&self) -> usize {
        match self {
            Self::Grey { .. } | Self::Palette(_) => 1,
            Self::Rgb | Self::YCbCr(_) => 3,
            Self::Cmyk => 4,
        }
    }

    /// RGB of one pixel. Samples have 8 bits, or `bits` if fewer.
    pub fn rgb(&self, samples: &[u8], bits: usize) -> [u8; 3] {
        let to_8_bits = |sample: u8| if bits < 8 { sample * (255 / ((1 << bits) - 1) as u8) } else { sample };
        match self {
            Self::Grey { inverted: true } => [255 - to_8_bits(samples[0]); 3],
            Self::Grey { inverted: false } => [to_8_bits(samples[0]); 3],
            Self::Rgb => [samples[0], samples[1], samples[2]].map(to_8_bits),
            // The palette has an entry for every sample value.
            Self::Palette(colours) => colours[usize::from(samples[0])],
            Self::Cmyk => {
                let light = |ink: u8| u32::from(255 - to_8_bits(ink));
                let black = light(samples[3]);
                [samples[0], samples[1], samples[2]].map(|ink| ((light(ink) * black + 127) / 255) as u8)
            }
            Self::YCbCr(colour) => colour.rgb([samples[0], samples[1], samples[2]]),
        }
    }
}

/// Divides a colour by its alpha, rounding down; black if alpha is 0.
pub(super) fn unpremultiply(colour: [u8; 3], alpha: u8) -> [u8; 3] {
    match u32::from(alpha) {
        0 => [0; 3],
        alpha => colour.map(|c| (u32::from(c) * 255 / alpha).min(255) as u8),
    }
}

/// YCbCr conversion with libtiff's fixed-point tables.
pub(super) struct YCbCr {
    /// Horizontal and vertical subsampling factors of the colour differences.
    horizontal: usize,
    vertical: usize,
    luminance: [i32; 256],
    red: [i32; 256],
    green_of_red: [i32; 256],
    green_of_blue: [i32; 256],
    blue: [i32; 256],
}

const ROUNDING: i32 = 1 << 15;
/// Defaults (TIFF 6.0, section 21): weights of red, green and blue; black and white levels of Y, Cb and Cr.
pub(super) const DEFAULT_LUMA: [f32; 3] = [0.299, 0.587, 0.114];
pub(super) const DEFAULT_RANGE: [f32; 6] = [0.0, 255.0, 128.0, 255.0, 128.0, 255.0];

impl YCbCr {
    pub fn new(factors: [usize; 2], luma: [f32; 3], range: [f32; 6]) -> Result<Self, BadImage> {
        let [horizontal, vertical] = factors;
        if ![1, 2, 4].contains(&horizontal) || ![1, 2, 4].contains(&vertical) {
            let what = format!("YCbCr subsampling of {horizontal} x {vertical}, expected 1, 2 or 4");
            return Err(BadImage::Damaged(what));
        }
        // Some programs wrote impossible values for the defaults.
        let usable = luma.iter().all(|v| (0.0..=1.0).contains(v)) && luma[1] > 0.0;
        let [red, green, blue] = if usable { luma } else { DEFAULT_LUMA };
        let range = if range.iter().all(|v| v.is_finite()) { range } else { DEFAULT_RANGE };
        let fixed = |v: f32| (v * 65536.0 + 0.5) as i32;
        let value = |code: i32, low: f32, high: f32, full: f32| {
            let width = if high as i32 == low as i32 { 1.0 } else { (high as i32 - low as i32) as f32 };
            ((code - low as i32) as f32 * full / width).clamp(-32768.0, 32767.0) as i32
        };
        let difference = |i: usize, low: f32, high: f32| value(i as i32 - 128, low - 128.0, high - 128.0, 127.0);
        let of_red = 2.0 - 2.0 * red;
        let of_blue = 2.0 - 2.0 * blue;
        let green_red = -fixed(red * of_red / green);
        let green_blue = -fixed(blue * of_blue / green);
        let cr: [i32; 256] = std::array::from_fn(|i| difference(i, range[4], range[5]));
        let cb: [i32; 256] = std::array::from_fn(|i| difference(i, range[2], range[3]));
        let scaled = |factor: i32, v: i32, add: i32| factor.wrapping_mul(v).wrapping_add(add);
        Ok(Self {
            horizontal,
            vertical,
            luminance: std::array::from_fn(|i| value(i as i32, range[0], range[1], 255.0)),
            red: cr.map(|v| scaled(fixed(of_red), v, ROUNDING) >> 16),
            green_of_red: cr.map(|v| scaled(green_red, v, 0)),
            green_of_blue: cb.map(|v| scaled(green_blue, v, ROUNDING)),
            blue: cb.map(|v| scaled(fixed(of_blue), v, ROUNDING) >> 16),
        })
    }

    fn rgb(&self, samples: [u8; 3]) -> [u8; 3] {
        let [y, cb, cr] = samples.map(usize::from);
        let green = self.green_of_blue[cb].wrapping_add(self.green_of_red[cr]) >> 16;
        [self.red[cr], green, self.blue[cb]].map(|add| (self.luminance[y] + add).clamp(0, 255) as u8)
    }

    pub fn is_subsampled(&self) -> bool {
        self.horizontal * self.vertical > 1
    }

    /// Size in bytes of `rows` rows of subsampled data.
    pub fn bytes(&self, width: usize, rows: usize) -> usize {
        width.div_ceil(self.horizontal) * rows.div_ceil(self.vertical) * (self.horizontal * self.vertical + 2)
    }

    /// Expands row `row` of subsampled data of this width to Y, Cb, Cr of each pixel.
    pub fn row(&self, data: &[u8], width: usize, row: usize, out: &mut [u8]) {
        let Self { horizontal, vertical, .. } = *self;
        let unit = horizontal * vertical + 2;
        let units = &data[row / vertical * width.div_ceil(horizontal) * unit..];
        for (x, pixel) in out.chunks_exact_mut(3).enumerate() {
            let unit = &units[x / horizontal * unit..][..unit];
            pixel[0] = unit[row % vertical * horizontal + x % horizontal];
            pixel[1..].copy_from_slice(&unit[unit.len() - 2..]);
        }
    }
}

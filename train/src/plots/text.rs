//! Text in a bitmap font (Noto Sans Mono): Latin letters with their accents.
//!
//! All characters have the same width. A character that the font lacks is drawn as the replacement character.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use super::paint::blend;

/// Size, weight and colour of text.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    size: RasterHeight,
    weight: FontWeight,
    colour: Rgb<u8>,
}

impl Style {
    /// Style of ticks and notes.
    pub const fn small(colour: Rgb<u8>) -> Self {
        Self { size: RasterHeight::Size16, weight: FontWeight::Regular, colour }
    }

    /// Style of labels.
    pub const fn large(colour: Rgb<u8>) -> Self {
        Self { size: RasterHeight::Size20, weight: FontWeight::Regular, colour }
    }

    /// This style in bold.
    pub const fn bold(self) -> Self {
        Self { weight: FontWeight::Bold, ..self }
    }

    /// The height of a line in pixels.
    pub fn height(self) -> i64 {
        self.size.val() as i64
    }

    /// The width of one character in pixels.
    fn advance(self) -> i64 {
        get_raster_width(self.weight, self.size) as i64
    }

    /// The width of `text` in pixels.
    pub fn width(self, text: &str) -> i64 {
        printable(text).count() as i64 * self.advance()
    }

    /// `name`, without what follows its first comma if it is wider than `width` pixels, then shortened as by
    /// [`fit`](Self::fit): the names of WordNet are lists of synonyms.
    pub fn fit_name(self, name: &str, width: i64) -> String {
        let is_whole = self.width(name) <= width;
        let first = name.split_once(',').map(|(first, _)| first).filter(|first| !is_whole && !first.is_empty());
        self.fit(first.unwrap_or(name), width)
    }

    /// `text`, shortened to end in "..." if it is wider than `width` pixels.
    pub fn fit(self, text: &str, width: i64) -> String {
        let max_len = (width / self.advance()).max(0) as usize;
        if printable(text).count() <= max_len {
            return text.to_owned();
        }
        let dots = max_len.min(3);
        printable(text).take(max_len - dots).chain(std::iter::repeat_n('.', dots)).collect()
    }
}

/// The characters to draw: control characters and white space as spaces, and none of zero width.
fn printable(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| !is_mark(*c)).map(|c| if c.is_control() || c.is_whitespace() { ' ' } else { c })
}

/// Combining accents, joiners and direction marks, which have no width.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
}

/// Draws `text` with its upper left corner at (x, y).
pub fn draw(image: &mut RgbImage, x: i64, y: i64, text: &str, style: Style) {
    glyphs(text, style, |across, down, share| blend(image, x + across, y + down, style.colour, share));
}

/// Draws `text` upwards, rotated by 90 degrees; (x, y) is the lower left corner.
pub fn draw_upwards(image: &mut RgbImage, x: i64, y: i64, text: &str, style: Style) {
    glyphs(text, style, |across, down, share| blend(image, x + down, y - across, style.colour, share));
}

/// Calls `dot(dx, dy, coverage)` for every pixel that `text` covers.
fn glyphs(text: &str, style: Style, mut dot: impl FnMut(i64, i64, u8)) {
    for (number, c) in printable(text).enumerate() {
        let glyph = get_raster(c, style.weight, style.size)
            .or_else(|| get_raster('\u{fffd}', style.weight, style.size))
            .or_else(|| get_raster('?', style.weight, style.size));
        let start = number as i64 * style.advance();
        for (down, row) in glyph.iter().flat_map(|glyph| glyph.rows()).enumerate() {
            for (across, &share) in row.iter().enumerate() {
                if share > 0 {
                    dot(start + across as i64, down as i64, share);
                }
            }
        }
    }
}

//! Images in a page.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, Result};

/// An image that a page holds.
#[derive(Clone, Debug)]
pub struct ImageData {
    pub(crate) alt: String,
    /// A `data:` URL.
    pub(crate) url: String,
}

impl ImageData {
    /// An encoded image, with the text in its place for those who do not see it.
    ///
    /// # Errors
    /// [`Error::Image`] for bytes that are neither PNG nor JPEG.
    pub fn new(bytes: &[u8], alt: impl Into<String>) -> Result<Self> {
        let alt = alt.into();
        let kind = match bytes {
            [0x89, b'P', b'N', b'G', ..] => "png",
            [0xff, 0xd8, 0xff, ..] => "jpeg",
            _ => return Err(Error::Image { alt }),
        };
        Ok(Self { alt, url: format!("data:image/{kind};base64,{}", STANDARD.encode(bytes)) })
    }
}

/// An image with a title and bars of its most probable classes.
#[derive(Clone, Debug)]
pub struct Card {
    /// The image.
    pub image: ImageData,
    /// Title, such as the label.
    pub title: String,
    /// A note below the title, such as the image's number; empty for none.
    pub note: String,
    /// Bars below it.
    pub bars: Vec<Bar>,
}

/// A class and its probability.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Name of the class.
    pub name: String,
    /// Its probability, from 0 to 1.
    pub probability: f64,
    /// Whether it is the label.
    pub is_right: bool,
}

impl Bar {
    /// The probability in percent, from 0 to 100.
    pub(crate) fn percent(&self) -> String {
        let percent = (100.0 * self.probability).clamp(0.0, 100.0);
        format!("{:.1}", if percent.is_nan() { 0.0 } else { percent })
    }
}

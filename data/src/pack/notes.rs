//! Notes on a source for the user.

use super::options::PackOptions;
use crate::dataset::ImageContent;
use crate::decode::decode_image;
use crate::source::{SampleList, Source};

/// Notes on the source that take no image to be read, one sentence each.
pub(super) fn notes(source: &Source, options: &PackOptions) -> Vec<String> {
    let mut notes = source.notes().to_vec();
    notes.extend(source.side().filter(|&side| side != options.size).map(|side| size_note(side, options)));
    notes.extend(unused_classes_note(source.samples()));
    notes
}

/// Note on images of one size, unknown before they are read, that are enlarged. The first, the middle and the last image
/// stand for all.
pub(super) fn enlarged_note(source: &Source, options: &PackOptions) -> Option<String> {
    let last = source.samples().len().checked_sub(1).filter(|_| source.side().is_none())?;
    let sides = [0, last / 2, last].map(|index| square_side(source, index, options));
    let side = sides[0].filter(|&side| side < options.size && sides.iter().all(|other| *other == Some(side)));
    side.map(|side| size_note(side, options))
}

fn size_note(side: usize, options: &PackOptions) -> String {
    format!("the images are {side} x {side}, stored as {0} x {0}; a size of {side} keeps them", options.size)
}

/// The side of an image that is a square.
fn square_side(source: &Source, index: usize, options: &PackOptions) -> Option<usize> {
    let image = match source.read(index).ok()? {
        ImageContent::Encoded(bytes) => decode_image(bytes, &options.decode).ok()?,
        ImageContent::Pixels(image) => image,
    };
    (image.width() == image.height()).then(|| image.width())
}

/// Note on classes without images.
pub(super) fn unused_classes_note(samples: &SampleList) -> Option<String> {
    let unused = classes_without_images(samples);
    let shown = unused.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let more = if unused.len() > 5 { ", ..." } else { "" };
    let verb = if unused.len() == 1 { "class has" } else { "classes have" };
    (!unused.is_empty()).then(|| format!("{} {verb} no image: {shown}{more}", unused.len()))
}

/// Classes without images, which occur only among the classes of another pack.
fn classes_without_images(samples: &SampleList) -> Vec<&str> {
    let classes = samples.classes();
    let mut is_used = vec![false; classes.len()];
    (0..samples.len()).for_each(|index| is_used[samples.label(index) as usize] = true);
    classes.iter().zip(is_used).filter(|(_, is_used)| !is_used).map(|(class, _)| class.as_str()).collect()
}

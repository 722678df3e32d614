//! Values that are not finite.

use ndarray::ArrayD;

/// The most tensors in a note.
const SHOWN: usize = 4;

/// A note on tensors with values that are NaN or infinite, by their names; `None` if all values are finite.
///
/// ```
/// use alexnet_formats::not_finite;
/// use alexnet_formats::layers::tensor::ndarray::arr1;
///
/// let bias = arr1(&[0.5, f32::NAN]).into_dyn();
/// assert!(not_finite([("fc8.bias", &bias)]).unwrap().contains("1 in fc8.bias"));
/// assert_eq!(not_finite([("fc8.bias", &arr1(&[0.5]).into_dyn())]), None);
/// ```
pub fn not_finite<'a>(tensors: impl IntoIterator<Item = (&'a str, &'a ArrayD<f32>)>) -> Option<String> {
    let count = |values: &ArrayD<f32>| values.iter().filter(|value| !value.is_finite()).count();
    let counted = tensors.into_iter().map(|(name, values)| (name, count(values)));
    let found: Vec<(&str, usize)> = counted.filter(|(_, count)| *count > 0).collect();
    if found.is_empty() {
        return None;
    }
    let shown =
        found.iter().take(SHOWN).map(|(name, count)| format!("{count} in {}", files::printable::brief(name, 80)));
    let mut shown = shown.collect::<Vec<_>>().join(", ");
    if let more @ 1.. = found.len().saturating_sub(SHOWN) {
        shown += &format!(", and some in {more} more tensors");
    }
    Some(format!("values that are NaN or infinite: {shown}; the network's outputs will hardly be numbers"))
}

//! Images that are almost black, as those of 12 bits in files of 16 are.

use crate::statistics::Statistics;

/// Of 255: values of 12 bits in 16 reach 15, and photographs by night more.
const DARK: f64 = 32.0;

/// A note on images all of which are almost black.
pub(super) fn note(statistics: &Statistics) -> Option<String> {
    let means = statistics.mean_rgb.map(f64::from);
    let squares: f64 = means.iter().enumerate().map(|(c, mean)| statistics.covariance[c][c] + mean * mean).sum();
    let total: f64 = means.iter().sum();
    // The mean of all values, each weighted by itself: no more than the brightest, and near it where a few are bright.
    let bright = if total > 0.0 { squares / total } else { 0.0 };
    (bright < DARK).then(|| {
        format!(
            "all {} images are almost black: their bright pixels have about {bright:.0} of 255; of 16 bits the upper 8 are \
             stored, so values of 8 or 12 bits in files of 16 must be multiplied by 256 or 16 before",
            statistics.images
        )
    })
}

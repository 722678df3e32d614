//! Maps at the size of an image.

use ndarray::Array2;

/// A map as a square of `size`, by linear interpolation between the centres of its cells. Beyond the outermost centres it
/// is constant. An empty map gives zeros.
///
/// ```
/// use alexnet_analysis::{ndarray::arr2, upsample};
///
/// let map = upsample(&arr2(&[[0.0, 1.0], [0.0, 1.0]]), 4);
/// assert_eq!(map.row(2).to_vec(), [0.0, 0.25, 0.75, 1.0]);
/// ```
pub fn upsample(map: &Array2<f32>, size: usize) -> Array2<f32> {
    let (height, width) = map.dim();
    if height == 0 || width == 0 {
        return Array2::zeros((size, size));
    }
    Array2::from_shape_fn((size, size), |(row, column)| {
        let [top, bottom, down] = between(row, size, height);
        let [left, right, across] = between(column, size, width);
        let at = |row: f64, column: f64| f64::from(map[[row as usize, column as usize]]);
        let upper = at(top, left) * (1.0 - across) + at(top, right) * across;
        let lower = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
        (upper * (1.0 - down) + lower * down) as f32
    })
}

/// The two cells between whose centres a pixel of `size` lies, and its distance from the first.
fn between(pixel: usize, size: usize, cells: usize) -> [f64; 3] {
    let place = ((pixel as f64 + 0.5) * cells as f64 / size as f64 - 0.5).clamp(0.0, (cells - 1) as f64);
    let first = place.floor();
    [first, (first + 1.0).min((cells - 1) as f64), place - first]
}

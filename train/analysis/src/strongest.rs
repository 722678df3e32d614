//! The images and places to which the kernels of a layer respond most.

use std::cmp::Ordering;

use ndarray::{ArrayView4, Axis};

/// A response of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response {
    /// The value of the kernel's map.
    pub value: f32,
    /// Number of the image.
    pub image: u64,
    /// Row of the map.
    pub row: usize,
    /// Column of the map.
    pub column: usize,
}

/// The largest responses of each kernel of a layer over a data set, at most one of an image. Memory does not grow with the
/// data set.
///
/// ```
/// use alexnet_analysis::{StrongestResponses, ndarray::Array4};
///
/// let mut strongest = StrongestResponses::new(2, 1);
/// strongest.add(&[7], Array4::from_shape_fn((1, 2, 2, 2), |(_, y, x, c)| (y + x * c) as f32).view());
/// assert_eq!(strongest.of(1)[0].value, 2.0);
/// assert_eq!((strongest.of(1)[0].image, strongest.of(1)[0].row, strongest.of(1)[0].column), (7, 1, 1));
/// ```
#[derive(Clone, Debug)]
pub struct StrongestResponses {
    each: usize,
    kernels: Vec<Vec<Response>>,
}

impl StrongestResponses {
    /// No responses yet, of this many kernels; at most `each` are kept for a kernel.
    pub fn new(kernels: usize, each: usize) -> Self {
        Self { each, kernels: vec![Vec::new(); kernels] }
    }

    /// Adds the maps `[n, height, width, kernels]` of images with these numbers. Values that are no numbers are left out.
    pub fn add(&mut self, images: &[u64], maps: ArrayView4<f32>) {
        for (&image, maps) in images.iter().zip(maps.axis_iter(Axis(0))) {
            let mut largest: Vec<Option<Response>> = vec![None; self.kernels.len()];
            for (row, maps) in maps.axis_iter(Axis(0)).enumerate() {
                for (column, values) in maps.axis_iter(Axis(0)).enumerate() {
                    for (best, &value) in largest.iter_mut().zip(values) {
                        let is_larger = best.is_none_or(|best| value > best.value);
                        if is_larger && !value.is_nan() {
                            *best = Some(Response { value, image, row, column });
                        }
                    }
                }
            }
            for (kernel, response) in self.kernels.iter_mut().zip(largest) {
                if let Some(response) = response {
                    offer(kernel, response, self.each);
                }
            }
        }
    }

    /// The responses of a kernel, largest first; of equals the image with the lower number. None for a kernel that the
    /// layer does not have.
    pub fn of(&self, kernel: usize) -> &[Response] {
        self.kernels.get(kernel).map_or(&[], Vec::as_slice)
    }

    /// Number of kernels.
    pub fn kernels(&self) -> usize {
        self.kernels.len()
    }

    /// The kernels by falling largest response; those without one come last.
    pub fn by_largest(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.kernels.len()).collect();
        let largest = |kernel: &usize| self.kernels[*kernel].first().map_or(f32::NEG_INFINITY, |first| first.value);
        order.sort_by(|a, b| largest(b).total_cmp(&largest(a)).then(a.cmp(b)));
        order
    }
}

/// Puts a response in its place among the largest.
fn offer(kept: &mut Vec<Response>, response: Response, limit: usize) {
    let order = |other: &Response| match response.value.total_cmp(&other.value) {
        Ordering::Equal => other.image.cmp(&response.image),
        order => order,
    };
    let place = kept.partition_point(|other| order(other) != Ordering::Greater);
    if place < limit {
        kept.insert(place, response);
        kept.truncate(limit);
    }
}

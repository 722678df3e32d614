//! Means of training images from files: Caffe's `.binaryproto` and numpy's `.npy`.

use std::io::Read;
use std::path::Path;

use files::regular_file;
use ndarray::{Array3, ArrayD, Ix3};

use crate::{Error, Result, caffe, npy};

/// The largest file of a mean: 256 x 256 pixels of f64 take 1.5 MB.
const MAX_BYTES: u64 = 1 << 28;

/// A mean that is subtracted from images.
#[derive(Clone, Debug, PartialEq)]
pub enum MeanFile {
    /// An image `[height, width, 3]`: red, green, blue, 0 to 255.
    Image(Array3<f32>),
    /// A colour: red, green, blue, 0 to 255.
    Colour([f32; 3]),
}

/// Reads a mean: `.binaryproto` of Caffe, or `.npy` of f4, f8 or u1, by their content.
///
/// Arrays `[3, height, width]`, with or without an axis of length 1 in front, are Caffe's, blue first, as is
/// `ilsvrc_2012_mean.npy`; `[3, 1, 1]` and `[3]`, its mean over the pixels, are colours. Arrays `[height, width, 3]` are red
/// first.
///
/// # Errors
/// [`Error::File`] if the file cannot be read; [`Error::Refused`] if it is damaged, of another format, has another shape
/// or values that are not from 0 to 255.
pub fn mean(path: &Path) -> Result<MeanFile> {
    let refused = |what: String| Error::refused(path, what);
    let file = regular_file::open(path).map_err(Error::file(path))?;
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::file(path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refused(format!("is larger than {} MiB; a mean image takes some MB", MAX_BYTES >> 20)));
    }
    let array = if bytes.starts_with(npy::MAGIC) {
        npy::parse(&bytes)
    } else {
        caffe::blob(&bytes).map_err(|what| format!("{what}; means are read from .binaryproto and .npy files"))
    };
    array.and_then(of_array).map_err(refused)
}

/// The mean that an array is.
fn of_array(mut array: ArrayD<f32>) -> std::result::Result<MeanFile, String> {
    let shape = array.shape().to_vec();
    if let Some(value) = array.iter().find(|value| !(-1.0..=256.0).contains(*value)) {
        return Err(format!("holds {value}; the values of a mean are from 0 to 255"));
    }
    if array.iter().all(|value| *value <= 1.0) && array.iter().any(|value| *value != 0.0) {
        return Err("holds values from 0 to 1; those of a mean are from 0 to 255".into());
    }
    while array.ndim() > 3 && array.shape()[0] == 1 {
        array = array.index_axis_move(ndarray::Axis(0), 0);
    }
    let found = array.shape().to_vec();
    match *found.as_slice() {
        [3] => Ok(MeanFile::Colour([array[[2]], array[[1]], array[[0]]])),
        [3, 1, 1] => Ok(MeanFile::Colour([array[[2, 0, 0]], array[[1, 0, 0]], array[[0, 0, 0]]])),
        [3, height, width] if height > 0 && width > 0 => {
            let planes = array.into_dimensionality::<Ix3>().map_err(|error| error.to_string())?;
            let pixel = |(y, x, colour)| planes[[2 - colour, y, x]];
            Ok(MeanFile::Image(Array3::from_shape_fn((height, width, 3), pixel)))
        }
        [height, width, 3] if height > 0 && width > 0 => {
            let image = array.into_dimensionality::<Ix3>().map_err(|error| error.to_string())?;
            Ok(MeanFile::Image(image))
        }
        _ => Err(format!("has the shape {shape:?}; a mean is [3, height, width], [height, width, 3] or [3]")),
    }
}

//! Data sets in any storage.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use crate::decode::{DecodeOptions, Image, decode_square, resize_and_crop};
use crate::error::{BadImage, Error, Result};
use crate::statistics::Statistics;

/// Content of one image.
///
/// ```
/// use alexnet_data::{Image, ImageContent};
///
/// let grey = Image::new(2, 1, vec![0, 0, 0, 255, 255, 255]).map(ImageContent::Pixels);
/// assert!(grey.is_some());
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ImageContent {
    /// Bytes of an image file: JPEG, PNG, GIF, BMP, TIFF, WebP or PNM, whose format is recognised by content.
    Encoded(Vec<u8>),
    /// Decoded pixels.
    Pixels(Image),
}

impl ImageContent {
    /// Decodes the image and crops it to a square: the shorter side is resized to `size` and the centre kept. Pixels of
    /// that size are returned unchanged.
    ///
    /// # Errors
    /// The reason why the image is rejected.
    pub fn into_square(self, size: usize, options: &DecodeOptions) -> Result<Image, BadImage> {
        match self {
            Self::Encoded(bytes) => decode_square(bytes, size, options),
            Self::Pixels(image) if image.width() == size && image.height() == size => Ok(image),
            Self::Pixels(image) => resize_and_crop(&image, size).map_err(|e| BadImage::Damaged(e.to_string())),
        }
    }
}

/// Labelled images in any storage, in a fixed order. A [`Loader`](crate::Loader) makes batches of one, and
/// [`PackWriter::push_all`](crate::PackWriter::push_all) packs one. [`Pack`](crate::Pack) is one.
///
/// Six methods say what the images are. The others have defaults; a data set implements them to be read faster: images
/// in memory are not copied, and a storage of its own knows what it can read ahead. All are called from several
/// threads.
///
/// ```
/// use alexnet_data::{BadImage, CropAndNormalize, Dataset, Image, ImageContent, Loader, LoaderOptions};
///
/// /// Images of one grey each, from black to white; bright ones have the label 1.
/// struct Greys {
///     classes: [String; 2],
/// }
///
/// impl Dataset for Greys {
///     fn len(&self) -> usize {
///         256
///     }
///
///     fn size(&self) -> usize {
///         8
///     }
///
///     fn classes(&self) -> &[String] {
///         &self.classes
///     }
///
///     fn label(&self, index: usize) -> u32 {
///         u32::from(index >= 128)
///     }
///
///     fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
///         let image = Image::new(8, 8, vec![index as u8; 8 * 8 * 3]);
///         image.map(ImageContent::Pixels).ok_or_else(|| BadImage::Damaged("no pixels".into()))
///     }
/// }
///
/// let greys = Greys { classes: ["dark".into(), "bright".into()] };
/// let loader = Loader::new(greys, CropAndNormalize::crop_only(8), LoaderOptions::default())?;
/// let batch = loader.batches(0, 1).next().ok_or("no batch")??;
/// assert_eq!((batch.labels[0], loader.crops(&batch)?[[0, 0, 0, 0]]), (1, 128.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Dataset: Send + Sync {
    /// Number of images, below 2^32 for a loader.
    fn len(&self) -> usize;

    /// Whether there are no images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Side length in pixels of the square images that a loader sees; others are resized and cropped to it.
    fn size(&self) -> usize;

    /// Class names; labels are indices into them. None for images without labels, whose [`label`](Self::label) is not
    /// checked.
    fn classes(&self) -> &[String];

    /// Label of image `index`, which is below [`len`](Self::len).
    fn label(&self, index: usize) -> u32;

    /// Reads image `index`.
    ///
    /// # Errors
    /// The reason why there is no image: [`BadImage::Unreadable`] for an error of the storage.
    fn read(&self, index: usize) -> Result<ImageContent, BadImage>;

    /// Name of image `index`, for messages and packs; parts are separated by `/`.
    fn name(&self, index: usize) -> String {
        index.to_string()
    }

    /// Limits and options of decoding what [`read`](Self::read) returns.
    fn decode_options(&self) -> DecodeOptions {
        DecodeOptions::default()
    }

    /// Mean image and principal components of colour, which some augmentations need.
    fn known_statistics(&self) -> Option<&Statistics> {
        None
    }

    /// Writes the pixels of image `index` to `out`, `[size, size, 3]`: R, G, B, rows from the top. Only those within
    /// `rows` and `columns` are used.
    ///
    /// # Errors
    /// [`Error::Image`] with the image's name by default.
    fn read_region(&self, index: usize, rows: Range<usize>, columns: Range<usize>, out: &mut [u8]) -> Result<()> {
        let _ = (rows, columns);
        let square = self.read(index).and_then(|content| content.into_square(self.size(), &self.decode_options()));
        let square = square.map_err(|reason| Error::Image { path: PathBuf::from(self.name(index)), reason })?;
        out.copy_from_slice(square.pixels());
        Ok(())
    }

    /// Whether all images are in memory as pixels, where a loader reads them without a copy.
    fn is_in_memory(&self) -> bool {
        false
    }

    /// Pixels of image `index` `[size, size, 3]`, if the images [are in memory](Self::is_in_memory).
    fn pixels_in_memory(&self, index: usize) -> &[u8] {
        let _ = index;
        &[]
    }

    /// Called before [`pixels_in_memory`](Self::pixels_in_memory) for each image of a batch: brings a mapped image into
    /// memory and checks it.
    ///
    /// # Errors
    /// Those of the storage.
    fn load(&self, index: usize) -> Result<()> {
        let _ = index;
        Ok(())
    }

    /// Called after images in memory were used: confirms that what was read was valid.
    ///
    /// # Errors
    /// Those of the storage, such as [`Error::Changed`].
    fn check_unchanged(&self, images: &[u64]) -> Result<()> {
        let _ = images;
        Ok(())
    }

    /// Called when `images` images in memory are no longer used. A mapped file may leave the process's memory.
    fn release(&self, images: usize) {
        let _ = images;
    }

    /// Advice that image `index` will be read soon.
    fn prefetch(&self, index: usize) {
        let _ = index;
    }

    /// Ranges of images that lie together in the storage, in order, for
    /// [`Shuffle::Window`](crate::Shuffle::Window).
    fn ranges(&self) -> Vec<Range<usize>> {
        std::iter::once(0..self.len()).collect()
    }

    /// Stored size in bytes of a range of images, for [`Shuffle::Window`](crate::Shuffle::Window); that of the pixels
    /// by default.
    fn bytes_of(&self, images: &Range<usize>) -> u64 {
        (images.len() * self.size() * self.size() * 3) as u64
    }
}

/// Refuses a label that is no index into the classes, before an epoch meets it.
pub(crate) fn check_labels(dataset: &dyn Dataset) -> Result<()> {
    let classes = dataset.classes().len();
    let is_wrong = |&index: &usize| classes > 0 && dataset.label(index) as usize >= classes;
    match (0..dataset.len()).find(is_wrong) {
        Some(index) => {
            Err(label_error(classes, dataset.label(index), &format!("image {index}, {}", dataset.name(index))))
        }
        None => Ok(()),
    }
}

/// The error of an image whose label is no index into so many classes.
pub(crate) fn label_error(classes: usize, label: u32, image: &str) -> Error {
    Error::option("label", format!("less than {classes}, the number of classes"), format!("{label} for {image}"))
}

/// Shared data sets are data sets.
impl<D: Dataset + ?Sized> Dataset for Arc<D> {
    fn len(&self) -> usize {
        (**self).len()
    }

    fn size(&self) -> usize {
        (**self).size()
    }

    fn classes(&self) -> &[String] {
        (**self).classes()
    }

    fn label(&self, index: usize) -> u32 {
        (**self).label(index)
    }

    fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
        (**self).read(index)
    }

    fn name(&self, index: usize) -> String {
        (**self).name(index)
    }

    fn decode_options(&self) -> DecodeOptions {
        (**self).decode_options()
    }

    fn known_statistics(&self) -> Option<&Statistics> {
        (**self).known_statistics()
    }

    fn read_region(&self, index: usize, rows: Range<usize>, columns: Range<usize>, out: &mut [u8]) -> Result<()> {
        (**self).read_region(index, rows, columns, out)
    }

    fn is_in_memory(&self) -> bool {
        (**self).is_in_memory()
    }

    fn pixels_in_memory(&self, index: usize) -> &[u8] {
        (**self).pixels_in_memory(index)
    }

    fn load(&self, index: usize) -> Result<()> {
        (**self).load(index)
    }

    fn check_unchanged(&self, images: &[u64]) -> Result<()> {
        (**self).check_unchanged(images)
    }

    fn release(&self, images: usize) {
        (**self).release(images);
    }

    fn prefetch(&self, index: usize) {
        (**self).prefetch(index);
    }

    fn ranges(&self) -> Vec<Range<usize>> {
        (**self).ranges()
    }

    fn bytes_of(&self, images: &Range<usize>) -> u64 {
        (**self).bytes_of(images)
    }
}

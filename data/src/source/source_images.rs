//! Images of a source that are loaded without a pack.

use std::fmt::{Debug, Formatter};
use std::path::{Path, PathBuf};

use super::{Source, SourceKind, SourceOptions, Split};
use crate::dataset::{Dataset, ImageContent};
use crate::decode::{DecodeOptions, check_square};
use crate::error::{BadImage, Result};

/// The options for reading a source. The default finds out all that it can.
#[derive(Clone, Debug, Default)]
pub struct SourceSettings {
    /// Kind of the source; `None` detects it from the content.
    pub from: Option<SourceKind>,
    /// Labels file for an unlabelled source.
    pub labels: Option<PathBuf>,
    /// Column of images in `labels`, by name or 1-based number.
    pub image_column: Option<String>,
    /// Column of labels in `labels`, by name or 1-based number; for a WebDataset, the key of the label in `.json`.
    pub label_column: Option<String>,
    /// Split to read from a source that holds two.
    pub split: Split,
    /// Names of classes that the source only numbers, as the lines of a file of them.
    pub class_names: Option<Vec<String>>,
    /// Class names in label order, usually those of the training set.
    pub classes: Option<Vec<String>>,
    /// Limits and options of image decoding.
    pub decode: DecodeOptions,
}

impl SourceSettings {
    fn options(&self) -> SourceOptions<'_> {
        SourceOptions {
            from: self.from,
            labels: self.labels.as_deref(),
            split: self.split,
            classes: self.classes.as_deref(),
            class_names: self.class_names.as_deref(),
            first_label: 0,
            wordnet: None,
            image_column: self.image_column.as_deref(),
            label_column: self.label_column.as_deref(),
            max_pixels: self.decode.max_pixels,
            apply_orientation: self.decode.apply_orientation,
        }
    }
}

/// The images of a source, such as class folders or a tar, read and decoded each time that they are needed: a
/// [`Dataset`] that needs no pack, for sets that are small or used once. See [`SourceKind`] for the kinds.
///
/// ```
/// use alexnet_data::{CropAndNormalize, Loader, LoaderOptions, SourceImages, SourceSettings};
///
/// let folder = tempfile::tempdir()?;
/// for (class, grey) in [("dark", 10), ("light", 240)] {
///     std::fs::create_dir(folder.path().join(class))?;
///     let image = [b"P6 9 7 255 ".to_vec(), vec![grey; 9 * 7 * 3]].concat();
///     std::fs::write(folder.path().join(class).join("1.ppm"), image)?;
/// }
/// let images = SourceImages::open(folder.path(), 6, SourceSettings::default())?;
/// let loader = Loader::new(images, CropAndNormalize::crop_only(6), LoaderOptions::default())?;
/// let batch = loader.batches(0, 0).next().ok_or("no batch")??;
/// assert_eq!(batch.labels, [0, 1]);
/// assert_eq!(loader.crops(&batch)?[[1, 3, 3, 0]], 240.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SourceImages {
    path: PathBuf,
    source: Source,
    size: usize,
    decode: DecodeOptions,
}

impl SourceImages {
    /// Lists the images of a source; a loader sees them as squares of `size`.
    ///
    /// # Errors
    /// [`Error::Option`](crate::Error::Option) for a size that is not 1 to 4096;
    /// [`Error::Source`](crate::Error::Source) and [`Error::Io`](crate::Error::Io).
    pub fn open(path: impl AsRef<Path>, size: usize, settings: SourceSettings) -> Result<Self> {
        check_square(size)?;
        let path = path.as_ref();
        let source = Source::open(path, &settings.options())?;
        Ok(Self { path: path.to_path_buf(), source, size, decode: settings.decode })
    }

    /// Notes on the source for the user, one sentence each.
    pub fn notes(&self) -> &[String] {
        self.source.notes()
    }
}

impl Dataset for SourceImages {
    fn len(&self) -> usize {
        self.source.samples().len()
    }

    fn size(&self) -> usize {
        self.size
    }

    fn classes(&self) -> &[String] {
        self.source.samples().classes()
    }

    fn label(&self, index: usize) -> u32 {
        self.source.samples().label(index)
    }

    fn read(&self, index: usize) -> Result<ImageContent, BadImage> {
        self.source.read(index)
    }

    fn name(&self, index: usize) -> String {
        String::from_utf8_lossy(self.source.samples().name(index)).into_owned()
    }

    fn decode_options(&self) -> DecodeOptions {
        self.decode.clone()
    }
}

impl Debug for SourceImages {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SourceImages").field("path", &self.path).field("len", &self.len()).finish_non_exhaustive()
    }
}

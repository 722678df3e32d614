//! Packing of images that the caller reads and decodes.

use std::fmt::{Debug, Formatter};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use files::Replacement;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::encode::{Encoded, encode_content};
use super::options::{PackOptions, PackReport};
use super::plan::{PackPlan, ShardFormat};
use super::shard::{FinishedShard, ShardWriter, StoredShard};
use crate::dataset::{Dataset, ImageContent, label_error};
use crate::decode::DecodeOptions;
use crate::error::{BadImage, Error, Result};
use crate::format::{Storage, TABLE_FILE};
use crate::source::{SampleListBuilder, check_class_names};

/// Images per thread that wait to be encoded.
const PENDING_PER_THREAD: usize = 8;
/// Advice for a shard of other images.
const OTHER_IMAGES: &str =
    "choose another folder, or, if images of this pack were changed, delete this file and push all images again";

/// Options of a [`PackWriter`].
#[derive(Clone, Debug)]
pub struct PackWriterOptions {
    /// Side length of the stored images, 1 to 4096 pixels: the shorter side is resized to it and the centre kept.
    pub size: usize,
    /// Encoding of the stored images.
    pub storage: Storage,
    /// Number of decoding threads, at least 1.
    pub jobs: usize,
    /// Maximum number of rejected images.
    pub max_bad: usize,
    /// Approximate size of a shard in bytes, at least 1. Images are held in memory only until they are encoded.
    pub shard_bytes: u64,
    /// Limits and options of decoding images that are pushed as files.
    pub decode: DecodeOptions,
}

impl Default for PackWriterOptions {
    /// Those of [`PackOptions::new`].
    fn default() -> Self {
        let PackOptions { size, storage, jobs, max_bad, shard_bytes, decode, .. } = PackOptions::new("", "");
        Self { size, storage, jobs, max_bad, shard_bytes, decode }
    }
}

/// Writer of a pack, for images that [`pack`](fn@crate::pack) cannot read: of an own source, or decoded by an own
/// decoder.
///
/// Images are pushed one after another, as bytes of a file or as pixels; several threads decode, crop and encode them.
/// After a crash or a kill, create the writer again and push the same images from the first on: those of finished
/// shards are recognised and cost nothing but their reading. The bytes of a pack depend neither on the number of threads
/// nor on interruptions, and are those of [`pack`](fn@crate::pack) for the same files under the same names.
///
/// ```
/// use alexnet_data::{Image, ImageContent, Pack, PackWriter, PackWriterOptions};
///
/// let folder = tempfile::tempdir()?;
/// let out = folder.path().join("colours.pack");
/// let options = PackWriterOptions { size: 8, ..PackWriterOptions::default() };
/// let mut writer = PackWriter::create(&out, ["red", "blue"], options)?;
/// for number in 0..6u8 {
///     let label = number % 2;
///     let colour = [[200 + number, 0, 0], [0, 0, 200 + number]][usize::from(label)];
///     let image = Image::new(12, 10, colour.repeat(12 * 10)).ok_or("no image")?;
///     writer.push(format!("drawn/{number}"), ImageContent::Pixels(image), label.into())?;
/// }
/// let report = writer.finish()?;
/// assert_eq!((report.images, report.classes), (6, 2));
/// assert_eq!(Pack::open(&out)?.pixels(1)?[..3], [0, 0, 201]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PackWriter {
    options: PackOptions,
    format: ShardFormat,
    samples: SampleListBuilder,
    /// Whether the folder holds a complete pack, with which the images are compared.
    is_complete: bool,
    threads: ThreadPool,
    /// Images of the open shard that wait to be encoded.
    pending: Vec<PendingImage>,
    /// The shard of the next image, if it is not the first of its shard.
    shard: Option<OpenShard>,
    finished: Vec<FinishedShard>,
    /// Number of shards finished by an earlier run.
    resumed: usize,
    _lock: File,
}

struct PendingImage {
    name: Vec<u8>,
    label: u32,
    content: Result<ImageContent, BadImage>,
}

/// A shard some of whose images were pushed.
enum OpenShard {
    /// Finished by an earlier run.
    Stored(Box<StoredShard>),
    New(Box<NewShard>),
}

struct NewShard {
    writer: ShardWriter,
    replacement: Replacement,
}

impl PackWriter {
    /// Starts or continues a pack of images of these classes in the folder `out`, which is created if it is missing.
    ///
    /// # Errors
    /// [`Error::Option`] for an option outside its range or a folder that holds something else; [`Error::Source`] for
    /// two classes of the same name; [`Error::Locked`] if another process packs into the folder; [`Error::Io`].
    pub fn create(
        out: impl Into<PathBuf>,
        classes: impl IntoIterator<Item = impl Into<String>>,
        options: PackWriterOptions,
    ) -> Result<Self> {
        let out = out.into();
        let classes: Vec<String> = classes.into_iter().map(Into::into).collect();
        let PackWriterOptions { size, storage, jobs, max_bad, shard_bytes, decode } = options;
        let options = PackOptions { size, storage, jobs, max_bad, shard_bytes, decode, ..PackOptions::new("", &out) };
        PackOptions { classes: Some(classes.clone()), ..options.clone() }.check_storing()?;
        check_class_names(&out, &classes)?;
        options.absolute_out()?;
        options.check_out_contents()?;
        let threads = ThreadPoolBuilder::new().num_threads(jobs).thread_name(|i| format!("pack-{i}")).build();
        let threads = threads.map_err(|e| Error::Worker { what: format!("cannot start packing threads: {e}") })?;
        let lock = super::prepare(&out)?;
        Ok(Self {
            format: ShardFormat::new(&options),
            samples: SampleListBuilder::new(classes),
            is_complete: super::is_complete(&out)?,
            options,
            threads,
            pending: Vec::new(),
            shard: None,
            finished: Vec::new(),
            resumed: 0,
            _lock: lock,
        })
    }

    /// Number of images pushed so far, including rejected ones.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether no image was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an image. `name` says where it came from, with parts separated by `/`; `label` is an index into the
    /// classes. A file that cannot be decoded is rejected, as [`pack`](fn@crate::pack) does.
    ///
    /// # Errors
    /// [`Error::Option`] for a label that is no index into the classes; [`Error::OtherPack`] if an earlier run stored
    /// other images; [`Error::Io`] or [`Error::Hdf5`] if writing fails. Finished shards are kept; the writer can only
    /// be dropped then.
    pub fn push(&mut self, name: impl AsRef<[u8]>, content: ImageContent, label: u32) -> Result<()> {
        self.push_result(name.as_ref(), Ok(content), label)
    }

    /// Adds an image that the caller could not decode: it is rejected and listed in `bad.csv` with this reason.
    ///
    /// # Errors
    /// Those of [`push`](Self::push).
    pub fn reject(&mut self, name: impl AsRef<[u8]>, reason: BadImage, label: u32) -> Result<()> {
        self.push_result(name.as_ref(), Err(reason), label)
    }

    /// Adds all images of a data set, in its order, under their names and labels.
    ///
    /// # Errors
    /// Those of [`push`](Self::push); [`Error::Unreadable`] for an image whose reading failed.
    pub fn push_all(&mut self, dataset: &dyn Dataset) -> Result<()> {
        for index in 0..dataset.len() {
            self.push_result(dataset.name(index).as_bytes(), dataset.read(index), dataset.label(index))?;
        }
        Ok(())
    }

    fn push_result(&mut self, name: &[u8], content: Result<ImageContent, BadImage>, label: u32) -> Result<()> {
        let classes = self.samples.classes().len();
        if label as usize >= classes {
            return Err(label_error(classes, label, &String::from_utf8_lossy(name)));
        }
        if let Err(BadImage::Unreadable(source)) = content {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(Error::Unreadable { path: self.options.out.clone(), name, source });
        }
        // Put back at the end: after an error there is none.
        let shard = match self.shard.take() {
            Some(shard) => shard,
            None if self.len() == self.finished.len() * self.format.per_shard => self.open_shard()?,
            None => return Err(Error::option("push", "no image after one that failed", "another")),
        };
        self.samples.push(name, version_of(&content), label);
        let is_new = matches!(shard, OpenShard::New(_));
        self.shard = Some(shard);
        if is_new {
            self.pending.push(PendingImage { name: name.to_vec(), label, content });
        }
        if self.pending.len() >= self.options.jobs * PENDING_PER_THREAD {
            self.write_pending()?;
        }
        if self.len().is_multiple_of(self.format.per_shard) {
            self.close_shard()?;
        }
        Ok(())
    }

    /// Opens the shard of the next image, or recognises it.
    fn open_shard(&self) -> Result<OpenShard> {
        let number = self.finished.len();
        let stored = match StoredShard::read(&self.format, number) {
            Err(Error::Truncated { .. } | Error::Checksum { .. }) => None,
            stored => stored?,
        };
        if let Some(stored) = stored {
            return Ok(OpenShard::Stored(Box::new(stored)));
        }
        if self.is_complete {
            return Err(Error::OtherPack {
                path: self.options.out.join(TABLE_FILE),
                expected: format!("a pack with a shard {number}"),
                found: "a complete pack without it".into(),
                advice: super::plan::OTHER_FOLDER,
            });
        }
        let replacement = Replacement::begin(&self.format.path(number))?;
        let writer = ShardWriter::create(&self.format, number, replacement.temporary())?;
        Ok(OpenShard::New(Box::new(NewShard { writer, replacement })))
    }

    /// Encodes the waiting images and writes them to the open shard, which is lost on an error.
    fn write_pending(&mut self) -> Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let Some(OpenShard::New(mut shard)) = self.shard.take() else { return Ok(()) };
        let encode = |image: PendingImage| {
            let encoded = image.content.and_then(|content| encode_content(content, &self.options));
            (image.name, image.label, encoded)
        };
        let encode_all = || -> Vec<(Vec<u8>, u32, Result<Encoded, BadImage>)> {
            self.threads.install(|| pending.into_par_iter().map(encode).collect())
        };
        let encoded = catch_unwind(AssertUnwindSafe(encode_all));
        for (name, label, result) in encoded.map_err(|panic| Error::worker_panic(panic.as_ref()))? {
            shard.writer.push(&name, label, result)?;
        }
        self.shard = Some(OpenShard::New(shard));
        Ok(())
    }

    /// Completes the open shard, or compares it with the images that were pushed.
    fn close_shard(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            self.write_pending()?;
        }
        let start = self.finished.len() * self.format.per_shard;
        let fingerprint = self.samples.fingerprint_of(start..self.len());
        let shard = match self.shard.take() {
            None => return Ok(()),
            Some(OpenShard::Stored(stored)) => {
                self.check_stored(&stored, &fingerprint, self.len() - start)?;
                self.resumed += 1;
                stored.shard
            }
            Some(OpenShard::New(shard)) => {
                let NewShard { writer, replacement } = *shard;
                let finished = writer.finish(&fingerprint)?;
                replacement.commit()?;
                finished
            }
        };
        self.finished.push(shard);
        Ok(())
    }

    /// Checks that a shard of an earlier run holds the images that were pushed.
    fn check_stored(&self, stored: &StoredShard, fingerprint: &str, files: usize) -> Result<()> {
        if stored.source == fingerprint && stored.shard.files() == files {
            return Ok(());
        }
        Err(Error::OtherPack {
            path: self.format.path(self.finished.len()),
            expected: format!("{files} images with fingerprint {fingerprint}"),
            found: format!("{} images with fingerprint {}", stored.shard.files(), stored.source),
            advice: OTHER_IMAGES,
        })
    }

    /// Writes the last shard, the list of rejected images and the table that completes the pack.
    ///
    /// # Errors
    /// [`Error::TooManyBad`]; [`Error::Source`] if there is no image; [`Error::OtherPack`] if the folder holds another
    /// pack; [`Error::Io`] or [`Error::Hdf5`] if writing fails.
    pub fn finish(mut self) -> Result<PackReport> {
        if self.is_empty() {
            return Err(Error::source(&self.options.out, "no image was pushed"));
        }
        if self.shard.is_none() && self.len() != self.finished.len() * self.format.per_shard {
            return Err(Error::option("finish", "no push that failed before", "one"));
        }
        self.close_shard()?;
        let samples = self.samples.finish();
        let plan = PackPlan::new(&samples, &self.options);
        plan.check_no_extra_shards()?;
        let notes = super::notes::unused_classes_note(&samples).into_iter().collect();
        if self.is_complete {
            return super::report_complete(&plan, &samples, notes, &self.options);
        }
        let report = super::complete(&plan, &samples, notes, &self.options, &self.finished)?;
        Ok(PackReport { resumed_shards: self.resumed, ..report })
    }
}

/// The mark that distinguishes an image from others of the same name: the length of its file, as for files of a folder, or a
/// checksum of its pixels.
fn version_of(content: &Result<ImageContent, BadImage>) -> u64 {
    match content {
        Ok(ImageContent::Encoded(bytes)) => bytes.len() as u64,
        Ok(ImageContent::Pixels(image)) => crc32c::crc32c(image.pixels()).into(),
        Err(_) => 0,
    }
}

impl Debug for PackWriter {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let out: &Path = &self.options.out;
        f.debug_struct("PackWriter").field("out", &out).field("len", &self.len()).finish_non_exhaustive()
    }
}

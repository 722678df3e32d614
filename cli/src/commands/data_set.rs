//! The images of `--data`.

use std::path::Path;
use std::sync::Arc;

use data::{Dataset, DecodeOptions, Pack, SourceImages, SourceSettings};

use super::image_files::{self, ImageFiles};
use super::pack;
use super::trained::LoadedModels;
use crate::args;
use crate::console::note;
use crate::failure::{Failure, Result};

/// Opens a pack, or a source that is read without one. A source is read as `pack` would with the size, the classes and
/// the EXIF orientation of the training.
pub fn open(
    path: &Path,
    from: Option<args::From>,
    labels: Option<&Path>,
    models: &LoadedModels,
) -> Result<Arc<dyn Dataset>> {
    if let Some(pack) = open_pack(path, from, labels)? {
        models.check_pack(&pack)?;
        return Ok(Arc::new(pack));
    }
    let (path, labels) = match list_and_folder(path, from, labels) {
        Some((folder, list)) => (folder, Some(list)),
        None => (path, labels),
    };
    let settings = SourceSettings { classes: models.classes(), ..source_settings(from, labels, models) };
    open_source(path, models.image_size()?, settings)
}

/// The folder and the list of a list of images and labels, if a path alone is one: the images are in its folder.
fn list_and_folder<'a>(
    path: &'a Path,
    from: Option<args::From>,
    labels: Option<&Path>,
) -> Option<(&'a Path, &'a Path)> {
    let ending = path.extension()?.to_str()?;
    let is_list = ["csv", "tsv", "txt"].iter().any(|list| ending.eq_ignore_ascii_case(list)) && path.is_file();
    let folder = path.parent()?;
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    (is_list && from.is_none() && labels.is_none()).then_some((folder, path))
}

/// Opens images for features, which need no labels: what [`open`] takes, with any classes, a folder of images without
/// class folders, one image, or a list of images.
pub fn open_any(
    path: &Path,
    from: Option<args::From>,
    labels: Option<&Path>,
    models: &LoadedModels,
) -> Result<Arc<dyn Dataset>> {
    if let Some(pack) = open_pack(path, from, labels)? {
        models.check_pack(&pack)?;
        return Ok(Arc::new(pack));
    }
    let settings = source_settings(from, labels, models);
    let size = models.image_size()?;
    if from.is_none() && labels.is_none() && image_files::is_unlabelled(path) {
        return Ok(Arc::new(ImageFiles::of(path, size, settings.decode)?));
    }
    open_source(path, size, settings)
}

/// The size of images of sources that are only drawn.
const DRAWN_SIZE: usize = 256;

/// Opens images that are only drawn, without a network: what [`open_any`] takes.
pub fn open_to_draw(path: &Path) -> Result<Arc<dyn Dataset>> {
    if let Some(pack) = open_pack(path, None, None)? {
        return Ok(Arc::new(pack));
    }
    if image_files::is_unlabelled(path) {
        return Ok(Arc::new(ImageFiles::of(path, DRAWN_SIZE, DecodeOptions::default())?));
    }
    Ok(Arc::new(SourceImages::open(path, DRAWN_SIZE, SourceSettings::default())?))
}

/// Opens images without a network, as squares of `size` unless they are packed: what [`open_any`] takes.
pub fn open_to_look(
    path: &Path,
    size: usize,
    from: Option<args::From>,
    labels: Option<&Path>,
) -> Result<Arc<dyn Dataset>> {
    if let Some(pack) = open_pack(path, from, labels)? {
        return Ok(Arc::new(pack));
    }
    if from.is_none() && labels.is_none() && image_files::is_unlabelled(path) {
        return Ok(Arc::new(ImageFiles::of(path, size, DecodeOptions::default())?));
    }
    let labels = labels.map(Path::to_path_buf);
    open_source(path, size, SourceSettings { from: from.map(pack::kind), labels, ..SourceSettings::default() })
}

/// The pack at a path; None if there is something else.
fn open_pack(path: &Path, from: Option<args::From>, labels: Option<&Path>) -> Result<Option<Pack>> {
    // Of a path that does not exist, the error tells of packs.
    if !Pack::is_at(path) && path.exists() {
        return Ok(None);
    }
    if labels.is_some() || from.is_some() {
        let what = "--labels and --from: have no effect on a pack, which has labels; leave them out";
        return Err(Failure::Usage(what.into()));
    }
    Ok(Some(Pack::open(path)?))
}

fn source_settings(from: Option<args::From>, labels: Option<&Path>, models: &LoadedModels) -> SourceSettings {
    SourceSettings {
        from: from.map(pack::kind),
        labels: labels.map(Path::to_path_buf),
        decode: DecodeOptions { apply_orientation: models.exif_orientation(), ..DecodeOptions::default() },
        ..SourceSettings::default()
    }
}

/// Opens a source, and prints its notes.
fn open_source(path: &Path, size: usize, settings: SourceSettings) -> Result<Arc<dyn Dataset>> {
    let source = SourceImages::open(path, size, settings)?;
    for text in source.notes() {
        note(&format!("note: {text}"));
    }
    Ok(Arc::new(source))
}

//! Images without labels: files of a folder or a list.

use std::io::Read;
use std::path::{Path, PathBuf};

use data::{BadImage, Dataset, DecodeOptions, ImageContent};
use files::regular_file;

use super::predict::inputs;
use crate::failure::{Failure, Result};

/// Image files in a fixed order, without classes.
pub struct ImageFiles {
    paths: Vec<PathBuf>,
    size: usize,
    decode: DecodeOptions,
}

/// Whether a path is a list (.txt), an image file, or a folder with images directly in it.
pub fn is_unlabelled(path: &Path) -> bool {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        return entries.map(|entry| entry.path()).any(|path| path.is_file() && inputs::has_image_ending(&path));
    }
    is_list(path) || inputs::has_image_ending(path)
}

fn is_list(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("txt"))
}

impl ImageFiles {
    /// The images of a list, those below a folder, or one image, as squares of `size`.
    pub fn of(path: &Path, size: usize, decode: DecodeOptions) -> Result<Self> {
        Self::of_all(&[path.to_path_buf()], size, decode)
    }

    /// The images of several of these.
    pub fn of_all(arguments: &[PathBuf], size: usize, decode: DecodeOptions) -> Result<Self> {
        let mut paths = Vec::new();
        for path in arguments {
            paths.extend(if is_list(path) && path.is_file() { listed(path)? } else { inputs::expand(path)? });
        }
        Ok(Self { paths, size, decode })
    }
}

/// The paths of a list, a line each; relative ones as they are. Empty lines are left out.
fn listed(path: &Path) -> Result<Vec<PathBuf>> {
    let failed = |what: String| Failure::Failed(format!("{}: {what}", path.display()));
    let text = regular_file::read_text(path).map_err(|error| failed(format!("cannot be read: {error}")))?;
    let paths: Vec<PathBuf> = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(PathBuf::from).collect();
    if paths.is_empty() {
        return Err(failed("an empty list; expected the path of an image a line".into()));
    }
    Ok(paths)
}

impl Dataset for ImageFiles {
    fn len(&self) -> usize {
        self.paths.len()
    }

    fn size(&self) -> usize {
        self.size
    }

    fn classes(&self) -> &[String] {
        &[]
    }

    fn label(&self, _: usize) -> u32 {
        0
    }

    fn read(&self, index: usize) -> std::result::Result<ImageContent, BadImage> {
        let mut bytes = Vec::new();
        let file = regular_file::open(&self.paths[index]).map_err(BadImage::Unreadable)?;
        file.take(inputs::MAX_IMAGE).read_to_end(&mut bytes).map_err(BadImage::Unreadable)?;
        Ok(ImageContent::Encoded(bytes))
    }

    fn name(&self, index: usize) -> String {
        self.paths[index].display().to_string()
    }

    fn decode_options(&self) -> DecodeOptions {
        self.decode.clone()
    }
}

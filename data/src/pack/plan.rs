//! Which images go into which shard, and what of it is there already.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::options::PackOptions;
use super::shard::Shard;
use crate::error::{Error, Result};
use crate::format::{Storage, TURNED, shard_name, shard_number};
use crate::source::Catalogue;

/// Bounds what is held in memory for a shard's tables.
const MAX_RECORDS: usize = 1 << 20;
/// What an image is taken to shrink to as JPEG, to plan shards before anything is encoded.
const JPEG_FACTOR: u64 = 8;

/// What to do about a folder that is in use for something else.
pub(super) const OTHER_FOLDER: &str = "choose another folder, or delete what is in this one";

/// Follows from the source and the options alone.
#[derive(Debug)]
pub(super) struct Plan {
    pub folder: PathBuf,
    pub size: usize,
    pub storage: Storage,
    /// Fingerprint of the source.
    pub source: String,
    /// The same of each shard's part of it.
    pub parts: Vec<String>,
    /// All else that the bytes of a shard depend on, in words.
    pub settings: String,
    /// Files of the source, bad ones included.
    pub records: usize,
    per_shard: usize,
}

impl Plan {
    pub fn new(source: &Catalogue, options: &PackOptions) -> Self {
        let raw = (options.size * options.size * 3) as u64;
        let bytes = match options.storage {
            Storage::Raw => raw,
            Storage::Jpeg { .. } => raw.div_ceil(JPEG_FACTOR),
        };
        let per_shard = usize::try_from(options.shard_bytes / bytes).unwrap_or(MAX_RECORDS).clamp(1, MAX_RECORDS);
        let turned = if options.decode.apply_orientation { TURNED } else { "" };
        let size = options.size;
        let storage = options.storage;
        let limits = &options.decode;
        let limits = format!("up to {} pixels and {} scans", limits.max_pixels, limits.max_scans);
        let settings = format!("size {size}, {storage}, {per_shard} files a shard, {limits}{turned}");
        let mut plan = Self {
            folder: options.out.clone(),
            size: options.size,
            storage: options.storage,
            source: source.fingerprint().to_string(),
            parts: Vec::new(),
            settings,
            records: source.len(),
            per_shard,
        };
        plan.parts = (0..plan.shards()).map(|shard| source.fingerprint_of(plan.range(shard))).collect();
        plan
    }

    pub fn shards(&self) -> usize {
        self.records.div_ceil(self.per_shard)
    }

    /// The files of a shard.
    pub fn range(&self, shard: usize) -> Range<usize> {
        shard * self.per_shard..((shard + 1) * self.per_shard).min(self.records)
    }

    pub fn path(&self, shard: usize) -> PathBuf {
        self.folder.join(shard_name(shard))
    }

    /// Fails unless the table at `path` was written for this source with these settings.
    pub fn check_same(&self, path: &Path, source: &str, settings: &str) -> Result<()> {
        if source == self.source {
            return self.check_settings(path, settings);
        }
        let advice = "choose another folder, or, if images of this source were repaired or removed, delete this file and run \
                      the same command again: shards of unchanged images are kept";
        Err(self.other_source(path, source, advice))
    }

    /// Fails unless the file at `path` was written with these settings.
    pub fn check_settings(&self, path: &Path, settings: &str) -> Result<()> {
        if settings == self.settings {
            return Ok(());
        }
        Err(Error::OtherPack {
            path: path.to_path_buf(),
            expected: format!("images with {}", self.settings),
            found: format!("images with {settings}"),
            advice: OTHER_FOLDER,
        })
    }

    /// Whether a shard whose `source` this is was written for the same images. Those of earlier versions name all of the
    /// source in place of their part.
    pub fn is_source_of(&self, shard: usize, source: &str) -> bool {
        source == self.parts[shard] || source == self.source
    }

    /// The error that the file at `path` holds images of another source.
    pub fn other_source(&self, path: &Path, source: &str, advice: &'static str) -> Error {
        Error::OtherPack {
            path: path.to_path_buf(),
            expected: format!("the source with fingerprint {}", self.source),
            found: format!("images of another or changed source, fingerprint {source}"),
            advice,
        }
    }

    /// The shards that an earlier run finished, by number. One that is damaged counts as missing, and so does one with
    /// images that were changed since.
    pub fn finished_shards(&self, source: &Catalogue) -> Result<Vec<Option<Shard>>> {
        self.check_no_more()?;
        let load = |number| match Shard::load(self, source, number) {
            Ok(shard) => Ok(shard),
            Err(Error::Truncated { .. } | Error::Checksum { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        (0..self.shards()).map(load).collect()
    }

    /// Shards beyond the plan are of another source.
    fn check_no_more(&self) -> Result<()> {
        let fail = || Error::io(&self.folder, "cannot be listed");
        for entry in fs::read_dir(&self.folder).map_err(fail())? {
            let name = entry.map_err(fail())?.file_name();
            let number = name.to_str().and_then(shard_number);
            if number.is_some_and(|number| number >= self.shards()) {
                let expected = format!("{} shards", self.shards());
                let found = format!("{}, of another source", name.to_string_lossy());
                let path = self.folder.clone();
                return Err(Error::OtherPack { path, expected, found, advice: OTHER_FOLDER });
            }
        }
        Ok(())
    }
}

//! Assignment of images to shards, and detection of shards that exist already.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::options::PackOptions;
use super::shard::FinishedShard;
use crate::error::{Error, Result};
use crate::format::{EXIF_APPLIED, Storage, shard_name, shard_number};
use crate::source::SampleList;

/// Maximum number of records of a shard, to bound the memory of its tables.
const MAX_RECORDS: usize = 1 << 20;
/// Assumed compression factor of JPEG, to plan shards before anything is encoded.
const JPEG_FACTOR: u64 = 8;

/// Advice for a folder that holds something else.
pub(super) const OTHER_FOLDER: &str = "choose another folder, or delete what is in this one";

/// The properties that all shards of a pack share, determined by the options alone.
#[derive(Clone, Debug)]
pub(super) struct ShardFormat {
    pub folder: PathBuf,
    pub size: usize,
    pub storage: Storage,
    /// Description of everything the bytes of a shard depend on besides its images.
    pub settings: String,
    /// Number of files of a shard, including rejected ones; the last has fewer.
    pub per_shard: usize,
}

/// The plan of a pack, determined by the source and the options alone.
#[derive(Debug)]
pub(super) struct PackPlan {
    pub format: ShardFormat,
    /// Fingerprint of the source.
    pub source: String,
    /// Fingerprint of each shard's part of the source.
    pub shard_fingerprints: Vec<String>,
    /// Number of files in the source, including rejected ones.
    pub len: usize,
}

impl ShardFormat {
    pub fn new(options: &PackOptions) -> Self {
        let raw = (options.size * options.size * 3) as u64;
        let bytes = match options.storage {
            Storage::Raw => raw,
            Storage::Jpeg { .. } => raw.div_ceil(JPEG_FACTOR),
        };
        let per_shard = usize::try_from(options.shard_bytes / bytes).unwrap_or(MAX_RECORDS).clamp(1, MAX_RECORDS);
        let exif_suffix = if options.decode.apply_orientation { EXIF_APPLIED } else { "" };
        let size = options.size;
        let storage = options.storage;
        let folder = options.out.clone();
        let limits = &options.decode;
        let limits = format!("up to {} pixels and {} scans", limits.max_pixels, limits.max_scans);
        let settings = format!("size {size}, {storage}, {per_shard} files a shard, {limits}{exif_suffix}");
        Self { folder, size, storage, settings, per_shard }
    }

    pub fn path(&self, shard: usize) -> PathBuf {
        self.folder.join(shard_name(shard))
    }

    /// Checks that the file at `path` was written with these settings.
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
}

impl PackPlan {
    pub fn new(source: &SampleList, options: &PackOptions) -> Self {
        let mut plan = Self {
            format: ShardFormat::new(options),
            source: source.fingerprint().to_string(),
            shard_fingerprints: Vec::new(),
            len: source.len(),
        };
        plan.shard_fingerprints = (0..plan.shards()).map(|shard| source.fingerprint_of(plan.range(shard))).collect();
        plan
    }

    pub fn shards(&self) -> usize {
        self.len.div_ceil(self.format.per_shard)
    }

    /// Range of the source's files stored in a shard.
    pub fn range(&self, shard: usize) -> Range<usize> {
        let per_shard = self.format.per_shard;
        shard * per_shard..((shard + 1) * per_shard).min(self.len)
    }

    /// Checks that the table at `path` was written for this source with these settings.
    pub fn check_same(&self, path: &Path, source: &str, settings: &str) -> Result<()> {
        if source == self.source {
            return self.format.check_settings(path, settings);
        }
        let advice = "choose another folder, or, if images of this source were repaired or removed, delete this file and run \
                      the same command again: shards of unchanged images are kept";
        Err(self.other_source(path, source, advice))
    }

    /// Whether a shard with this `source` attribute was written for the same images. Earlier versions stored the
    /// fingerprint of the whole source.
    pub fn is_source_of(&self, shard: usize, source: &str) -> bool {
        source == self.shard_fingerprints[shard] || source == self.source
    }

    /// Error for a file at `path` that holds images of another source.
    pub fn other_source(&self, path: &Path, source: &str, advice: &'static str) -> Error {
        Error::OtherPack {
            path: path.to_path_buf(),
            expected: format!("the source with fingerprint {}", self.source),
            found: format!("images of another or changed source, fingerprint {source}"),
            advice,
        }
    }

    /// Shards finished by an earlier run, by number. Damaged shards, and shards whose images changed since, count as
    /// missing.
    pub fn finished_shards(&self, source: &SampleList) -> Result<Vec<Option<FinishedShard>>> {
        self.check_no_extra_shards()?;
        let load = |number| match FinishedShard::load(self, source, number) {
            Ok(shard) => Ok(shard),
            Err(Error::Truncated { .. } | Error::Checksum { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        (0..self.shards()).map(load).collect()
    }

    /// Refuses shards beyond the plan, which belong to another source.
    pub fn check_no_extra_shards(&self) -> Result<()> {
        let folder = &self.format.folder;
        let fail = || Error::io(folder, "cannot be listed");
        for entry in fs::read_dir(folder).map_err(fail())? {
            let name = entry.map_err(fail())?.file_name();
            let number = name.to_str().and_then(shard_number);
            if number.is_some_and(|number| number >= self.shards()) {
                let expected = format!("{} shards", self.shards());
                let found = format!("{}, of another source", name.to_string_lossy());
                let path = folder.clone();
                return Err(Error::OtherPack { path, expected, found, advice: OTHER_FOLDER });
            }
        }
        Ok(())
    }
}

//! `pack.h5`: classes, statistics and the list of shards. Its presence marks a pack as complete.

use std::fs;

use files::TemporaryFile;
use hmac_sha256::Hash;

use super::plan::PackPlan;
use super::shard::FinishedShard;
use crate::error::{Error, Result};
use crate::format::{FileHeader, FileKind, HEADER_BYTES, Storage, TABLE_FILE, checksum_of_content};
use crate::hdf5_io::{Hdf5Reader, Hdf5Writer, WRITE_FAILED};
use crate::source::hex;
use crate::statistics::Statistics;

/// Writes the table. Returns the fingerprint of the pack.
pub(super) fn write(
    plan: &PackPlan,
    classes: &[String],
    shards: &[FinishedShard],
    statistics: &Statistics,
) -> Result<String> {
    let path = plan.format.folder.join(TABLE_FILE);
    let fingerprint = fingerprint(plan, classes, shards);
    let temporary = TemporaryFile::create(&plan.format.folder).map_err(Error::io(&path, WRITE_FAILED))?;
    let file = Hdf5Writer::create(temporary.path(), &path)?;
    fill(&file, plan, classes, shards, statistics)?;
    file.write_text("fingerprint", &fingerprint)?;
    file.close()?.verify(temporary.path())?;

    let mut bytes = fs::read(temporary.path()).map_err(Error::io(&path, WRITE_FAILED))?;
    let content = checksum_of_content(&bytes, &(0..0));
    let header =
        FileHeader { kind: FileKind::Table, length: bytes.len() as u64, images: 0..0, content_checksum: content };
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
    files::replace_bytes(&path, &bytes)?;
    Ok(fingerprint)
}

fn fill(
    file: &Hdf5Writer,
    plan: &PackPlan,
    classes: &[String],
    shards: &[FinishedShard],
    statistics: &Statistics,
) -> Result<()> {
    let json =
        serde_json::to_vec(classes).map_err(|e| Error::pack(&plan.format.folder.join(TABLE_FILE), e.to_string()))?;
    file.write_dataset("classes", &[json.len()], &json)?;
    let mean: Vec<f32> = statistics.mean_image.iter().copied().collect();
    file.write_dataset("mean_image", &[plan.format.size, plan.format.size, 3], &mean)?;
    let counts: Vec<u64> = shards.iter().map(|s| s.labels.len() as u64).collect();
    file.write_dataset("shard_pictures", &[shards.len()], &counts)?;
    let contents: Vec<u32> = shards.iter().map(|s| s.content_checksum).collect();
    file.write_dataset("shard_crc32c", &[shards.len()], &contents)?;

    file.write_attribute("mean_rgb", &[3], &statistics.mean_rgb)?;
    file.write_attribute("covariance", &[3, 3], statistics.covariance.as_flattened())?;
    file.write_attribute("eigenvalues", &[3], &statistics.eigenvalues)?;
    file.write_attribute("eigenvectors", &[3, 3], statistics.eigenvectors.as_flattened())?;
    file.write_number("pictures", statistics.images)?;
    file.write_number("size", plan.format.size as u64)?;
    let quality = match plan.format.storage {
        Storage::Raw => 0,
        Storage::Jpeg { quality } => quality,
    };
    file.write_number("jpeg_quality", quality)?;
    file.write_text("source", &plan.source)?;
    file.write_text("settings", &plan.format.settings)
}

/// Fingerprint of everything training depends on: classes, labels, and the bytes of all images in order.
fn fingerprint(plan: &PackPlan, classes: &[String], shards: &[FinishedShard]) -> String {
    let mut digest = Hash::new();
    digest.update((plan.format.size as u64).to_le_bytes());
    for class in classes {
        digest.update((class.len() as u64).to_le_bytes());
        digest.update(class);
    }
    for shard in shards {
        for (label, checksum) in shard.labels.iter().zip(&shard.checksums) {
            digest.update(label.to_le_bytes());
            digest.update(checksum.to_le_bytes());
        }
    }
    hex(&digest.finalize()[..16])
}

/// Checks that the complete pack in the plan's folder is what the plan would produce.
pub(super) fn check_same(plan: &PackPlan) -> Result<()> {
    let path = plan.format.folder.join(TABLE_FILE);
    let _ = crate::reader::open_checked(&path, FileKind::Table)?;
    let file = Hdf5Reader::open(&path)?;
    let source = file.read_text("source")?;
    let settings = file.read_text("settings")?;
    plan.check_same(&path, &source, &settings)
}

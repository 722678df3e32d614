//! `pack.h5`: classes, statistics and the list of shards. A pack is complete when it is there.

use std::fs;

use sha2::{Digest, Sha256};

use super::plan::Plan;
use super::shard::Shard;
use crate::error::{Error, Result};
use crate::format::{BLOCK, Block, Role, Storage, TABLE, content_checksum};
use crate::hdf::{Reader, WRITING, Writer};
use crate::source::hex;
use crate::statistics::Statistics;

/// Writes the table and returns the pack's fingerprint.
pub(super) fn write(plan: &Plan, classes: &[String], shards: &[Shard], statistics: &Statistics) -> Result<String> {
    let path = plan.folder.join(TABLE);
    let fingerprint = fingerprint(plan, classes, shards);
    let temporary = tempfile::Builder::new().prefix(".alexnet-tmp-").tempfile_in(&plan.folder);
    let temporary = temporary.map_err(Error::io(&path, WRITING))?.into_temp_path();
    let file = Writer::create(&temporary, &path)?;
    fill(&file, plan, classes, shards, statistics)?;
    file.put_text("fingerprint", &fingerprint)?;
    file.close()?.verify(&temporary)?;

    let mut bytes = fs::read(&temporary).map_err(Error::io(&path, WRITING))?;
    let content = content_checksum(&bytes, &(0..0));
    let block = Block { role: Role::Table, length: bytes.len() as u64, images: 0..0, content };
    bytes[..BLOCK].copy_from_slice(&block.encode());
    tensor::file::replace_bytes(&path, &bytes)?;
    Ok(fingerprint)
}

fn fill(file: &Writer, plan: &Plan, classes: &[String], shards: &[Shard], statistics: &Statistics) -> Result<()> {
    let json = serde_json::to_vec(classes).map_err(|e| Error::pack(&plan.folder.join(TABLE), e.to_string()))?;
    file.put("classes", &[json.len()], &json)?;
    let mean: Vec<f32> = statistics.mean_image.iter().copied().collect();
    file.put("mean_image", &[plan.size, plan.size, 3], &mean)?;
    let counts: Vec<u64> = shards.iter().map(|s| s.labels.len() as u64).collect();
    file.put("shard_pictures", &[shards.len()], &counts)?;
    let contents: Vec<u32> = shards.iter().map(|s| s.content).collect();
    file.put("shard_crc32c", &[shards.len()], &contents)?;

    file.put_attribute("mean_rgb", &[3], &statistics.mean_rgb)?;
    file.put_attribute("covariance", &[3, 3], statistics.covariance.as_flattened())?;
    file.put_attribute("eigenvalues", &[3], &statistics.eigenvalues)?;
    file.put_attribute("eigenvectors", &[3, 3], statistics.eigenvectors.as_flattened())?;
    file.put_number("pictures", statistics.images)?;
    file.put_number("size", plan.size as u64)?;
    let quality = match plan.storage {
        Storage::Raw => 0,
        Storage::Jpeg { quality } => quality,
    };
    file.put_number("jpeg_quality", quality)?;
    file.put_text("source", &plan.source)?;
    file.put_text("settings", &plan.settings)
}

/// Identifies what a training sees: classes, labels, and every image's bytes in order.
fn fingerprint(plan: &Plan, classes: &[String], shards: &[Shard]) -> String {
    let mut digest = Sha256::new();
    digest.update((plan.size as u64).to_le_bytes());
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

/// Fails unless the complete pack in the plan's folder is what the plan would make.
pub(super) fn check_same(plan: &Plan) -> Result<()> {
    let path = plan.folder.join(TABLE);
    let _ = crate::reader::open_checked(&path, Role::Table)?;
    let file = Reader::open(&path)?;
    let source = file.get_text("source")?;
    let settings = file.get_text("settings")?;
    plan.check_same(&path, &source, &settings)
}

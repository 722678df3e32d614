//! Packing a source of images.
//!
//! Images are decoded, resized and cropped on `jobs` threads and written in the order of the source, so the bytes of a
//! pack do not depend on the number of threads. A shard gets its final name once it is complete and durable; the table
//! `pack.h5`, without which a pack cannot be opened, is written last. An interrupted run resumes at the first missing
//! shard and produces the same bytes.

mod dark;
mod encode;
mod hold_out;
mod notes;
mod options;
mod pipeline;
mod plan;
mod rejected;
mod shard;
mod table;
mod train_and_val;
mod writer;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::TABLE_FILE;
use crate::source::{SampleList, Source};
use crate::statistics::Sums;
use encode::encode;
use notes::{enlarged_note, notes};
use pipeline::{OrderedResults, run_ordered};
use plan::PackPlan;
use shard::{FinishedShard, ShardWriter};

pub use hold_out::HoldOut;
pub use options::{PackOptions, PackReport, Progress};
pub use rejected::Rejected;
pub use train_and_val::{Subset, TrainValReport, holds_train_and_val, pack_train_and_val};
pub use writer::{PackWriter, PackWriterOptions};

/// Lock file that excludes a second packer; it remains, empty.
const LOCK: &str = ".lock";

/// Packs a source of images; see [`SourceKind`](crate::SourceKind) for the supported kinds. `progress` is called on
/// this thread after every image.
///
/// Classes are numbered in the order of their names. In class folders, files at any depth are images; links are
/// followed, hidden files and operating system folders are skipped. An empty class, a single class, and a cyclic link
/// are errors.
///
/// Bad images are rejected and listed in `bad.csv` in the pack's folder. If images were repaired since a run that
/// did not complete the pack, only their shards are packed again. A complete pack is left unchanged, as reported by
/// [`PackReport::was_complete`].
///
/// # Errors
/// [`Error::Option`] and [`Error::Source`] before anything is written; [`Error::Locked`] if another process packs into
/// the folder; [`Error::OtherPack`] if the folder holds a different pack; [`Error::TooManyBad`] at the end;
/// [`Error::Cancelled`]; [`Error::Unreadable`] if the system cannot read an image; [`Error::Io`] or [`Error::Hdf5`]
/// if writing fails. Finished shards are kept in all cases.
pub fn pack(options: &PackOptions, progress: impl FnMut(Progress)) -> Result<PackReport> {
    options.check()?;
    let source = Source::open(&options.source, &options.source_options())?;
    pack_source(options, &source, progress)
}

/// Packs an open source.
fn pack_source(options: &PackOptions, source: &Source, mut progress: impl FnMut(Progress)) -> Result<PackReport> {
    let _lock = prepare(&options.out)?;
    let plan = PackPlan::new(source.samples(), options);
    if is_complete(&options.out)? {
        return report_complete(&plan, source.samples(), notes(source, options), options);
    }
    let mut shards = plan.finished_shards(source.samples())?;
    // Earlier versions rejected images the system could not read; these are tried again.
    for shard in &mut shards {
        if shard.as_ref().is_some_and(|shard| unreadable_images(shard) > 0) {
            *shard = None;
        }
    }
    let resumed = shards.iter().flatten().count();
    write_missing(&plan, source, options, &mut shards, &mut progress)?;
    let shards: Vec<FinishedShard> = shards.into_iter().flatten().collect();
    let mut notes = notes(source, options);
    notes.extend(enlarged_note(source, options));
    let report = complete(&plan, source.samples(), notes, options, &shards)?;
    Ok(PackReport { resumed_shards: resumed, ..report })
}

/// Creates the folder of a pack, locks it and removes what an interrupted run left.
fn prepare(folder: &Path) -> Result<File> {
    files::folder::create_all(folder).map_err(Error::io(folder, "cannot make this folder"))?;
    let lock = lock(folder)?;
    files::sweep(folder).map_err(Error::io(folder, "cannot remove the temporary files of an earlier run"))?;
    Ok(lock)
}

/// Whether a folder holds a complete pack.
fn is_complete(folder: &Path) -> Result<bool> {
    let table = folder.join(TABLE_FILE);
    table.try_exists().map_err(Error::io(&table, "cannot be accessed"))
}

/// Packs the shards missing from `shards`.
fn write_missing(
    plan: &PackPlan,
    source: &Source,
    options: &PackOptions,
    shards: &mut [Option<FinishedShard>],
    progress: &mut impl FnMut(Progress),
) -> Result<()> {
    let missing: Vec<usize> = (0..plan.shards()).filter(|&s| shards[s].is_none()).collect();
    let indices: Vec<usize> = missing.iter().flat_map(|&s| plan.range(s)).collect();
    let total = source.samples().len();
    let mut state = Progress { done: total - indices.len(), total, bytes: 0 };
    progress(state);
    let encode_task = |task: usize| encode(source, indices[task], options);
    run_ordered(indices.len(), options.jobs, encode_task, |results: &mut OrderedResults<'_, _>| {
        for &number in &missing {
            let path = plan.format.path(number);
            let kept = state.done;
            let mut packed = None;
            files::replace(&path, |temporary| {
                let mut writer = ShardWriter::create(&plan.format, number, temporary)?;
                for index in plan.range(number) {
                    if options.is_cancelled() {
                        return Err(Error::Cancelled { path: options.out.clone(), kept, total });
                    }
                    let result = results.next()??;
                    let samples = source.samples();
                    state.bytes += writer.push(samples.name(index), samples.label(index), result)?;
                    state.done += 1;
                    progress(state);
                }
                packed = Some(writer.finish(&plan.shard_fingerprints[number])?);
                Ok::<(), Error>(())
            })?;
            shards[number] = packed;
        }
        Ok(())
    })
}

/// Writes the list of rejected images and, if there are not too many, completes the pack.
fn complete(
    plan: &PackPlan,
    samples: &SampleList,
    notes: Vec<String>,
    options: &PackOptions,
    shards: &[FinishedShard],
) -> Result<PackReport> {
    let rejected: Vec<Rejected> = shards.iter().flat_map(|s| s.rejected.iter().cloned()).collect();
    let list = rejected::write(&options.out, &rejected)?;
    check_rejected(&rejected, list, samples.len(), options)?;
    let mut sums = Sums::new(options.size);
    shards.iter().for_each(|shard| sums.merge(&shard.sums));
    if sums.images == 0 {
        return Err(Error::source(&options.source, format!("none of its {} files is an image", samples.len())));
    }
    let statistics = sums.finish(options.size);
    let fingerprint = table::write(plan, samples.classes(), shards, &statistics)?;
    Ok(PackReport {
        images: sums.images as usize,
        classes: samples.classes().len(),
        shards: shards.len(),
        resumed_shards: 0,
        bytes: shards.iter().map(|s| s.length).sum(),
        rejected,
        fingerprint,
        notes: notes.into_iter().chain(dark::note(&statistics)).collect(),
        was_complete: false,
    })
}

/// Fails if more images were rejected than allowed; `list` is the file naming them.
fn check_rejected(rejected: &[Rejected], list: PathBuf, total: usize, options: &PackOptions) -> Result<()> {
    let Some(first) = rejected.first().filter(|_| rejected.len() > options.max_bad) else { return Ok(()) };
    Err(Error::TooManyBad {
        bad: rejected.len(),
        total,
        allowed: options.max_bad,
        list,
        first: format!("{}: {}", first.name, first.reason),
    })
}

/// Report of a pack that was already complete.
fn report_complete(
    plan: &PackPlan,
    samples: &SampleList,
    mut notes: Vec<String>,
    options: &PackOptions,
) -> Result<PackReport> {
    table::check_same(plan)?;
    let pack = crate::Pack::open(&options.out)?;
    let shards = plan.finished_shards(samples)?;
    let shards: Vec<FinishedShard> = shards.into_iter().flatten().collect();
    let rejected: Vec<Rejected> = shards.iter().flat_map(|s| s.rejected.iter().cloned()).collect();
    if rejected.len() > options.max_bad {
        // The list may have been deleted since.
        check_rejected(&rejected, rejected::write(&options.out, &rejected)?, samples.len(), options)?;
    }
    notes.extend(dark::note(pack.statistics()));
    let unreadable: usize = shards.iter().map(unreadable_images).sum();
    if unreadable > 0 {
        notes.push(format!(
            "{unreadable} images are left out because an earlier version could not read them; to try them again, delete {} \
             and run the same command: all shards but theirs are kept",
            options.out.join(TABLE_FILE).display()
        ));
    }
    Ok(PackReport {
        images: pack.len(),
        classes: pack.classes().len(),
        shards: shards.len(),
        resumed_shards: shards.len(),
        bytes: shards.iter().map(|s| s.length).sum(),
        rejected,
        fingerprint: pack.fingerprint().to_string(),
        notes,
        was_complete: true,
    })
}

/// Number of images of a shard that an earlier version rejected because the system could not read them.
fn unreadable_images(shard: &FinishedShard) -> usize {
    shard.rejected.iter().filter(|rejected| rejected.reason.starts_with("cannot be read: ")).count()
}

/// Locks the folder against other packers while the returned file is open.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let open = files::regular_file::open_lock(&path);
    let file = open.map_err(Error::io(&path, "cannot make a file in this folder; choose another"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: folder.to_path_buf() }),
        Err(TryLockError::Error(e)) => Err(Error::io(&path, "cannot be locked; choose a folder on another disk")(e)),
    }
}

//! From a source of images to a pack.
//!
//! Images are decoded, resized and cropped on `jobs` threads and written in the source's order, so the bytes of a
//! pack do not depend on the number of threads. A shard appears under its name when it is complete and durable; the
//! table `pack.h5`, without which a pack cannot be opened, comes last. A run that was stopped anywhere goes on with
//! the first shard that is missing, and ends with the same bytes.

mod bad;
mod encode;
mod hold_out;
mod options;
mod pipeline;
mod plan;
mod shard;
mod table;
mod train_and_val;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::TABLE;
use crate::source::{Catalogue, Source};
use crate::statistics::Sums;
use encode::encode;
use pipeline::{Ordered, in_order};
use plan::Plan;
use shard::{Shard, ShardWriter};

pub use bad::Refused;
pub use hold_out::HoldOut;
pub use options::{PackOptions, PackReport, Progress};
pub use train_and_val::{Part, TrainAndVal, holds_train_and_val, pack_train_and_val};

/// What keeps a second packer out; it stays behind, empty.
const LOCK: &str = ".lock";

/// Packs a source of images: see [`SourceKind`](crate::SourceKind) for what it can be. `progress` is called on this thread
/// after every image.
///
/// Classes are numbered in the order of their names. Of class folders, the files at any depth below one are its images;
/// links are followed, hidden names and folders that systems make are skipped. An empty class, a single one, and a link in a circle are
/// errors.
///
/// Bad images are skipped and listed in `bad.csv` in the pack's folder. Where images were repaired since a run that did
/// not end with a pack, only their shards are packed again. A pack that is already complete is left as it is, and
/// [`PackReport::was_complete`] says so.
///
/// # Errors
/// [`Error::Option`] and [`Error::Source`] before anything is written; [`Error::Locked`] if another process packs into
/// the folder; [`Error::OtherPack`] if it holds something else; [`Error::TooManyBad`] at the end; [`Error::Cancelled`];
/// [`Error::Unreadable`] if the system cannot read an image; [`Error::Io`], [`Error::Hdf5`] or [`Error::Write`] if writing
/// fails. Finished shards are kept in all cases.
pub fn pack(options: &PackOptions, progress: impl FnMut(Progress)) -> Result<PackReport> {
    options.check()?;
    let source = Source::open(&options.source, &options.reading())?;
    pack_source(options, &source, progress)
}

/// Packs what was opened.
fn pack_source(options: &PackOptions, source: &Source, mut progress: impl FnMut(Progress)) -> Result<PackReport> {
    tensor::folder::create_all(&options.out).map_err(Error::io(&options.out, "cannot make this folder"))?;
    let _lock = lock(&options.out)?;
    tensor::file::sweep(&options.out).map_err(Error::io(&options.out, "cannot clear what an earlier run left"))?;
    let plan = Plan::new(source.catalogue(), options);
    let table = options.out.join(TABLE);
    if table.try_exists().map_err(Error::io(&table, "cannot be looked at"))? {
        return finished(&plan, source, options);
    }
    let mut shards = plan.finished_shards(source.catalogue())?;
    // Earlier versions left out what the system could not read; it is tried again.
    shards.iter_mut().filter(|shard| shard.as_ref().is_some_and(|s| unread(s) > 0)).for_each(|shard| *shard = None);
    let resumed = shards.iter().flatten().count();
    write_missing(&plan, source, options, &mut shards, &mut progress)?;
    let shards: Vec<Shard> = shards.into_iter().flatten().collect();
    finish(&plan, source, options, &shards, resumed)
}

/// Packs the shards that `shards` lacks.
fn write_missing(
    plan: &Plan,
    source: &Source,
    options: &PackOptions,
    shards: &mut [Option<Shard>],
    progress: &mut impl FnMut(Progress),
) -> Result<()> {
    let todo: Vec<usize> = (0..plan.shards()).filter(|&s| shards[s].is_none()).collect();
    let indices: Vec<usize> = todo.iter().flat_map(|&s| plan.range(s)).collect();
    let total = source.catalogue().len();
    let mut state = Progress { done: total - indices.len(), total, bytes: 0 };
    progress(state);
    let work = |ticket: usize| encode(source, indices[ticket], options);
    in_order(indices.len(), options.jobs, work, |results: &mut Ordered<'_, _>| {
        for &number in &todo {
            let path = plan.path(number);
            let kept = state.done;
            let mut packed = None;
            tensor::file::replace(&path, |temporary| {
                let mut writer = ShardWriter::create(plan, number, temporary)?;
                for index in plan.range(number) {
                    if options.is_cancelled() {
                        return Err(Error::Cancelled { path: options.out.clone(), kept, total });
                    }
                    let result = results.next()??;
                    state.bytes += writer.push(source.catalogue(), index, result)?;
                    state.done += 1;
                    progress(state);
                }
                packed = Some(writer.finish()?);
                Ok::<(), Error>(())
            })?;
            shards[number] = packed;
        }
        Ok(())
    })
}

/// Lists the bad, and completes the pack if they are not too many.
fn finish(plan: &Plan, source: &Source, options: &PackOptions, shards: &[Shard], resumed: usize) -> Result<PackReport> {
    let catalogue = source.catalogue();
    let refused: Vec<Refused> = shards.iter().flat_map(|s| s.refused.iter().cloned()).collect();
    let list = bad::write(&options.out, &refused)?;
    check_bad(&refused, list, source, options)?;
    let mut sums = Sums::new(options.size);
    shards.iter().for_each(|shard| sums.merge(&shard.sums));
    if sums.images == 0 {
        return Err(Error::source(&options.source, format!("none of its {} files is an image", catalogue.len())));
    }
    let fingerprint = table::write(plan, catalogue.classes(), shards, &sums.finish(options.size))?;
    Ok(PackReport {
        images: sums.images as usize,
        classes: catalogue.classes().len(),
        shards: shards.len(),
        resumed_shards: resumed,
        bytes: shards.iter().map(|s| s.length).sum(),
        refused,
        fingerprint,
        notes: notes(source, options),
        was_complete: false,
    })
}

/// Fails if more images are bad than may be; `list` names them all.
fn check_bad(refused: &[Refused], list: PathBuf, source: &Source, options: &PackOptions) -> Result<()> {
    let Some(first) = refused.first().filter(|_| refused.len() > options.max_bad) else { return Ok(()) };
    Err(Error::TooManyBad {
        bad: refused.len(),
        total: source.catalogue().len(),
        allowed: options.max_bad,
        list,
        first: format!("{}: {}", first.name, first.reason),
    })
}

/// The report of a pack that was complete before.
fn finished(plan: &Plan, source: &Source, options: &PackOptions) -> Result<PackReport> {
    table::check_same(plan)?;
    let pack = crate::Pack::open(&options.out)?;
    let shards = plan.finished_shards(source.catalogue())?;
    let shards: Vec<Shard> = shards.into_iter().flatten().collect();
    let refused: Vec<Refused> = shards.iter().flat_map(|s| s.refused.iter().cloned()).collect();
    if refused.len() > options.max_bad {
        // The list may have been taken away since.
        check_bad(&refused, bad::write(&options.out, &refused)?, source, options)?;
    }
    let mut notes = notes(source, options);
    let unread: usize = shards.iter().map(unread).sum();
    if unread > 0 {
        notes.push(format!(
            "{unread} images are left out because an earlier version could not read them; to try them again, delete {} and \
             run the same command: all shards but theirs are kept",
            options.out.join(TABLE).display()
        ));
    }
    Ok(PackReport {
        images: pack.len(),
        classes: pack.classes().len(),
        shards: shards.len(),
        resumed_shards: shards.len(),
        bytes: shards.iter().map(|s| s.length).sum(),
        refused,
        fingerprint: pack.fingerprint().to_string(),
        notes,
        was_complete: true,
    })
}

/// How many images of a shard were left out because the system could not read them.
fn unread(shard: &Shard) -> usize {
    shard.refused.iter().filter(|refused| refused.reason.starts_with("cannot be read: ")).count()
}

/// What the user should know of the source.
fn notes(source: &Source, options: &PackOptions) -> Vec<String> {
    let mut notes = source.notes().to_vec();
    if let Some(side) = source.side().filter(|&side| side != options.size) {
        notes.push(format!(
            "the images are {side} x {side}, stored as {0} x {0}; a size of {side} keeps them",
            options.size
        ));
    }
    let absent = classes_without_images(source.catalogue());
    if !absent.is_empty() {
        let shown = absent.iter().take(5).copied().collect::<Vec<_>>().join(", ");
        let more = if absent.len() > 5 { ", ..." } else { "" };
        let verb = if absent.len() == 1 { "class has" } else { "classes have" };
        notes.push(format!("{} {verb} no image: {shown}{more}", absent.len()));
    }
    notes
}

/// Classes that were given and that no image has.
fn classes_without_images(catalogue: &Catalogue) -> Vec<&str> {
    let classes = catalogue.classes();
    let mut is_used = vec![false; classes.len()];
    (0..catalogue.len()).for_each(|index| is_used[catalogue.label(index) as usize] = true);
    classes.iter().zip(is_used).filter(|(_, is_used)| !is_used).map(|(class, _)| class.as_str()).collect()
}

/// Keeps other packers out of the folder for as long as the file is held.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let open = tensor::regular_file::open_lock(&path);
    let file = open.map_err(Error::io(&path, "cannot make a file in this folder; choose another"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: folder.to_path_buf() }),
        Err(TryLockError::Error(e)) => Err(Error::io(&path, "cannot be locked; choose a folder on another disk")(e)),
    }
}

//! Packing a training and a validation set from one source.

use std::path::Path;
use std::sync::Arc;

use super::{HoldOut, PackOptions, PackReport, Progress, pack, pack_source};
use crate::error::{Error, Result};
use crate::reader::Pack;
use crate::source::{Source, find_train_val};

const TRAIN: &str = "train.pack";
const VAL: &str = "val.pack";

/// One of the two packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Subset {
    /// The training images, in `train.pack`.
    Train,
    /// The validation images, in `val.pack`.
    Val,
}

/// Result of packing training and validation images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainValReport {
    /// Report of `train.pack`.
    pub train: PackReport,
    /// Report of `val.pack`.
    pub val: PackReport,
    /// Notes for the user on both packs, one sentence each.
    pub notes: Vec<String>,
}

/// Whether a folder holds a training and a validation set: folders named `train` and `val`, `valid`, `validation` or
/// `test` in any case, and no others.
///
/// # Errors
/// [`Error::Source`] if the folder holds such folders beside others, [`Error::Io`] if it cannot be listed.
pub fn holds_train_and_val(source: &Path) -> Result<bool> {
    find_train_val(source).map(|folders| folders.is_some())
}

/// Packs training and validation images into `train.pack` and `val.pack` in the folder `options.out`, with the same
/// classes.
///
/// With `hold_out`, one source is split: every image is in exactly one pack, and every class of two images or more has
/// its fraction in each; the notes name the other classes. Without it, the source is a folder that holds both sets
/// ([`holds_train_and_val`]), and the validation set uses the classes of the training set. An interrupted run resumes
/// when called again.
///
/// # Errors
/// Same as [`pack`](fn@pack), for either pack; [`Error::Option`] for an invalid fraction; [`Error::Source`] if the
/// source does not hold two sets.
pub fn pack_train_and_val(
    options: &PackOptions,
    hold_out: Option<HoldOut>,
    mut progress: impl FnMut(Subset, Progress),
) -> Result<TrainValReport> {
    check_out(&options.out)?;
    match hold_out {
        Some(hold_out) => pack_split(options, hold_out, progress),
        None => pack_both(options, &mut progress),
    }
}

/// Splits one source.
fn pack_split(
    options: &PackOptions,
    hold_out: HoldOut,
    mut progress: impl FnMut(Subset, Progress),
) -> Result<TrainValReport> {
    hold_out.check()?;
    let train = PackOptions { out: options.out.join(TRAIN), ..options.clone() };
    let val = PackOptions { out: options.out.join(VAL), ..options.clone() };
    train.check()?;
    val.check()?;
    let source = Arc::new(Source::open(&options.source, &options.source_options())?);
    let held_out = hold_out.select(source.samples());
    let part = |wanted: bool| (0..held_out.len()).filter(|&index| held_out[index] == wanted).collect::<Vec<_>>();
    if part(true).is_empty() {
        let what = "has no class of two images or more, of which one could be held out for validation";
        return Err(Error::source(&options.source, what));
    }
    let train_source = Source::select(&source, part(false), &hold_out.description("train"));
    let val_source = Source::select(&source, part(true), &hold_out.description("val"));
    let explain = |error| hold_out.explain(error);
    let train = pack_source(&train, &train_source, |state| progress(Subset::Train, state)).map_err(explain)?;
    let val = pack_source(&val, &val_source, |state| progress(Subset::Val, state)).map_err(explain)?;
    let mut notes = source.notes().to_vec();
    notes.extend(HoldOut::note(source.samples()));
    Ok(TrainValReport { train, val, notes })
}

/// Packs the two sets of a folder.
fn pack_both(options: &PackOptions, progress: &mut impl FnMut(Subset, Progress)) -> Result<TrainValReport> {
    let folders = find_train_val(&options.source)?.ok_or_else(|| {
        let what = "expected a folder that holds the folders train and val (or valid, validation, test), and no others";
        Error::source(&options.source, what)
    })?;
    let train = PackOptions { source: folders.train.clone(), out: options.out.join(TRAIN), ..options.clone() };
    let report = pack(&train, |state| progress(Subset::Train, state))?;
    let classes = Some(Pack::open(&train.out)?.classes().to_vec());
    let val = PackOptions { source: folders.val.clone(), out: options.out.join(VAL), classes, ..options.clone() };
    let val = pack(&val, |state| progress(Subset::Val, state))?;
    let packed = |part: &Path, pack: &str| format!("{} is packed as {pack}", part.display());
    let mut notes = vec![packed(&folders.train, TRAIN), packed(&folders.val, VAL)];
    notes.extend(folders.test.map(|test| format!("{} is not packed", test.display())));
    Ok(TrainValReport { train: report, val, notes })
}

/// Refuses an output folder that holds anything but the two packs.
fn check_out(out: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(out) else { return Ok(()) };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    match names.into_iter().find(|name| !matches!(name.as_str(), TRAIN | VAL | ".DS_Store")) {
        Some(other) => {
            let expected = format!("a new or empty folder, or one with {TRAIN} and {VAL}");
            Err(Error::option("out", expected, format!("{}, which holds {other}", out.display())))
        }
        None => Ok(()),
    }
}

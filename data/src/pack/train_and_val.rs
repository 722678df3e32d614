//! A pack of training images and one of validation images, of one source.

use std::path::Path;
use std::sync::Arc;

use super::{HoldOut, PackOptions, PackReport, Progress, pack, pack_source};
use crate::error::{Error, Result};
use crate::reader::Pack;
use crate::source::{Source, parts_of};

const TRAIN: &str = "train.pack";
const VAL: &str = "val.pack";

/// One of two packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// That of the training images, in `train.pack`.
    Train,
    /// That of the validation images, in `val.pack`.
    Val,
}

/// What came of packing training and validation images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainAndVal {
    /// Of `train.pack`.
    pub train: PackReport,
    /// Of `val.pack`.
    pub val: PackReport,
    /// What the user should know of both, a sentence each.
    pub notes: Vec<String>,
}

/// Whether a folder holds a training and a validation set: folders named `train` and `val`, `valid`, `validation` or `test`, of
/// any case, and no others.
///
/// # Errors
/// [`Error::Source`] if it holds such folders beside others, [`Error::Io`] if it cannot be listed.
pub fn holds_train_and_val(source: &Path) -> Result<bool> {
    parts_of(source).map(|parts| parts.is_some())
}

/// Packs training and validation images into `train.pack` and `val.pack` in the folder `options.out`, with the same classes.
///
/// With `hold_out` they are parts of one source: every image is in exactly one of them, and every class of two images or more has
/// its share in both; the notes name the others. Without, the source is a folder that holds both sets ([`holds_train_and_val`]), and the validation set has the
/// classes of the training set. A run that was stopped anywhere goes on when it is called again.
///
/// # Errors
/// As [`pack`](fn@pack), of either pack; [`Error::Option`] for a fraction that is none; [`Error::Source`] if the source has no
/// two sets.
pub fn pack_train_and_val(
    options: &PackOptions,
    hold_out: Option<HoldOut>,
    mut progress: impl FnMut(Part, Progress),
) -> Result<TrainAndVal> {
    check_out(&options.out)?;
    match hold_out {
        Some(hold_out) => of_one(options, hold_out, progress),
        None => of_two(options, &mut progress),
    }
}

/// Both parts of one source.
fn of_one(options: &PackOptions, hold_out: HoldOut, mut progress: impl FnMut(Part, Progress)) -> Result<TrainAndVal> {
    hold_out.check()?;
    let train = PackOptions { out: options.out.join(TRAIN), ..options.clone() };
    let val = PackOptions { out: options.out.join(VAL), ..options.clone() };
    train.check()?;
    val.check()?;
    let source = Arc::new(Source::open(&options.source, &options.reading())?);
    let held_out = hold_out.choose(source.catalogue());
    let part = |wanted: bool| (0..held_out.len()).filter(|&index| held_out[index] == wanted).collect::<Vec<_>>();
    if part(true).is_empty() {
        let what = "has no class of two images or more, of which one could be held out for validation";
        return Err(Error::source(&options.source, what));
    }
    let train_source = Source::part(&source, part(false), &hold_out.rule("train"));
    let val_source = Source::part(&source, part(true), &hold_out.rule("val"));
    let told = |error| hold_out.told(error);
    let train = pack_source(&train, &train_source, |state| progress(Part::Train, state)).map_err(told)?;
    let val = pack_source(&val, &val_source, |state| progress(Part::Val, state)).map_err(told)?;
    let mut notes = source.notes().to_vec();
    notes.extend(HoldOut::note(source.catalogue()));
    Ok(TrainAndVal { train, val, notes })
}

/// The two sets of a folder.
fn of_two(options: &PackOptions, progress: &mut impl FnMut(Part, Progress)) -> Result<TrainAndVal> {
    let parts = parts_of(&options.source)?.ok_or_else(|| {
        let what = "expected a folder that holds the folders train and val (or valid, validation, test), and no others";
        Error::source(&options.source, what)
    })?;
    let train = PackOptions { source: parts.train.clone(), out: options.out.join(TRAIN), ..options.clone() };
    let report = pack(&train, |state| progress(Part::Train, state))?;
    let classes = Some(Pack::open(&train.out)?.classes().to_vec());
    let val = PackOptions { source: parts.val.clone(), out: options.out.join(VAL), classes, ..options.clone() };
    let val = pack(&val, |state| progress(Part::Val, state))?;
    let packed = |part: &Path, pack: &str| format!("{} is packed as {pack}", part.display());
    let mut notes = vec![packed(&parts.train, TRAIN), packed(&parts.val, VAL)];
    notes.extend(parts.test.map(|test| format!("{} is not packed", test.display())));
    Ok(TrainAndVal { train: report, val, notes })
}

/// Refuses a folder that holds anything but the two packs.
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

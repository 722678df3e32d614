//! `alexnet pack`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use data::{DecodeOptions, HoldOut, PackOptions, PackReport, Progress, SourceKind, TrainValReport};
use serde_json::{Value, json};
use train::Stop;

use super::device;
use crate::args::{From, Pack, Split, Storage};
use crate::console::{Bar, count, note, print, print_error, print_json};
use crate::failure::{Failure, Result};
use crate::signals::{self, stop_on_signals};

/// Maximum number of rejected or damaged images to list.
const MAX_LISTED: usize = 20;

pub fn run(args: &Pack) -> Result<()> {
    if let Some(pack) = &args.verify {
        return verify(pack, args.json);
    }
    let options = options(args)?;
    let hold_out = args.val_fraction.map(|fraction| HoldOut { fraction, seed: args.val_seed });
    let is_two_sets = hold_out.is_none() && is_train_and_val(args, &options)?;
    check_split(args, is_two_sets)?;
    if hold_out.is_some() || is_two_sets {
        return train_and_val(options, hold_out, args.json);
    }
    let out = options.out.clone();
    let report = pack(options, &stop_on_signals()?)?;
    report.notes.iter().for_each(|text| note(&format!("note: {text}")));
    note(&summary(&out, &report));
    if args.json { print_json(&json!({ "packs": [json_of(&out, &report)] })) } else { Ok(()) }
}

/// Whether the source is a folder of a training and a validation set, and no option treats it as one set.
fn is_train_and_val(args: &Pack, options: &PackOptions) -> Result<bool> {
    let is_one = args.from.is_some() || args.labels.is_some() || args.classes_of.is_some();
    Ok(!is_one && data::holds_train_and_val(&options.source)?)
}

/// Fails for `--split` with a source that is known to have no splits before it is read.
fn check_split(args: &Pack, is_two_sets: bool) -> Result<()> {
    let Some(split) = args.split else { return Ok(()) };
    let value = split.to_possible_value().map_or(String::new(), |value| value.get_name().to_string());
    let what = match args.from {
        Some(From::Cifar | From::Idx) => return Ok(()),
        Some(_) => "--from says that the source is of another kind",
        None if is_two_sets => "the source is a folder of two sets, and both are packed; to pack one, give its folder",
        None => return Ok(()),
    };
    Err(Failure::Usage(format!(
        "--split {value}: expected with CIFAR (cifar) or MNIST (idx), which hold both parts: {what}"
    )))
}

/// Packs training and validation images into two packs.
fn train_and_val(options: PackOptions, hold_out: Option<HoldOut>, is_json: bool) -> Result<()> {
    let out = options.out.clone();
    let report = pack_two_sets(options, hold_out, &stop_on_signals()?)?;
    report.notes.iter().for_each(|text| note(&format!("note: {text}")));
    for (name, part) in [("train.pack", &report.train), ("val.pack", &report.val)] {
        part.notes.iter().for_each(|text| note(&format!("note: {name}: {text}")));
        note(&summary(&out.join(name), part));
    }
    if !is_json {
        return Ok(());
    }
    let train = json_of(&out.join("train.pack"), &report.train);
    let val = json_of(&out.join("val.pack"), &report.val);
    print_json(&json!({ "packs": [train, val] }))
}

fn json_of(out: &Path, report: &PackReport) -> Value {
    let is_complete = report.rejected.is_empty();
    json!({
        "path": out.display().to_string(),
        "images": report.images,
        "classes": report.classes,
        "shards": report.shards,
        "bytes": report.bytes,
        "fingerprint": report.fingerprint,
        "left_out": report.rejected.len(),
        "list": (!is_complete).then(|| out.join("bad.csv").display().to_string()),
        "was_complete": report.was_complete,
        "notes": report.notes,
    })
}

fn options(args: &Pack) -> Result<PackOptions> {
    // The parser requires both, except for --verify.
    let (Some(source), Some(out)) = (&args.source, &args.out) else {
        return Err(Failure::Usage("expected a source and a folder to make".into()));
    };
    let storage = match (args.storage, args.quality) {
        (Storage::Raw, None) => data::Storage::Raw,
        (Storage::Raw, Some(_)) => return Err(Failure::Usage("--quality: expected with --storage jpeg".into())),
        (Storage::Jpeg, None) => data::Storage::JPEG,
        (Storage::Jpeg, Some(quality)) => data::Storage::Jpeg { quality },
    };
    let classes = args.classes_of.as_deref().map(data::Pack::open).transpose()?;
    let defaults = PackOptions::new(source, out);
    Ok(PackOptions {
        from: args.from.map(kind),
        labels: args.labels.clone(),
        image_column: args.image_column.clone(),
        label_column: args.label_column.clone(),
        split: match args.split {
            None | Some(Split::Train) => data::Split::Train,
            Some(Split::Test) => data::Split::Test,
        },
        class_names: args.class_names.as_deref().map(data::read_class_names).transpose()?,
        size: args.size as usize,
        storage,
        jobs: args.jobs.unwrap_or_else(device::all_threads),
        max_bad: args.max_bad,
        classes: classes.map(|pack| pack.classes().to_vec()),
        decode: DecodeOptions { apply_orientation: args.exif_orientation, ..DecodeOptions::default() },
        shard_bytes: args.shard_bytes.unwrap_or(defaults.shard_bytes),
        ..defaults
    })
}

pub fn kind(from: From) -> SourceKind {
    match from {
        From::Folders => SourceKind::Folders,
        From::ClassTars => SourceKind::ClassTars,
        From::Tar => SourceKind::Tar,
        From::Labelled => SourceKind::Labelled,
        From::Webdataset => SourceKind::WebDataset,
        From::Cifar => SourceKind::Cifar,
        From::Idx => SourceKind::Idx,
        From::Hdf5 => SourceKind::Hdf5,
    }
}

/// Packs training and validation images with a progress bar, and answers signals as [`pack`] does.
pub fn pack_two_sets(options: PackOptions, hold_out: Option<HoldOut>, stop: &Stop) -> Result<TrainValReport> {
    with_bar(options, stop, |options, show| data::pack_train_and_val(options, hold_out, |_, progress| show(progress)))
}

/// Packs with a progress bar. A signal stops it between two images; the next call resumes from the finished shards.
pub fn pack(options: PackOptions, stop: &Stop) -> Result<PackReport> {
    with_bar(options, stop, |options, show| data::pack(options, show))
}

/// Runs a packing function with a progress bar and a flag that signals set.
fn with_bar<T>(
    options: PackOptions,
    stop: &Stop,
    work: impl FnOnce(&PackOptions, &dyn Fn(Progress)) -> data::Result<T>,
) -> Result<T> {
    let cancel = Arc::new(AtomicBool::new(false));
    let options = PackOptions { cancel: Some(Arc::clone(&cancel)), ..options };
    let bar = Bar::new("pack", "images", 0);
    let started = AtomicBool::new(false);
    let done = AtomicBool::new(false);
    let packed = thread::scope(|scope| {
        scope.spawn(|| forward_signal(stop, &cancel, &started, &done));
        let packed = work(&options, &|progress: Progress| {
            started.store(true, Ordering::Relaxed);
            bar.set_len(progress.total as u64);
            bar.set_with_rate(progress.done as u64, "images");
        });
        done.store(true, Ordering::Relaxed);
        packed
    });
    bar.finish();
    match (packed, stop.signal()) {
        (Err(data::Error::Cancelled { kept, total, .. }), Some(signal)) => {
            let kept = format!("{kept} of {total} images are kept in finished shards");
            let message = format!("stopped by signal {signal}; {kept}, and the same command continues from there");
            Err(Failure::Stopped { signal, message })
        }
        (Err(error @ data::Error::TooManyBad { .. }), _) => {
            list_rejected(&error);
            Err(error.into())
        }
        (packed, _) => Ok(packed?),
    }
}

/// Lists the first rejected images.
fn list_rejected(error: &data::Error) {
    let data::Error::TooManyBad { list, bad, .. } = error else { return };
    // A list may be long.
    let lines = fs::File::open(list).map(|file| BufReader::new(file).lines());
    let named = lines.into_iter().flatten().map_while(|line| line.ok()).skip(1).take(MAX_LISTED);
    named.for_each(|line| print_error(&format!("bad: {line}")));
    if *bad > MAX_LISTED {
        print_error(&format!("bad: and {} more", bad - MAX_LISTED));
    }
}

/// Raises the packer's flag when a signal comes. Before packing has started, while a source is listed or the shards of
/// an earlier run are checked, nothing polls the flag and nothing is written: the process ends at once.
fn forward_signal(stop: &Stop, cancel: &AtomicBool, started: &AtomicBool, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        if let Some(signal) = stop.signal() {
            cancel.store(true, Ordering::Relaxed);
            if !started.load(Ordering::Relaxed) {
                note(&format!("stopped by signal {signal}, before anything was packed"));
                signals::exit_now(signal);
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn summary(out: &Path, report: &PackReport) -> String {
    let rejected = match report.rejected.len() {
        0 => String::new(),
        n => format!("; {n} left out, listed in {}", out.join("bad.csv").display()),
    };
    const COMPLETE: &str =
        "; it was complete already: names and lengths of the source's images were compared, none was read again";
    let before = if report.was_complete { COMPLETE } else { "" };
    format!(
        "{}: {} images of {} classes in {}, {:.1} MB{rejected}{before}",
        out.display(),
        report.images,
        report.classes,
        count(report.shards as u64, "shard"),
        report.bytes as f64 / 1e6
    )
}

/// Compares every checksum and lists the damaged images.
fn verify(path: &Path, is_json: bool) -> Result<()> {
    let pack = data::Pack::open(path)?;
    let bar = Bar::new("verify", "images", pack.len() as u64);
    let damaged = pack.find_damaged(|done| bar.set_with_rate(done as u64, "images"));
    bar.finish();
    let shown = path.display();
    if is_json {
        let entry = |(index, error): &(usize, data::Error)| json!({ "index": index, "error": error.to_string() });
        let list: Vec<Value> = damaged.iter().map(entry).collect();
        let path = shown.to_string();
        print_json(&json!({ "path": path, "images": pack.len(), "shards": pack.shards(), "damaged": list }))?;
    } else if damaged.is_empty() {
        let shards = count(pack.shards() as u64, "shard");
        print(&format!("{shown}: {} images in {shards}, all as they were written", pack.len()))?;
    } else {
        damaged.iter().take(MAX_LISTED).for_each(|(_, error)| print_error(&format!("{error}")));
    }
    if damaged.is_empty() {
        return Ok(());
    }
    let is_cut = damaged.len() > MAX_LISTED && !is_json;
    let more = if is_cut { format!(" ({MAX_LISTED} of them above)") } else { String::new() };
    let what = format!("{shown}: {} of {} images are damaged{more}", damaged.len(), pack.len());
    Err(Failure::Failed(format!("{what}; copy the pack again, or pack the images again")))
}

//! `alexnet pack`.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use data::{PackOptions, PackReport};
use train::Stop;

use super::device;
use crate::args::{Pack, Storage};
use crate::console::{Bar, note};
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;

/// What to pack, and how.
pub struct Job {
    pub source: PathBuf,
    pub out: PathBuf,
    pub size: u32,
    pub storage: Storage,
    pub jobs: usize,
    pub max_bad: usize,
    pub classes_of: Option<PathBuf>,
}

pub fn run(args: &Pack) -> Result<()> {
    let job = Job {
        source: args.source.clone(),
        out: args.out.clone(),
        size: args.size,
        storage: args.storage,
        jobs: args.jobs.unwrap_or_else(device::all_threads),
        max_bad: args.max_bad,
        classes_of: args.classes_of.clone(),
    };
    let report = pack(&job, &stop_on_signals()?)?;
    note(&summary(&job, &report));
    Ok(())
}

/// Packs with a bar; a signal ends it between two pictures, and what is finished stays for the next call.
pub fn pack(job: &Job, stop: &Stop) -> Result<PackReport> {
    let classes = job.classes_of.as_deref().map(data::Pack::open).transpose()?;
    let cancel = Arc::new(AtomicBool::new(false));
    let options = PackOptions {
        size: job.size as usize,
        storage: match job.storage {
            Storage::Raw => data::Storage::Raw,
            Storage::Jpeg => data::Storage::JPEG,
        },
        jobs: job.jobs,
        max_bad: job.max_bad,
        classes: classes.map(|pack| pack.classes().to_vec()),
        cancel: Some(Arc::clone(&cancel)),
        ..PackOptions::new(&job.source, &job.out)
    };
    let bar = Bar::new("pack", "pictures", 0);
    let done = AtomicBool::new(false);
    let packed = thread::scope(|scope| {
        scope.spawn(|| pass_on(stop, &cancel, &done));
        let packed = data::pack(&options, |progress| {
            bar.set_len(progress.total as u64);
            bar.set_with_rate(progress.done as u64, "pictures");
        });
        done.store(true, Ordering::Relaxed);
        packed
    });
    bar.finish();
    match (packed, stop.requested()) {
        (Err(data::Error::Cancelled { .. }), Some(signal)) => {
            let message = format!("stopped by signal {signal}; the same command goes on where this ended");
            Err(Failure::Stopped { signal, message })
        }
        (packed, _) => Ok(packed?),
    }
}

/// Raises the packer's flag when a signal comes.
fn pass_on(stop: &Stop, cancel: &AtomicBool, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        if stop.requested().is_some() {
            cancel.store(true, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn summary(job: &Job, report: &PackReport) -> String {
    let refused = match report.refused.len() {
        0 => String::new(),
        n => format!("; {n} unreadable, listed in {}", job.out.join("bad.csv").display()),
    };
    format!(
        "{}: {} pictures of {} classes in {} shards, {:.1} MB{refused}",
        job.out.display(),
        report.pictures,
        report.classes,
        report.shards,
        report.bytes as f64 / 1e6
    )
}

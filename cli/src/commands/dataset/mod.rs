//! `alexnet dataset`.

mod duplicates;
mod plots;
mod report;
mod scan;

use std::sync::Arc;

use data::Dataset;
use rayon::ThreadPoolBuilder;

use self::duplicates::find;
use self::plots::write_files;
use self::report::{DatasetReport, PartReport};
use self::scan::{Scanned, scan};
use super::data_set;
use super::device::all_threads;
use crate::args::DatasetArgs;
use crate::console::{print, print_json};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

/// The images of a data set, and what a look at each of them gave.
pub struct Part {
    /// `train` or `val`.
    pub name: &'static str,
    /// The path, as it was given.
    pub path: String,
    pub images: Arc<dyn Dataset>,
    pub scanned: Scanned,
}

pub fn run(args: &DatasetArgs) -> Result<()> {
    exit_on_signals()?;
    if let Some(folder) = &args.out {
        files::folder::create_all(folder)
            .map_err(|error| Failure::Failed(format!("--out: {}: {error}", folder.display())))?;
    }
    let pool = ThreadPoolBuilder::new().num_threads(args.jobs.unwrap_or_else(all_threads)).build();
    let pool = pool.map_err(|error| Failure::Failed(format!("threads cannot be started: {error}")))?;
    let report = pool.install(|| {
        let mut parts = Vec::new();
        for (name, path) in [("train", Some(&args.data)), ("val", args.val.as_ref())] {
            let Some(path) = path else { continue };
            let images = data_set::open_to_look(path, args.size as usize, args.from, args.labels.as_deref())?;
            let scanned = scan(name, &*images)?;
            parts.push(Part { name, path: path.display().to_string(), images, scanned });
        }
        let duplicates = find(&parts)?;
        let report =
            DatasetReport { parts: parts.iter().map(PartReport::of).collect(), duplicates: duplicates.summary(&parts) };
        if let Some(folder) = &args.out {
            write_files(folder, &parts, &duplicates, &report)?;
        }
        Ok::<_, Failure>(report)
    })?;
    if args.json {
        return print_json(&report);
    }
    print(&report::text(&report, args.out.as_deref()))
}

//! `alexnet reproduce`: a published experiment from its file to its table.

mod claim;
mod classes;
mod cost;
mod images;
mod list;
mod report;
mod session;
mod tests_of_networks;

use train::experiment::Experiment;

use self::session::Session;
use crate::args;
use crate::console::count;
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;
use crate::words::shell_word;

pub fn run(args: &args::Reproduce) -> Result<()> {
    let Some(name) = &args.name else { return list::print_experiments(args.json) };
    let experiment = Experiment::named(name)?;
    if args.dry_run {
        return cost::print_cost(&experiment, args);
    }
    let stop = stop_on_signals()?;
    let mut session = Session::begin(&experiment, args, &stop)?;
    session.run_all()?;
    report::write(&session)?;
    match (stop.signal(), session.left()) {
        (_, 0) => Ok(()),
        (Some(signal), left) => {
            let message = format!("{}\ncontinue with: {}", stopped(signal, left), resume_command());
            Err(Failure::Stopped { signal, message })
        }
        (None, left) => {
            let what =
                format!("{} did not finish; see the .log files in {}", count(left, "run"), session.folder.display());
            Err(Failure::Failed(format!("{what}; the same command tries them again")))
        }
    }
}

fn stopped(signal: usize, left: u64) -> String {
    format!("stopped by signal {signal}, with {} to go; those that were running are saved", count(left, "run"))
}

/// The command line again: it continues what it began.
fn resume_command() -> String {
    let words = std::env::args().skip(1).map(|word| shell_word(&word));
    std::iter::once("alexnet".to_string()).chain(words).collect::<Vec<String>>().join(" ")
}

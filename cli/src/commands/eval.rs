//! `alexnet eval`.

use std::sync::Arc;

use data::Pack;
use train::evaluate::{Evaluation, Options, evaluate};

use super::trained;
use crate::args::Eval;
use crate::console::{Bar, percent, print, print_json};
use crate::failure::Result;
use crate::signals::stop_on_signals;

pub fn run(args: &Eval) -> Result<()> {
    let stop = stop_on_signals()?;
    let pack = Arc::new(Pack::open(&args.data)?);
    let ready = trained::load(&args.trained)?;
    ready.check_classes(pack.classes())?;
    let options =
        Options { input: ready.input(pack.size())?, views: ready.views, batch: args.batch, threads: ready.threads };
    let bar = Bar::new("eval", "images", pack.len() as u64);
    let result = evaluate(&ready.network, &pack, &options, &stop, |done| bar.set_with_rate(done as u64, "images"));
    bar.finish();
    let result = result?;
    if args.trained.json { print_json(&result) } else { print(&lines(&result)) }
}

fn lines(result: &Evaluation) -> String {
    format!(
        "images       {}\ncrops        {}\nloss         {:.4}\ntop-1 error  {}\ntop-5 error  {}",
        result.images,
        result.crops,
        result.loss,
        percent(result.top1_error),
        percent(result.top5_error)
    )
}

//! `alexnet summary`.

use std::fmt::Write as _;

use layers::{Model, summary};
use tensor::Cpu;
use train::Config;
use train::config::{ModelConfig, OptimKind, UserSettings};
use train::data::Views;
use train::memory::{self, Workload};

use super::device::all_threads;
use crate::args::{Summary, SummaryStyle};
use crate::console::print;
use crate::failure::{Failure, Result};

pub fn run(args: &Summary) -> Result<()> {
    let mut model = formats::model_of(&args.model)?;
    UserSettings::check_values(&args.model, &model.train)?;
    if args.style != SummaryStyle::Table && args.batch.is_some() {
        let what = "--batch: has an effect on the memory that --style table shows; leave it out, or use that style";
        return Err(Failure::Usage(what.into()));
    }
    let settings = ModelConfig { freeze: args.freeze.clone().into(), ..ModelConfig::default() };
    settings.apply_to(&mut model)?;
    let batch = args.batch.unwrap_or(128);
    let text = match args.style {
        SummaryStyle::Table => summary::table(&model, batch)? + &training_memory(&model, batch)?,
        SummaryStyle::Keras => summary::keras(&model)?,
        SummaryStyle::Toml => model.to_toml(),
    };
    print(text.trim_end_matches('\n'))
}

/// Images that a training set has at least, which memory does not depend on.
const MANY_IMAGES: usize = 1_000_000;

/// Memory of training on this CPU from a raw pack, as it is checked before a training run.
fn training_memory(model: &Model, batch: usize) -> Result<String> {
    let threads = all_threads();
    let cpu = Cpu::<f32>::new(threads)?;
    let mut lines = String::new();
    for (name, kind) in [("SGD", OptimKind::Sgd), ("Adam", OptimKind::Adam)] {
        let mut config = Config::default();
        config.optim.kind = kind;
        let evaluation = Some((MANY_IMAGES, Views::Centre));
        let training = Some((MANY_IMAGES / batch.max(1) * batch, &config));
        let work = Workload { model, training, evaluation, is_mapped: true };
        let bytes = memory::needed(&cpu, &work, batch)?;
        let label = format!("memory to train with {name}, batch {batch}");
        let _ = writeln!(lines, "{label:<37} {} on the CPU", memory::human(bytes));
    }
    Ok(lines)
}

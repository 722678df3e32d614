//! `alexnet summary`.

use std::fmt::Write as _;

use layers::{Model, summary};
use tensor::Cpu;
use train::config::OptimKind;
use train::{Config, memory};

use super::device::all_threads;
use crate::args::{Summary, SummaryStyle};
use crate::console::print;
use crate::failure::Result;

pub fn run(args: &Summary) -> Result<()> {
    let model = Model::load(&args.model)?;
    let text = match args.style {
        SummaryStyle::Table => summary::table(&model, args.batch)? + &to_train(&model, args.batch)?,
        SummaryStyle::Keras => summary::keras(&model)?,
    };
    print(text.trim_end_matches('\n'))
}

/// What training takes of this machine's memory, planned as before a run.
fn to_train(model: &Model, batch: usize) -> Result<String> {
    let threads = all_threads();
    let cpu = Cpu::<f32>::new(threads)?;
    let mut lines = String::new();
    for (name, kind) in [("SGD", OptimKind::Sgd), ("Adam", OptimKind::Adam)] {
        let mut config = Config::default();
        config.optim.kind = kind;
        let bytes = memory::of_training(&cpu, model, &config, batch)?;
        let label = format!("memory to train with {name}, batch {batch}");
        let _ = writeln!(lines, "{label:<37} {} on the CPU", memory::human(bytes));
    }
    Ok(lines)
}

//! `alexnet summary`.

use std::fmt::Write as _;
use std::path::Path;

use layers::model::{LayerShape, ParameterSpec};
use layers::{Model, summary};
use serde_json::{Value, json};
use tensor::Cpu;
use toml::Table;
use train::Config;
use train::config::{ModelConfig, OptimKind, UserSettings};
use train::data::Views;
use train::memory::{self, Workload};

use super::device::all_threads;
use crate::args::{Summary, SummaryStyle};
use crate::console::{note, print, print_json};
use crate::failure::{Failure, Result};

pub fn run(args: &Summary) -> Result<()> {
    let mut model = model_of(&args.model)?;
    UserSettings::check_values(&args.model, &model.train)?;
    if args.style != SummaryStyle::Table && args.batch.is_some() {
        let what = "--batch: has an effect on the memory that --style table shows; leave it out, or use that style";
        return Err(Failure::Usage(what.into()));
    }
    let settings = ModelConfig { freeze: args.freeze.clone().into(), ..ModelConfig::default() };
    settings.apply_to(&mut model)?;
    let batch = args.batch.unwrap_or(128);
    if args.json {
        return print_json(&json(&model, batch)?);
    }
    let text = match args.style {
        SummaryStyle::Table => summary::table(&model, batch)? + &memory_lines(&model, batch)?,
        SummaryStyle::Keras => summary::keras(&model)?,
        SummaryStyle::Toml => model.to_toml(),
    };
    print(text.trim_end_matches('\n'))
}

/// The network of a preset, a file or a run.
fn model_of(name: &str) -> Result<Model> {
    let folder = Path::new(name);
    if !folder.is_dir() {
        return Ok(formats::model_of(name)?);
    }
    if Model::presets().contains(&name) {
        note(&format!("note: {name} is the preset of this name; ./{name} names the folder"));
        return Ok(formats::model_of(name)?);
    }
    if !folder.join("run.toml").is_file() {
        return Err(Failure::Usage(format!("{name}: is a folder but not a run (no run.toml)")));
    }
    Ok(train::run::model(folder)?)
}

/// The layers with the settings of their file, output shapes, parameters and work, and the totals.
fn json(model: &Model, batch: usize) -> Result<Value> {
    let shapes = model.shapes()?;
    let file: Table = model.to_toml().parse().unwrap_or_default();
    let settings = file.get("layer").and_then(|layers| layers.as_array()).cloned().unwrap_or_default();
    let layer = |(shape, settings): (&LayerShape, Option<&toml::Value>)| {
        let mut settings = settings.and_then(|layer| layer.as_table()).cloned().unwrap_or_default();
        settings.retain(|key, _| key != "name" && key != "kind");
        json!({
            "name": shape.name,
            "kind": shape.kind,
            "settings": settings,
            "output": shape.output,
            "parameters": shape.parameter_count(),
            "multiply_accumulates": shape.macs,
        })
    };
    let rows: Vec<Value> = shapes.iter().enumerate().map(|(i, shape)| layer((shape, settings.get(i)))).collect();
    let parameters = model.parameters()?;
    let count = |is_counted: &dyn Fn(&ParameterSpec) -> bool| -> u64 {
        parameters.iter().filter(|spec| is_counted(spec)).map(|spec| spec.len() as u64).sum()
    };
    let [sgd, adam] = training_memory(model, batch)?;
    Ok(json!({
        "network": model.name,
        "classes": model.classes,
        "input": { "size": model.input.size, "crop": model.input.crop },
        "layers": rows,
        "parameters": count(&|_| true),
        "trainable": count(&ParameterSpec::is_trainable),
        "multiply_accumulates": shapes.iter().map(|shape| shape.macs).sum::<u64>(),
        "memory": { "batch": batch, "sgd_bytes": sgd, "adam_bytes": adam },
    }))
}

/// Images that a training set has at least, which memory does not depend on.
const MANY_IMAGES: usize = 1_000_000;

/// Lines about the memory of training.
fn memory_lines(model: &Model, batch: usize) -> Result<String> {
    let mut lines = String::new();
    for (name, bytes) in ["SGD", "Adam"].into_iter().zip(training_memory(model, batch)?) {
        let label = format!("memory to train with {name}, batch {batch}");
        let _ = writeln!(lines, "{label:<37} {} on the CPU", memory::human(bytes));
    }
    Ok(lines)
}

/// Bytes of training with SGD and with Adam on this CPU from a raw pack, as they are checked before a training run.
fn training_memory(model: &Model, batch: usize) -> Result<[u64; 2]> {
    let cpu = Cpu::<f32>::new(all_threads())?;
    let needed = |kind: OptimKind| {
        let mut config = Config::default();
        config.optim.kind = kind;
        let evaluation = Some((MANY_IMAGES, Views::Centre));
        let training = Some((MANY_IMAGES / batch.max(1) * batch, &config));
        let work = Workload { model, training, evaluation, is_mapped: true };
        memory::needed(&cpu, &work, batch)
    };
    Ok([needed(OptimKind::Sgd)?, needed(OptimKind::Adam)?])
}

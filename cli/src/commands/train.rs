//! `alexnet train`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use data::Pack;
use layers::Model;
use tensor::Cpu;
use toml::{Table, Value};
use train::config::{keys, parse_table};
use train::run::Run;
use train::trainer::{Event, Packs, Trainer};
use train::{Config, Stop, checkpoint, input, load};

use super::device;
use crate::args::Train;
use crate::console::{Bar, note, percent};
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;

pub fn run(args: &Train) -> Result<()> {
    let stop = stop_on_signals()?;
    let mut trainer = if args.resume { resume(args)? } else { start(args)? };
    train(&mut trainer, &stop)
}

/// Trains with a bar and a line an epoch.
pub fn train(trainer: &mut Trainer<Cpu<f32>>, stop: &Stop) -> Result<()> {
    let bar = Bar::new("train", "steps", trainer.total_steps());
    bar.begin_at(trainer.steps_done());
    let outcome = trainer.train(stop, &mut |event| show(&bar, event));
    bar.finish();
    if outcome.is_ok() {
        note(&format!("trained {} steps; the run is in {}", trainer.steps_done(), trainer.folder().display()));
    }
    Ok(outcome?)
}

fn show(bar: &Bar, event: Event<'_>) {
    match event {
        Event::Step(line) => {
            bar.set(line.step);
            bar.say(format!("loss {:.4}, {:.1} images/s", line.loss, line.images_per_s));
        }
        Event::Validating(done) => bar.say(format!("validating: {done}")),
        Event::Validated(line) => bar.note(&format!(
            "epoch {}: loss {:.4}, top-1 error {}; validation loss {:.4}, top-1 error {}, top-5 error {}",
            line.epoch,
            line.train_loss,
            percent(line.train_top1_error),
            line.loss,
            percent(line.top1_error),
            percent(line.top5_error)
        )),
        Event::Saved(_) => {}
        Event::Note(text) => bar.note(&format!("note: {text}")),
    }
}

fn start(args: &Train) -> Result<Trainer<Cpu<f32>>> {
    let layers = given(args)?;
    let (model, config) = configure(&layers)?;
    if config.data.train.as_os_str().is_empty() {
        return Err(Failure::Usage("--data PACK is needed: the pack to train on".into()));
    }
    begin(&config, model, args.out.as_deref())
}

/// Begins a new run in `out`, or in the next free folder under `runs`.
pub fn begin(config: &Config, mut model: Model, out: Option<&Path>) -> Result<Trainer<Cpu<f32>>> {
    let cpu = device::open(&config.run.device, config.run.threads)?;
    let packs = open_packs(config)?;
    input::fit_to_pack(&mut model, &packs.train)?;
    if let Some(p) = config.model.dropout {
        model.set_dropout(p)?;
    }
    let folder = out.map_or_else(|| next_folder(&model.name), Path::to_path_buf);
    // Everything that can be refused is, before the folder is made.
    Trainer::<Cpu<f32>>::check(config, &model, &packs)?;
    checkpoint::starting_weights(&config.model, &model)?;
    let run = Run::create(&folder, config, &model)?;
    Ok(Trainer::new(run, &cpu, &model, packs, None)?)
}

fn resume(args: &Train) -> Result<Trainer<Cpu<f32>>> {
    let folder = args.out.as_deref().unwrap_or(Path::new("."));
    let run = Run::open(folder)?;
    let before = run.config()?;
    let mut layers = vec![(folder.join("run.toml").display().to_string(), before.to_table())];
    if args.epochs.is_some() {
        forget_steps(&mut layers[0].1);
    }
    layers.extend(given(args)?);
    let config = Config::from_layers(&layers)?;
    config.can_continue(&before, folder)?;
    let model = run.model()?;
    let packs = open_packs(&config)?;
    let checkpoint = load::newest_checkpoint(folder, &mut |warning| note(&format!("note: {warning}")))?;
    match &checkpoint {
        Some((path, checkpoint)) => {
            checkpoint.check_packs(folder, &packs)?;
            note(&format!("going on from {}", path.display()));
        }
        None => note("no checkpoint was saved yet: starting from the beginning"),
    }
    if config != before {
        run.set_config(&config)?;
    }
    let cpu = device::open(&config.run.device, config.run.threads)?;
    Ok(Trainer::new(run, &cpu, &model, packs, checkpoint.map(|(_, checkpoint)| checkpoint))?)
}

fn open_packs(config: &Config) -> Result<Packs> {
    let train = Arc::new(Pack::open(&config.data.train)?);
    let val = config.data.val.as_deref().map(Pack::open).transpose()?.map(Arc::new);
    Ok(Packs { train, val })
}

/// The network that the settings name, and the settings over its defaults.
pub fn configure(layers: &[(String, Table)]) -> Result<(Model, Config)> {
    let name = layers.iter().rev().find_map(|(_, table)| table.get("model")?.get("name")?.as_str());
    let name = name.unwrap_or("paper").to_string();
    let model = Model::load(&name)?;
    let mut all = vec![
        (name.clone(), model.train.clone()),
        ("model".to_string(), keys::single("model.name", Value::String(name))),
    ];
    all.extend_from_slice(layers);
    Ok((model, Config::from_layers(&all)?))
}

/// What the command line and the file of `--config` set, weakest first.
fn given(args: &Train) -> Result<Vec<(String, Table)>> {
    let mut layers = Vec::new();
    if let Some(path) = &args.config {
        let origin = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::Usage(format!("--config: {origin}: cannot be read: {e}")))?;
        layers.push((origin.clone(), parse_table(&origin, &text)?));
    }
    if args.epochs.is_some() {
        layers.iter_mut().for_each(|(_, table)| forget_steps(table));
    }
    layers.extend(flags(args)?.into_iter().map(|(flag, table)| (flag.to_string(), table)));
    for setting in &args.set {
        layers.push(("--set".to_string(), keys::parse_setting(setting)?));
    }
    Ok(layers)
}

/// `--epochs` takes the place of steps that the configuration asks for.
fn forget_steps(table: &mut Table) {
    if let Some(Value::Table(run)) = table.get_mut("run") {
        run.remove("steps");
    }
}

fn flags(args: &Train) -> Result<Vec<(&'static str, Table)>> {
    let mut tables = Vec::new();
    let mut add = |flag, key, value: Option<Value>| tables.extend(value.map(|v| (flag, keys::single(key, v))));
    let number = |n: u64| Value::Integer(i64::try_from(n).unwrap_or(-1));
    add("--data", "data.train", path_value("--data", args.data.as_ref())?);
    add("--val", "data.val", path_value("--val", args.val.as_ref())?);
    add("--model", "model.name", args.model.clone().map(Value::String));
    add("--weights", "model.weights", path_value("--weights", args.weights.as_ref())?);
    add("--epochs", "run.epochs", args.epochs.map(number));
    add("--steps", "run.steps", args.steps.map(number));
    add("--batch", "run.batch", args.batch.map(|n| number(n as u64)));
    add("--seed", "run.seed", args.seed.map(number));
    add("--threads", "run.threads", args.threads.map(|n| number(n as u64)));
    add("--device", "run.device", args.device.clone().map(Value::String));
    Ok(tables)
}

fn path_value(flag: &str, path: Option<&PathBuf>) -> Result<Option<Value>> {
    let Some(path) = path else { return Ok(None) };
    let text = path.to_str().ok_or_else(|| Failure::Usage(format!("{flag}: {path:?} is not UTF-8")))?;
    Ok(Some(Value::String(text.to_string())))
}

fn next_folder(model: &str) -> PathBuf {
    let folder = |n: u32| Path::new("runs").join(format!("{model}-{n}"));
    (1..).map(folder).find(|f| !f.exists()).unwrap_or_else(|| folder(0))
}

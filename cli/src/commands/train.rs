//! `alexnet train`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use files::regular_file;
use layers::Model;
use serde_json::json;
use tensor::Backend;
use toml::{Table, Value};
use train::checkpoint::Checkpoint;
use train::config::{RunConfig, UserSettings, keys, parse_table};
use train::run::{self, Run};
use train::trainer::Trainer;
use train::{Config, Packs, Stop, load};

use super::configure::configure;
use super::device::{self, DeviceTask};
use super::prepared_run::{BatchChoice, PreparedRun, open_packs};
use super::train_modes::{Mode, OtherTask};
use crate::args::Train;
use crate::console::{count, note, print_json};
use crate::failure::{Failure, Result};
use crate::progress::{OnEvent, Progress, Style};
use crate::signals::{answer_signals_of_training, stop_on_signals};
use crate::words;

pub fn run(args: &Train) -> Result<()> {
    let start = Instant::now();
    let stop = stop_on_signals()?;
    answer_signals_of_training(&stop)?;
    Mode::of(args)?;
    let watch = Watch::of(args, start);
    if args.resume { resume_run(args, stop, watch) } else { start_run(args, stop, watch) }
}

/// The way in which a training is shown, and what it runs at its events.
pub struct Watch {
    style: Style,
    /// A line before the first step gives the time since this.
    start: Option<Instant>,
    on_event: Option<String>,
    /// Whether the end is printed as JSON.
    is_json: bool,
}

impl Watch {
    /// Lines only.
    pub fn plain() -> Self {
        Self { style: Style::Plain, start: None, on_event: None, is_json: false }
    }

    fn of(args: &Train, start: Instant) -> Self {
        let style = if args.plain { Style::Plain } else { Style::Dashboard };
        Self { style, start: Some(start), on_event: args.on_event.clone(), is_json: args.modes.json }
    }
}

/// Trains and shows the progress.
pub fn train<B: Backend<Scalar = f32>>(trainer: &mut Trainer<B>, stop: &Stop, watch: &Watch) -> Result<()> {
    let on_event = watch.on_event.as_ref().map(|command| OnEvent::new(command, trainer.folder()));
    let mut progress = Progress::begin(trainer, stop, watch.style, watch.start, on_event);
    let was_finished = trainer.steps_done() >= trainer.total_steps();
    let outcome = trainer.train(stop, &mut |event| progress.event(event));
    progress.finish(&outcome);
    match outcome {
        Ok(()) if was_finished && trainer.steps_done() > 0 => {
            let steps = count(trainer.steps_done(), "step");
            let folder = trainer.folder().display();
            note(&format!("{folder}: the run had finished, after {steps}; --epochs N with more epochs trains further"));
            Ok(())
        }
        Ok(()) => {
            let steps = count(trainer.steps_done(), "step");
            note(&format!("trained {steps}; the run is in {}", trainer.folder().display()));
            Ok(())
        }
        // The user asked for it on the dashboard.
        Err(train::Error::Stopped { signal: None, saved: Some(path) }) => {
            let folder = words::shell_word(&trainer.folder().display().to_string());
            let way_on = format!("continue with: alexnet train --out {folder} --resume");
            note(&format!("stopped on request, saved in {}\n{way_on}", path.display()));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Trains, and after a signal says how to go on. At the end, prints JSON if it is asked for.
fn train_with_way_on<B: Backend<Scalar = f32>>(trainer: &mut Trainer<B>, stop: &Stop, watch: &Watch) -> Result<()> {
    let outcome = train(trainer, stop, watch);
    if watch.is_json && outcome.is_ok() {
        print_end(trainer.folder(), trainer.steps_done(), trainer.total_steps())?;
    }
    outcome.map_err(|failure| match failure {
        Failure::Stopped { signal, message } => {
            let folder = words::shell_word(&trainer.folder().display().to_string());
            let message = format!("{message}\ncontinue with: alexnet train --out {folder} --resume");
            Failure::Stopped { signal, message }
        }
        other => other,
    })
}

fn print_end(folder: &Path, steps: u64, total_steps: u64) -> Result<()> {
    let best = run::best(folder)?;
    let checkpoint = run::checkpoints(folder)?.pop().map(|(_, path)| path.display().to_string());
    print_json(&json!({
        "run": folder.display().to_string(),
        "steps": steps,
        "total_steps": total_steps,
        "checkpoint": checkpoint,
        "best_weights": best.as_ref().map(|_| run::best_weights(folder).display().to_string()),
        "best": best,
    }))
}

fn start_run(args: &Train, stop: Stop, watch: Watch) -> Result<()> {
    let user = user_settings(args)?;
    let (model, config) = configure(&user)?;
    if config.data.train.as_os_str().is_empty() {
        return Err(Failure::Usage("--data PACK is needed: the pack to train on".into()));
    }
    let batch = BatchChoice::new(args.modes.auto_batch, user.gives("run.batch"));
    let mut run = PreparedRun::new(config, model, args.out.as_deref(), batch)?;
    let algorithms = run.config.tensor.algorithms.into();
    let settings = &mut run.config.run;
    let opened = device::open(&settings.device, &settings.precision, settings.threads, algorithms)?;
    settings.device.clone_from(&opened.name);
    match Mode::of(args)? {
        Mode::Train => opened.run(StartTask { run, stop, watch }),
        Mode::Other(work) => opened.run(OtherTask { args: &args.modes, run, stop, work }),
    }
}

struct StartTask {
    run: PreparedRun,
    stop: Stop,
    watch: Watch,
}

impl DeviceTask for StartTask {
    type Output = ();

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<()> {
        train_with_way_on(&mut self.run.create(&device)?, &self.stop, &self.watch)
    }
}

fn resume_run(args: &Train, stop: Stop, watch: Watch) -> Result<()> {
    let folder = args.out.as_deref().unwrap_or(Path::new("."));
    let run = Run::open(folder)?;
    let before = run.config()?;
    let mut overrides = vec![(folder.join("run.toml").display().to_string(), before.to_table())];
    let settings = user_settings(args)?;
    settings.check_flags()?;
    settings.check_length()?;
    overrides.extend(settings.overrides());
    let mut config = Config::from_overrides(&overrides)?;
    config.data.read_pca()?;
    config.check_resumable(&before, folder)?;
    for text in settings.check_effects(&Table::new(), &config)? {
        note(&format!("note: {text}"));
    }
    let model = run.model()?;
    check_packs_are_here(&before, &config, folder)?;
    let packs = open_packs(&config)?;
    let mut checkpoint = load::checkpoint_to_resume(folder, &mut |warning| note(&format!("note: {warning}")))?;
    if let Some((_, checkpoint)) = checkpoint.as_mut().filter(|_| args.modes.force) {
        for text in checkpoint.accept_packs(&packs)? {
            note(&format!("note: {text}, as --force allows; the run differs from here on"));
        }
    }
    if let Some((path, checkpoint)) = &checkpoint {
        checkpoint.check_run(folder, &config, &model, &packs)?;
        if is_beyond_end(&config, checkpoint) {
            let at = &checkpoint.state.position;
            let done = format!("{}, {}", count(at.step, "step"), count(at.epoch, "epoch"));
            let more = "--epochs N or --steps N asks for more";
            note(&format!("nothing was trained, nothing changed: {} has {done} already; {more}", path.display()));
            return if watch.is_json { print_end(folder, at.step, at.step) } else { Ok(()) };
        }
    } else {
        run.check_never_saved()?;
    }
    let run_now = &config.run;
    let opened = device::open(&run_now.device, &run_now.precision, run_now.threads, config.tensor.algorithms.into())?;
    config.run.device.clone_from(&opened.name);
    match &checkpoint {
        Some((path, _)) => note(&format!("resuming from {}", path.display())),
        None => note("no checkpoint was saved yet: starting from the beginning"),
    }
    note_change(&before.run, &config.run);
    if config != before {
        run.set_config(&config)?;
    }
    let checkpoint = checkpoint.map(|(_, checkpoint)| checkpoint);
    opened.run(ResumeTask { run, model, packs, checkpoint, stop, watch })
}

/// Fails if `run.toml` names a pack by a path relative to another folder than the current one.
fn check_packs_are_here(before: &Config, config: &Config, folder: &Path) -> Result<()> {
    let unchanged = [
        ("--data", Some(&config.data.train).filter(|train| **train == before.data.train)),
        ("--val", config.data.val.as_ref().filter(|val| before.data.val.as_ref() == Some(*val))),
    ];
    for (flag, path) in unchanged {
        let Some(path) = path.filter(|path| path.is_relative() && matches!(path.try_exists(), Ok(false))) else {
            continue;
        };
        return Err(Failure::Failed(format!(
            "{}: no such pack in the current folder, from which {} names it; resume where the run began, or say where the pack \
             is by {flag} PACK",
            path.display(),
            folder.join("run.toml").display()
        )));
    }
    Ok(())
}

/// Whether a checkpoint is beyond the end of the run. One exactly at the end is saved again with its logs, which may be
/// missing if the run was killed.
fn is_beyond_end(config: &Config, checkpoint: &Checkpoint) -> bool {
    let at = &checkpoint.state.position;
    match config.run.steps {
        Some(steps) => at.step > steps,
        None => at.epoch > config.run.epochs || (at.epoch == config.run.epochs && at.batch > 0),
    }
}

/// Resumes a run whose paths, threads and device `update` changes: no setting that changes its results.
pub fn resume_moved<B: Backend<Scalar = f32>>(
    device: &B,
    folder: &Path,
    update: impl FnOnce(&mut Config),
) -> Result<Trainer<B>> {
    let run = Run::open(folder)?;
    let before = run.config()?;
    let mut config = before.clone();
    update(&mut config);
    note_change(&before.run, &config.run);
    let model = run.model()?;
    let packs = open_packs(&config)?;
    let checkpoint = load::checkpoint_to_resume(folder, &mut |warning| note(&format!("note: {warning}")))?;
    if let Some((path, checkpoint)) = &checkpoint {
        checkpoint.check_run(folder, &config, &model, &packs)?;
        note(&format!("resuming from {}", path.display()));
    }
    if config != before {
        run.set_config(&config)?;
    }
    Ok(Trainer::new(run, device, &model, packs, checkpoint.map(|(_, checkpoint)| checkpoint))?)
}

/// Prints a note if a run continues on another device or with another number format.
fn note_change(before: &RunConfig, now: &RunConfig) {
    let device = |run: &RunConfig| match run.device.as_str() {
        // From before there were other devices.
        "auto" => format!("cpu, {}", run.precision),
        name => format!("{name}, {}", run.precision),
    };
    let was = device(before);
    let is = device(now);
    if was != is {
        note(&format!("note: resuming on {is} (was {was}); results will differ in rounding"));
    }
}

struct ResumeTask {
    run: Run,
    model: Model,
    packs: Packs,
    checkpoint: Option<Checkpoint>,
    stop: Stop,
    watch: Watch,
}

impl DeviceTask for ResumeTask {
    type Output = ();

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<()> {
        let mut trainer = Trainer::new(self.run, &device, &self.model, self.packs, self.checkpoint)?;
        train_with_way_on(&mut trainer, &self.stop, &self.watch)
    }
}

/// The settings of the command line and of the `--config` file.
fn user_settings(args: &Train) -> Result<UserSettings> {
    let mut settings = UserSettings::default();
    if let Some(path) = &args.config {
        let origin = path.display().to_string();
        let text = regular_file::read_text(path)
            .map_err(|e| Failure::Usage(format!("--config: {origin}: cannot be read: {e}")))?;
        let table = parse_table(&origin, &text)?;
        settings.file = Some((origin, table));
    }
    settings.command_line.extend(flags(args)?.into_iter().map(|(flag, table)| (flag.to_string(), table)));
    for setting in &args.set {
        settings.command_line.push(("--set".to_string(), keys::parse_setting(setting)?));
    }
    Ok(settings)
}

fn flags(args: &Train) -> Result<Vec<(&'static str, Table)>> {
    let mut tables = Vec::new();
    let mut add = |flag, key, value: Option<Value>| tables.extend(value.map(|v| (flag, keys::table_of(key, v))));
    add("--data", "data.train", path_value("--data", args.data.as_ref())?);
    add("--val", "data.val", path_value("--val", args.val.as_ref())?);
    add("--model", "model.name", args.model.clone().map(Value::String));
    add("--weights", "model.weights", path_value("--weights", args.weights.as_ref())?);
    add("--mean", "data.mean", args.mean.clone().map(Value::String));
    add("--freeze", "model.freeze", list(&args.freeze));
    add("--lr-multiplier", "model.lr_multipliers", list(&args.lr_multiplier));
    add("--layer-decay", "model.layer_decay", args.layer_decay.map(Value::Float));
    add("--epochs", "run.epochs", number("--epochs", args.epochs.filter(|&epochs| epochs > 0))?);
    add("--steps", "run.steps", number("--steps", args.steps)?);
    add("--batch", "run.batch", number("--batch", args.batch.map(|n| n as u64))?);
    add("--lr", "optim.lr", args.lr.map(Value::Float));
    add("--seed", "run.seed", number("--seed", args.seed)?);
    add("--threads", "run.threads", number("--threads", args.threads.map(|n| n as u64))?);
    add("--device", "run.device", args.device.clone().map(Value::String));
    add("--precision", "run.precision", args.precision.clone().map(Value::String));
    Ok(tables)
}

/// A list that has at least one item.
fn list(items: &[String]) -> Option<Value> {
    let values: Vec<Value> = items.iter().cloned().map(Value::String).collect();
    (!values.is_empty()).then_some(Value::Array(values))
}

/// A number as a TOML integer, which is signed.
fn number(flag: &str, number: Option<u64>) -> Result<Option<Value>> {
    let too_large = |n| Failure::Usage(format!("{flag}: {n} is too large a number; the largest is {}", i64::MAX));
    number.map(|n| i64::try_from(n).map(Value::Integer).map_err(|_| too_large(n))).transpose()
}

fn path_value(flag: &str, path: Option<&PathBuf>) -> Result<Option<Value>> {
    let Some(path) = path else { return Ok(None) };
    let text = path.to_str().ok_or_else(|| Failure::Usage(format!("{flag}: {path:?} is not UTF-8")))?;
    Ok(Some(Value::String(text.to_string())))
}

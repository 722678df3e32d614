//! Work of `alexnet train` other than training: the plan of a run, the range test of the learning rate, and the evaluation
//! of the starting weights.

use std::path::Path;

use serde_json::json;
use tensor::Backend;
use train::Stop;
use train::lr_range::{RangeTest, RangeTestOptions, range_test};
use train::memory::human;
use train::plan::{Plan, duration, evaluate_start};
use train::plots::{Mark, Series, check_png_name, curve_over_decades, save_png};

use super::device::DeviceTask;
use super::eval;
use super::prepared_run::PreparedRun;
use super::trained::named;
use crate::args::{Train, TrainModes};
use crate::console::{Bar, count, note, print, print_json, table};
use crate::failure::{Failure, Result};

/// Seconds of steps that the plan measures.
const MEASURED_S: f64 = 2.0;

/// The work of the command.
pub enum Mode {
    Train,
    Other(Work),
}

/// Work on a prepared run that does not start it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Plan,
    RangeTest,
    EvaluateStart,
}

impl Mode {
    /// The mode of the command line, checked before anything is loaded.
    pub fn of(args: &Train) -> Result<Self> {
        let evaluates = args.epochs == Some(0);
        if evaluates && args.resume {
            let what =
                "--epochs 0: evaluates the weights that a run starts with; for a run there is eval --weights RUN";
            return Err(Failure::Usage(what.into()));
        }
        if args.modes.find_lr {
            check_png_name(&args.modes.lr_plot).map_err(|error| Failure::Usage(format!("--lr-plot: {error}")))?;
            check_folder(&args.modes.lr_plot)?;
            if evaluates || args.out.is_some() {
                let option = if evaluates { "--epochs 0" } else { "--out" };
                return Err(Failure::Usage(format!("{option}: has no effect with --find-lr; leave one of them out")));
            }
            return Ok(Self::Other(Work::RangeTest));
        }
        if args.modes.dry_run {
            return Ok(Self::Other(Work::Plan));
        }
        if evaluates {
            return Ok(Self::Other(Work::EvaluateStart));
        }
        Ok(Self::Train)
    }
}

/// Fails if the folder of the plot is missing, before the test rather than after it.
fn check_folder(plot: &Path) -> Result<()> {
    let folder = plot.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if folder.is_dir() {
        return Ok(());
    }
    let what = format!("--lr-plot: {}: there is no such folder; make it, or name another", folder.display());
    Err(Failure::Usage(what))
}

/// The task of a mode that does not start a run.
pub struct OtherTask<'a> {
    pub args: &'a TrainModes,
    pub run: PreparedRun,
    pub stop: Stop,
    pub work: Work,
}

impl DeviceTask for OtherTask<'_> {
    type Output = ();

    fn run<B: Backend<Scalar = f32>>(mut self, device: B) -> Result<()> {
        self.run.choose_batch(&device)?;
        match self.work {
            Work::Plan => self.plan(&device),
            Work::RangeTest => self.find_rate(&device),
            Work::EvaluateStart => self.evaluate(&device),
        }
    }
}

impl OtherTask<'_> {
    fn plan<B: Backend<Scalar = f32>>(&self, device: &B) -> Result<()> {
        let PreparedRun { config, model, packs, folder, .. } = &self.run;
        let plan = Plan::measure(device, config, model, packs, MEASURED_S)?;
        let folder = folder.display().to_string();
        if self.args.json {
            return print_json(
                &json!({ "network": model.name, "device": device.describe(), "folder": folder, "plan": plan }),
            );
        }
        let row = |name: &str, value: String| format!("{name:<12} {value}");
        let val = plan.val_images.map_or("none".to_string(), |images| images.to_string());
        let free = plan.free_bytes.map_or(String::new(), |free| format!(", {} are free", human(free)));
        let total = duration(plan.training_s + plan.validation_s);
        let lines = [
            row("network", format!("{}, {} classes", model.name, model.classes)),
            row("device", device.describe()),
            row("images", format!("{} to train, {val} to validate", plan.images)),
            row(
                "steps",
                format!("{} of {} images, {} an epoch", plan.steps, plan.images_per_step, plan.steps_per_epoch),
            ),
            row("speed", format!("{:.1} images/s without loading", plan.images_per_s)),
            row("loading", format!("{:.1} images/s", plan.loader_images_per_s)),
            row("time", format!("{total}, of which {} validate", duration(plan.validation_s))),
            row("memory", format!("{}{free}", human(plan.memory_bytes))),
            row(
                "checkpoints",
                format!("{} each, at most {} on disk", human(plan.checkpoint_bytes), human(plan.disk_bytes)),
            ),
            row("folder", folder),
        ];
        print(&lines.join("\n"))
    }

    fn find_rate<B: Backend<Scalar = f32>>(&self, device: &B) -> Result<()> {
        let PreparedRun { config, model, packs, .. } = &self.run;
        let options = RangeTestOptions::default();
        let bar = Bar::new("rates", "steps", options.steps);
        let test = range_test(device, config, model, packs, options, &self.stop, |step| {
            bar.set(step);
        });
        bar.finish();
        let test = test?;
        let path = &self.args.lr_plot;
        // The numbers first: they need no file.
        if self.args.json {
            let suggestion = test.suggestion();
            print_json(&json!({ "suggestion": suggestion, "plot": path.display().to_string(), "test": test }))?;
        } else {
            print(&suggestions(&test))?;
        }
        save_png(&plot(&test, &model.name), path)?;
        note(&format!("the loss by learning rate is plotted in {}", path.display()));
        Ok(())
    }

    fn evaluate<B: Backend<Scalar = f32>>(&self, device: &B) -> Result<()> {
        let PreparedRun { config, model, packs, .. } = &self.run;
        let Some(val) = &packs.val else {
            return Err(Failure::Usage(
                "--epochs 0: evaluates the starting weights on --val PACK, which is not given".into(),
            ));
        };
        let bar = Bar::new("eval", "images", val.len() as u64);
        let result = evaluate_start(device, config, model, packs, |done| bar.set_with_rate(done as u64, "images"));
        bar.finish();
        let result = result.map_err(|error| match &config.model.weights {
            Some(weights) => named(weights, error),
            None => error.into(),
        })?;
        if self.args.json { print_json(&result) } else { print(&eval::lines(&result)) }
    }
}

fn suggestions(test: &RangeTest) -> String {
    let steps = count(test.points.len() as u64, "step");
    let end = if test.diverged { "the loss diverged" } else { "the loss did not diverge" };
    let Some(rate) = test.suggestion() else {
        return format!("no suggestion: within {steps} the loss never fell below its start ({end})");
    };
    let row = |name: &str, rate: Option<f64>| rate.map(|rate| vec![name.to_string(), two_digits(rate)]);
    let rows = [
        row("steepest descent of the loss", test.steepest),
        row("a tenth of the rate of the lowest loss", test.tenth_of_lowest),
        row("the last rate before the end", test.points.last().map(|point| point.rate)),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().flatten().collect();
    format!("{}\n{end} within {steps}; suggested: --set optim.lr={}", table(&rows), two_digits(rate))
}

/// A rate with two significant digits.
fn two_digits(rate: f64) -> String {
    let rounded: f64 = format!("{rate:.1e}").parse().unwrap_or(rate);
    if rounded < 1e-4 { format!("{rounded:e}") } else { rounded.to_string() }
}

/// The losses over the logarithm of the learning rate.
fn plot(test: &RangeTest, network: &str) -> image::RgbImage {
    let lowest = test.points.iter().map(|point| point.smoothed).fold(f64::INFINITY, f64::min);
    let highest = test.points.iter().map(|point| point.smoothed).fold(lowest, f64::max);
    // Single batches of a diverging loss would flatten the rest.
    let shown = |loss: f64| if loss > 1.5 * highest { f64::NAN } else { loss };
    let raw = test.points.iter().map(|point| (point.rate, shown(point.loss))).collect();
    let smooth = test.points.iter().map(|point| (point.rate, point.smoothed)).collect();
    let series =
        [Series { name: "smoothed".into(), points: smooth }, Series { name: "loss of a batch".into(), points: raw }];
    let marks: Vec<Mark> = test.suggestion().map(|x| Mark { x, label: two_digits(x) }).into_iter().collect();
    let title = format!("Range test of the learning rate: {network}");
    curve_over_decades(&series, "learning rate", "loss (nats)", &title, &marks)
}

//! `alexnet demo`: draws a data set, packs it, trains on it and plots the results, with the code of the other commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use data::{Pack, PackOptions, Views};
use image::RgbImage;
use layers::Model;
use tensor::{Algorithms, Backend};
use toml::Value;
use train::config::{keys, merge};
use train::evaluate::{self, Evaluation, Member};
use train::log::{self, StepLine};
use train::plots::{self, PredictionRow, Series};
use train::predict::{most_probable, predict_batch};
use train::trainer::Trainer;
use train::{Config, Stop, input};

use super::device::{self, DeviceTask};
use super::pack;
use super::prepared_run::{BatchChoice, PreparedRun};
use super::train::{self as train_command, Watch};
use crate::args::Demo;
use crate::console::{note, percent, print, table};
use crate::demo::folder::DemoFolder;
use crate::demo::{MODEL, draw};
use crate::failure::{Failure, Result};
use crate::signals::stop_on_signals;

/// Number of images of each class, for training and for validation.
const TRAIN_PER_CLASS: usize = 400;
const VAL_PER_CLASS: usize = 100;
/// The linear classifier has converged after these epochs.
const LINEAR_EPOCHS: i64 = 10;

pub fn run(args: &Demo) -> Result<()> {
    let start = Instant::now();
    let stop = stop_on_signals()?;
    DemoFolder::check(args)?;
    let threads = args.compute.threads.unwrap_or_else(device::all_threads);
    let opened = device::open(&args.compute.device, &args.compute.precision, threads, Algorithms::default())?;
    let name = opened.name.clone();
    let folder = DemoFolder::open(args)?;
    let drawn = opened.run(DemoTask { args, folder, threads, device: name, stop }).map_err(with_resume_hint)?;
    note(&closing(&args.out, &drawn, start));
    Ok(())
}

/// Adds to the message of a stopped demo how to resume it.
fn with_resume_hint(failure: Failure) -> Failure {
    const HINT: &str = "; the same command resumes it";
    match failure {
        Failure::Stopped { signal, message } if !message.ends_with(HINT) => {
            Failure::Stopped { signal, message: message + HINT }
        }
        other => other,
    }
}

/// The demo on a device. Its output is the paths of the plots.
struct DemoTask<'a> {
    args: &'a Demo,
    folder: DemoFolder,
    threads: usize,
    device: String,
    stop: Stop,
}

impl DeviceTask for DemoTask<'_> {
    type Output = Vec<PathBuf>;

    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Vec<PathBuf>> {
        let Self { args, threads, stop, .. } = &self;
        let out = &args.out;
        let threads = *threads;

        note("1/5 drawing images of ten classes");
        let images = self.folder.make("images", |part| draw_images(part, args.seed, stop))?;

        note("2/5 packing them");
        let packs =
            [pack_demo(args, threads, &images, "train", stop)?, pack_demo(args, threads, &images, "val", stop)?];

        note("3/5 training a linear classifier for comparison");
        let mut linear = Model::preset("linear")?;
        merge(&mut linear.train, &keys::table_of("run.epochs", Value::Integer(LINEAR_EPOCHS)));
        let linear = self.train(&device, "linear", linear, &packs)?;
        note("4/5 training a small AlexNet");
        let model = Model::parse(MODEL, "demo")?;
        files::replace_bytes(&out.join("model.toml"), MODEL.as_bytes())?;
        let network = self.train(&device, "network", model, &packs)?;

        note("5/5 evaluating both and plotting the results");
        let val = Arc::new(Pack::open(&packs[1])?);
        let rows = [
            ("linear classifier, 1 crop", test(&linear, &val, Views::Centre, threads, stop)?),
            ("small AlexNet, 1 crop", test(&network, &val, Views::Centre, threads, stop)?),
            ("small AlexNet, 10 crops", test(&network, &val, Views::Ten, threads, stop)?),
        ];
        let drawn = save_plots(out, &network, &val)?;
        print(&report(&rows))?;
        Ok(drawn)
    }
}

impl DemoTask<'_> {
    /// Trains a network in the folder `name`, or resumes the training of an earlier demo.
    fn train<B: Backend<Scalar = f32>>(
        &self,
        device: &B,
        name: &str,
        model: Model,
        packs: &[PathBuf; 2],
    ) -> Result<Trainer<B>> {
        let mut trainer = if self.folder.has(&format!("{name}/run.toml"))? {
            self.resume(device, name, packs)?
        } else {
            self.start(device, name, model, packs)?
        };
        train_command::train(&mut trainer, &self.stop, &Watch::plain())?;
        Ok(trainer)
    }

    fn resume<B: Backend<Scalar = f32>>(&self, device: &B, name: &str, packs: &[PathBuf; 2]) -> Result<Trainer<B>> {
        train_command::resume_moved(device, &self.args.out.join(name), |config| {
            config.data.train.clone_from(&packs[0]);
            config.data.val = Some(packs[1].clone());
            config.run.threads = self.threads;
            config.run.device.clone_from(&self.device);
        })
    }

    fn start<B: Backend<Scalar = f32>>(
        &self,
        device: &B,
        name: &str,
        model: Model,
        packs: &[PathBuf; 2],
    ) -> Result<Trainer<B>> {
        let Self { args, threads, .. } = self;
        let text = |path: &Path| Value::String(path.display().to_string());
        let number = |n: u64| Value::Integer(i64::try_from(n).unwrap_or(i64::MAX));
        let settings = [
            keys::table_of("data.train", text(&packs[0])),
            keys::table_of("data.val", text(&packs[1])),
            keys::table_of("run.threads", number(*threads as u64)),
            keys::table_of("run.seed", number(args.seed)),
            keys::table_of("run.device", Value::String(self.device.clone())),
            keys::table_of("run.precision", Value::String(args.compute.precision.clone())),
        ];
        let mut overrides = vec![(model.name.clone(), model.train.clone())];
        overrides.extend(settings.map(|table| ("demo".to_string(), table)));
        let config = Config::from_overrides(&overrides)?;
        PreparedRun::new(config, model, Some(&args.out.join(name)), BatchChoice::Given)?.create(device)
    }
}

fn draw_images(folder: &Path, seed: u64, stop: &Stop) -> Result<()> {
    let is_stopped = || stop.is_requested();
    let drawn = draw::draw_dataset(folder, seed, TRAIN_PER_CLASS, VAL_PER_CLASS, draw::SIZE, &is_stopped);
    // If a signal stopped the drawing, the error is that of the signal.
    stop.check()?;
    drawn.map(|_| ()).map_err(|e| Failure::Failed(e.to_string()))
}

fn pack_demo(args: &Demo, threads: usize, images: &Path, part: &str, stop: &Stop) -> Result<PathBuf> {
    let out = args.out.join(format!("{part}.pack"));
    let train = args.out.join("train.pack");
    let classes = (part == "val").then(|| data::Pack::open(train)).transpose()?;
    let options = PackOptions {
        size: draw::SIZE as usize,
        jobs: threads,
        classes: classes.map(|pack| pack.classes().to_vec()),
        ..PackOptions::new(images.join(part), &out)
    };
    pack::pack(options, stop)?;
    Ok(out)
}

fn test<B: Backend<Scalar = f32>>(
    trainer: &Trainer<B>,
    val: &Arc<Pack>,
    views: Views,
    threads: usize,
    stop: &Stop,
) -> Result<Evaluation> {
    let input = input::crop_and_normalize(&trainer.network().model().input, trainer.means(), val.size())?;
    let options = evaluate::Options { input, views, batch: 128, threads };
    Ok(evaluate::evaluate(trainer.network(), val, &options, stop, |_| ())?)
}

fn report(rows: &[(&str, Evaluation)]) -> String {
    let mut lines = vec![["", "loss", "top-1 error", "top-5 error"].map(String::from).to_vec()];
    for (name, result) in rows {
        lines.push(vec![
            (*name).to_string(),
            format!("{:.3}", result.loss),
            percent(result.top1_error),
            percent(result.top5_error),
        ]);
    }
    table(&lines)
}

/// Writes the plots and returns their paths.
fn save_plots<B: Backend<Scalar = f32>>(out: &Path, trainer: &Trainer<B>, val: &Pack) -> Result<Vec<PathBuf>> {
    let names = ["kernels.png", "predictions.png", "loss.png"].map(|name| out.join(name));
    let first = trainer.network().parameters().iter().find(|p| p.value.shape().len() == 4);
    if let Some(kernels) = first {
        plots::save_png(&plots::kernels(&kernels.value.to_array()?, 12)?, &names[0])?;
    }
    let title = "Validation images: right ones first, then mistakes";
    plots::save_png(&plots::predictions(&prediction_rows(trainer, val)?, title), &names[1])?;
    let lines: Vec<StepLine> = log::read_steps(&trainer.folder().join("log.jsonl"))?;
    let points = lines.iter().map(|line| (line.step as f64, line.loss)).collect();
    let series = [Series { name: "training loss".into(), points }];
    plots::save_png(&plots::curve(&series, "step", "loss", "Training loss of the small AlexNet"), &names[2])?;
    Ok(names.to_vec())
}

/// Images of the sheet of predictions: as many of the first hits, each of another class, and of the first mistakes.
const SHOWN: usize = 5;
/// Images that are classified at a time.
const BATCH: usize = 100;

/// The first validation images that are classified right, each of another class, and the first that are not.
fn prediction_rows<B: Backend<Scalar = f32>>(trainer: &Trainer<B>, val: &Pack) -> Result<Vec<PredictionRow>> {
    let network = trainer.network();
    let size = val.size();
    let input = input::crop_and_normalize(&network.model().input, trainer.means(), size)?;
    let members = [Member { network, input }];
    let mut hits: Vec<PredictionRow> = Vec::new();
    let mut mistakes = Vec::new();
    for start in (0..val.len()).step_by(BATCH) {
        let batch = start..(start + BATCH).min(val.len());
        let mut pixels = Vec::new();
        for index in batch.clone() {
            pixels.extend_from_slice(&val.pixels(index)?);
        }
        let rows = predict_batch(&members, Views::Centre, size, &pixels)?;
        let squares = pixels.chunks_exact(size * size * 3);
        for ((index, row), square) in batch.zip(rows.rows()).zip(squares) {
            let classes = most_probable(row, val.classes(), SHOWN)?;
            let truth = val.classes()[val.label(index) as usize].clone();
            let is_hit = classes[0].name == truth;
            let image = RgbImage::from_raw(size as u32, size as u32, square.to_vec())
                .ok_or_else(|| Failure::Failed("a stored image has another size than its pack".into()))?;
            let top = classes.into_iter().map(|class| (class.name, class.probability)).collect();
            let shown = PredictionRow { image, truth, top };
            if !is_hit && mistakes.len() < SHOWN {
                mistakes.push(shown);
            } else if is_hit && hits.len() < SHOWN && hits.iter().all(|other| other.truth != shown.truth) {
                hits.push(shown);
            }
        }
    }
    hits.extend(mistakes);
    Ok(hits)
}

fn closing(out: &Path, drawn: &[PathBuf], start: Instant) -> String {
    let list: Vec<String> = drawn.iter().map(|path| format!("  {}", path.display())).collect();
    let dir = out.display();
    format!(
        "finished in {:.0} s; see\n{}\nThe same steps by hand:\n  \
         alexnet pack {dir}/images/train TRAIN --size {size}\n  \
         alexnet pack {dir}/images/val VAL --size {size} --classes-of TRAIN\n  \
         alexnet train --data TRAIN --val VAL --model {dir}/model.toml --out RUN\n  \
         alexnet eval --data VAL --weights RUN --crops 10\n  \
         alexnet predict --weights RUN {dir}/images/val/*/0000.jpg",
        start.elapsed().as_secs_f64(),
        list.join("\n"),
        size = draw::SIZE,
    )
}

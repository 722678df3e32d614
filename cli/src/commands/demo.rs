//! `alexnet demo`: draws a data set, packs it, trains on it and plots the results, with the code of the other commands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use data::{Dataset, Pack, PackOptions, Views};
use layers::Model;
use tensor::{Algorithms, Backend};
use toml::Value;
use train::config::{keys, merge};
use train::evaluate::{self, Evaluation, Member};
use train::runs::{self, RunSummary};
use train::trainer::Trainer;
use train::{Config, Stop, input, load, plots};

use super::device::{self, DeviceTask};
use super::eval::{self, SheetImages, TestInput, Tested};
use super::prepared_run::{BatchChoice, PreparedRun};
use super::train::{self as train_command, Watch};
use super::{filters, pack, report};
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
        let one_crop = test_with_examples(&network, &val, threads)?;
        let rows = [
            ("linear classifier, 1 crop", test(&linear, &val, Views::Centre, threads, stop)?),
            ("small AlexNet, 1 crop", Evaluation::of(&one_crop.classification, Views::Centre)),
            ("small AlexNet, 10 crops", test(&network, &val, Views::Ten, threads, stop)?),
        ];
        let drawn = save_plots(out, &network, one_crop.examples, &val)?;
        print(&results(&rows))?;
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

/// The test with one crop, with the images to show.
fn test_with_examples<B: Backend<Scalar = f32>>(
    trainer: &Trainer<B>,
    val: &Arc<Pack>,
    threads: usize,
) -> Result<Tested> {
    let network = trainer.network();
    let input = input::crop_and_normalize(&network.model().input, trainer.means(), val.size())?;
    let members = [Member { network, input }];
    let dataset: Arc<dyn Dataset> = val.clone();
    let views = Views::Centre;
    let input =
        TestInput { members: &members, names: val.classes(), dataset, views, temperature: 1.0, batch: 128, threads };
    Ok(eval::test("eval", &input, true, 1, |_| Ok(()))?)
}

fn results(rows: &[(&str, Evaluation)]) -> String {
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

/// Writes the plots, as `report --plots` does, and returns their paths.
fn save_plots<B: Backend<Scalar = f32>>(
    out: &Path,
    trainer: &Trainer<B>,
    examples: SheetImages,
    val: &Pack,
) -> Result<Vec<PathBuf>> {
    let mut drawn = Vec::new();
    let loaded = load::weights(trainer.folder(), None, &mut |_| {})?;
    if let Some((_, kernels)) = filters::first_kernels(&loaded)? {
        drawn.push(out.join("kernels.png"));
        plots::save_png(&kernels, &out.join("kernels.png"))?;
    }
    let [hits, mistakes] = examples.hits_and_mistakes(report::SHOWN, val, val.classes())?;
    drawn.push(report::save_hits_and_mistakes(out, hits, mistakes)?);
    let curves = runs::curves(&[RunSummary::read(trainer.folder())?], report::STEPS)?;
    for plot in curves.plots(&["the small AlexNet".into()]).iter().filter(|plot| plot.name == "loss") {
        let path = out.join("loss.png");
        plots::save_png(&plot.draw(), &path)?;
        drawn.push(path);
    }
    Ok(drawn)
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

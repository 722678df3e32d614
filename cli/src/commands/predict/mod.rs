//! `alexnet predict`.

pub mod inputs;
mod output;

use std::sync::mpsc::Receiver;

use data::{DecodeOptions, Prefetch, ilsvrc2012};
use image::RgbImage;
use ndarray::Array2;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tensor::Backend;
use train::evaluate::with_temperature;
use train::plots::{PredictionRow, check_png_name, predictions, save_png};
use train::predict::{most_probable, predict_batch};

use self::inputs::{InputImage, Inputs};
use self::output::{NamedClass, Output, Prediction};
use super::device::DeviceTask;
use super::trained::{self, LoadedModels};
use crate::args::{Predict, PredictionFormat};
use crate::console::{Bar, note, print_error};
use crate::failure::{Failure, Result};
use crate::signals::exit_on_signals;

/// The most images of a plot.
const MAX_PLOTTED: usize = 120;
/// Classes of an image of a plot.
const PLOTTED_CLASSES: usize = 5;
/// Batches that are decoded before they are asked for.
const BATCHES_AHEAD: usize = 2;

pub fn run(args: &Predict) -> Result<()> {
    exit_on_signals()?;
    if let Some(path) = &args.plot {
        check_png_name(path).map_err(|error| Failure::Usage(format!("--plot: {error}")))?;
    }
    if !(0.0..=1.0).contains(&args.threshold) {
        let what = format!("--threshold: expected a probability from 0 to 1, got {}", args.threshold);
        return Err(Failure::Usage(what));
    }
    let inputs = Inputs::open(&args.images)?;
    let (models, opened) = trained::load(&args.network)?;
    models.note_assumed_classes();
    let [read, unreadable] = opened.run(PredictTask { args, models, inputs })?;
    match unreadable {
        0 if read == 0 => {
            let named: Vec<String> = args.images.iter().map(|path| path.display().to_string()).collect();
            Err(Failure::Failed(format!("{}: there are no images in it", named.join(", "))))
        }
        0 => Ok(()),
        n => Err(Failure::Failed(format!("{n} of {} images could not be read", read + n))),
    }
}

struct PredictTask<'a> {
    args: &'a Predict,
    models: LoadedModels,
    inputs: Inputs,
}

/// The images of a batch that could be read, and a message for each other one.
struct DecodedBatch {
    names: Vec<String>,
    /// Squares, one after another.
    pixels: Vec<u8>,
    errors: Vec<String>,
}

impl DeviceTask for PredictTask<'_> {
    /// The number of images that were read, and of those that could not be.
    type Output = [usize; 2];

    /// Classifies the images; for those that cannot be read it prints an error.
    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<[usize; 2]> {
        let Self { args, models, inputs } = self;
        let views = models.views;
        let temperature = models.temperature;
        let threads = models.threads;
        let batch = (args.batch / views.count()).max(1);
        models.check_memory(&device, inputs.count().map_or(batch, |n| n as usize).max(1), args.batch)?;
        let trained = models.into_device(&device)?;
        let first = trained.first();
        let size = first.network.model().input.size;
        let members = trained.members(size)?;
        let views = trained.distinct(views, size);
        let options = DecodeOptions { apply_orientation: first.exif_orientation, ..DecodeOptions::default() };
        let bar = inputs.count().filter(|count| *count > 1).map(|count| Bar::new("predict", "images", count));
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|error| Failure::Failed(format!("threads cannot be started: {error}")))?;
        let batches = Batches { images: inputs.images(), batch, size, options, pool };
        let format = if args.network.json { PredictionFormat::Json } else { args.format };
        let mut results = PredictionSink::begin(args, format, &first.printed_classes)?;
        for decoded in Prefetch::<_, data::Error>::spawn("decode", BATCHES_AHEAD, batches.map(Ok)) {
            let decoded = decoded?;
            let rows = match decoded.names.len() {
                0 => Array2::default((0, 0)),
                _ => {
                    let rows = predict_batch(&members, views, size, &decoded.pixels);
                    with_temperature(rows.map_err(|error| trained.named(error))?, temperature)
                }
            };
            results.add(decoded, &rows, size, &|error| trained.named(error))?;
            if let Some(bar) = &bar {
                bar.set_with_rate(results.counts.iter().sum::<usize>() as u64, "images");
            }
        }
        if let Some(bar) = &bar {
            bar.finish();
        }
        results.end()
    }
}

/// The predictions so far: their output, the images of the plot, and the counts.
struct PredictionSink<'a> {
    args: &'a Predict,
    names: &'a [String],
    output: Output,
    plotted: Vec<PredictionRow>,
    /// Images that were read, and those that could not be.
    counts: [usize; 2],
}

impl<'a> PredictionSink<'a> {
    fn begin(args: &'a Predict, format: PredictionFormat, names: &'a [String]) -> Result<Self> {
        Ok(Self { args, names, output: Output::begin(format)?, plotted: Vec::new(), counts: [0; 2] })
    }

    /// Prints a batch with its probabilities, a row an image. `named` names the weights in an error.
    fn add(
        &mut self,
        decoded: DecodedBatch,
        rows: &Array2<f32>,
        size: usize,
        named: &dyn Fn(train::Error) -> Failure,
    ) -> Result<()> {
        let DecodedBatch { names, pixels, errors } = decoded;
        errors.iter().for_each(|error| print_error(&format!("error: {error}")));
        self.counts[0] += names.len();
        self.counts[1] += errors.len();
        let images = names.into_iter().zip(pixels.chunks_exact(size * size * 3));
        for (row, (file, square)) in rows.rows().into_iter().zip(images) {
            let classes = most_probable(row, self.names, self.args.top.max(PLOTTED_CLASSES));
            let classes = classes.map_err(named)?;
            if self.args.plot.is_some() && self.plotted.len() < MAX_PLOTTED {
                self.plotted.extend(plotted_row(size, square, &file, &classes));
            }
            let printed = classes.into_iter().take(self.args.top);
            let printed = printed.filter(|class| class.probability >= self.args.threshold);
            self.output.print(&Prediction { file, top: printed.map(NamedClass::of).collect() })?;
        }
        Ok(())
    }

    /// Ends the output and draws the plot. Returns the numbers of images that were read, and that could not be.
    fn end(self) -> Result<[usize; 2]> {
        self.output.end()?;
        if let Some(path) = &self.args.plot {
            save_png(&predictions(&self.plotted, "Predictions"), path)?;
            if self.counts[0] > MAX_PLOTTED {
                note(&format!("note: {}: the first {MAX_PLOTTED} of {} images", path.display(), self.counts[0]));
            }
        }
        Ok(self.counts)
    }
}

fn plotted_row(
    size: usize,
    square: &[u8],
    file: &str,
    classes: &[train::predict::ClassProbability],
) -> Option<PredictionRow> {
    let image = RgbImage::from_raw(size as u32, size as u32, square.to_vec())?;
    let name = file.rsplit('/').next().unwrap_or(file);
    let top = classes.iter().take(PLOTTED_CLASSES);
    let top = top.map(|class| (ilsvrc2012::short_name(&class.name).to_string(), class.probability)).collect();
    Some(PredictionRow { image, truth: name.to_string(), top })
}

/// Batches of images, decoded on as many threads as the network has.
struct Batches {
    images: Receiver<InputImage>,
    /// Images of a batch.
    batch: usize,
    size: usize,
    options: DecodeOptions,
    pool: ThreadPool,
}

impl Iterator for Batches {
    type Item = DecodedBatch;

    fn next(&mut self) -> Option<DecodedBatch> {
        let images: Vec<InputImage> = self.images.iter().take(self.batch).collect();
        if images.is_empty() {
            return None;
        }
        let decode = |image: InputImage| {
            let name = image.name.clone();
            (name, image.square(self.size, &self.options))
        };
        let decoded: Vec<_> = self.pool.install(|| images.into_par_iter().map(decode).collect());
        let mut batch = DecodedBatch { names: Vec::new(), pixels: Vec::new(), errors: Vec::new() };
        for (name, square) in decoded {
            match square {
                Ok(square) => {
                    batch.names.push(name);
                    batch.pixels.extend(square);
                }
                Err(error) => batch.errors.push(error),
            }
        }
        Some(batch)
    }
}

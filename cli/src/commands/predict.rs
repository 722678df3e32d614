//! `alexnet predict`.

use data::DecodeOptions;
use files::printable;
use serde::Serialize;
use tensor::Backend;
use train::predict::{Guess, predict};

use super::device::Work;
use super::trained::{self, Ready};
use crate::args::Predict;
use crate::console::{note, print, print_json, table};
use crate::failure::{Failure, Result};

#[derive(Serialize)]
struct Prediction {
    file: String,
    top: Vec<Guess>,
}

pub fn run(args: &Predict) -> Result<()> {
    let (ready, opened) = trained::load(&args.trained)?;
    let predictions = opened.run(Look { args, ready })?;
    if args.trained.json {
        print_json(&predictions)?;
    } else {
        for prediction in &predictions {
            print(&lines(prediction))?;
        }
    }
    match args.images.len() - predictions.len() {
        0 => Ok(()),
        n => Err(Failure::Failed(format!("{n} of {} images could not be read", args.images.len()))),
    }
}

struct Look<'a> {
    args: &'a Predict,
    ready: Ready,
}

impl Work for Look<'_> {
    type Output = Vec<Prediction>;

    /// What the images show; of those that cannot be read an error is printed.
    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Vec<Prediction>> {
        let Self { args, ready } = self;
        let views = ready.views;
        let trained = ready.on(&device)?;
        let size = trained.network.model().input.size;
        let input = trained.input(size)?;
        let options = DecodeOptions { apply_orientation: trained.exif_orientation, ..DecodeOptions::default() };
        let mut predictions = Vec::new();
        for path in &args.images {
            match data::read_square_with(path, size, &options) {
                Ok(square) => {
                    let top = predict(&trained.network, &trained.classes, &input, views, size, &square, args.top)?;
                    predictions.push(Prediction { file: path.display().to_string(), top });
                }
                Err(error) => note(&format!("error: {error}")),
            }
        }
        Ok(predictions)
    }
}

fn lines(prediction: &Prediction) -> String {
    let name = |g: &Guess| match data::ilsvrc2012::words(&g.name) {
        Some(_) => format!("  {} ({})", data::ilsvrc2012::short_name(&g.name), g.name),
        None => format!("  {}", g.name),
    };
    let row = |g: &Guess| vec![name(g), format!("{:.2} %", g.probability * 100.0)];
    format!("{}\n{}", printable::name(&prediction.file), table(&prediction.top.iter().map(row).collect::<Vec<_>>()))
}

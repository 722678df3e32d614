//! `alexnet predict`.

use data::DecodeOptions;
use files::printable;
use serde::Serialize;
use tensor::Backend;
use train::predict::{ClassProbability, predict};

use super::device::DeviceTask;
use super::trained::{self, LoadedModel};
use crate::args::Predict;
use crate::console::{print, print_error, print_json, table};
use crate::failure::{Failure, Result};

#[derive(Serialize)]
struct Prediction {
    file: String,
    top: Vec<NamedClass>,
}

/// A class of a prediction, with the words of ILSVRC 2012 for its name.
#[derive(Serialize)]
struct NamedClass {
    #[serde(flatten)]
    class: ClassProbability,
    words: Option<&'static str>,
}

impl NamedClass {
    fn of(class: ClassProbability) -> Self {
        let words = data::ilsvrc2012::words(&class.name);
        Self { class, words }
    }
}

pub fn run(args: &Predict) -> Result<()> {
    let (model, opened) = trained::load(&args.network)?;
    model.note_assumed_classes();
    let predictions = opened.run(PredictTask { args, model })?;
    if args.network.json {
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

struct PredictTask<'a> {
    args: &'a Predict,
    model: LoadedModel,
}

impl DeviceTask for PredictTask<'_> {
    type Output = Vec<Prediction>;

    /// Classifies the images; for those that cannot be read it prints an error.
    fn run<B: Backend<Scalar = f32>>(self, device: B) -> Result<Vec<Prediction>> {
        let Self { args, model } = self;
        let views = model.views;
        let trained = model.into_device(&device)?;
        let size = trained.network.model().input.size;
        let input = trained.input(size)?;
        let options = DecodeOptions { apply_orientation: trained.exif_orientation, ..DecodeOptions::default() };
        let mut predictions = Vec::new();
        for path in &args.images {
            match data::read_square_with(path, size, &options) {
                Ok(square) => {
                    let names = &trained.printed_classes;
                    let top = predict(&trained.network, names, &input, views, size, &square, args.top);
                    let top = top.map_err(|error| trained::named(&trained.path, error))?;
                    let top = top.into_iter().map(NamedClass::of).collect();
                    predictions.push(Prediction { file: path.display().to_string(), top });
                }
                Err(error) => print_error(&format!("error: {error}")),
            }
        }
        Ok(predictions)
    }
}

fn lines(prediction: &Prediction) -> String {
    let name = |NamedClass { class, words }: &NamedClass| match words {
        Some(_) => format!("  {} ({})", data::ilsvrc2012::short_name(&class.name), class.name),
        None => format!("  {}", class.name),
    };
    let row = |top: &NamedClass| vec![name(top), format!("{:.2} %", top.class.probability * 100.0)];
    format!("{}\n{}", printable::name(&prediction.file), table(&prediction.top.iter().map(row).collect::<Vec<_>>()))
}

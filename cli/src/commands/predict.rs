//! `alexnet predict`.

use serde::Serialize;
use train::predict::{Guess, predict};

use super::trained;
use crate::args::Predict;
use crate::console::{note, print, print_json, table};
use crate::failure::{Failure, Result};

#[derive(Serialize)]
struct Prediction {
    file: String,
    top: Vec<Guess>,
}

pub fn run(args: &Predict) -> Result<()> {
    let ready = trained::load(&args.trained)?;
    let size = ready.network.model().input.size;
    let input = ready.input(size)?;
    let (mut predictions, mut unreadable) = (Vec::new(), 0);
    for path in &args.images {
        let file = path.display().to_string();
        match data::read_square(path, size) {
            Ok(square) => {
                let top = predict(&ready.network, &ready.classes, &input, ready.views, size, &square, args.top)?;
                predictions.push(Prediction { file, top });
            }
            Err(error) => {
                unreadable += 1;
                note(&format!("error: {error}"));
            }
        }
    }
    if args.trained.json {
        print_json(&predictions)?;
    } else {
        for prediction in &predictions {
            print(&lines(prediction))?;
        }
    }
    match unreadable {
        0 => Ok(()),
        n => Err(Failure::Failed(format!("{n} of {} pictures could not be read", args.images.len()))),
    }
}

fn lines(prediction: &Prediction) -> String {
    let row = |g: &Guess| vec![format!("  {}", g.name), format!("{:.2} %", g.probability * 100.0)];
    format!("{}\n{}", prediction.file, table(&prediction.top.iter().map(row).collect::<Vec<_>>()))
}

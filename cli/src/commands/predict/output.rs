//! The output of `predict`: text, JSON, JSON lines or CSV, written as the images are classified.

use data::ilsvrc2012;
use files::printable;
use serde::Serialize;
use train::predict::ClassProbability;

use crate::args::PredictionFormat;
use crate::console::{print, print_raw, table};
use crate::failure::{Failure, Result};

/// An image's most probable classes.
#[derive(Serialize)]
pub struct Prediction {
    pub file: String,
    pub top: Vec<NamedClass>,
}

/// A class of a prediction, with the words of ILSVRC 2012 for its name.
#[derive(Serialize)]
pub struct NamedClass {
    #[serde(flatten)]
    pub class: ClassProbability,
    words: Option<&'static str>,
}

impl NamedClass {
    pub fn of(class: ClassProbability) -> Self {
        let words = ilsvrc2012::words(&class.name);
        Self { class, words }
    }
}

/// Prints predictions in a format.
pub struct Output {
    format: PredictionFormat,
    /// Number of predictions so far.
    printed: usize,
}

impl Output {
    /// Nothing printed yet; a table has its head.
    pub fn begin(format: PredictionFormat) -> Result<Self> {
        if format == PredictionFormat::Csv {
            print_raw("file,rank,class,name,probability")?;
        }
        Ok(Self { format, printed: 0 })
    }

    /// Prints a prediction.
    pub fn print(&mut self, prediction: &Prediction) -> Result<()> {
        let first = self.printed == 0;
        self.printed += 1;
        match self.format {
            PredictionFormat::Text => print(&lines(prediction)),
            PredictionFormat::Csv => print_rows(prediction),
            PredictionFormat::Jsonl => print_raw(&json(prediction, false)?),
            PredictionFormat::Json => {
                // The comma belongs to the element before, so that each is printed at once.
                let indented = json(prediction, true)?.replace('\n', "\n  ");
                print_raw(&format!("{}\n  {indented}", if first { "[" } else { "  ," }))
            }
        }
    }

    /// Ends the output.
    pub fn end(self) -> Result<()> {
        match (self.format, self.printed) {
            (PredictionFormat::Json, 0) => print_raw("[]"),
            (PredictionFormat::Json, _) => print_raw("]"),
            _ => Ok(()),
        }
    }
}

fn json(prediction: &Prediction, is_pretty: bool) -> Result<String> {
    let text = if is_pretty { serde_json::to_string_pretty(prediction) } else { serde_json::to_string(prediction) };
    text.map_err(|error| Failure::Failed(format!("cannot write JSON: {error}")))
}

fn lines(prediction: &Prediction) -> String {
    let name = |NamedClass { class, words }: &NamedClass| match words {
        Some(_) => format!("  {} ({})", ilsvrc2012::short_name(&class.name), class.name),
        None => format!("  {}", class.name),
    };
    let row = |top: &NamedClass| vec![name(top), format!("{:.2} %", top.class.probability * 100.0)];
    format!("{}\n{}", printable::name(&prediction.file), table(&prediction.top.iter().map(row).collect::<Vec<_>>()))
}

fn print_rows(prediction: &Prediction) -> Result<()> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let written = prediction.top.iter().enumerate().try_for_each(|(place, top)| {
        let numbers = [(place + 1).to_string(), top.class.class.to_string(), top.class.probability.to_string()];
        let [rank, class, probability] = &numbers;
        writer.write_record([&prediction.file, rank, class, &top.class.name, probability])
    });
    let bytes = written.and_then(|()| writer.into_inner().map_err(|error| error.into_error().into()));
    let bytes = bytes.map_err(|error| Failure::Failed(format!("cannot write CSV: {error}")))?;
    let text = String::from_utf8_lossy(&bytes);
    if text.is_empty() { Ok(()) } else { print_raw(text.trim_end_matches('\n')) }
}

//! Images to show of a test: the worst mistakes, the least certain images, and the most certain hits.

use std::collections::BTreeMap;
use std::path::Path;

use data::{Dataset, ilsvrc2012};
use image::RgbImage;
use ndarray::ArrayView1;
use train::classification::{Largest, Outcome};
use train::plots::{NotedPrediction, PredictionRow, noted_predictions, save_png};
use train::predict::{ClassProbability, most_probable};

use crate::failure::{Failure, Result};

/// Images on a sheet.
const IMAGES: usize = 24;
/// Classes below an image.
const TOP: usize = 5;

/// The images for the sheets.
pub struct SheetImages {
    is_wanted: bool,
    mistakes: Largest<Example>,
    uncertain: Largest<Example>,
    /// The most certain hit of each class, with its confidence.
    hits: BTreeMap<u32, (f32, Example)>,
}

/// An image with its most probable classes.
struct Example {
    index: u64,
    label: u32,
    /// The probability of the label.
    probability: f32,
    top: Vec<ClassProbability>,
}

impl SheetImages {
    /// No images yet; without `is_wanted` none are kept.
    pub fn new(is_wanted: bool) -> Self {
        let limit = if is_wanted { IMAGES } else { 0 };
        Self { is_wanted, mistakes: Largest::new(limit), uncertain: Largest::new(limit), hits: BTreeMap::new() }
    }

    /// Takes an image into account.
    pub fn offer(
        &mut self,
        index: u64,
        label: u32,
        outcome: &Outcome,
        probabilities: ArrayView1<f32>,
        names: &[String],
    ) {
        // The outcome says that they are numbers.
        let top = || most_probable(probabilities, names, TOP).unwrap_or_default();
        let probability = probabilities.get(label as usize).copied().unwrap_or(f32::NAN);
        let example = || Example { index, label, probability, top: top() };
        if outcome.rank > 0 {
            self.mistakes.offer(f64::from(outcome.loss), example);
        } else if self.is_wanted && self.hits.get(&label).is_none_or(|(best, _)| outcome.confidence > *best) {
            self.hits.insert(label, (outcome.confidence, example()));
        }
        self.uncertain.offer(-f64::from(outcome.confidence), example);
    }

    /// At most this many of the most certain hits, each of another class, and then as many of the mistakes with the largest
    /// loss.
    pub fn hits_and_mistakes(
        self,
        each: usize,
        dataset: &dyn Dataset,
        names: &[String],
    ) -> Result<[Vec<NotedPrediction>; 2]> {
        let mut hits: Vec<(f32, Example)> = self.hits.into_values().collect();
        hits.sort_by(|a, b| b.0.total_cmp(&a.0));
        let rows = |examples: Vec<Example>| -> Result<Vec<NotedPrediction>> {
            examples.iter().take(each).map(|example| row(example, dataset, names)).collect()
        };
        let hits = rows(hits.into_iter().map(|(_, example)| example).collect())?;
        let mistakes = rows(self.mistakes.into_sorted().into_iter().map(|(_, example)| example).collect())?;
        Ok([hits, mistakes])
    }
}

/// Writes `mistakes.png`, sorted by falling loss, and `uncertain.png`, by rising confidence.
pub fn write_sheets(out: &Path, examples: SheetImages, dataset: &dyn Dataset, names: &[String]) -> Result<()> {
    let SheetImages { mistakes, uncertain, .. } = examples;
    let sheets = [
        ("mistakes", "Mistakes with the largest loss", mistakes),
        ("uncertain", "Images whose most probable class is the least probable", uncertain),
    ];
    for (name, title, examples) in sheets {
        let rows: Vec<NotedPrediction> =
            examples.into_sorted().iter().map(|(_, example)| row(example, dataset, names)).collect::<Result<_>>()?;
        save_png(&noted_predictions(&rows, title), &out.join(format!("{name}.png")))?;
    }
    Ok(())
}

fn row(example: &Example, dataset: &dyn Dataset, names: &[String]) -> Result<NotedPrediction> {
    let index = example.index as usize;
    let size = dataset.size();
    let mut pixels = vec![0; size * size * 3];
    dataset.read_region(index, 0..size, 0..size, &mut pixels)?;
    let wrong = || Failure::Failed(format!("image {index}: its size does not fit its pixels"));
    let image = RgbImage::from_raw(size as u32, size as u32, pixels).ok_or_else(wrong)?;
    let short = |name: &str| ilsvrc2012::short_name(name).to_string();
    let top = example.top.iter().map(|class| (short(&class.name), class.probability)).collect();
    let label = example.label as usize;
    let truth = names.get(label).map_or(label.to_string(), |name| short(name));
    let note = format!("image {index}, label {:.1} %", 100.0 * example.probability);
    Ok(NotedPrediction { row: PredictionRow { image, truth, top }, note })
}

//! The report on data sets, as text and JSON.

use std::fmt::Write as _;
use std::path::Path;

use data::ilsvrc2012;
use files::printable;
use serde::Serialize;

use super::Part;
use super::duplicates::DuplicateSummary;
use crate::console::count;

/// The most unreadable images that are printed.
const PRINTED: usize = 5;

/// A report on one or two data sets.
#[derive(Debug, Serialize)]
pub struct DatasetReport {
    /// The training set, and the validation set if there is one.
    pub parts: Vec<PartReport>,
    pub duplicates: DuplicateSummary,
}

/// A data set without its near-duplicates.
#[derive(Debug, Serialize)]
pub struct PartReport {
    /// `train` or `val`.
    pub part: &'static str,
    pub path: String,
    pub images: usize,
    /// Empty for images without labels.
    pub classes: Vec<ClassCount>,
    pub unreadable: Vec<Unreadable>,
    /// Of the images as they were found; null for a pack.
    pub width: Option<Extent>,
    pub height: Option<Extent>,
    /// Mean of R, G and B, from 0 to 255; null without a readable image.
    pub mean_rgb: Option<[f64; 3]>,
    /// Standard deviation of R, G and B over all pixels.
    pub std_rgb: Option<[f64; 3]>,
}

#[derive(Debug, Serialize)]
pub struct ClassCount {
    pub name: String,
    pub images: u64,
}

#[derive(Debug, Serialize)]
pub struct Unreadable {
    pub image: String,
    pub reason: String,
}

/// The smallest, median and largest of lengths in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Extent {
    pub min: u32,
    pub median: u32,
    pub max: u32,
}

impl Extent {
    fn of(lengths: impl Iterator<Item = u32>) -> Option<Self> {
        let mut sorted: Vec<u32> = lengths.collect();
        sorted.sort_unstable();
        Some(Self { min: *sorted.first()?, median: sorted[sorted.len() / 2], max: *sorted.last()? })
    }
}

impl PartReport {
    /// The report on a data set.
    pub fn of(part: &Part) -> Self {
        let images = &part.images;
        let mut counts = vec![0; images.classes().len()];
        for index in 0..images.len() {
            if let Some(count) = counts.get_mut(images.label(index) as usize) {
                *count += 1;
            }
        }
        let class = |(name, images): (&String, u64)| ClassCount { name: name.clone(), images };
        let unreadable =
            |(index, reason): &(usize, String)| Unreadable { image: images.name(*index), reason: reason.clone() };
        let statistics = part.scanned.statistics.as_ref();
        Self {
            part: part.name,
            path: part.path.clone(),
            images: images.len(),
            classes: images.classes().iter().zip(counts).map(class).collect(),
            unreadable: part.scanned.unreadable.iter().map(unreadable).collect(),
            width: Extent::of(part.scanned.sizes.iter().map(|size| size[0])),
            height: Extent::of(part.scanned.sizes.iter().map(|size| size[1])),
            mean_rgb: statistics.map(|found| found.mean_rgb.map(f64::from)),
            std_rgb: statistics
                .map(|found| [0, 1, 2].map(|channel| found.covariance[channel][channel].max(0.0).sqrt())),
        }
    }
}

/// The report in words.
pub fn text(report: &DatasetReport, out: Option<&Path>) -> String {
    let mut text = String::new();
    for part in &report.parts {
        write_part(&mut text, part);
    }
    let DuplicateSummary { within_train, within_val, val_in_train, other_labels } = report.duplicates;
    let _ = writeln!(text, "near-duplicates");
    let _ = writeln!(text, "  within train: {}", count(within_train as u64, "image"));
    if report.parts.len() > 1 {
        let _ = writeln!(text, "  within val: {}", count(within_val as u64, "image"));
        let leak = if val_in_train > 0 { ": they make the network look better than it is; remove them" } else { "" };
        let _ = writeln!(text, "  val images that are in train: {val_in_train}{leak}");
    }
    if other_labels > 0 {
        let _ = writeln!(text, "  sets of the same image with different labels: {other_labels}");
    }
    match out {
        Some(folder) => {
            let _ = write!(text, "{}: report, tables and plots", folder.display());
        }
        None => text.push_str("--out FOLDER lists them and draws plots"),
    }
    text
}

fn write_part(text: &mut String, part: &PartReport) {
    let _ = writeln!(text, "{}: {}", part.part, printable::name(&part.path));
    let classes = part.classes.len();
    let of = match classes {
        0 => ", without labels".to_string(),
        1 => " of 1 class".to_string(),
        _ => format!(" of {classes} classes"),
    };
    let _ = writeln!(text, "  {}{of}", count(part.images as u64, "image"));
    if let (Some(least), Some(most)) =
        (part.classes.iter().min_by_key(|class| class.images), part.classes.iter().max_by_key(|class| class.images))
    {
        let name = |class: &ClassCount| printable::name(ilsvrc2012::short_name(&class.name)).into_owned();
        let _ = if least.images == most.images {
            writeln!(text, "  each class has {}", least.images)
        } else {
            writeln!(text, "  a class has {} ({}) to {} ({})", least.images, name(least), most.images, name(most))
        };
    }
    if let (Some(width), Some(height)) = (part.width, part.height) {
        let range = |extent: Extent| format!("{} to {}, median {}", extent.min, extent.max, extent.median);
        let _ = writeln!(text, "  width {}; height {} pixels", range(width), range(height));
    }
    if let (Some(mean), Some(deviation)) = (part.mean_rgb, part.std_rgb) {
        let colour = |values: [f64; 3]| values.map(|value| format!("{value:.1}")).join(", ");
        let _ = writeln!(text, "  colour R, G, B: mean {}; standard deviation {}", colour(mean), colour(deviation));
    }
    if !part.unreadable.is_empty() {
        let _ = writeln!(text, "  {} cannot be read:", count(part.unreadable.len() as u64, "image"));
        for Unreadable { image, reason } in part.unreadable.iter().take(PRINTED) {
            let _ = writeln!(text, "    {}: {}", printable::name(image), printable::name(reason));
        }
        if part.unreadable.len() > PRINTED {
            let _ = writeln!(text, "    and {} more", part.unreadable.len() - PRINTED);
        }
    }
}

//! Files of the report: tables and plots.

use std::path::Path;

use data::{Statistics, ilsvrc2012};
use image::RgbImage;
use train::plots::{LabelledImage, bars, histogram, image_pairs, save_png, stacked};

use super::Part;
use super::duplicates::{Duplicates, Pair, Place, class};
use super::report::{DatasetReport, PartReport};
use crate::commands::feature_source::draw;
use crate::failure::{Failure, Result};

/// Pairs on the sheet.
const PAIRS: usize = 48;
/// Bars of a histogram.
const BINS: usize = 64;

/// Writes report.json, tables and plots.
pub fn write_files(folder: &Path, parts: &[Part], duplicates: &Duplicates, report: &DatasetReport) -> Result<()> {
    let json = serde_json::to_vec_pretty(report).map_err(|error| Failure::Failed(format!("report.json: {error}")))?;
    files::replace_bytes(&folder.join("report.json"), &json)?;
    write_classes(folder, report)?;
    write_sizes(folder, parts)?;
    for part in parts {
        if let Some(statistics) = &part.scanned.statistics {
            save_png(&mean_image(statistics), &folder.join(format!("mean-{}.png", part.name)))?;
        }
    }
    write_duplicates(folder, parts, duplicates)
}

fn write_classes(folder: &Path, report: &DatasetReport) -> Result<()> {
    let labelled: Vec<&PartReport> = report.parts.iter().filter(|part| !part.classes.is_empty()).collect();
    if labelled.is_empty() {
        return Ok(());
    }
    let path = folder.join("classes.csv");
    let mut rows = vec![["part", "class", "images"].map(String::from)];
    let mut charts = Vec::new();
    for part in labelled {
        for class in &part.classes {
            rows.push([part.part.to_string(), class.name.clone(), class.images.to_string()]);
        }
        let short = |name: &str| ilsvrc2012::short_name(name).to_string();
        let counts: Vec<(String, u64)> = part.classes.iter().map(|class| (short(&class.name), class.images)).collect();
        charts.push(bars(&counts, &format!("Images of each class: {}", part.part), "classes"));
    }
    write_table(&path, &rows)?;
    Ok(save_png(&stacked(&charts), &folder.join("classes.png"))?)
}

fn write_sizes(folder: &Path, parts: &[Part]) -> Result<()> {
    let mut charts = Vec::new();
    for part in parts.iter().filter(|part| !part.scanned.sizes.is_empty()) {
        for (axis, name) in ["Width", "Height"].into_iter().enumerate() {
            let lengths: Vec<u32> = part.scanned.sizes.iter().map(|size| size[axis]).collect();
            let (counts, high) = bins(&lengths);
            charts.push(histogram(&counts, 0.0, high, &format!("{name} of the images: {}", part.name), "pixels"));
        }
    }
    if charts.is_empty() {
        return Ok(());
    }
    Ok(save_png(&stacked(&charts), &folder.join("sizes.png"))?)
}

/// Counts of lengths in equal bins from 0, and the end of the last. The longest hundredth is in the last bin, so that
/// one panorama does not press all others together.
fn bins(lengths: &[u32]) -> (Vec<u64>, f64) {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let most = sorted.get(sorted.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(0);
    let width = (most as usize / BINS + 1) as u32;
    let mut counts = vec![0; (most / width + 1) as usize];
    let last = counts.len() - 1;
    for length in lengths {
        counts[((length / width) as usize).min(last)] += 1;
    }
    let high = f64::from(width) * counts.len() as f64;
    (counts, high)
}

fn mean_image(statistics: &Statistics) -> RgbImage {
    let (height, width, _) = statistics.mean_image.dim();
    RgbImage::from_fn(width as u32, height as u32, |x, y| {
        let value = |channel| statistics.mean_image[[y as usize, x as usize, channel]].round().clamp(0.0, 255.0) as u8;
        image::Rgb([value(0), value(1), value(2)])
    })
}

fn write_duplicates(folder: &Path, parts: &[Part], duplicates: &Duplicates) -> Result<()> {
    let name = |place: Place| parts[place.part].images.name(place.image);
    let label = |place: Place| class(parts, place).unwrap_or_default().to_string();
    let part = |place: Place| parts[place.part].name.to_string();
    let header = ["first_part", "first", "first_label", "second_part", "second", "second_label", "difference"];
    let mut rows = vec![header.map(String::from)];
    for Pair { first, second, difference } in &duplicates.pairs {
        let difference = format!("{difference:.4}");
        let [first, second] = [*first, *second];
        rows.push([part(first), name(first), label(first), part(second), name(second), label(second), difference]);
    }
    write_table(&folder.join("duplicates.csv"), &rows)?;
    let mut drawn = Vec::new();
    for pair in worst_first(parts, &duplicates.pairs).into_iter().take(PAIRS) {
        let side = |place: Place| {
            let image = draw(&*parts[place.part].images, place.image)?;
            let words = class(parts, place).map(ilsvrc2012::short_name).unwrap_or_default();
            let short = name(place).rsplit('/').next().unwrap_or_default().to_string();
            Ok::<_, Failure>(LabelledImage { image, label: format!("{} {words}", part(place)), note: short })
        };
        drawn.push([side(pair.first)?, side(pair.second)?]);
    }
    if drawn.is_empty() {
        return Ok(());
    }
    let title = format!("Near-duplicates: {} of {} pairs", drawn.len(), duplicates.pairs.len());
    Ok(save_png(&image_pairs(&drawn, &title), &folder.join("duplicates.png"))?)
}

/// Pairs between data sets first, then those with different labels, then the others.
fn worst_first(parts: &[Part], pairs: &[Pair]) -> Vec<Pair> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by_key(|pair| {
        (pair.first.part == pair.second.part, class(parts, pair.first) == class(parts, pair.second))
    });
    sorted
}

fn write_table<const N: usize>(path: &Path, rows: &[[String; N]]) -> Result<()> {
    let failed = |error: String| Failure::Failed(format!("{}: cannot be written: {error}", path.display()));
    let mut table = csv::Writer::from_writer(Vec::new());
    for row in rows {
        table.write_record(row).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = table.into_inner().map_err(|error| failed(error.to_string()))?;
    Ok(files::replace_bytes(path, &bytes)?)
}

//! Files of the report: tables and plots.

use std::path::Path;

use data::{Statistics, ilsvrc2012};
use image::RgbImage;
use train::plots::{LabelledImage, Panel, PanelPage, PanelRow, bars, histogram, image_pairs, save_png, stacked};

use super::Part;
use super::duplicates::{Duplicates, Pair, Place, class};
use super::report::{DatasetReport, PartReport};
use crate::commands::feature_source::draw;
use crate::failure::{Failure, Result};

/// Pairs on the sheet.
const PAIRS: usize = 48;
/// Bars of a histogram.
const BINS: usize = 64;
/// Side of a mean image at least: those of a small network are smaller than a stamp.
const MEAN_SIDE: u32 = 256;

/// Writes report.json, tables and plots.
pub fn write_files(folder: &Path, parts: &[Part], duplicates: &Duplicates, report: &DatasetReport) -> Result<()> {
    let json = serde_json::to_vec_pretty(report).map_err(|error| Failure::Failed(format!("report.json: {error}")))?;
    files::replace_bytes(&folder.join("report.json"), &json)?;
    write_classes(folder, report)?;
    write_sizes(folder, parts)?;
    for part in parts {
        if let Some(statistics) = &part.scanned.statistics {
            save_png(&mean_page(part, statistics), &folder.join(format!("mean-{}.png", part.name)))?;
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
            let (counts, [low, high]) = bins(&lengths);
            charts.push(histogram(&counts, low, high, &format!("{name} of the images: {}", part.name), "pixels"));
        }
    }
    if charts.is_empty() {
        return Ok(());
    }
    Ok(save_png(&stacked(&charts), &folder.join("sizes.png"))?)
}

/// Counts of lengths in equal bins, and the ends of the first and of the last, with some room around the lengths: equal ones
/// are not a line at the edge. The longest hundredth is in the last bin, so that one panorama does not press all others
/// together.
fn bins(lengths: &[u32]) -> (Vec<u64>, [f64; 2]) {
    let mut sorted = lengths.to_vec();
    sorted.sort_unstable();
    let least = sorted.first().copied().unwrap_or(0);
    let most = sorted.get(sorted.len().saturating_sub(1) * 99 / 100).copied().unwrap_or(0);
    let room = most / 10 + 2;
    let low = least.saturating_sub(room);
    let range = most.saturating_add(room) - low;
    let width = range / BINS as u32 + 1;
    let mut counts = vec![0; range.div_ceil(width) as usize];
    let last = counts.len() - 1;
    for length in lengths {
        counts[(((length - low) / width) as usize).min(last)] += 1;
    }
    let high = f64::from(low) + f64::from(width) * counts.len() as f64;
    (counts, [f64::from(low), high])
}

/// The mean image with a title, enlarged so that its pixels are seen.
fn mean_page(part: &Part, statistics: &Statistics) -> RgbImage {
    let image = mean_image(statistics);
    let size = image.width().max(1);
    let note = format!("{} x {} pixels, the mean of {} images", image.width(), image.height(), part.images.len());
    PanelPage {
        title: format!("Mean image: {}", part.name),
        note,
        side: size * MEAN_SIDE.div_ceil(size),
        columns: 1,
        rows: vec![PanelRow { heading: String::new(), panels: vec![Panel { caption: String::new(), image }] }],
    }
    .draw()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The bar of images of one size is within the plot, not at its edge.
    #[test]
    fn bins_surround_the_lengths() {
        for length in [0, 1, 32, 500, 100_000] {
            let (counts, [low, high]) = bins(&[length; 5]);
            assert!(low <= f64::from(length) && f64::from(length) < high, "{length}: {low} to {high}");
            let place = counts.iter().position(|count| *count == 5).unwrap();
            assert!(place < counts.len() - 1, "{length}: {counts:?}");
            assert!(place > 0 || length < 3, "{length}: {counts:?}");
        }
    }

    #[test]
    fn one_panorama_does_not_set_the_range() {
        let mut lengths = vec![100; 200];
        lengths.extend([300, 20_000]);
        let (counts, [low, high]) = bins(&lengths);
        assert_eq!(counts.iter().sum::<u64>(), 202);
        assert!(low < 100.0 && high < 400.0, "{low} to {high}");
        assert_eq!(bins(&[]).0.iter().sum::<u64>(), 0);
    }
}

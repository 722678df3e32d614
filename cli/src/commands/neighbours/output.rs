//! Neighbours as text, JSON, a table and a sheet.

use std::fmt::Write as _;
use std::path::Path;

use files::printable;
use serde::Serialize;
use train::memory::human;
use train::plots::{LabelledImage, NeighbourRow, neighbours, save_png};

use super::Found;
use super::codes::{CodesReport, Recall};
use crate::args::Neighbours;
use crate::commands::feature_source::FeatureSource;
use crate::console::{count, percent, print, print_json};
use crate::failure::{Failure, Result};

/// The most rows of the sheet.
const MAX_ROWS: usize = 160;
/// The most neighbours of a row of the sheet.
const MAX_COLUMNS: usize = 20;

/// Neighbours with their names, as `--json` prints them.
#[derive(Serialize)]
struct Report {
    layer: String,
    network: String,
    weights: String,
    /// Number of images that were searched.
    images: usize,
    /// Share of the neighbours that have the label of their query, of those where both have one.
    same_label: Option<f64>,
    queries: Vec<QueryReport>,
    /// Null without --codes.
    codes: Option<CodesReport>,
}

#[derive(Serialize)]
struct QueryReport {
    image: String,
    label: Option<String>,
    neighbours: Vec<NeighbourReport>,
}

#[derive(Serialize)]
struct NeighbourReport {
    index: usize,
    image: String,
    label: Option<String>,
    distance: f64,
}

/// Writes the files, and prints the result.
pub fn write(args: &Neighbours, found: &Found) -> Result<()> {
    let report = report(found)?;
    if let Some(path) = &args.table {
        files::replace_bytes(path, &table(path, &report)?)?;
    }
    let mut sheet = None;
    if found.queries.has_images() && found.searched.has_images() {
        save_png(&draw(found, &report)?, &args.out)?;
        sheet = Some(&args.out);
    }
    if args.json {
        return print_json(&report);
    }
    let mut text = text(&report);
    if let Some(path) = sheet {
        let _ = write!(text, "\n{}: {}", path.display(), count(report.queries.len().min(MAX_ROWS) as u64, "row"));
    }
    print(&text)
}

fn report(found: &Found) -> Result<Report> {
    let label = |source: &FeatureSource, image: usize| source.class(image).map(str::to_owned);
    let mut queries = Vec::new();
    for (&query, neighbours) in found.selected.iter().zip(&found.neighbours) {
        let of = |neighbour: &similarity::Neighbour| {
            Ok(NeighbourReport {
                index: neighbour.index,
                image: found.searched.name(neighbour.index)?,
                label: label(&found.searched, neighbour.index),
                distance: neighbour.distance,
            })
        };
        queries.push(QueryReport {
            image: found.queries.name(query)?,
            label: label(&found.queries, query),
            neighbours: neighbours.iter().map(of).collect::<Result<_>>()?,
        });
    }
    let description = &found.description;
    Ok(Report {
        layer: description.layer.clone(),
        network: description.network.clone(),
        weights: description.weights.clone(),
        images: description.images,
        same_label: same_label(&queries),
        queries,
        codes: found.codes.clone(),
    })
}

fn same_label(queries: &[QueryReport]) -> Option<f64> {
    let of_query = |query: &QueryReport| {
        let known = query.neighbours.iter().filter_map(|neighbour| neighbour.label.as_ref().zip(query.label.as_ref()));
        known.map(|(one, other)| one == other).collect::<Vec<bool>>()
    };
    let all: Vec<bool> = queries.iter().flat_map(of_query).collect();
    (!all.is_empty()).then(|| all.iter().filter(|same| **same).count() as f64 / all.len() as f64)
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    let label =
        |label: &Option<String>| label.as_ref().map_or(String::new(), |label| format!("  {}", printable::name(label)));
    for query in &report.queries {
        let _ = writeln!(text, "{}{}", printable::name(&query.image), label(&query.label));
        for (rank, neighbour) in query.neighbours.iter().enumerate() {
            let name = printable::name(&neighbour.image);
            let _ = writeln!(text, "{:4}  {:<10.5}  {name}{}", rank + 1, neighbour.distance, label(&neighbour.label));
        }
    }
    let _ = write!(text, "{} of {} searched in {}", count(report.images as u64, "image"), report.network, report.layer);
    if let Some(share) = report.same_label {
        let _ = write!(text, "; {} of the neighbours have the label of their query", percent(share));
    }
    if let Some(CodesReport { bits, bytes, recall }) = &report.codes {
        let _ = write!(text, "\ncodes of {}, {}: of the nearest,", count(*bits as u64, "bit"), human(*bytes as u64));
        for (number, Recall { among, share }) in recall.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            let _ = write!(text, "{comma} {} are among {among} by code", percent(*share));
        }
    }
    text
}

fn table(path: &Path, report: &Report) -> Result<Vec<u8>> {
    let failed = |error: String| Failure::Failed(format!("{}: cannot be written: {error}", path.display()));
    let mut table = csv::Writer::from_writer(Vec::new());
    let header = ["query", "query_label", "rank", "index", "neighbour", "label", "distance"];
    let mut written = table.write_record(header);
    for query in &report.queries {
        for (rank, neighbour) in query.neighbours.iter().enumerate() {
            let numbers = [rank + 1, neighbour.index].map(|number| number.to_string());
            let distance = neighbour.distance.to_string();
            let empty = String::new();
            let labels = [&query.label, &neighbour.label].map(|label| label.as_ref().unwrap_or(&empty));
            let [rank, index] = &numbers;
            let row = [&query.image, labels[0], rank, index, &neighbour.image, labels[1], &distance];
            written = written.and_then(|()| table.write_record(row));
        }
    }
    written.map_err(|error| failed(error.to_string()))?;
    table.into_inner().map_err(|error| failed(error.to_string()))
}

fn draw(found: &Found, report: &Report) -> Result<image::RgbImage> {
    let labelled = |source: &FeatureSource, image: usize, note: String| {
        let label = source.class(image).unwrap_or_default().to_string();
        let drawn = source.image(image)?.unwrap_or_default();
        Ok::<_, Failure>(LabelledImage { image: drawn, label, note })
    };
    let mut rows = Vec::new();
    for (&query, neighbours) in found.selected.iter().zip(&found.neighbours).take(MAX_ROWS) {
        let near = neighbours.iter().take(MAX_COLUMNS);
        let name = found.queries.name(query)?;
        let short = name.rsplit('/').next().unwrap_or(&name).to_string();
        rows.push(NeighbourRow {
            query: labelled(&found.queries, query, short)?,
            neighbours: near
                .map(|near| labelled(&found.searched, near.index, format!("{:.4}", near.distance)))
                .collect::<Result<_>>()?,
        });
    }
    let title = format!("Nearest neighbours in {} of {}", report.layer, report.network);
    let searched = format!("nearest of {} images, with their distances", report.images);
    Ok(neighbours(&rows, &title, ["query", &searched]))
}

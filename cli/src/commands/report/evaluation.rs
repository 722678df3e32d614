//! The sections on kernels and evaluation.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};
use report::{Bar, Card, Chart, HeatMap, ImageData, Line, Page, Section, Table};
use train::plots::NotedPrediction;

use super::inspection::{RunTest, not_encoded};
use super::{Contents, unwritable};
use crate::commands::eval::{MAX_DRAWN_CLASSES, class_table, summary_rows};
use crate::failure::Result;

/// Pairs of classes that are named as most confused.
const PAIRS: usize = 10;
/// The least probability whose bar is shown.
const MIN_PROBABILITY: f32 = 0.001;
/// Quality of the images as JPEG.
const QUALITY: u8 = 88;

/// Adds the sections.
pub fn add(page: &mut Page, contents: &Contents) -> Result<()> {
    add_kernels(page.section("Kernels"), contents)?;
    let section = page.section("Evaluation");
    for (inspection, name) in contents.inspections.iter().zip(&contents.names) {
        match &inspection.tested {
            Ok(tested) => add_test(section, name, inspection.weights.as_deref(), tested)?,
            Err(what) => {
                section.heading(name);
                section.text(format!("{what} Confusion, calibration and images are left out."));
            }
        }
    }
    Ok(())
}

fn add_kernels(section: &mut Section, contents: &Contents) -> Result<()> {
    section.text("What the first convolution looks for, as in the paper's figure 3.");
    for (inspection, name) in contents.inspections.iter().zip(&contents.names) {
        let Some((layer, image)) = &inspection.kernels else {
            section.text(format!("{name}: there is no convolution to draw, or no weights."));
            continue;
        };
        let mut png = Cursor::new(Vec::new());
        image.write_to(&mut png, ImageFormat::Png).map_err(not_encoded)?;
        let alt = format!("The kernels of {layer} in {name}, the strongest first");
        section.image(ImageData::new(png.get_ref(), alt).map_err(unwritable)?, name);
    }
    Ok(())
}

fn add_test(section: &mut Section, name: &str, weights: Option<&std::path::Path>, tested: &RunTest) -> Result<()> {
    let from = weights.map_or(String::new(), |path| format!("; weights: {}", path.display()));
    section.heading(name);
    section.text(format!("On {}, one crop an image{from}.", tested.data.display()));
    let rows = summary_rows(&tested.report).into_iter().map(|row| row.to_vec()).collect();
    section.table(Table::new(format!("Figures of {name}"), &["figure", "value"], rows).map_err(unwritable)?);
    let classes = tested.names();
    if classes.len() <= MAX_DRAWN_CLASSES {
        let matrix = tested.classification.confusion();
        let counts: Vec<Vec<u32>> = (0..classes.len()).map(|label| matrix.row(label).to_vec()).collect();
        let title = format!("Confusion matrix of {name}, as shares of each label");
        section.heat_map(HeatMap::of_rows(title, &classes, &counts).map_err(unwritable)?);
    }
    add_confused(section, name, tested)?;
    let mut rows = class_table(&tested.report);
    let head = rows.remove(0);
    section.table(Table::new(format!("Classes of {name}"), &head, rows).map_err(unwritable)?);
    section.text("Confidence is the probability of the predicted class.");
    section.chart(calibration(name, tested));
    for (title, rows) in [
        (format!("Mistakes of {name} with the largest loss"), &tested.mistakes),
        (format!("Most certain hits of {name}, each of another class"), &tested.hits),
    ] {
        if !rows.is_empty() {
            let cards: Result<Vec<Card>> = rows.iter().map(card).collect();
            section.cards(title, cards?);
        }
    }
    Ok(())
}

fn add_confused(section: &mut Section, name: &str, tested: &RunTest) -> Result<()> {
    let report = &tested.report;
    let names = tested.names();
    let row = |pair: &train::classification::ConfusedPair| {
        let of = report.report.classes[pair.label].support;
        vec![names[pair.label].to_string(), names[pair.predicted].to_string(), format!("{} of {of}", pair.images)]
    };
    let rows: Vec<Vec<String>> = report.most_confused.iter().take(PAIRS).map(row).collect();
    if !rows.is_empty() {
        let head = ["label", "taken for", "images"];
        section.table(Table::new(format!("Most confused classes of {name}"), &head, rows).map_err(unwritable)?);
    }
    Ok(())
}

/// Accuracy over confidence, beside the line on which both are the same.
fn calibration(name: &str, tested: &RunTest) -> Chart {
    let title = format!("Calibration of {name}");
    let mut chart = Chart::new(title, "confidence (%)", "accuracy (%)");
    let bins = &tested.report.report.calibration.bins;
    let points = bins.iter().filter(|bin| bin.images > 0);
    let points = points.map(|bin| (100.0 * bin.confidence, 100.0 * bin.accuracy)).collect();
    chart.lines.push(Line::new("accuracy of the images with this confidence", points));
    let ideal = Line::new("as confident as right", vec![(0.0, 0.0), (100.0, 100.0)]);
    chart.lines.push(Line { is_dashed: true, ..ideal });
    chart
}

fn card(noted: &NotedPrediction) -> Result<Card> {
    let row = &noted.row;
    let bar = |(name, probability): &(String, f32)| Bar {
        name: name.clone(),
        probability: f64::from(*probability),
        is_right: *name == row.truth,
    };
    let predicted = row.top.first().map_or("", |(name, _)| name);
    let alt = format!("Image of {}, classified as {predicted}", row.truth);
    let image = ImageData::new(&jpeg(&row.image)?, alt).map_err(unwritable)?;
    let shown = row.top.iter().filter(|(_, probability)| *probability >= MIN_PROBABILITY);
    Ok(Card { image, title: row.truth.clone(), note: noted.note.clone(), bars: shown.map(bar).collect() })
}

fn jpeg(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(image).map_err(not_encoded)?;
    Ok(bytes)
}

//! The report of a small forecast of three kinds of weather.

use alexnet_classification::{Classification, Result};

const KINDS: [&str; 3] = ["sun", "rain", "snow"];

fn main() -> Result<()> {
    let days = [
        (0, [0.8, 0.15, 0.05]),
        (0, [0.6, 0.3, 0.1]),
        (1, [0.5, 0.4, 0.1]),
        (1, [0.2, 0.7, 0.1]),
        (2, [0.1, 0.2, 0.7]),
        (2, [0.1, 0.6, 0.3]),
    ];
    let mut forecast = Classification::new(KINDS.len());
    for (label, probabilities) in days {
        forecast.add(label, &probabilities)?;
    }
    let report = forecast.report(2012);
    println!("{} days, {:.0} % wrong, loss {:.3}", report.images, 100.0 * report.top1_error, report.loss);
    for (kind, class) in KINDS.iter().zip(&report.classes) {
        println!("{kind}: recall {:.2}, F1 {:.2}", class.recall.unwrap_or(0.0), class.f1.unwrap_or(0.0));
    }
    for pair in forecast.confusion().most_confused(2) {
        println!("{} was taken for {} on {} days", KINDS[pair.label], KINDS[pair.predicted], pair.images);
    }
    Ok(())
}

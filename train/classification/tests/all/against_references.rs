//! Every figure equals that of a plain computation.

use alexnet_classification::{Classification, Largest};
use proptest::prelude::*;

const CLASSES: usize = 7;

/// Images with coarse probabilities, so that many are equal.
fn images(classes: usize) -> impl Strategy<Value = Vec<(usize, Vec<f32>)>> {
    let row = proptest::collection::vec(0u8..6, classes).prop_map(|row| {
        let sum: f32 = row.iter().map(|&v| f32::from(v) + 0.25).sum();
        row.iter().map(|&v| (f32::from(v) + 0.25) / sum).collect()
    });
    proptest::collection::vec((0..classes, row), 1..60)
}

fn tested(images: &[(usize, Vec<f32>)], classes: usize) -> Classification {
    let mut test = Classification::new(classes);
    for (label, row) in images {
        test.add(*label, row).unwrap();
    }
    test
}

/// The classes by falling probability, of equals the lower first.
fn order(row: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..row.len()).collect();
    order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
    order
}

proptest! {
    #[test]
    fn errors_and_loss(images in images(CLASSES)) {
        let test = tested(&images, CLASSES);
        let report = test.report(1);
        let n = images.len() as f64;
        let rank = |(label, row): &(usize, Vec<f32>)| order(row).iter().position(|class| class == label).unwrap();
        let ranks: Vec<usize> = images.iter().map(rank).collect();
        let share = |least: usize| ranks.iter().filter(|rank| **rank >= least).count() as f64 / n;
        prop_assert_eq!(report.images, images.len());
        prop_assert_eq!([report.top1_error, report.top5_error], [share(1), share(5)]);
        let loss: f64 = images.iter().map(|(label, row)| -f64::from(row[*label]).ln()).sum();
        prop_assert!((report.loss - loss / n).abs() < 1e-9);
        for ((outcome, rank), (_, row)) in test.outcomes().iter().zip(&ranks).zip(&images) {
            let best = order(row)[0];
            prop_assert_eq!((outcome.rank as usize, outcome.predicted as usize), (*rank, best));
            prop_assert_eq!(outcome.confidence, row[best]);
        }
    }

    #[test]
    fn classes_and_confusion(images in images(CLASSES)) {
        let test = tested(&images, CLASSES);
        let report = test.report(1);
        let pairs: Vec<(usize, usize)> = images.iter().map(|(label, row)| (*label, order(row)[0])).collect();
        let count = |label: usize, predicted: usize| pairs.iter().filter(|pair| **pair == (label, predicted)).count();
        let mut recalls = Vec::new();
        let mut precisions = Vec::new();
        let mut f1s = Vec::new();
        for class in 0..CLASSES {
            let support = pairs.iter().filter(|(label, _)| *label == class).count();
            let predicted = pairs.iter().filter(|(_, other)| *other == class).count();
            let hits = count(class, class) as f64;
            let found = report.classes[class];
            prop_assert_eq!((found.support, found.predicted), (support, predicted));
            prop_assert_eq!(found.recall, (support > 0).then(|| hits / support as f64));
            prop_assert_eq!(found.precision, (predicted > 0).then(|| hits / predicted as f64));
            if let (Some(p), Some(r), Some(f1)) = (found.precision, found.recall, found.f1) {
                let harmonic = if p + r > 0.0 { 2.0 * p * r / (p + r) } else { 0.0 };
                prop_assert!((f1 - harmonic).abs() < 1e-12);
            }
            if support > 0 {
                recalls.push(hits / support as f64);
                precisions.push(found.precision.unwrap_or(0.0));
                f1s.push(found.f1.unwrap_or(0.0));
            }
            for other in 0..CLASSES {
                prop_assert_eq!(test.confusion().count(class, other) as usize, count(class, other));
            }
        }
        for (mean, values) in
            [(report.mean.recall, recalls), (report.mean.precision, precisions), (report.mean.f1, f1s)]
        {
            prop_assert!((mean - values.iter().sum::<f64>() / values.len() as f64).abs() < 1e-12);
        }
        let confused = test.confusion().most_confused(3);
        let mut expected: Vec<usize> = (0..CLASSES * CLASSES)
            .filter(|place| place / CLASSES != place % CLASSES)
            .map(|place| count(place / CLASSES, place % CLASSES))
            .filter(|&count| count > 0)
            .collect();
        expected.sort_unstable_by(|a, b| b.cmp(a));
        expected.truncate(3);
        prop_assert_eq!(confused.iter().map(|pair| pair.images as usize).collect::<Vec<_>>(), expected);
        for pair in confused {
            prop_assert_eq!(count(pair.label, pair.predicted), pair.images as usize);
        }
    }

    #[test]
    fn calibration(images in images(3)) {
        let test = tested(&images, 3);
        let found = test.report(1).calibration;
        let n = images.len() as f64;
        let mut expected = 0.0;
        let mut maximum: f64 = 0.0;
        for bin in 0..15 {
            let low = bin as f64 / 15.0;
            let high = (bin + 1) as f64 / 15.0;
            let confidence = |row: &[f32]| f64::from(row[order(row)[0]]);
            let inside: Vec<_> = images.iter().filter(|(_, row)| confidence(row) > low && confidence(row) <= high).collect();
            prop_assert_eq!(found.bins[bin].images, inside.len());
            if inside.is_empty() {
                continue;
            }
            let hits = inside.iter().filter(|(label, row)| order(row)[0] == *label).count() as f64;
            let mean = inside.iter().map(|(_, row)| confidence(row)).sum::<f64>() / inside.len() as f64;
            let gap = (hits / inside.len() as f64 - mean).abs();
            expected += gap * inside.len() as f64 / n;
            maximum = maximum.max(gap);
        }
        prop_assert!((found.expected_error - expected).abs() < 1e-9);
        prop_assert!((found.maximum_error - maximum).abs() < 1e-9);
    }

    /// The area is the share of pairs that are in order, equal scores counting half.
    #[test]
    fn area_under_the_curve(scores in proptest::collection::vec((0u8..8, any::<bool>()), 2..50)) {
        let mut test = Classification::new(2);
        for (score, is_positive) in &scores {
            let p = f32::from(*score) / 8.0;
            test.add(usize::from(*is_positive), &[1.0 - p, p]).unwrap();
        }
        let scores_of = |which: bool| scores.iter().filter(move |(_, p)| *p == which).map(|(score, _)| *score);
        let mut sum = 0.0;
        for positive in scores_of(true) {
            for negative in scores_of(false) {
                sum += match positive.cmp(&negative) {
                    std::cmp::Ordering::Greater => 1.0,
                    std::cmp::Ordering::Equal => 0.5,
                    std::cmp::Ordering::Less => 0.0,
                };
            }
        }
        let pairs = scores_of(true).count() * scores_of(false).count();
        match test.report(1).roc {
            None => prop_assert_eq!(pairs, 0),
            Some(roc) => {
                prop_assert!((roc.area - sum / pairs as f64).abs() < 1e-9);
                let last = roc.points.last().unwrap();
                prop_assert_eq!((last.false_positives, last.true_positives), (1.0, 1.0));
                prop_assert_eq!((roc.points[0].false_positives, roc.points[0].true_positives), (0.0, 0.0));
            }
        }
    }

    #[test]
    fn largest_of_many(keys in proptest::collection::vec(0u8..9, 0..40), limit in 0usize..6) {
        let mut largest = Largest::new(limit);
        for (place, key) in keys.iter().enumerate() {
            largest.offer(f64::from(*key), || place);
        }
        let mut expected: Vec<(f64, usize)> = keys.iter().enumerate().map(|(i, key)| (f64::from(*key), i)).collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        expected.truncate(limit);
        prop_assert_eq!(largest.into_sorted(), expected);
    }
}

/// Of 400 images of which a quarter is wrong, the error's standard deviation is 0.0217: a 95 % interval is 1.96 times that
/// to either side.
#[test]
fn intervals_are_those_of_the_binomial_distribution() {
    let mut test = Classification::new(2);
    for number in 0..400 {
        let p = if number % 4 == 0 { 0.1 } else { 0.9 };
        test.add(0, &[p, 1.0 - p]).unwrap();
    }
    let report = test.report(7);
    let interval = report.top1_interval.unwrap();
    assert!((interval.low - (0.25 - 0.0424)).abs() < 0.004, "{interval:?}");
    assert!((interval.high - (0.25 + 0.0424)).abs() < 0.004, "{interval:?}");
    let loss = report.loss_interval.unwrap();
    // The two losses differ by 2.197 = ln 9.
    assert!((loss.low - (report.loss - 0.0424 * 2.197)).abs() < 0.009, "{loss:?}");
    assert!((loss.high - (report.loss + 0.0424 * 2.197)).abs() < 0.009, "{loss:?}");
    let top5 = report.top5_interval.unwrap();
    assert_eq!((top5.low, top5.high), (0.0, 0.0));
    assert_eq!(report, test.report(7));
}

#[test]
fn the_seed_draws_the_samples() {
    let mut test = Classification::new(2);
    for number in 0..50 {
        let p = (number as f32 + 1.0) / 60.0;
        test.add(0, &[p, 1.0 - p]).unwrap();
    }
    assert_ne!(test.report(7).loss_interval, test.report(8).loss_interval);
}

/// A curve of many scores is thinned, and its area is still that of all of them.
#[test]
fn a_long_curve_is_thinned() {
    let mut test = Classification::new(2);
    for number in 0..3000 {
        let p = number as f32 / 3000.0;
        test.add(usize::from(number % 3 == 0 || number > 2000), &[1.0 - p, p]).unwrap();
    }
    let roc = test.report(1).roc.unwrap();
    assert_eq!(roc.points.len(), 1000);
    let ends = [roc.points[0], roc.points[999]].map(|point| (point.false_positives, point.true_positives));
    assert_eq!(ends, [(0.0, 0.0), (1.0, 1.0)]);
    let strip = |pair: &[alexnet_classification::RocPoint]| {
        (pair[1].false_positives - pair[0].false_positives) * (pair[1].true_positives + pair[0].true_positives) / 2.0
    };
    let thin: f64 = roc.points.windows(2).map(strip).sum();
    assert!((thin - roc.area).abs() < 1e-3 && roc.area > 0.7, "{thin}, {}", roc.area);
}

#[test]
fn a_key_that_is_no_number_is_never_kept() {
    let mut largest = Largest::new(2);
    largest.offer(f64::NAN, || "nan");
    largest.offer(1.0, || "one");
    assert_eq!(largest.into_sorted(), [(1.0, "one")]);
}

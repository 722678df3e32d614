//! The temperature against a search by brute force.

use alexnet_classification::{Classification, TemperatureScaling, scale_probabilities};
use proptest::prelude::*;

type Images = Vec<(usize, Vec<f32>)>;

fn fitted(images: &Images) -> Option<TemperatureScaling> {
    let classes = images.first().map_or(2, |(_, row)| row.len());
    let mut test = Classification::new(classes).fitting_temperature();
    for (label, row) in images {
        test.add(*label, row).unwrap();
    }
    test.report(1).temperature
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let sum: f64 = logits.iter().map(|logit| logit.exp()).sum();
    logits.iter().map(|logit| logit.exp() / sum).collect()
}

/// The probabilities of a row with its logits divided by a temperature, in double precision.
fn scaled(row: &[f32], temperature: f64) -> Vec<f64> {
    softmax(&row.iter().map(|&p| f64::from(p).ln() / temperature).collect::<Vec<_>>())
}

fn loss(images: &[&(usize, Vec<f32>)], temperature: f64) -> f64 {
    images.iter().map(|(label, row)| -scaled(row, temperature)[*label].ln()).sum::<f64>()
}

/// The temperature with the lowest loss by thirds of an interval, which the convexity in its inverse allows.
fn searched(images: &[&(usize, Vec<f32>)]) -> f64 {
    let mut low: f64 = 0.05;
    let mut high: f64 = 20.0;
    for _ in 0..200 {
        let third = (high - low) / 3.0;
        if loss(images, 1.0 / (low + third)) < loss(images, 1.0 / (high - third)) {
            high -= third;
        } else {
            low += third;
        }
    }
    2.0 / (low + high)
}

/// Images whose labels are drawn from their probabilities or at random, so that a best temperature exists.
fn images() -> impl Strategy<Value = Images> {
    let image = (proptest::collection::vec(-3.0f64..3.0, 4), 0.0f64..1.0, 0usize..4, any::<bool>());
    let image = image.prop_map(|(logits, draw, other, is_random)| {
        let probabilities = softmax(&logits);
        let mut sum = 0.0;
        let drawn = probabilities
            .iter()
            .take_while(|&&p| {
                sum += p;
                sum < draw
            })
            .count()
            .min(3);
        let label = if is_random { other } else { drawn };
        (label, probabilities.iter().map(|&p| p as f32).collect())
    });
    proptest::collection::vec(image, 40..120)
}

proptest! {
    #[test]
    fn the_fit_is_that_of_a_search(images in images()) {
        let all: Vec<_> = images.iter().collect();
        let even: Vec<_> = images.iter().step_by(2).collect();
        let odd: Vec<_> = images.iter().skip(1).step_by(2).collect();
        let temperatures = [searched(&even), searched(&odd)];
        let is_inside = |t: &f64| (0.06..15.0).contains(t);
        prop_assume!(temperatures.iter().all(is_inside));
        let found = fitted(&images).unwrap();
        let best = searched(&all);
        prop_assert!((found.temperature / best - 1.0).abs() < 1e-4, "{} {best}", found.temperature);
        prop_assert_eq!(found.images, images.len());
        let n = images.len() as f64;
        prop_assert!((found.loss_before - loss(&all, 1.0) / n).abs() < 1e-5);
        let crossed = loss(&even, temperatures[1]) + loss(&odd, temperatures[0]);
        prop_assert!((found.loss - crossed / n).abs() < 1e-5, "{} {}", found.loss, crossed / n);
        let expected = crossed_error(&images, temperatures);
        prop_assert!((found.expected_error - expected).abs() < 1e-3, "{} {expected}", found.expected_error);
    }

    /// Scaling by a temperature divides the fitted one by it.
    #[test]
    fn scaled_probabilities_have_a_scaled_temperature(images in images(), temperature in 0.5f64..2.0) {
        let Some(before) = fitted(&images) else { return Ok(()) };
        prop_assume!((0.2..8.0).contains(&before.temperature));
        let mut rescaled = images.clone();
        rescaled.iter_mut().for_each(|(_, row)| scale_probabilities(row, temperature));
        let Some(after) = fitted(&rescaled) else { return Ok(()) };
        prop_assert!((after.temperature * temperature / before.temperature - 1.0).abs() < 1e-3);
    }

    #[test]
    fn scaling_is_a_softmax_of_divided_logits(images in images(), temperature in 0.05f64..20.0) {
        for (_, row) in &images {
            let mut found = row.clone();
            scale_probabilities(&mut found, temperature);
            for (found, expected) in found.iter().zip(scaled(row, temperature)) {
                prop_assert!((f64::from(*found) - expected).abs() < 1e-5);
            }
        }
    }
}

/// The calibration error of halves that are scaled by the temperature of the other half.
fn crossed_error(images: &Images, temperatures: [f64; 2]) -> f64 {
    let mut test = Classification::new(4);
    for (number, (label, row)) in images.iter().enumerate() {
        let row: Vec<f32> = scaled(row, temperatures[1 - number % 2]).iter().map(|&p| p as f32).collect();
        test.add(*label, &row).unwrap();
    }
    test.report(1).calibration.expected_error
}

#[test]
fn there_is_no_temperature_without_both_hits_and_mistakes() {
    let hit = (0, vec![0.9, 0.1]);
    let mistake = (1, vec![0.9, 0.1]);
    assert_eq!(fitted(&vec![hit.clone(); 100]), None);
    assert_eq!(fitted(&vec![mistake.clone(); 100]), None);
    let mixed: Images = (0..40).map(|i| if i % 4 < 2 { mistake.clone() } else { hit.clone() }).collect();
    assert_eq!(fitted(&mixed), None, "half of them are right: the best probability is 0.5, at no finite temperature");
    let mostly: Images = (0..40).map(|i| if i % 10 < 2 { mistake.clone() } else { hit.clone() }).collect();
    let found = fitted(&mostly).unwrap();
    assert!((found.temperature - 9f64.ln() / 4f64.ln()).abs() < 1e-6, "{found:?}");
    assert!(found.loss < found.loss_before && found.expected_error < 1e-6, "{found:?}");
    assert_eq!(fitted(&mostly[..10].to_vec()), None, "few images");
}

#[test]
fn extreme_probabilities_are_scaled() {
    let mut row = [1.0, 0.0];
    scale_probabilities(&mut row, 87.336_55);
    assert!((row[1] - 0.268_94).abs() < 1e-4, "{row:?}");
    let mut row = [f32::NAN, 0.5];
    scale_probabilities(&mut row, 2.0);
    assert!(row[0].is_nan() && row[1] == 0.5);
    let mut row = [0.3, 0.699_999_9];
    scale_probabilities(&mut row, 1.0);
    assert_eq!(row, [0.3, 0.699_999_9]);
}

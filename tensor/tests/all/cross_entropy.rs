//! Softmax, cross-entropy and ranks against plain loops and finite differences.

use alexnet_tensor::random::Stream;
use alexnet_tensor::{Cpu, Element, IntTensor};
use proptest::prelude::*;

use crate::support::*;

fn labels(seed: u64, rows: usize, c: usize) -> Vec<u32> {
    let stream = Stream::new(seed, 77, 0);
    (0..rows as u64).map(|i| stream.below(i, c as u32)).collect()
}

/// Probabilities, losses, and the gradient of `factor` times the sum of losses.
fn run<E: Element>(cpu: &Cpu<E>, c: usize, x: &[f64], labels: &[u32], factor: f64) -> [Vec<f64>; 3] {
    let x = tensor_on(cpu, &[labels.len(), c], x);
    let labels = IntTensor::from_slice(cpu, labels).unwrap();
    let p = x.softmax().unwrap();
    let losses = x.cross_entropy(&labels).unwrap();
    assert_eq!(losses.shape(), [labels.len()]);
    [p, losses, x.cross_entropy_dx(&labels, factor).unwrap()].map(|t| host(&t))
}

fn reference(c: usize, x: &[f64], labels: &[u32], factor: f64) -> [Vec<f64>; 3] {
    let mut p = Vec::new();
    let mut losses = Vec::new();
    let mut dx = Vec::new();
    for (row, &label) in x.chunks(c).zip(labels) {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        losses.push(sum.ln() - row[label as usize]);
        for (class, v) in row.iter().enumerate() {
            p.push(v.exp() / sum);
            dx.push((v.exp() / sum - if class == label as usize { 1.0 } else { 0.0 }) * factor);
        }
    }
    [p, losses, dx]
}

proptest! {
    #[test]
    fn equals_plain_loops(rows in 1usize..20, c in 1usize..60, scale in 0.1..10.0f64, seed: u64) {
        let x: Vec<f64> = values(seed, rows * c).iter().map(|v| v * scale).collect();
        let labels = labels(seed, rows, c);
        let expected = reference(c, &x, &labels, 0.3);
        for (got, expected) in run(cpu64(), c, &x, &labels, 0.3).iter().zip(&expected) {
            assert_close(got, expected, 1e-13);
        }
        for (got, expected) in run(cpu32(), c, &x, &labels, 0.3).iter().zip(&expected) {
            assert_close(got, expected, 1e-5);
        }
    }

    #[test]
    fn gradient_equals_differences(rows in 1usize..6, c in 2usize..20, seed: u64) {
        let x = values(seed, rows * c);
        let labels = labels(seed, rows, c);
        let factor = 1.0 / rows as f64;
        let [_, _, dx] = run(cpu64(), c, &x, &labels, factor);
        let forward = |x: &[f64]| run(cpu64(), c, x, &labels, factor)[1].clone();
        let differences = finite_differences(&x, &vec![factor; rows], forward);
        let error = relative_error(&dx, &differences);
        prop_assert!(error < 1e-6, "relative error {error:e}");
    }

    /// The rank is the label's index after a stable sort by descending logits, with many ties and some NaN.
    #[test]
    fn the_rank_is_the_index_in_a_stable_sort(row in prop::collection::vec(-2i8..4, 1..12), pick: prop::sample::Index) {
        let x: Vec<f64> = row.iter().map(|&v| if v == 3 { f64::NAN } else { f64::from(v) }).collect();
        let label = pick.index(x.len());
        let mut order: Vec<usize> = (0..x.len()).collect();
        let key = |i: usize| if x[i].is_nan() { f64::INFINITY } else { x[i] };
        order.sort_by(|&a, &b| key(b).total_cmp(&key(a)));
        let expected = order.iter().position(|&class| class == label).unwrap() as u32;
        let labels = IntTensor::from_slice(cpu32(), &[label as u32]).unwrap();
        let rank = tensor32(&[1, x.len()], &x).rank_of_label(&labels).unwrap();
        prop_assert_eq!(rank.to_vec().unwrap(), vec![expected]);
    }
}

#[test]
fn many_classes_equal_plain_loops() {
    let rows = 37;
    let c = 1000;
    let x = values(4, rows * c);
    let labels = labels(4, rows, c);
    let expected = reference(c, &x, &labels, 1.0);
    for (got, expected) in run(cpu32(), c, &x, &labels, 1.0).iter().zip(&expected) {
        assert_close(got, expected, 1e-6);
    }
}

#[test]
fn huge_logits_stay_finite() {
    let x = [1e30, -1e30, 1e30, 3e38, 0.0, -3e38, -3e38, -3e38, -3e38];
    let labels = [0, 0, 2];
    let [p, losses, dx] = run(cpu32(), 3, &x, &labels, 1.0);
    assert_close(&p, &[0.5, 0.0, 0.5, 1.0, 0.0, 0.0, 1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0], 1e-6);
    assert_close(&losses, &[2f64.ln(), 0.0, 3f64.ln()], 1e-6);
    assert_close(&dx[..3], &[-0.5, 0.0, 0.5], 1e-6);
    let p =
        host(&tensor32(&[1, 1000], &values(1, 1000).iter().map(|v| v * 1e4).collect::<Vec<_>>()).softmax().unwrap());
    assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-6);
}

/// The loss is finite even if the label's probability underflows.
#[test]
fn the_loss_of_an_underflowing_probability_is_finite() {
    let [p, losses, _] = run(cpu32(), 2, &[0.0, 500.0], &[0], 1.0);
    assert_eq!((p[0], losses[0]), (0.0, 500.0));
}

#[test]
fn nan_stays_within_its_row() {
    let [p, losses, dx] = run(cpu32(), 2, &[f64::NAN, 1.0, 0.0, 1.0], &[1, 1], 1.0);
    assert!(p[0].is_nan() && p[1].is_nan() && losses[0].is_nan() && dx[0].is_nan());
    assert!(p[2..].iter().chain(&losses[1..]).chain(&dx[2..]).all(|v| v.is_finite()));
}

#[test]
fn a_label_that_is_not_a_class_is_refused() {
    let x = tensor64(&[2, 3], &[0.0; 6]);
    let labels = IntTensor::from_slice(cpu64(), &[2, 3]).unwrap();
    let text = "3 classes, got label 3 in row 1";
    assert_argument_error(x.cross_entropy(&labels), text);
    assert_argument_error(x.cross_entropy_dx(&labels, 1.0), text);
    assert_argument_error(x.rank_of_label(&labels), text);
    assert_shape_error(x.cross_entropy(&IntTensor::from_slice(cpu64(), &[0]).unwrap()), "cross-entropy");
}

#[test]
fn no_rows_give_no_losses() {
    let [p, losses, dx] = run(cpu64(), 3, &[], &[], 1.0);
    assert!(p.is_empty() && losses.is_empty() && dx.is_empty());
    assert!(tensor64(&[2, 0], &[]).softmax().unwrap().is_empty());
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let rows = 131;
        let c = 1000;
        let x = tensor_on(cpu, &[rows, c], &values(6, rows * c));
        let labels = IntTensor::from_slice(cpu, &labels(6, rows, c)).unwrap();
        let ranks = x.rank_of_label(&labels).unwrap().to_vec().unwrap();
        let ranks = ranks.into_iter().map(|r| E::of(f64::from(r))).collect();
        let results = [x.softmax(), x.cross_entropy(&labels), x.cross_entropy_dx(&labels, 0.1)];
        results.into_iter().map(|t| t.unwrap().to_vec().unwrap()).chain([ranks]).collect()
    }
    assert_same_bits(work, work);
}

//! Dropout against masks computed from the random stream.

use alexnet_tensor::ops::{Dropout, DropoutScale};
use alexnet_tensor::random::{Stream, purpose};
use alexnet_tensor::{Cpu, Element};
use proptest::prelude::*;

use crate::support::*;

fn scales() -> impl Strategy<Value = DropoutScale> {
    prop_oneof![Just(DropoutScale::AtTest), Just(DropoutScale::InTraining)]
}

fn run<E: Element>(cpu: &Cpu<E>, spec: &Dropout, stream: Stream, x: &[f64]) -> Vec<f64> {
    host(&tensor_on(cpu, &[x.len()], x).dropout(spec, stream).unwrap())
}

proptest! {
    #[test]
    fn the_mask_follows_from_the_stream(len in 0usize..300, p in 0.0..0.99f64, scale in scales(), seed: u64,
                                        layer in 0u32..100, step: u64) {
        let stream = Stream::new(seed, purpose::DROPOUT + layer, step);
        let spec = Dropout { p, scale };
        let factor = match scale { DropoutScale::AtTest => 1.0, DropoutScale::InTraining => 1.0 / (1.0 - p) };
        let x = values(seed, len);
        let kept = |i: usize| stream.uniform(i as u64) >= p as f32;
        let expected: Vec<f64> = x.iter().enumerate().map(|(i, x)| if kept(i) { x * factor } else { 0.0 }).collect();
        assert_close(&run(cpu64(), &spec, stream, &x), &expected, 1e-15);
        assert_close(&run(cpu32(), &spec, stream, &x), &expected, 1e-6);
    }

    /// The backward is the same call on dy.
    #[test]
    fn gradient_equals_differences(len in 1usize..60, p in 0.0..0.9f64, scale in scales(), seed: u64) {
        let x = values(seed, len);
        let dy = values(seed ^ 1, len);
        let stream = Stream::new(seed, purpose::DROPOUT, 9);
        let spec = Dropout { p, scale };
        let dx = run(cpu64(), &spec, stream, &dy);
        let differences = finite_differences(&x, &dy, |x| run(cpu64(), &spec, stream, x));
        prop_assert!(relative_error(&dx, &differences) < 1e-6);
    }
}

/// Long enough for many jobs, which draw consecutive parts of the mask.
#[test]
fn long_masks_follow_from_the_stream_and_drop_a_share_p() {
    let len = 100_003;
    for p in [0.0, 0.2, 0.5, 0.9] {
        let stream = Stream::new(11, purpose::DROPOUT, 5);
        let y = run(cpu32(), &Dropout { p, scale: DropoutScale::AtTest }, stream, &vec![1.0; len]);
        let expected = (0..len as u64).map(|i| f64::from(u8::from(stream.uniform(i) >= p as f32)));
        assert!(expected.eq(y.iter().copied()), "p {p}");
        let zeros = y.iter().filter(|&&v| v == 0.0).count() as f64 / len as f64;
        // Five standard deviations.
        let near = 5.0 * (p * (1.0 - p) / len as f64).sqrt();
        assert!((zeros - p).abs() <= near, "p {p}: {zeros} zeros");
    }
}

proptest! {
    /// The expected output in training is the output at test: kept values are a share 1 - p.
    #[test]
    fn the_factors_of_both_phases_give_the_same_mean(p in 0.0..0.99f64, scale in scales()) {
        let spec = Dropout { p, scale };
        prop_assert!(((1.0 - p) * spec.training_factor() - spec.test_factor()).abs() < 1e-12);
        let unscaled = match scale { DropoutScale::AtTest => spec.training_factor(), _ => spec.test_factor() };
        prop_assert_eq!(unscaled, 1.0);
    }
}

#[test]
fn a_draw_equal_to_p_is_kept() {
    let stream = Stream::new(1, purpose::DROPOUT, 1);
    let spec = Dropout { p: f64::from(stream.uniform(6)), scale: DropoutScale::AtTest };
    assert_eq!(run(cpu32(), &spec, stream, &[3.0; 7])[6], 3.0);
}

#[test]
fn masks_differ_by_step_and_layer() {
    let spec = Dropout { p: 0.5, scale: DropoutScale::InTraining };
    let mask = |layer, step| run(cpu64(), &spec, Stream::new(1, purpose::DROPOUT + layer, step), &[1.0; 200]);
    assert_eq!(mask(0, 0), mask(0, 0));
    assert_ne!(mask(0, 0), mask(0, 1));
    assert_ne!(mask(0, 0), mask(1, 0));
}

#[test]
fn dropped_nan_becomes_zero() {
    let y = run(cpu32(), &Dropout { p: 0.5, scale: DropoutScale::AtTest }, Stream::new(2, 3, 4), &[f64::NAN; 1000]);
    assert!(y.iter().any(|v| v.is_nan()) && y.contains(&0.0));
}

#[test]
fn p_out_of_range_is_refused() {
    for p in [-0.1, 1.0, f64::NAN] {
        let spec = Dropout { p, scale: DropoutScale::AtTest };
        assert_argument_error(tensor64(&[1], &[1.0]).dropout(&spec, Stream::new(0, 0, 0)), "p must be in [0, 1)");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let spec = Dropout { p: 0.5, scale: DropoutScale::InTraining };
        let x = tensor_on(cpu, &[70_001], &values(1, 70_001));
        vec![x.dropout(&spec, Stream::new(1, 2, 3)).unwrap().to_vec().unwrap()]
    }
    assert_same_bits(work, work);
}

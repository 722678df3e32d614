//! Max and average pooling.

use alexnet_tensor::IntTensor;
use alexnet_tensor::ops::{Padding, Pool2d, PoolKind, RoundMode};
use proptest::prelude::*;

use crate::compare::{activations, assert_near, exact, host, ints_on};
use crate::devices::{Tested, full_size};
use crate::support::{cpu64, values};

/// Multiples of 1/4 from -2 to 2: many are equal, and their sums are exact in every format.
pub fn quarters(seed: u64, len: usize) -> Vec<f64> {
    values(seed, len).into_iter().map(|v| (v * 4.0).round() / 4.0).collect()
}

#[derive(Clone, Debug)]
pub struct Case {
    pub x: [usize; 4],
    pub spec: Pool2d,
}

impl Case {
    fn new(x: [usize; 4], kernel: usize, stride: usize) -> Self {
        Self { x, spec: Pool2d::new(PoolKind::Max, kernel, stride) }
    }

    fn of_kind(&self, kind: PoolKind) -> Pool2d {
        Pool2d { kind, ..self.spec }
    }

    pub fn y(&self) -> [usize; 4] {
        self.spec.geometry(&self.x).expect("a window fits").y_shape()
    }
}

prop_compose! {
    /// Kernels that overlap or leave gaps, different padding on each side, windows that overhang.
    pub fn cases()(kernel in [1usize..5, 1..5], ceil in any::<bool>())
        (stride in [1usize..5, 1..5], top in 0..kernel[0], bottom in 0..kernel[0], left in 0..kernel[1],
         right in 0..kernel[1], size in [1usize..9, 1..9], n in 1usize..3, c in 1usize..9, kernel in Just(kernel),
         ceil in Just(ceil)) -> Case {
        let h = size[0].max(kernel[0].saturating_sub(top + bottom)).max(1);
        let w = size[1].max(kernel[1].saturating_sub(left + right)).max(1);
        let padding = Padding { top, bottom, left, right };
        let round_mode = if ceil { RoundMode::Ceil } else { RoundMode::Floor };
        Case { x: [n, h, w, c], spec: Pool2d { kind: PoolKind::Max, kernel, stride, padding, round_mode } }
    }
}

/// Shapes of networks, and extreme ones.
pub fn chosen() -> Vec<Case> {
    let mut cases: Vec<Case> = [1, 3, 5, 6, 7, 96].map(|c| Case::new([2, 13, 11, c], 3, 2)).to_vec();
    cases.extend([
        Case::new([1, 6, 6, 4], 6, 1),
        Case::new([1, 9, 9, 3], 7, 1),
        Case::new([2, 5, 5, 2], 1, 3),
        Case::new([3, 1, 1, 5], 1, usize::MAX),
    ]);
    cases.push(Case {
        x: [2, 8, 7, 5],
        spec: Pool2d {
            padding: Padding { top: 0, bottom: 1, left: 2, right: 0 },
            round_mode: RoundMode::Ceil,
            ..Pool2d::new(PoolKind::Max, 3, 2)
        },
    });
    if full_size() {
        cases.extend([[2, 55, 55, 96], [2, 27, 27, 256], [2, 13, 13, 256]].map(|x| Case::new(x, 3, 2)));
    }
    cases
}

/// Runs a check on the chosen cases and on random ones.
fn each(check: impl Fn(&Case, u64)) {
    chosen().iter().enumerate().for_each(|(i, case)| check(case, i as u64));
    proptest!(ProptestConfig::with_cases(32), |(case in cases(), seed: u64)| check(&case, seed));
}

/// Values and positions must equal the CPU's, since the values are exact in every format.
fn maxima<B: Tested>(device: &B, case: &Case, x: &[f64]) {
    let (y, positions) = activations(device, &case.x, x).pool(&case.spec).expect("a launch");
    let (expected, expected_positions) = exact(&case.x, x).pool(&case.spec).expect("the CPU");
    assert_eq!(y.shape(), expected.shape());
    let y = host(&y);
    let expected = expected.to_vec().expect("values");
    let same = |(a, b): (&f64, &f64)| a == b || a.is_nan() && b.is_nan();
    assert!(y.iter().zip(&expected).all(same), "{case:?}: got {y:?}, expected {expected:?}");
    let [positions, expected] =
        [positions.expect("of maxima").to_vec(), expected_positions.expect("of maxima").to_vec()].map(Result::unwrap);
    assert_eq!(positions, expected, "{case:?}");
}

pub fn maxima_and_positions<B: Tested>(device: &B) {
    each(|case, seed| maxima(device, case, &quarters(seed, case.x.iter().product())));
}

pub fn the_first_of_equals_and_nan<B: Tested>(device: &B) {
    let special = [f64::NAN, f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, 0.0, 1.0, 1.0];
    each(|case, seed| {
        let len: usize = case.x.iter().product();
        let pick = |v: &f64| special[(((v + 2.0) / 4.0 * 7.0) as usize).min(6)];
        maxima(device, case, &values(seed, len).iter().map(pick).collect::<Vec<_>>());
        maxima(device, case, &vec![f64::NEG_INFINITY; len]);
        maxima(device, case, &vec![f64::NAN; len]);
    });
}

pub fn averages<B: Tested>(device: &B) {
    each(|case, seed| {
        let x = values(seed, case.x.iter().product());
        let absolute: Vec<f64> = x.iter().map(|v| v.abs()).collect();
        for spec in [PoolKind::Average, PoolKind::AverageWithPadding].map(|kind| case.of_kind(kind)) {
            let y = activations(device, &case.x, &x).pool(&spec).expect("a launch").0;
            let [expected, scale] =
                [&x, &absolute].map(|x| exact(&case.x, x).pool(&spec).expect("the CPU").0.to_vec().expect("values"));
            assert_near(&host(&y), &expected, |i| scale[i], device.value_tolerance());
        }
    });
}

pub fn gradients<B: Tested>(device: &B) {
    each(|case, seed| {
        let x = quarters(seed, case.x.iter().product());
        let dy = quarters(seed ^ 1, case.y().iter().product());
        let absolute: Vec<f64> = dy.iter().map(|v| v.abs()).collect();
        let positions = exact(&case.x, &x).pool(&case.spec).expect("the CPU").1.expect("of maxima").to_vec();
        let positions = positions.expect("values");
        let here = ints_on(device, &positions);
        let there = IntTensor::from_slice(cpu64(), &positions).expect("an upload");
        for spec in [PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding].map(|kind| case.of_kind(kind)) {
            let dx = activations(device, &case.y(), &dy).pool_dx(&spec, &case.x, Some(&here)).expect("a launch");
            let [expected, scale] = [&dy, &absolute].map(|dy| {
                let dx = exact(&case.y(), dy).pool_dx(&spec, &case.x, Some(&there)).expect("the CPU");
                dx.to_vec().expect("values")
            });
            let tolerance = if spec.kind == PoolKind::Max { 0.0 } else { device.value_tolerance() };
            assert_near(&host(&dx), &expected, |i| scale[i], tolerance);
        }
    });
}

pub fn empty_tensors<B: Tested>(device: &B) {
    for (x, y) in [([0, 5, 5, 3], [0, 2, 2, 3]), ([2, 5, 5, 0], [2, 2, 2, 0])] {
        for kind in [PoolKind::Max, PoolKind::Average] {
            let spec = Pool2d::new(kind, 3, 2);
            let (pooled, positions) = activations(device, &x, &[]).pool(&spec).expect("nothing to do");
            assert_eq!(pooled.shape(), y);
            let dx = pooled.pool_dx(&spec, &x, positions.as_ref()).expect("nothing to do");
            assert_eq!((dx.shape(), host(&dx).len()), (&x[..], 0));
        }
    }
}

pub fn same_bits<B: Tested>(device: &B) {
    let case = Case::new([2, 15, 13, 12], 3, 2);
    for kind in [PoolKind::Max, PoolKind::Average] {
        let run = || {
            let x = activations(device, &case.x, &values(1, case.x.iter().product()));
            let (y, positions) = x.pool(&case.of_kind(kind)).expect("a launch");
            let dy = activations(device, &case.y(), &values(2, case.y().iter().product()));
            let dx = dy.pool_dx(&case.of_kind(kind), &case.x, positions.as_ref()).expect("a launch");
            [y, dx].map(|t| t.to_vec().expect("a download"))
        };
        assert_eq!(run(), run());
    }
}

//! Adaptive average pooling.

use proptest::prelude::*;

use crate::compare::{activations, assert_near, exact, host};
use crate::devices::{Tested, full_size};
use crate::support::values;

#[derive(Clone, Debug)]
struct Case {
    x: [usize; 4],
    output: [usize; 2],
}

impl Case {
    fn y(&self) -> [usize; 4] {
        [self.x[0], self.output[0], self.output[1], self.x[3]]
    }
}

/// Fewer outputs than inputs and more, with and without vectors of channels.
fn cases() -> impl Strategy<Value = Case> {
    ([1usize..3, 1..14, 1..14, 1..9], [1usize..9, 1..9]).prop_map(|(x, output)| Case { x, output })
}

/// Runs a check on the sizes of AlexNet for images of other sizes than 224, and on drawn ones.
fn each(check: impl Fn(&Case, u64)) {
    let side = if full_size() { 256 } else { 16 };
    for (i, x) in [[2, 13, 9, side], [1, 3, 3, side], [2, 7, 6, 37], [1, 30, 1, 4]].into_iter().enumerate() {
        check(&Case { x, output: [6, 6] }, i as u64);
    }
    proptest!(ProptestConfig::with_cases(32), |(case in cases(), seed: u64)| check(&case, seed));
}

pub fn averages<B: Tested>(device: &B) {
    each(|case, seed| {
        let x = values(seed, case.x.iter().product());
        let absolute: Vec<f64> = x.iter().map(|v| v.abs()).collect();
        let y = activations(device, &case.x, &x).adaptive_average_pool(case.output).expect("a launch");
        assert_eq!(y.shape(), case.y());
        let of = |x: &[f64]| {
            exact(&case.x, x).adaptive_average_pool(case.output).expect("the CPU").to_vec().expect("values")
        };
        let scale = of(&absolute);
        assert_near(&host(&y), &of(&x), |i| scale[i], device.value_tolerance());
    });
}

pub fn gradients<B: Tested>(device: &B) {
    each(|case, seed| {
        let dy = values(seed, case.y().iter().product());
        let absolute: Vec<f64> = dy.iter().map(|v| v.abs()).collect();
        let dx = activations(device, &case.y(), &dy).adaptive_average_pool_dx(&case.x).expect("a launch");
        assert_eq!(dx.shape(), case.x);
        let of = |dy: &[f64]| {
            exact(&case.y(), dy).adaptive_average_pool_dx(&case.x).expect("the CPU").to_vec().expect("values")
        };
        let scale = of(&absolute);
        assert_near(&host(&dx), &of(&dy), |i| scale[i], device.value_tolerance());
    });
}

pub fn nothing<B: Tested>(device: &B) {
    for x in [[0, 5, 5, 3], [2, 5, 5, 0]] {
        let y = activations(device, &x, &[]).adaptive_average_pool([2, 3]).expect("nothing to do");
        assert_eq!(y.shape(), [x[0], 2, 3, x[3]]);
        let dx = y.adaptive_average_pool_dx(&x).expect("nothing to do");
        assert_eq!((dx.shape(), host(&dx).len()), (&x[..], 0));
    }
}

//! Local response normalisation against plain loops and finite differences.

use alexnet_tensor::ops::{AlphaScaling, Lrn, Region};
use alexnet_tensor::{Cpu, Element};
use proptest::prelude::*;

use crate::support::*;

prop_compose! {
    /// Even and odd sizes, also larger than the axis. Beta 0.75 has an algorithm of its own.
    fn specs()(size in 1usize..9, alpha in 0.01..1.0f64, k in 0.5..3.0f64,
               beta in prop_oneof![Just(0.75), Just(0.5), 0.1..2.0f64],
               region in prop_oneof![Just(Region::AcrossChannels), Just(Region::WithinChannel)],
               alpha_scaling in prop_oneof![Just(AlphaScaling::Sum), Just(AlphaScaling::Mean)]) -> Lrn {
        Lrn { size, alpha, beta, k, region, alpha_scaling }
    }
}

fn small() -> impl Strategy<Value = [usize; 4]> {
    [1usize..3, 1usize..5, 1usize..5, 1usize..7]
}

/// The neighbours of position `at` (y, x, channel), as flat indices in one image.
fn window(spec: &Lrn, [_, h, w, c]: [usize; 4], at: [usize; 3]) -> Vec<usize> {
    let holds = |i: usize, j: usize| {
        let i = i as i64;
        let j = j as i64;
        let size = spec.size as i64;
        (i - size / 2..=i + (size - 1) / 2).contains(&j)
    };
    let mut places = Vec::new();
    for (y, x, channel) in (0..h).flat_map(|y| (0..w).flat_map(move |x| (0..c).map(move |k| (y, x, k)))) {
        let inside = match spec.region {
            Region::AcrossChannels => y == at[0] && x == at[1] && holds(at[2], channel),
            Region::WithinChannel => channel == at[2] && holds(at[0], y) && holds(at[1], x),
        };
        if inside {
            places.push((y * w + x) * c + channel);
        }
    }
    places
}

/// Output and base by the formula, and dx by its derivative.
fn reference(spec: &Lrn, shape: [usize; 4], x: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
    let [_, h, w, c] = shape;
    let nominal = match (spec.alpha_scaling, spec.region) {
        (AlphaScaling::Sum, _) => 1,
        (AlphaScaling::Mean, Region::AcrossChannels) => spec.size,
        (AlphaScaling::Mean, Region::WithinChannel) => spec.size * spec.size,
    };
    let alpha = spec.alpha / nominal as f64;
    let mut y = vec![0.0; x.len()];
    let mut bases = vec![0.0; x.len()];
    let mut dx = vec![0.0; x.len()];
    for i in 0..x.len() {
        let start = i / (h * w * c) * (h * w * c);
        let flat = i % (h * w * c);
        let places = window(spec, shape, [flat / (w * c), flat / c % w, flat % c]);
        let base = spec.k + alpha * places.iter().map(|j| x[start + j].powi(2)).sum::<f64>();
        bases[i] = base;
        y[i] = x[i] * base.powf(-spec.beta);
        dx[i] += dy[i] * base.powf(-spec.beta);
        for j in places {
            dx[start + j] -= dy[i] * x[i] * spec.beta * base.powf(-spec.beta - 1.0) * alpha * 2.0 * x[start + j];
        }
    }
    [y, bases, dx]
}

fn run<E: Element>(cpu: &Cpu<E>, spec: &Lrn, shape: [usize; 4], x: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
    let x = tensor_on(cpu, &shape, x);
    let dy = tensor_on(cpu, &shape, dy);
    let (y, base) = x.lrn(spec).expect("valid constants");
    let dx = dy.lrn_dx(spec, &x, &base).expect("valid constants");
    [host(&y), host(&base), host(&dx)]
}

proptest! {
    #[test]
    fn equals_plain_loops(spec in specs(), shape in small(), seed: u64) {
        let len = shape.iter().product();
        let x = values(seed, len);
        let dy = values(seed ^ 1, len);
        let expected = reference(&spec, shape, &x, &dy);
        for (got, expected) in run(cpu64(), &spec, shape, &x, &dy).iter().zip(&expected) {
            assert_close(got, expected, 1e-12);
        }
        for (got, expected) in run(cpu32(), &spec, shape, &x, &dy).iter().zip(&expected) {
            assert_close(got, expected, 2e-5);
        }
    }

    #[test]
    fn gradient_equals_differences(spec in specs(), shape in small(), seed: u64) {
        let len = shape.iter().product();
        let x = values(seed, len);
        let dy = values(seed ^ 1, len);
        let [_, _, dx] = run(cpu64(), &spec, shape, &x, &dy);
        let forward = |x: &[f64]| host(&tensor64(&shape, x).lrn(&spec).unwrap().0);
        let error = relative_error(&dx, &finite_differences(&x, &dy, forward));
        prop_assert!(error < 1e-6, "relative error {error:e}");
    }
}

/// Rows longer than a block of sums, with the paper's constants.
#[test]
fn long_rows_equal_plain_loops() {
    for (region, shape) in [(Region::AcrossChannels, [2, 2, 3, 101]), (Region::WithinChannel, [2, 7, 9, 11])] {
        for size in [4, 5, 1000] {
            let spec = Lrn { size, region, alpha: 0.1, ..Lrn::paper() };
            let len = shape.iter().product();
            let x = values(5, len);
            let dy = values(6, len);
            let expected = reference(&spec, shape, &x, &dy);
            for (got, expected) in run(cpu64(), &spec, shape, &x, &dy).iter().zip(&expected) {
                assert_close(got, expected, 1e-12);
            }
        }
    }
}

/// The paper's formula: the middle of five ones becomes 1 / (2 + 5e-4)^0.75.
#[test]
fn five_ones_follow_the_papers_formula() {
    let (y, base) = tensor64(&[1, 1, 1, 5], &[1.0; 5]).lrn(&Lrn::paper()).unwrap();
    assert_close(&host(&base), &[2.0003, 2.0004, 2.0005, 2.0004, 2.0003], 1e-15);
    assert!((host(&y)[2] - 2.0005f64.powf(-0.75)).abs() < 1e-15);
}

#[test]
fn constants_out_of_range_are_refused() {
    let x = tensor64(&[1, 1, 1, 2], &[1.0, 2.0]);
    for spec in [
        Lrn { size: 0, ..Lrn::paper() },
        Lrn { k: 0.0, ..Lrn::paper() },
        Lrn { alpha: f64::NAN, ..Lrn::paper() },
        Lrn { beta: f64::INFINITY, ..Lrn::paper() },
    ] {
        assert_argument_error(x.lrn(&spec), "size must be at least 1");
    }
    assert_shape_error(tensor64(&[2], &[1.0, 2.0]).lrn(&Lrn::paper()), "lrn");
}

#[test]
fn an_empty_tensor_stays_empty() {
    for region in [Region::AcrossChannels, Region::WithinChannel] {
        for shape in [[0, 2, 2, 3], [2, 2, 2, 0], [2, 0, 2, 3]] {
            let (y, _) = tensor64(&shape, &[]).lrn(&Lrn { region, ..Lrn::paper() }).unwrap();
            assert_eq!(y.shape(), shape);
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let shape = [4, 13, 13, 97];
        let len = shape.iter().product();
        let x = tensor_on(cpu, &shape, &values(1, len));
        let dy = tensor_on(cpu, &shape, &values(2, len));
        let mut results = Vec::new();
        for region in [Region::AcrossChannels, Region::WithinChannel] {
            let spec = Lrn { region, ..Lrn::paper() };
            let (y, base) = x.lrn(&spec).unwrap();
            let dx = dy.lrn_dx(&spec, &x, &base).unwrap();
            results.extend([y, base, dx].map(|t| t.to_vec().unwrap()));
        }
        results
    }
    assert_same_bits(work, work);
}

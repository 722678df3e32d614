//! Pooling against plain loops and finite differences.

use alexnet_tensor::ops::{Padding, Pool2d, PoolKind, RoundMode};
use alexnet_tensor::{Cpu, Element, IntTensor, Tensor};
use proptest::prelude::*;

use crate::support::*;

#[derive(Clone, Debug)]
struct Case {
    shape: [usize; 4],
    spec: Pool2d,
    seed: u64,
}

fn kinds() -> impl Strategy<Value = PoolKind> {
    prop_oneof![Just(PoolKind::Max), Just(PoolKind::Average), Just(PoolKind::AverageWithPadding)]
}

prop_compose! {
    /// Kernels that overlap or leave gaps, padding that differs by side, both round modes.
    fn cases()(kind in kinds(), kernel in [1usize..5, 1..5], round_mode in prop_oneof![Just(RoundMode::Floor), Just(RoundMode::Ceil)])
        (stride in [1usize..5, 1..5], top in 0..kernel[0], bottom in 0..kernel[0], left in 0..kernel[1],
         right in 0..kernel[1], size in [1usize..8, 1..8], n in 1usize..4, c in 1usize..20, seed in any::<u64>(),
         kind in Just(kind), kernel in Just(kernel), round_mode in Just(round_mode)) -> Case {
        // As large as the kernel at least.
        let h = size[0].max(kernel[0].saturating_sub(top + bottom)).max(1);
        let w = size[1].max(kernel[1].saturating_sub(left + right)).max(1);
        let spec = Pool2d { kind, kernel, stride, padding: Padding { top, bottom, left, right }, round_mode };
        Case { shape: [n, h, w, c], spec, seed }
    }
}

/// The number of windows, counted one after the other.
fn count(input: usize, before: usize, after: usize, kernel: usize, stride: usize, round_mode: RoundMode) -> usize {
    let mut starts = (0..).map(|i| i * stride);
    match round_mode {
        RoundMode::Floor => starts.take_while(|start| start + kernel <= input + before + after).count(),
        RoundMode::Ceil => {
            let reaching = starts.position(|start| start + kernel >= input + before + after).expect("endless");
            (0..=reaching).filter(|i| i * stride < input + before).count()
        }
    }
}

/// The output's shape and values, and for each value its inputs (index, factor).
type Reference = ([usize; 4], Vec<f64>, Vec<Vec<(usize, f64)>>);

fn reference(case: &Case, x: &[f64]) -> Reference {
    let [n, h, w, c] = case.shape;
    let s = &case.spec;
    let p = s.padding;
    let oh = count(h, p.top, p.bottom, s.kernel[0], s.stride[0], s.round_mode);
    let ow = count(w, p.left, p.right, s.kernel[1], s.stride[1], s.round_mode);
    let mut y = Vec::new();
    let mut weights = Vec::new();
    for image in 0..n {
        for (oy, ox) in (0..oh).flat_map(|oy| (0..ow).map(move |ox| (oy, ox))) {
            for channel in 0..c {
                let mut window = Vec::new();
                let mut padded = 0;
                for (ky, kx) in (0..s.kernel[0]).flat_map(|ky| (0..s.kernel[1]).map(move |kx| (ky, kx))) {
                    let py = oy * s.stride[0] + ky;
                    let px = ox * s.stride[1] + kx;
                    padded += usize::from(py < h + p.top + p.bottom && px < w + p.left + p.right);
                    if (p.top..p.top + h).contains(&py) && (p.left..p.left + w).contains(&px) {
                        window.push(((image * h + py - p.top) * w + px - p.left) * c + channel);
                    }
                }
                let used: Vec<(usize, f64)> = match s.kind {
                    PoolKind::Max => {
                        let best = window.iter().copied().reduce(|a, b| if x[b] > x[a] { b } else { a });
                        vec![(best.expect("no window is empty"), 1.0)]
                    }
                    PoolKind::Average => window.iter().map(|&i| (i, 1.0 / window.len() as f64)).collect(),
                    PoolKind::AverageWithPadding => window.iter().map(|&i| (i, 1.0 / padded as f64)).collect(),
                    other => panic!("{other:?} has no window here"),
                };
                y.push(used.iter().map(|&(i, f)| x[i] * f).sum());
                weights.push(used);
            }
        }
    }
    ([n, oh, ow, c], y, weights)
}

/// Output, positions and input gradient.
type Pooled<E> = (Tensor<Cpu<E>>, Option<IntTensor<Cpu<E>>>, Tensor<Cpu<E>>);

fn forward_and_backward<E: Element>(cpu: &Cpu<E>, case: &Case, x: &[f64], dy: &[f64]) -> Pooled<E> {
    let (y, positions) = tensor_on(cpu, &case.shape, x).pool(&case.spec).expect("a valid pooling");
    let dy = tensor_on(cpu, y.shape(), dy);
    let dx = dy.pool_dx(&case.spec, &case.shape, positions.as_ref()).expect("a valid pooling");
    (y, positions, dx)
}

proptest! {
    #[test]
    fn equals_plain_loops(case in cases()) {
        let x = values(case.seed, case.shape.iter().product());
        let (shape, expected, weights) = reference(&case, &x);
        let dy = values(case.seed ^ 1, expected.len());
        let mut expected_dx = vec![0.0; x.len()];
        for (weights, dy) in weights.iter().zip(&dy) {
            for &(i, factor) in weights {
                expected_dx[i] += factor * dy;
            }
        }
        let (y, positions, dx) = forward_and_backward(cpu64(), &case, &x, &dy);
        prop_assert_eq!(y.shape(), &shape);
        assert_close(&host(&y), &expected, 1e-14);
        assert_close(&host(&dx), &expected_dx, 1e-13);
        if let Some(positions) = positions {
            let [_, h, w, c] = case.shape;
            let expected: Vec<u32> = weights.iter().map(|w1| (w1[0].0 / c % (h * w)) as u32).collect();
            prop_assert_eq!(positions.to_vec().unwrap(), expected);
        }
        let (y, _, dx) = forward_and_backward(cpu32(), &case, &x, &dy);
        assert_close(&host(&y), &expected, 1e-6);
        assert_close(&host(&dx), &expected_dx, 5e-6);
    }

    #[test]
    fn gradient_equals_differences(case in cases()) {
        let mut case = case;
        case.shape = [case.shape[0].min(2), case.shape[1], case.shape[2], case.shape[3].min(3)];
        let x = apart(case.seed, case.shape.iter().product());
        let outputs = reference(&case, &x).1.len();
        let dy = values(case.seed ^ 1, outputs);
        let dx = forward_and_backward(cpu64(), &case, &x, &dy).2;
        let forward = |x: &[f64]| host(&tensor64(&case.shape, x).pool(&case.spec).unwrap().0);
        let differences = finite_differences(&x, &dy, forward);
        prop_assert!(relative_error(&host(&dx), &differences) < 1e-6);
    }
}

#[test]
fn the_first_of_equals_takes_the_gradient() {
    let spec = Pool2d::new(PoolKind::Max, 2, 1);
    let case = Case { shape: [1, 2, 3, 1], spec, seed: 0 };
    let (y, positions, dx) = forward_and_backward(cpu64(), &case, &[0.0, 5.0, 5.0, 5.0, 5.0, 1.0], &[1.0, 10.0]);
    assert_eq!(host(&y), [5.0, 5.0]);
    assert_eq!(positions.unwrap().to_vec().unwrap(), [1, 1]);
    assert_eq!(host(&dx), [0.0, 11.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn nan_wins_and_the_first_nan_is_kept() {
    let x = [1.0, f64::NAN, f64::INFINITY, f64::NAN, f64::NEG_INFINITY, f64::NEG_INFINITY];
    let (y, positions) = tensor32(&[1, 1, 6, 1], &x).pool(&Pool2d { stride: [1, 2], ..wide(2) }).unwrap();
    let y = host(&y);
    assert!(y[0].is_nan() && y[1].is_nan());
    assert_eq!(y[2], f64::NEG_INFINITY);
    assert_eq!(positions.unwrap().to_vec().unwrap(), [1, 3, 4]);
    let (y, positions) = tensor32(&[1, 1, 6, 1], &x).pool(&wide(6)).unwrap();
    assert!(host(&y)[0].is_nan());
    assert_eq!(positions.unwrap().to_vec().unwrap(), [1]);
}

/// Max-pooling over windows of one row.
fn wide(kernel: usize) -> Pool2d {
    Pool2d { kernel: [1, kernel], ..Pool2d::new(PoolKind::Max, 1, 1) }
}

/// Known sizes of the paper's network and of the authors' CIFAR-10 layers.
#[test]
fn sizes_of_known_layers() {
    let side = |size: usize, kernel: usize, stride: usize, round_mode| {
        let spec = Pool2d { round_mode, ..Pool2d::new(PoolKind::Max, kernel, stride) };
        spec.geometry(&[1, size, size, 1]).unwrap().output[0]
    };
    assert_eq!(
        [side(55, 3, 2, RoundMode::Floor), side(27, 3, 2, RoundMode::Floor), side(13, 3, 2, RoundMode::Floor)],
        [27, 13, 6]
    );
    assert_eq!([side(32, 3, 2, RoundMode::Floor), side(32, 3, 2, RoundMode::Ceil)], [15, 16]);
}

#[test]
fn padding_counts_only_where_asked() {
    let pad = Padding::all(1);
    let average = |kind| {
        let spec = Pool2d { padding: pad, ..Pool2d::new(kind, 2, 2) };
        host(&tensor64(&[1, 2, 2, 1], &[4.0, 8.0, 12.0, 16.0]).pool(&spec).unwrap().0)
    };
    assert_eq!(average(PoolKind::Average), [4.0, 8.0, 12.0, 16.0]);
    assert_eq!(average(PoolKind::AverageWithPadding), [1.0, 2.0, 3.0, 4.0]);
}

#[test]
fn positions_of_another_image_are_refused() {
    let spec = Pool2d::new(PoolKind::Max, 2, 2);
    let positions = IntTensor::from_slice(cpu64(), &[1000]).unwrap();
    let result = tensor64(&[1, 1, 1, 1], &[1.0]).pool_dx(&spec, &[1, 2, 2, 1], Some(&positions));
    assert_argument_error(result, "positions");
    let result = tensor64(&[1, 1, 1, 1], &[1.0]).pool_dx(&spec, &[1, 2, 2, 1], None);
    assert_argument_error(result, "max-pooling needs the positions");
}

#[test]
fn no_images_give_no_outputs() {
    for kind in [PoolKind::Max, PoolKind::Average] {
        let (y, _) = tensor64(&[0, 4, 4, 3], &[]).pool(&Pool2d::new(kind, 2, 2)).unwrap();
        assert_eq!(y.shape(), [0, 2, 2, 3]);
        let (y, _) = tensor64(&[2, 4, 4, 0], &[]).pool(&Pool2d::new(kind, 2, 2)).unwrap();
        assert_eq!(y.shape(), [2, 2, 2, 0]);
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    fn work<E: Element>(cpu: &Cpu<E>) -> Vec<Vec<E>> {
        let mut results = Vec::new();
        for kind in [PoolKind::Max, PoolKind::Average] {
            let case = Case { shape: [5, 13, 13, 33], spec: Pool2d::new(kind, 3, 2), seed: 3 };
            let x = values(1, 5 * 13 * 13 * 33);
            let dy = values(2, 5 * 6 * 6 * 33);
            let (y, _, dx) = forward_and_backward(cpu, &case, &x, &dy);
            results.extend([y.to_vec().unwrap(), dx.to_vec().unwrap()]);
        }
        results
    }
    assert_same_bits(work, work);
}

//! Fused local response normalisation and max-pooling, against the two operations.

use alexnet_tensor::ops::{Activation, Lrn, Pool2d, PoolKind, Region, RoundMode};
use alexnet_tensor::{Cpu, Element, IntTensor};

use crate::support::*;

/// Forward and backward, as one operation or as two.
fn run<E: Element>(
    cpu: &Cpu<E>,
    lrn: &Lrn,
    pool: &Pool2d,
    shape: [usize; 4],
    fused: bool,
) -> (Vec<E>, Vec<u32>, Vec<E>) {
    let x = tensor_on(cpu, &shape, &values(1, shape.iter().product()));
    let dy = |shape: &[usize]| tensor_on(cpu, shape, &values(2, shape.iter().product()));
    let (y, positions, dx) = if fused {
        let (y, saved) = x.lrn_max_pool(lrn, pool).unwrap();
        let dx = dy(y.shape()).lrn_max_pool_dx(lrn, pool, &x, &saved).unwrap();
        (y, saved.positions, dx)
    } else {
        let (normal, base) = x.lrn(lrn).unwrap();
        let (y, positions) = normal.pool(pool).unwrap();
        let dnormal = dy(y.shape()).pool_dx(pool, &shape, positions.as_ref()).unwrap();
        (y, positions.unwrap(), dnormal.lrn_dx(lrn, &x, &base).unwrap())
    };
    (y.to_vec().unwrap(), positions.to_vec().unwrap(), dx.to_vec().unwrap())
}

#[test]
fn the_two_operations_give_the_same_bits() {
    for region in [Region::AcrossChannels, Region::WithinChannel] {
        let lrn = Lrn { alpha: 0.1, region, ..Lrn::paper() };
        for round_mode in [RoundMode::Floor, RoundMode::Ceil] {
            let pool = Pool2d { round_mode, ..Pool2d::new(PoolKind::Max, 3, 2) };
            // Rows that fill vectors, which may take one pass, and others; several bands.
            for shape in [[2, 12, 7, 19], [2, 12, 7, 32], [1, 61, 30, 64]] {
                assert_eq!(run(cpu32(), &lrn, &pool, shape, true), run(cpu32(), &lrn, &pool, shape, false));
                assert_eq!(run(cpu64(), &lrn, &pool, shape, true), run(cpu64(), &lrn, &pool, shape, false));
            }
        }
    }
}

/// dx also goes through the ReLU before: dx has the same bits, and the sums another order.
#[test]
fn the_gradient_goes_through_the_relu_before() {
    fn check<E: Element>(cpu: &Cpu<E>, shape: [usize; 4], lrn: &Lrn, tolerance: f64) {
        let pool = Pool2d::new(PoolKind::Max, 3, 2);
        let len = shape.iter().product();
        let x = tensor_on(cpu, &shape, &values(1, len)).activation(Activation::Relu).unwrap();
        let (y, saved) = x.lrn_max_pool(lrn, &pool).unwrap();
        let dy = tensor_on(cpu, y.shape(), &values(2, y.len()));
        let (dx, sums) = dy.lrn_max_pool_relu_bias_dx(lrn, &pool, &x, &saved).unwrap();
        let expected = dy.lrn_max_pool_dx(lrn, &pool, &x, &saved).unwrap().activation_dx(Activation::Relu, &x).unwrap();
        assert_eq!(dx.to_vec().unwrap(), expected.to_vec().unwrap(), "{shape:?}");
        let expected = host(&expected);
        let c = shape[3];
        assert_eq!(sums.shape(), [c]);
        for (channel, got) in host(&sums).into_iter().enumerate() {
            let terms = || expected.iter().skip(channel).step_by(c);
            let sum = terms().sum::<f64>();
            let scale = terms().map(|v| v.abs()).sum::<f64>();
            assert!((got - sum).abs() <= tolerance * scale, "{shape:?}, {channel}: {got} for {sum}");
        }
    }
    for region in [Region::AcrossChannels, Region::WithinChannel] {
        let lrn = Lrn { alpha: 0.1, region, ..Lrn::paper() };
        for shape in [[2, 12, 7, 19], [2, 12, 7, 32], [18, 9, 11, 16], [1, 61, 30, 64]] {
            check(cpu32(), shape, &lrn, 1e-6);
            check(cpu64(), shape, &lrn, 1e-14);
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    fn run<E: Element>(cpu: &Cpu<E>, shape: [usize; 4]) -> Vec<Vec<E>> {
        let lrn = Lrn::paper();
        let pool = Pool2d::new(PoolKind::Max, 3, 2);
        let len = shape.iter().product();
        let x = tensor_on(cpu, &shape, &values(1, len)).activation(Activation::Relu).unwrap();
        let (y, saved) = x.lrn_max_pool(&lrn, &pool).unwrap();
        let dy = tensor_on(cpu, y.shape(), &values(2, y.len()));
        let (dx, sums) = dy.lrn_max_pool_relu_bias_dx(&lrn, &pool, &x, &saved).unwrap();
        [y, dx, sums].map(|t| t.to_vec().unwrap()).into()
    }
    // Images that are one part each, and an image of several parts.
    for shape in [[17, 9, 11, 32], [1, 61, 30, 64]] {
        assert_same_bits(|cpu| run(cpu, shape), |cpu| run(cpu, shape));
    }
}

#[test]
fn invalid_settings_and_saved_values_are_refused() {
    let lrn = Lrn::paper();
    let pool = Pool2d::new(PoolKind::Max, 3, 2);
    let x = tensor64(&[1, 5, 5, 2], &[1.0; 50]);
    let average = Pool2d { kind: PoolKind::Average, ..pool };
    assert_argument_error(x.lrn_max_pool(&lrn, &average), "only max-pooling goes with it, got Average");
    assert_argument_error(x.lrn_max_pool(&Lrn { k: 0.0, ..lrn }, &pool), "k above 0");
    assert_argument_error(x.lrn_max_pool(&lrn, &Pool2d::new(PoolKind::Max, 6, 1)), "does not fit");

    let (y, mut saved) = x.lrn_max_pool(&lrn, &pool).unwrap();
    assert_shape_error(x.lrn_max_pool_dx(&lrn, &pool, &x, &saved), "lrn and max-pool backward");
    saved.base = None;
    assert_argument_error(y.lrn_max_pool_dx(&lrn, &pool, &x, &saved), "base");
    saved.positions = IntTensor::from_slice(cpu64(), &[0]).unwrap();
    assert_argument_error(y.lrn_max_pool_dx(&lrn, &pool, &x, &saved), "another forward");
}

//! An epilogue against its stages one by one, and its gradients against finite differences.

use proptest::prelude::*;
use tensor::Cpu;
use tensor::ops::{Conv2d, DropoutScale, Padding, Region, RoundMode};

use super::*;
use crate::ops::testing::{check, distinct, draw, off_grid, quarters};

type Cpu32 = Cpu<f32>;

/// Each stage as a record of its own.
fn one_by_one(tape: &mut Tape<Cpu32>, mut y: Var<Cpu32>, stages: &[Stage]) -> Result<Var<Cpu32>> {
    for stage in stages {
        y = match stage {
            Stage::Relu => tape.activation(&y, Activation::Relu)?,
            Stage::Lrn(spec) => tape.lrn(&y, spec)?,
            Stage::Pool(spec) => tape.pool(&y, spec)?,
            Stage::Dropout(spec, stream) => tape.dropout(&y, spec, *stream)?,
            Stage::Scale(factor) => tape.scale(&y, *factor)?,
        };
    }
    Ok(y)
}

fn all_stages() -> impl Strategy<Value = Vec<Stage>> {
    let lrn = prop_oneof![
        Just(Lrn { alpha: 0.1, ..Lrn::paper() }),
        Just(Lrn { alpha: 0.1, region: Region::WithinChannel, ..Lrn::paper() }),
    ];
    let pool = (1usize..4, 1usize..4, any::<bool>(), any::<bool>()).prop_map(|(kernel, stride, ceil, max)| {
        let kind = if max { PoolKind::Max } else { PoolKind::Average };
        let round_mode = if ceil { RoundMode::Ceil } else { RoundMode::Floor };
        Pool2d { round_mode, ..Pool2d::new(kind, kernel, stride) }
    });
    let dropout = (0.0f64..0.9, any::<bool>(), any::<u64>()).prop_map(|(p, at_test, step)| {
        let scale = if at_test { DropoutScale::AtTest } else { DropoutScale::InTraining };
        Stage::Dropout(Dropout { p, scale }, Stream::new(1, 2, step))
    });
    let stage = prop_oneof![
        Just(Stage::Relu),
        lrn.prop_map(Stage::Lrn),
        pool.prop_map(Stage::Pool),
        dropout,
        (0.1f64..3.0).prop_map(Stage::Scale),
    ];
    prop::collection::vec(stage, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Outputs and gradients, of channels that are whole vectors and of others.
    #[test]
    fn an_epilogue_gives_the_bits_of_its_stages(
        sizes in [1usize..3, 3usize..12, 3usize..12, 1usize..4],
        out in prop::sample::select(vec![3usize, 16, 20, 32]),
        stages in all_stages(),
        bias: bool,
        seed: u64,
    ) {
        let [n, h, width, c] = sizes;
        let conv = Conv2d { padding: Padding::all(1), ..Conv2d::default() };
        let values = [draw(&[n, h, width, c], seed), draw(&[out, 3, 3, c], seed ^ 1), draw(&[out], seed ^ 2)];
        let run = |fused: bool| -> Result<_> {
            let mut tape = Tape::new();
            let [x, w, b] = values.clone().map(|value| tape.parameter(value));
            let b = Some(&b).filter(|_| bias);
            let y = if fused {
                tape.conv2d(&x, &w, b, &conv, &stages)?
            } else {
                let y = tape.conv2d(&x, &w, b, &conv, &[])?;
                one_by_one(&mut tape, y, &stages)?
            };
            // Gradients of both signs.
            let weights = Var::constant(draw(y.shape(), seed ^ 3));
            let product = tape.multiply(&y, &weights)?;
            let loss = tape.sum(&product)?;
            let mut gradients = tape.backward(&loss)?;
            let bias_gradient = b.map(|b| gradients.take(b).unwrap().to_vec().unwrap()).unwrap_or_default();
            let others = [y.into_value(), gradients.take(&x).unwrap(), gradients.take(&w).unwrap()];
            Ok((others.map(|t| t.to_vec().unwrap()), bias_gradient))
        };
        // Poolings in a row may leave no room for a window.
        let (fused, bias_gradient, apart, expected) = match (run(true), run(false)) {
            (Ok((fused, bias_gradient)), Ok((apart, expected))) => (fused, bias_gradient, apart, expected),
            (fused, apart) => {
                let messages = [fused, apart].map(|outcome| outcome.unwrap_err().to_string());
                prop_assert!(messages.iter().all(|m| m.contains("does not fit an input of")), "{messages:?}");
                return Ok(());
            }
        };
        prop_assert_eq!(fused, apart);
        let scale = (n * h * width) as f32 * expected.iter().fold(1.0f32, |max, v| max.max(v.abs()));
        for (got, expected) in bias_gradient.iter().zip(&expected) {
            prop_assert!((got - expected).abs() <= 1e-6 * scale, "{got} for {expected}");
        }
    }

    #[test]
    fn gradients_of_a_normalisation_and_a_max_pooling(
        c in 1usize..6,
        room in [0usize..5, 0usize..5],
        kernel in 1usize..4,
        stride in 1usize..4,
        pads in [0usize..3, 0usize..3],
        size in 1usize..7,
        within: bool,
        ceil: bool,
        seed: u64,
    ) {
        let [top, left] = pads.map(|p| p % kernel);
        let pool = Pool2d {
            padding: Padding { top, left, ..Padding::default() },
            round_mode: if ceil { RoundMode::Ceil } else { RoundMode::Floor },
            ..Pool2d::new(PoolKind::Max, kernel, stride)
        };
        // So weak that values keep their order, and their distance from ties.
        let region = if within { Region::WithinChannel } else { Region::AcrossChannels };
        let lrn = Lrn { size, alpha: 1e-5, region, ..Lrn::paper() };
        let x = distinct(&[2, kernel + room[0], kernel + room[1], c], seed);
        check(&[("x", x)], |tape, p| tape.stages(&p[0], &[Stage::Lrn(lrn), Stage::Pool(pool)]))?;
    }
}

/// The first layers of the paper in small, with and without a bias that requires a gradient.
#[test]
fn gradients_through_a_convolution() {
    // So weak a normalisation that values keep their order; windows of one value each have no ties.
    let lrn = Stage::Lrn(Lrn { alpha: 1e-3, ..Lrn::paper() });
    let pool = Stage::Pool(Pool2d::new(PoolKind::Max, 1, 2));
    let conv = Conv2d { stride: [2, 1], ..Conv2d::default() };
    let parameters = [("x", quarters(&[2, 9, 7, 2], 1)), ("w", quarters(&[3, 3, 2, 2], 2)), ("b", off_grid(&[3], 3))];
    for stages in [&[Stage::Relu, pool][..], &[Stage::Relu, lrn, pool], &[Stage::Relu, lrn]] {
        check(&parameters, |tape, p| tape.conv2d(&p[0], &p[1], Some(&p[2]), &conv, stages)).unwrap();
        check(&parameters[..2], |tape, p| {
            let device = crate::gradient_check::Device::new(1)?;
            let b = Var::constant(Tensor::from_array(&device, off_grid(&[3], 3).view())?);
            tape.conv2d(&p[0], &p[1], Some(&b), &conv, stages)
        })
        .unwrap();
    }
}

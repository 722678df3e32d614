//! Every kind of layer is read as it was written.

use proptest::prelude::*;
use tensor::ops::{Activation, AlphaScaling, Dropout, DropoutScale, Lrn, Padding, PoolKind, Region, RoundMode};

use super::*;
use crate::init::Init;
use crate::model::parameter_settings::ParameterSettings;
use crate::model::settings::{MAX_COUNT, Pad};

fn pad() -> impl Strategy<Value = Pad> {
    let sides = (0..9usize, 0..9usize, 0..9usize, 0..9usize);
    let sides = sides.prop_map(|(top, bottom, left, right)| Padding { top, bottom, left, right });
    prop_oneof![Just(Pad::Same), (0..9usize).prop_map(|n| Pad::Sides(Padding::all(n))), sides.prop_map(Pad::Sides)]
}

fn window() -> impl Strategy<Value = [usize; 2]> {
    prop_oneof![(1..=MAX_COUNT).prop_map(|n| [n; 2]), [1..9usize, 1..9usize]]
}

fn init() -> impl Strategy<Value = Init> {
    prop_oneof![
        (-1e300..1e300).prop_map(Init::Constant),
        (-1.0..1.0, 0.0..1e-9).prop_map(|(mean, std)| Init::Normal { mean, std }),
        (-1.0..0.0, 0.0..1e9).prop_map(|(low, high)| Init::Uniform { low, high }),
        prop::sample::select(vec![
            Init::GlorotUniform,
            Init::GlorotNormal,
            Init::HeUniform,
            Init::HeNormal,
            Init::TorchDefault,
        ]),
    ]
}

fn parameters() -> impl Strategy<Value = ParameterSettings> {
    (init(), prop::option::of(init()), [0.0..9.0, 0.0..9.0, 0.0..1e-6, 0.0..1e6]).prop_map(|(init, bias, factors)| {
        let [weight_rate, bias_rate, weight_decay, bias_decay] = factors;
        ParameterSettings { init, bias, weight_rate, bias_rate, weight_decay, bias_decay }
    })
}

fn conv() -> impl Strategy<Value = Conv> {
    (1..=MAX_COUNT, window(), window(), pad(), 1..9usize, parameters()).prop_map(
        |(filters, kernel, stride, padding, groups, parameters)| Conv {
            filters,
            kernel,
            stride,
            padding,
            groups,
            parameters,
        },
    )
}

fn pool() -> impl Strategy<Value = Pool> {
    let kinds = vec![PoolKind::Max, PoolKind::Average, PoolKind::AverageWithPadding];
    (
        prop::sample::select(kinds),
        window(),
        window(),
        pad(),
        prop::sample::select(vec![RoundMode::Floor, RoundMode::Ceil]),
    )
        .prop_map(|(kind, kernel, stride, padding, round_mode)| Pool { kind, kernel, stride, padding, round_mode })
}

fn lrn() -> impl Strategy<Value = Lrn> {
    let regions = prop::sample::select(vec![Region::AcrossChannels, Region::WithinChannel]);
    let rules = prop::sample::select(vec![AlphaScaling::Sum, AlphaScaling::Mean]);
    (1..99usize, 0.0..1e-3, 0.0..2.0, 1e-9..9.0, regions, rules)
        .prop_map(|(size, alpha, beta, k, region, alpha_scaling)| Lrn { size, alpha, beta, k, region, alpha_scaling })
}

fn layer_kind() -> impl Strategy<Value = LayerKind> {
    let units = prop_oneof![Just(Units::Classes), (1..=MAX_COUNT).prop_map(Units::Number)];
    let scales = prop::sample::select(vec![DropoutScale::AtTest, DropoutScale::InTraining]);
    prop_oneof![
        conv().prop_map(LayerKind::Conv),
        conv().prop_map(|conv| LayerKind::Local(Local(conv))),
        (units, parameters()).prop_map(|(units, parameters)| LayerKind::Linear(Linear { units, parameters })),
        prop::sample::select(vec![Activation::Relu, Activation::Tanh, Activation::Logistic])
            .prop_map(LayerKind::Activation),
        lrn().prop_map(LayerKind::Lrn),
        pool().prop_map(LayerKind::Pool),
        window().prop_map(|output| LayerKind::AdaptiveAveragePool(AdaptiveAveragePool { output })),
        (0.0..1.0, scales).prop_map(|(p, scale)| LayerKind::Dropout(Dropout { p, scale })),
        (1e-12..1.0, 0.0..1.0, 0.0..9.0, 0.0..9.0, any::<bool>()).prop_map(
            |(epsilon, momentum, rate, decay, frozen)| {
                LayerKind::BatchNorm(BatchNorm { epsilon, momentum, rate, decay, frozen })
            }
        ),
        Just(LayerKind::GlobalAveragePool),
        Just(LayerKind::Flatten),
        Just(LayerKind::Softmax),
    ]
}

proptest! {
    #[test]
    fn a_layer_is_read_as_it_was_written(kind in layer_kind()) {
        prop_assert!(LayerKind::NAMES.contains(&kind.name()));
        let mut table = TableWriter::default();
        kind.as_layer().write(&mut table);
        let text = table.to_string();
        let table = text.parse().unwrap();
        prop_assert_eq!(LayerKind::read(kind.name(), &mut TableReader::new(&table)).unwrap(), kind, "{}", text);
    }
}

#[test]
fn kinds_are_in_the_registrys_order_and_unique() {
    let expected = [
        "conv",
        "local",
        "linear",
        "relu",
        "tanh",
        "logistic",
        "lrn",
        "max-pool",
        "average-pool",
        "adaptive-average-pool",
        "dropout",
        "batch-norm",
        "global-average-pool",
        "flatten",
        "softmax",
    ];
    assert_eq!(LayerKind::NAMES, expected);
}

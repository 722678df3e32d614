//! A network is read as it was written.

use alexnet_layers::model::{
    BatchNorm, ChannelOrder, Conv, Input, LayerKind, LayerSpec, Linear, Local, Mean, Pad, ParameterSettings, Pool,
    Units,
};
use alexnet_layers::{Init, Model, toml};
use proptest::prelude::*;
use tensor::ops::{Activation, Dropout, DropoutScale, Lrn, PoolKind, RoundMode};

fn parameters() -> impl Strategy<Value = ParameterSettings> {
    let init = prop_oneof![
        (0.0..1.0).prop_map(|std| Init::Normal { mean: 0.0, std }),
        Just(Init::HeUniform),
        Just(Init::TorchDefault),
    ];
    (init, prop::option::of((-1.0..1.0).prop_map(Init::Constant)), 0.0..9.0, 0.0..1e-9).prop_map(
        |(init, bias, bias_rate, bias_decay)| ParameterSettings {
            init,
            bias,
            bias_rate,
            bias_decay,
            ..ParameterSettings::default()
        },
    )
}

fn conv() -> impl Strategy<Value = Conv> {
    (1usize..9, 1usize..6, parameters()).prop_map(|(filters, kernel, parameters)| Conv {
        padding: Pad::Same,
        parameters,
        ..Conv::new(filters, kernel)
    })
}

/// Layers that take any map and keep its height and width.
fn on_map() -> impl Strategy<Value = LayerKind> {
    let pool = (1usize..4).prop_map(|side| Pool {
        kind: PoolKind::AverageWithPadding,
        kernel: [side; 2],
        stride: [1, 1],
        padding: Pad::Same,
        round_mode: RoundMode::Floor,
    });
    prop_oneof![
        conv().prop_map(LayerKind::Conv),
        conv().prop_map(|conv| LayerKind::Local(Local(conv))),
        (0.0..1.0).prop_map(|alpha| LayerKind::Lrn(Lrn { alpha, ..Lrn::paper() })),
        pool.prop_map(LayerKind::Pool),
        (1e-9..1.0).prop_map(|epsilon| LayerKind::BatchNorm(BatchNorm { epsilon, ..BatchNorm::default() })),
    ]
}

/// Layers that take anything.
fn on_any() -> impl Strategy<Value = LayerKind> {
    prop_oneof![
        Just(LayerKind::Activation(Activation::Relu)),
        Just(LayerKind::Activation(Activation::Logistic)),
        (0.0..1.0).prop_map(|p| LayerKind::Dropout(Dropout { p, scale: DropoutScale::AtTest })),
    ]
}

fn rows() -> impl Strategy<Value = Vec<LayerKind>> {
    let linear = (1usize..20, parameters())
        .prop_map(|(units, parameters)| LayerKind::Linear(Linear { units: Units::Number(units), parameters }));
    let first = prop_oneof![Just(LayerKind::Flatten), Just(LayerKind::GlobalAveragePool)];
    (prop::option::of(first), prop::collection::vec(prop_oneof![linear, on_any()], 0..4))
        .prop_map(|(first, rest)| first.into_iter().chain(rest).collect())
}

fn layers() -> impl Strategy<Value = Vec<LayerKind>> {
    (prop::collection::vec(prop_oneof![on_map(), on_any()], 0..6), rows(), parameters(), any::<bool>()).prop_map(
        |(mut layers, rows, parameters, softmax)| {
            layers.extend(rows);
            layers.push(LayerKind::Linear(Linear { units: Units::Classes, parameters }));
            layers.extend(softmax.then_some(LayerKind::Softmax));
            layers
        },
    )
}

fn input() -> impl Strategy<Value = Input> {
    let mean = prop_oneof![
        Just(Mean::None),
        Just(Mean::PackImage),
        Just(Mean::PackRgb),
        [-9.0..200.0, 0.0..1e-5, 3.0..4.0].prop_map(Mean::Rgb),
    ];
    let deviation = prop::option::of([0.1..9.0, 1e-6..1.0, 1.0..2.0]);
    (1usize..40, 0usize..9, any::<bool>(), 1e-6..2.0, mean, deviation).prop_map(
        |(crop, more, bgr, scale, mean, deviation)| Input {
            size: crop + more,
            crop,
            channels: if bgr { ChannelOrder::Bgr } else { ChannelOrder::Rgb },
            scale,
            mean,
            deviation,
        },
    )
}

fn model() -> impl Strategy<Value = Model> {
    let about =
        prop::collection::vec(prop::sample::select(vec!["a\nline", "\"quoted\"", "größer", "\\", "# no", "'''"]), 0..5);
    let train = prop::option::of((0i64..1000, -1e9..1e9f64));
    (input(), layers(), 1usize..30, about, "[a-zA-Z_][a-z 0-9.+()-]{0,20}", any::<bool>(), train).prop_map(
        |(input, kinds, classes, about, name, export, train)| {
            let layer = |(number, kind): (usize, LayerKind)| LayerSpec {
                name: format!("layer_{number}"),
                export: export.then(|| format!("features.{number}")),
                kind,
            };
            let mut model = Model {
                name,
                about: about.join(" ").trim().to_owned(),
                input,
                classes,
                layers: kinds.into_iter().enumerate().map(layer).collect(),
                train: toml::Table::new(),
            };
            if let Some((epochs, rate)) = train {
                let run = toml::Table::from_iter([("epochs".to_owned(), epochs.into())]);
                let optim = toml::Table::from_iter([("lr".to_owned(), rate.into())]);
                model.train.insert("run".into(), run.into());
                model.train.insert("optim".into(), optim.into());
            }
            model
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_model_is_read_as_it_was_written(model in model()) {
        let text = model.to_toml();
        let read = Model::parse(&text, "written");
        prop_assert!(read.is_ok(), "{}\n{}", read.unwrap_err(), text);
        let read = read.unwrap();
        prop_assert_eq!(read.to_toml(), text);
        prop_assert_eq!(read, model);
    }
}

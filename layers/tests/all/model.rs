//! Networks as text: the presets in numbers, what a text says and what can be set.

use alexnet_layers::model::{ChannelOrder, LayerShape, Mean};
use alexnet_layers::{LayerKind, Layout, Model};
use tensor::ops::{DropoutScale, RoundMode};

fn shapes(name: &str) -> Vec<LayerShape> {
    Model::preset(name).unwrap().shapes().unwrap()
}

fn parameters(name: &str) -> u64 {
    shapes(name).iter().map(LayerShape::parameter_count).sum()
}

/// Layers with parameters: name, output, values.
fn learned(name: &str) -> Vec<(String, Vec<usize>, u64)> {
    let with_parameters = shapes(name).into_iter().filter(|shape| shape.parameter_count() > 0);
    with_parameters.map(|s| (s.name.clone(), s.output.clone(), s.parameter_count())).collect()
}

fn row(name: &str, output: &[usize], parameters: u64) -> (String, Vec<usize>, u64) {
    (name.into(), output.to_vec(), parameters)
}

#[test]
fn presets_have_their_parameter_counts() {
    for name in ["paper", "source", "caffe", "caffenet"] {
        assert_eq!(parameters(name), 60_965_224, "{name}");
    }
    assert_eq!(parameters("one-weird-trick"), 61_100_840);
    assert_eq!(parameters("keras"), 62_378_344);
    // conv1..3: 32 * 76, 32 * 801, 64 * 801; fc10: 10 * (4 * 4 * 64 + 1).
    for name in ["cifar-relu", "cifar-tanh", "cifar-18pct"] {
        assert_eq!(parameters(name), 2_432 + 25_632 + 51_264 + 10_250, "{name}");
    }
    // conv1, conv2: 64 * 76, 64 * 1601; local3, local4: 36 * 64 * 577, 36 * 32 * 577; fc10: 10 * (36 * 32 + 1).
    assert_eq!(parameters("cifar-11pct"), 4_864 + 102_464 + 1_329_408 + 664_704 + 11_530);
    assert_eq!(parameters("tiny"), 5_075_464);
    assert_eq!(parameters("linear"), 30_730);
}

#[test]
fn the_paper_layer_by_layer() {
    let expected = [
        row("conv1", &[55, 55, 96], 34_944),
        row("conv2", &[27, 27, 256], 307_456),
        row("conv3", &[13, 13, 384], 885_120),
        row("conv4", &[13, 13, 384], 663_936),
        row("conv5", &[13, 13, 256], 442_624),
        row("fc6", &[4096], 37_752_832),
        row("fc7", &[4096], 16_781_312),
        row("fc8", &[1000], 4_097_000),
    ];
    for name in ["paper", "source", "caffe"] {
        assert_eq!(learned(name), expected, "{name}");
        let macs: Vec<u64> = shapes(name).iter().map(|s| s.macs).filter(|&n| n > 0).collect();
        assert_eq!(macs.iter().sum::<u64>(), 724_406_816, "{name}");
        assert_eq!(macs[..5], [105_415_200, 223_948_800, 149_520_384, 112_140_288, 74_760_192], "{name}");
    }
}

/// The kinds of layers of the paper in its order, and its sizes of maps from pool1 on.
#[test]
fn tiny_is_the_paper_in_small() {
    let kinds = |name: &str| shapes(name).into_iter().map(|s| (s.name, s.kind)).collect::<Vec<_>>();
    assert_eq!(kinds("tiny"), kinds("paper"));
    let maps = |name: &str| {
        let outputs = shapes(name).into_iter().filter(|s| s.output.len() == 3);
        outputs.map(|s| s.output[0]).skip_while(|&side| side > 27).collect::<Vec<_>>()
    };
    assert_eq!(maps("tiny"), maps("paper"));
    let expected = [
        row("conv1", &[56, 56, 32], 2_432),
        row("conv2", &[27, 27, 96], 38_496),
        row("conv3", &[13, 13, 128], 110_720),
        row("conv4", &[13, 13, 128], 73_856),
        row("conv5", &[13, 13, 96], 55_392),
        row("fc6", &[1024], 3_539_968),
        row("fc7", &[1024], 1_049_600),
        row("fc8", &[200], 205_000),
    ];
    assert_eq!(learned("tiny"), expected);
    assert_eq!(shapes("tiny").iter().map(|s| s.macs).sum::<u64>(), 80_807_424);
}

#[test]
fn keras_and_torchvision_layer_by_layer() {
    let keras = [
        row("conv1", &[56, 56, 96], 34_944),
        row("conv2", &[27, 27, 256], 614_656),
        row("conv3", &[13, 13, 384], 885_120),
        row("conv4", &[13, 13, 384], 1_327_488),
        row("conv5", &[13, 13, 256], 884_992),
        row("fc6", &[4096], 37_752_832),
        row("fc7", &[4096], 16_781_312),
        row("fc8", &[1000], 4_097_000),
    ];
    assert_eq!(learned("keras"), keras);
    let torchvision = [
        row("conv1", &[55, 55, 64], 23_296),
        row("conv2", &[27, 27, 192], 307_392),
        row("conv3", &[13, 13, 384], 663_936),
        row("conv4", &[13, 13, 256], 884_992),
        row("conv5", &[13, 13, 256], 590_080),
        row("fc6", &[4096], 37_752_832),
        row("fc7", &[4096], 16_781_312),
        row("fc8", &[1000], 4_097_000),
    ];
    assert_eq!(learned("one-weird-trick"), torchvision);
}

#[test]
fn torchvisions_names_and_layouts() {
    let parameters = Model::preset("one-weird-trick").unwrap().parameters().unwrap();
    let names: Vec<&str> = parameters.iter().map(|p| p.export.as_str()).collect();
    let layers = ["features.0", "features.3", "features.6", "features.8", "features.10"];
    let layers = layers.iter().chain(&["classifier.1", "classifier.4", "classifier.6"]);
    let expected: Vec<String> = layers.flat_map(|l| [format!("{l}.weight"), format!("{l}.bias")]).collect();
    assert_eq!(names, expected);
    let weight = |name: &str| parameters.iter().find(|p| p.name == name).unwrap();
    assert_eq!(weight("conv2.weight").shape, [192, 5, 5, 64]);
    assert_eq!(weight("conv2.weight").layout, Layout::Conv);
    let after_flatten = Layout::LinearAfterFlatten { height: 6, width: 6, channels: 256 };
    assert_eq!(weight("fc6.weight").layout, after_flatten);
    assert_eq!(weight("fc7.weight").layout, Layout::Linear);
    // Flattened by a layer of its own, with dropout in between.
    let keras = Model::preset("keras").unwrap().parameters().unwrap();
    assert_eq!(keras.iter().find(|p| p.name == "fc6.weight").unwrap().layout, after_flatten);
    let local = Model::preset("cifar-11pct").unwrap().parameters().unwrap();
    let local3: Vec<_> = local.iter().filter(|p| p.name.starts_with("local3")).collect();
    assert_eq!((local3[0].shape.as_slice(), local3[0].layout), (&[36, 64, 3, 3, 64][..], Layout::Local));
    assert_eq!((local3[1].shape.as_slice(), local3[1].layout), (&[6, 6, 64][..], Layout::Vector));
}

#[test]
fn caffenet_pools_before_it_normalises() {
    let kinds = |name: &str| {
        let model = Model::preset(name).unwrap();
        model.layers.iter().take(8).map(|layer| layer.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(kinds("caffe"), ["conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2"]);
    assert_eq!(kinds("caffenet"), ["conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2"]);
    let outputs = |name: &str| learned(name);
    assert_eq!(outputs("caffenet"), outputs("caffe"));
}

#[test]
fn presets_state_their_input_and_multipliers() {
    let input = |name: &str| Model::preset(name).unwrap().input;
    let paper = input("paper");
    assert_eq!((paper.size, paper.crop, paper.channels, paper.mean), (256, 224, ChannelOrder::Rgb, Mean::PackImage));
    let caffe = input("caffe");
    assert_eq!((caffe.crop, caffe.channels, caffe.mean, caffe.scale), (227, ChannelOrder::Bgr, Mean::PackImage, 1.0));
    let torch = input("one-weird-trick");
    assert_eq!((torch.mean, torch.deviation), (Mean::Rgb([0.485, 0.456, 0.406]), Some([0.229, 0.224, 0.225])));
    assert_eq!(torch.scale, 1.0 / 255.0);
    assert_eq!((input("cifar-11pct").size, input("cifar-11pct").crop), (32, 24));

    let multipliers = |name: &str, parameter: &str| {
        let all = Model::preset(name).unwrap().parameters().unwrap();
        all.iter().find(|p| p.name == parameter).map(|p| (p.rate, p.decay)).unwrap()
    };
    assert_eq!(multipliers("paper", "conv1.bias"), (1.0, 1.0));
    for name in ["source", "caffe", "caffenet"] {
        assert_eq!(multipliers(name, "conv1.bias"), (2.0, 0.0));
        assert_eq!(multipliers(name, "fc8.weight"), (1.0, 1.0));
    }
    assert_eq!(multipliers("cifar-18pct", "fc10.weight"), (1.0, 250.0));
    assert_eq!(multipliers("cifar-11pct", "conv2.weight"), (1.0, 0.0));
    for name in Model::presets() {
        let model = Model::preset(name).unwrap();
        assert_eq!(model.name, *name);
        assert!(!model.about.is_empty() && model.layers.last().unwrap().kind == LayerKind::Softmax, "{name}");
        assert!(["optim", "data", "run"].iter().all(|section| model.train.contains_key(*section)), "{name}");
    }
}

#[test]
fn text_and_back_is_the_same_network() {
    for name in Model::presets() {
        let model = Model::preset(name).unwrap();
        let text = model.to_toml();
        assert_eq!(Model::parse(&text, "again").unwrap(), model, "{text}");
    }
    let every_kind = r#"
        name = "Réseau (5)"
        about = "odd \"words\"\n\u001b[2J"
        classes = 4
        input = { size = 40, crop = 20, channels = "bgr", scale = 0.5, mean = [1, 2.5, 3], deviation = [1, 1e-3, 2] }
        layer = [
            { name = "a", kind = "conv", filters = 4, kernel = [3, 5], stride = [1, 2], padding = [0, 1, 2, 3], groups = 1,
              init = { kind = "he-normal" }, bias = { kind = "uniform", low = -1, high = 1e-30 }, weight_rate = 0.1,
              export = "body.0" },
            { name = "b", kind = "batch-norm", epsilon = 1e-3, momentum = 0.01, rate = 2, decay = 0 },
            { name = "c", kind = "logistic" },
            { name = "d", kind = "average-pool", kernel = 3, stride = 2, padding = 1, edge = "ceil", count_padding = true },
            { name = "d2", kind = "adaptive-average-pool", output = [5, 4] },
            { name = "e", kind = "local", filters = 2, kernel = 2, padding = "same", bias = false },
            { name = "f", kind = "lrn", region = "within-map", alpha_rule = "mean", size = 3 },
            { name = "g", kind = "dropout", p = 0.25, scale = "at-test" },
            { name = "h", kind = "flatten" },
            { name = "i", kind = "linear", units = 7, init = { kind = "constant", value = -0.0 } },
            { name = "j", kind = "tanh" },
            { name = "k", kind = "linear", units = "classes", bias = { kind = "normal", std = 2, mean = 1 } },
        ]
        train = { optim = { rate = 0.1, drop_epochs = [1, 2.5] } }
    "#;
    let model = Model::parse(every_kind, "test").unwrap();
    assert_eq!(Model::parse(&model.to_toml(), "again").unwrap(), model, "{}", model.to_toml());
}

#[test]
fn silence_means_the_documented_default() {
    let text = r#"
        classes = 2
        input.crop = 8
        layer = [
            { name = "conv", kind = "conv", filters = 2, kernel = 3 },
            { name = "pool", kind = "max-pool", kernel = 2 },
            { name = "drop", kind = "dropout" },
            { name = "fc", kind = "linear", units = "classes" },
        ]
    "#;
    let model = Model::parse(text, "file.toml").unwrap();
    assert_eq!((model.name.as_str(), model.input.size, model.input.scale), ("file.toml", 8, 1.0));
    let LayerKind::Pool(pool) = &model.layers[1].kind else { panic!() };
    assert_eq!((pool.stride, pool.round_mode), ([2, 2], RoundMode::Floor));
    let LayerKind::Dropout(dropout) = &model.layers[2].kind else { panic!() };
    assert_eq!((dropout.p, dropout.scale), (0.5, DropoutScale::InTraining));
}

#[test]
fn classes_and_dropout_can_be_set() {
    let mut model = Model::preset("paper").unwrap();
    model.set_classes(10).unwrap();
    assert_eq!(model.shapes().unwrap().last().unwrap().output, [10]);
    let error = model.set_classes(0).unwrap_err().to_string();
    assert!(error.contains("classes must be from 1 to 1048576, got 0"), "{error}");
    assert_eq!(model.classes, 10);
    model.set_dropout(0.25).unwrap();
    let dropped = model.layers.iter().filter(|l| matches!(&l.kind, LayerKind::Dropout(d) if d.p == 0.25)).count();
    assert_eq!(dropped, 2);
    for p in [1.0, f64::NAN] {
        let error = model.set_dropout(p).unwrap_err().to_string();
        assert!(error.contains("dropout must be at least 0 and below 1, got "), "{error}");
    }
    let mut plain = Model::preset("linear").unwrap();
    assert!(plain.set_dropout(0.5).unwrap_err().to_string().contains("no dropout"));
    plain.set_dropout(0.0).unwrap();
    let error = model.find_layer("cov1").unwrap_err().to_string();
    assert!(error.contains("did you mean \"conv1\""), "{error}");
}

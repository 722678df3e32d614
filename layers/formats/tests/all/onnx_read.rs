//! ONNX graphs as networks.

use alexnet_formats::Format;
use alexnet_formats::layers::model::Mean;
use alexnet_formats::layers::tensor::ops::{AlphaScaling, DropoutScale, PoolKind, Region};
use alexnet_formats::layers::{LayerKind, Model};

use crate::onnx_file::Attribute::{self, Float, Int, Ints, Tensor, Text};
use crate::onnx_file::{OnnxFile, load, numbers, path_of, plain, read, refusal, tensor};
use crate::protobuf::Message;

fn kinds(model: &Model) -> Vec<&'static str> {
    model.layers.iter().map(|layer| layer.kind.name()).collect()
}

#[test]
fn a_plain_graph_is_a_network_with_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = path_of(&folder, &plain().bytes());
    assert_eq!(Format::of(&path).unwrap(), Format::Onnx);
    let weights = alexnet_formats::load(&path, None).unwrap().weights;
    let model = weights.model.clone().unwrap();
    assert_eq!((model.input.crop, model.classes, model.name.as_str()), (6, 5, "net"));
    let names: Vec<&str> = model.layers.iter().map(|layer| layer.name.as_str()).collect();
    assert_eq!(names, ["conv1", "relu1", "fc2", "softmax"]);
    let shapes: Vec<&[usize]> = weights.tensors.iter().map(|(_, values)| values.shape()).collect();
    assert_eq!(shapes, [&[4, 3, 3, 3][..], &[4], &[5, 144], &[5]]);
    // ONNX has outputs, inputs, height, width; this workspace has outputs, height, width, inputs.
    let theirs = numbers("w", &[4, 3, 3, 3]);
    assert_eq!(weights.tensor("conv1.weight").unwrap()[[2, 1, 0, 1]], theirs[((2 * 3 + 1) * 3 + 1) * 3]);
    let theirs = numbers("fw", &[5, 144]);
    assert_eq!(weights.tensor("fc2.weight").unwrap()[[3, (2 * 6 + 5) * 4 + 1]], theirs[3 * 144 + (6 + 2) * 6 + 5]);
}

#[test]
fn pools_batch_norms_dropouts_and_activations_are_read() {
    let file = OnnxFile::new(&[0, 3, 16, 16])
        .weight("w", &[6, 3, 3, 3])
        .weight("gamma", &[6])
        .weight("beta", &[6])
        .weight("mean", &[6])
        .floats("var", &[6], &[1.0; 6])
        .floats("ratio", &[], &[0.3])
        .floats("half", &[], &[0.5])
        .weight("fw", &[5, 6])
        .node("Conv", &["w"], &[Ints("strides", &[1, 1]), Int("group", 1), Ints("dilations", &[1, 1])])
        .node(
            "BatchNormalization",
            &["gamma", "beta", "mean", "var"],
            &[Float("epsilon", 1e-3), Float("momentum", 0.99)],
        )
        .node("Sigmoid", &[], &[])
        .node("MaxPool", &[], &[Ints("kernel_shape", &[3, 3]), Ints("strides", &[2, 2]), Int("ceil_mode", 1)])
        .node("Tanh", &[], &[])
        .node("AveragePool", &[], &[Ints("kernel_shape", &[2, 2]), Ints("strides", &[2, 2])])
        .node("Mul", &["half"], &[])
        .node("GlobalAveragePool", &[], &[])
        .node("Flatten", &[], &[])
        .node("Dropout", &["ratio"], &[])
        .node("Gemm", &["fw"], &[Int("transB", 1)])
        .node("Softmax", &[], &[Int("axis", 1)]);
    let file = read(&file);
    let model = file.model.unwrap();
    let expected = [
        "conv",
        "batch-norm",
        "logistic",
        "max-pool",
        "tanh",
        "average-pool",
        "dropout",
        "global-average-pool",
        "dropout",
        "linear",
        "softmax",
    ];
    assert_eq!(kinds(&model), expected);
    let LayerKind::BatchNorm(norm) = &model.layers[1].kind else { panic!() };
    assert_eq!((norm.epsilon, norm.momentum), (1e-3, 0.01));
    let LayerKind::Dropout(at_test) = &model.layers[6].kind else { panic!() };
    assert_eq!((at_test.p, at_test.scale), (0.5, DropoutScale::AtTest));
    let LayerKind::Dropout(dropout) = &model.layers[8].kind else { panic!() };
    assert_eq!((dropout.p, dropout.scale), (0.3, DropoutScale::InTraining));
}

#[test]
fn settings_that_a_graph_leaves_out_are_onnxs_defaults() {
    let start = OnnxFile::new(&[0, 3, 8, 8]).weight("w", &[6, 3, 1, 1]).weight("gamma", &[6]).weight("beta", &[6]);
    let file = start
        .weight("mean", &[6])
        .floats("var", &[6], &[1.0; 6])
        .weight("fw", &[5, 6 * 64])
        .node("Conv", &["w"], &[])
        .node("LRN", &[], &[Int("size", 3)])
        .node("BatchNormalization", &["gamma", "beta", "mean", "var"], &[])
        .node("Flatten", &[], &[])
        .node("Gemm", &["fw"], &[Int("transB", 1)]);
    let model = read(&file).model.unwrap();
    let LayerKind::Lrn(lrn) = &model.layers[1].kind else { panic!() };
    assert_eq!((lrn.size, lrn.alpha, lrn.beta, lrn.k), (3, 1e-4, 0.75, 1.0));
    assert_eq!((lrn.region, lrn.alpha_scaling), (Region::AcrossChannels, AlphaScaling::Mean));
    let LayerKind::BatchNorm(norm) = &model.layers[2].kind else { panic!() };
    assert_eq!((norm.epsilon, norm.momentum), (1e-5, 0.1));
}

#[test]
fn factors_are_the_shares_that_dropouts_keep() {
    let file = OnnxFile::new(&[0, 3, 2, 2])
        .weight("w", &[6, 3, 1, 1])
        .weight("fw", &[5, 24])
        .floats("kept", &[], &[0.7])
        .floats("divisor", &[], &[1.25])
        .node("Conv", &["w"], &[])
        .node("Mul", &["kept"], &[])
        .node("Div", &["divisor"], &[])
        .node("Flatten", &[], &[])
        .node("Gemm", &["fw"], &[Int("transB", 1)]);
    let model = read(&file).model.unwrap();
    let dropped = |kind: &LayerKind| if let LayerKind::Dropout(dropout) = kind { Some(dropout.p) } else { None };
    assert_eq!(model.layers.iter().filter_map(|layer| dropped(&layer.kind)).collect::<Vec<_>>(), [0.3, 0.2]);
}

#[test]
fn averages_over_padding_are_told_apart() {
    let pool = |attributes: &[Attribute], pad: bool| {
        let mut file = OnnxFile::new(&[0, 3, 6, 6]).ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]);
        if pad {
            file = file.node("Pad", &["pads"], &[]);
        }
        file = file.node("AveragePool", &[], attributes);
        let file =
            read(&file.weight("fw", &[5, 27]).node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)]));
        let LayerKind::Pool(pool) = file.model.unwrap().layers[0].kind.clone() else { panic!() };
        pool.kind
    };
    let windows = || [Ints("kernel_shape", &[3, 3]), Ints("strides", &[2, 2]), Ints("pads", &[1, 1, 1, 1])];
    assert_eq!(pool(&windows(), false), PoolKind::Average);
    let [kernel, strides, pads] = windows();
    assert_eq!(pool(&[kernel, strides, pads, Int("count_include_pad", 1)], false), PoolKind::AverageWithPadding);
    let [kernel, strides, _] = windows();
    assert_eq!(pool(&[kernel, strides], true), PoolKind::AverageWithPadding);
}

#[test]
fn a_preset_is_recognised_with_its_input_and_training() {
    let preset = Model::preset("cifar-relu").unwrap();
    let pool = || [Ints("kernel_shape", &[3, 3]), Ints("strides", &[2, 2]), Ints("pads", &[0, 0, 1, 1])];
    let file = OnnxFile::new(&[0, 3, 32, 32])
        .weight("w1", &[32, 3, 5, 5])
        .weight("b1", &[32])
        .weight("w2", &[32, 32, 5, 5])
        .weight("b2", &[32])
        .weight("w3", &[64, 32, 5, 5])
        .weight("b3", &[64])
        .weight("fw", &[10, 1024])
        .weight("fb", &[10])
        .node("Conv", &["w1", "b1"], &[Ints("pads", &[2, 2, 2, 2])])
        .node("MaxPool", &[], &pool())
        .node("Relu", &[], &[])
        .node("Conv", &["w2", "b2"], &[Ints("pads", &[2, 2, 2, 2])])
        .node("Relu", &[], &[])
        .node("AveragePool", &[], &pool())
        .node("Conv", &["w3", "b3"], &[Ints("pads", &[2, 2, 2, 2])])
        .node("Relu", &[], &[])
        .node("AveragePool", &[], &pool())
        .node("Flatten", &[], &[])
        .node("Gemm", &["fw", "fb"], &[Int("transB", 1)]);
    let weights = load(&file);
    assert_eq!(weights.model.as_ref(), Some(&preset));
    assert!(weights.tensor("fc10.weight").is_some());
}

#[test]
fn a_graph_for_images_of_any_size_is_read_for_the_first_that_fits() {
    let file = OnnxFile::new(&[0, 3, 0, 0])
        .weight("w", &[4, 3, 3, 3])
        .weight("fw", &[5, 4 * 30 * 30])
        .node("Conv", &["w"], &[])
        .node("Flatten", &[], &[])
        .node("Gemm", &["fw"], &[Int("transB", 1)]);
    let file = read(&file);
    assert_eq!(file.model.unwrap().input.crop, 32);
    assert!(file.notes.iter().any(|note| note.contains("32 x 32")), "{:?}", file.notes);
}

#[test]
fn a_graph_that_prepares_its_images_says_the_input() {
    let end = |file: OnnxFile| {
        let file = file.weight("w", &[4, 3, 3, 3]).weight("fw", &[5, 64]);
        let file = file.node("Conv", &["w"], &[]).node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)]);
        let read = read(&file);
        assert!(read.notes.iter().any(|note| note.contains("prepares its images itself")), "{:?}", read.notes);
        read.model.unwrap().input
    };
    let torch = OnnxFile::new(&[0, 3, 6, 6])
        .floats("mean", &[1, 3, 1, 1], &[0.485, 0.456, 0.406])
        .floats("deviation", &[3, 1, 1], &[0.229, 0.224, 0.225])
        .node("Sub", &["mean"], &[])
        .node("Div", &["deviation"], &[]);
    let input = end(torch);
    let preset = Model::preset("one-weird-trick").unwrap().input;
    assert_eq!((input.mean, input.deviation), (preset.mean, preset.deviation));
    assert!((input.scale - preset.scale).abs() < 1e-12);
    let keras = OnnxFile::new(&[0, 6, 6, 3])
        .floats("factor", &[], &[1.0 / 127.5])
        .floats("offset", &[3], &[-1.0, -1.0, -1.0])
        .node("Mul", &["factor"], &[])
        .node("Add", &["offset"], &[])
        .node("Transpose", &[], &[Ints("perm", &[0, 3, 1, 2])]);
    let input = end(keras);
    assert!((input.scale - 1.0 / 127.5).abs() < 1e-9 && input.mean == Mean::Rgb([1.0; 3]), "{input:?}");
    let other = OnnxFile::new(&[0, 3, 6, 6]).weight("rows", &[1, 1, 6, 1]).node("Sub", &["rows"], &[]);
    assert!(refusal(&other).contains("as no [input] does"));
}

#[test]
fn other_graphs_are_refused_with_the_node_and_the_operator() {
    let conv =
        || OnnxFile::new(&[0, 3, 6, 6]).weight("w", &[4, 3, 3, 3]).weight("b", &[4]).weight("even", &[4, 4, 1, 1]);
    let one = || conv().node("Conv", &["w"], &[]);
    let cases = [
        (
            one().named_node("Einsum", "mix", &["value0"], &["y"], &[]),
            "the Einsum \"mix\" is an operator that no layer",
        ),
        (one().node("LRN", &[], &[Int("size", 4)]), "the LRN that gives \"value1\" has size 4"),
        (conv().node("Conv", &["w"], &[Ints("dilations", &[2, 2])]), "dilations [2, 2]"),
        (conv().node("Conv", &["missing"], &[]), "takes \"missing\", which no node before it gives"),
        (one().node("Add", &["value0"], &[]), "branches"),
        (one().node("Conv", &["w"], &[]), "the maps before it have 4"),
        (one().named_node("Relu", "r", &["input"], &["y"], &[]), "branches off before the last layer"),
        (one().node("Conv", &["even"], &[Text("auto_pad", "SAME_LOWER")]), "auto_pad \"SAME_LOWER\""),
        (OnnxFile::new(&[0, 1, 28, 28]).node("Relu", &[], &[]), "images of three colours"),
        (OnnxFile::new(&[0, 3, 28, 30]).node("Relu", &[], &[]), "square images"),
        (one().opset(5), "version 5"),
        (OnnxFile::new(&[0, 3, 6, 6]), "holds no layers"),
        (one().ints("one", &[1, -1]).node("Reshape", &["one"], &[]), "does not keep the images apart"),
        (one().node("Sub", &["b"], &[]), "no layer here does this"),
        (one().node("Softmax", &[], &[Int("axis", 2)]), "normalises the axis 2"),
    ];
    for (file, expected) in cases {
        let message = refusal(&file);
        assert!(message.contains(expected), "{message}\nlacks {expected}");
        assert!(message.contains("net.onnx"), "{message}");
    }
}

#[test]
fn values_of_all_types_are_read() {
    let half = |value: f32| half::f16::from_f32(value).to_bits();
    let halves: Vec<u8> = (0..12).flat_map(|n| half(n as f32).to_le_bytes()).collect();
    let doubles: Vec<u8> = (0..12).flat_map(|n| f64::from(n).to_le_bytes()).collect();
    let brains: Vec<i64> = (0..12).map(|n| half::bf16::from_f32(n as f32).to_bits().into()).collect();
    let named = |kind: i64| Message::default().ints(1, &[4, 3, 1, 1]).int(2, kind).text(8, "w");
    let values: Vec<f32> = (0..12).map(|n| n as f32).collect();
    let tensors = [
        named(1).floats(4, &values),
        named(10).bytes(9, &halves),
        named(11).bytes(9, &doubles),
        named(16).packed_ints(5, &brains),
    ];
    for tensor in tensors {
        let file = OnnxFile::new(&[0, 3, 2, 2]).initializer(tensor).weight("fw", &[5, 16]);
        let file = file.node("Conv", &["w"], &[]).node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)]);
        assert_eq!(load(&file).tensor("conv1.weight").unwrap().as_slice().unwrap(), values);
    }
    let whole = OnnxFile::new(&[0, 3, 2, 2]).initializer(named(3).bytes(9, &[0; 12])).node("Conv", &["w"], &[]);
    assert!(refusal(&whole).contains("of the type 3"));
}

#[test]
fn constants_that_nodes_make_are_bounded() {
    let fill = |shape: &[i64]| {
        let value = tensor("", &[1], &[0.25]);
        let filled = OnnxFile::new(&[0, 3, 2, 2])
            .ints("shape", shape)
            .named_node("ConstantOfShape", "", &["shape"], &["w"], &[Tensor("value", value)])
            .from("input")
            .node("Conv", &["w"], &[]);
        filled.weight("fw", &[5, 16]).node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)])
    };
    assert_eq!(load(&fill(&[4, 3, 1, 1])).tensor("conv1.weight").unwrap()[[3, 0, 0, 2]], 0.25);
    assert!(refusal(&fill(&[1 << 18, 1 << 9, 1, 1])).contains("more values"));
    assert!(refusal(&fill(&[1 << 40, 1 << 40, 1, 1])).contains("larger than any"));
}

//! ONNX graphs that say the same in other words give the same network.

use alexnet_formats::layers::LayerKind;
use alexnet_formats::layers::tensor::ops::Region;

use crate::onnx_file::Attribute::{Float, Int, Ints, Text};
use crate::onnx_file::{OnnxFile, load, numbers, plain, read};

#[test]
fn padding_in_other_words_is_the_same_network() {
    let start = OnnxFile::new(&[0, 3, 6, 6])
        .weight("w", &[4, 3, 3, 3])
        .weight("b", &[4])
        .weight("fw", &[5, 144])
        .weight("fb", &[5])
        .ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]);
    let end = |file: OnnxFile| {
        file.node("Relu", &[], &[]).node("Flatten", &[], &[]).node("Gemm", &["fw", "fb"], &[Int("transB", 1)])
    };
    let pad = start.clone().node("Pad", &["pads"], &[Text("mode", "constant")]).node("Conv", &["w", "b"], &[]);
    let old_pad = start.clone().node("Pad", &[], &[Ints("pads", &[0, 0, 1, 1, 0, 0, 1, 1]), Float("value", 0.0)]).node(
        "Conv",
        &["w", "b"],
        &[],
    );
    assert_eq!(load(&end(pad)), load(&plain()));
    assert_eq!(load(&end(old_pad)), load(&plain()));
    let same = start.node("Conv", &["w", "b"], &[Text("auto_pad", "SAME_UPPER")]);
    let LayerKind::Conv(conv) = &read(&end(same)).model.unwrap().layers[0].kind else { panic!() };
    assert_eq!(conv.operation([6, 6]).padding, alexnet_formats::layers::tensor::ops::Padding::all(1));
}

#[test]
fn biases_and_matrices_in_other_words_are_the_same_network() {
    let transposed: Vec<f32> = {
        let values = numbers("fw", &[5, 144]);
        (0..144 * 5).map(|at| values[at % 5 * 144 + at / 5]).collect()
    };
    let start = OnnxFile::new(&[0, 3, 6, 6])
        .weight("w", &[4, 3, 3, 3])
        .floats("b", &[1, 4, 1, 1], &numbers("b", &[4]))
        .floats("fwt", &[144, 5], &transposed)
        .weight("fw", &[5, 144])
        .weight("fb", &[5])
        .node("Conv", &["w"], &[Ints("pads", &[1, 1, 1, 1])])
        .node("Add", &["b"], &[])
        .node("Relu", &[], &[])
        .node("Flatten", &[], &[]);
    let expected = load(&plain());
    assert_eq!(load(&start.clone().node("MatMul", &["fwt"], &[]).node("Add", &["fb"], &[])), expected);
    assert_eq!(load(&start.clone().node("Gemm", &["fwt", "fb"], &[])), expected);
    let turned = start
        .named_node("Transpose", "", &["fw"], &["turned"], &[Ints("perm", &[1, 0])])
        .node("MatMul", &["turned"], &[])
        .node("Add", &["fb"], &[]);
    assert_eq!(load(&turned), expected);
}

#[test]
fn the_factors_of_gemm_are_in_the_weights() {
    let doubled: Vec<f32> = numbers("fw", &[5, 108]).iter().map(|value| value * 2.0).collect();
    let halved: Vec<f32> = numbers("fb", &[5]).iter().map(|value| value * 0.5).collect();
    let start = || OnnxFile::new(&[0, 3, 6, 6]).node("Flatten", &[], &[]);
    let plain = start().weight("fw", &[5, 108]).weight("fb", &[5]).node(
        "Gemm",
        &["fw", "fb"],
        &[Int("transB", 1), Float("alpha", 2.0), Float("beta", 0.5)],
    );
    let expected = start().floats("fw", &[5, 108], &doubled).floats("fb", &[5], &halved).node(
        "Gemm",
        &["fw", "fb"],
        &[Int("transB", 1)],
    );
    assert_eq!(load(&plain), load(&expected));
}

/// The shapes that exporters compute before a Reshape.
#[test]
fn reshapes_in_other_words_are_the_same_network() {
    let start = OnnxFile::new(&[0, 3, 6, 6])
        .weight("w", &[4, 3, 3, 3])
        .weight("b", &[4])
        .weight("fw", &[5, 144])
        .weight("fb", &[5])
        .ints("zero", &[0])
        .ints("minus_one", &[-1])
        .ints("two", &[2])
        .ints("rows", &[-1, 144])
        .ints("copied", &[0, -1])
        .ints("axes", &[0])
        .node("Conv", &["w", "b"], &[Ints("pads", &[1, 1, 1, 1])])
        .node("Relu", &[], &[]);
    let end = |file: OnnxFile| load(&file.node("Gemm", &["fw", "fb"], &[Int("transB", 1)]));
    let expected = load(&plain());
    assert_eq!(end(start.clone().node("Reshape", &["rows"], &[])), expected);
    assert_eq!(end(start.clone().node("Reshape", &["copied"], &[])), expected);
    let computed = start
        .clone()
        .named_node("Shape", "", &["value1"], &["shape"], &[])
        .named_node("Gather", "", &["shape", "zero"], &["images"], &[Int("axis", 0)])
        .named_node("Unsqueeze", "", &["images", "axes"], &["images_row"], &[])
        .named_node("Concat", "", &["images_row", "minus_one"], &["target"], &[Int("axis", 0)])
        .from("value1")
        .node("Reshape", &["target"], &[]);
    assert_eq!(end(computed), expected);
    let sliced = start
        .named_node("Shape", "", &["value1"], &["shape"], &[])
        .named_node("Slice", "", &["shape", "zero", "minus_one"], &["front"], &[])
        .named_node("Slice", "", &["front", "zero", "axes"], &["none"], &[])
        .named_node("Shape", "", &["value1"], &["first"], &[Int("start", 0), Int("end", 1)])
        .named_node("Constant", "", &[], &["rest"], &[Ints("value_ints", &[-1])])
        .named_node("Concat", "", &["first", "none", "rest"], &["target"], &[Int("axis", 0)])
        .from("value1")
        .node("Reshape", &["target"], &[]);
    assert_eq!(end(sliced), expected);
}

#[test]
fn maps_with_channels_last_are_the_same_network() {
    let theirs = numbers("fw", &[5, 144]);
    let rows = 36;
    let in_our_order: Vec<f32> = (0..144 * 5)
        .map(|at| {
            let input = at / 5;
            let output = at % 5;
            let place = input / 4;
            let channel = input % 4;
            theirs[output * 144 + channel * rows + place]
        })
        .collect();
    let file = OnnxFile::new(&[0, 6, 6, 3])
        .weight("w", &[4, 3, 3, 3])
        .weight("b", &[4])
        .floats("matrix", &[144, 5], &in_our_order)
        .weight("fb", &[5])
        .ints("rows", &[-1, 144])
        .node("Transpose", &[], &[Ints("perm", &[0, 3, 1, 2])])
        .node("Conv", &["w", "b"], &[Ints("pads", &[1, 1, 1, 1])])
        .node("Relu", &[], &[])
        .node("Transpose", &[], &[Ints("perm", &[0, 2, 3, 1])])
        .node("Reshape", &["rows"], &[])
        .node("MatMul", &["matrix"], &[])
        .node("Add", &["fb"], &[]);
    assert_eq!(load(&file), load(&plain()));
}

#[test]
fn a_convolution_in_parts_is_one_in_groups() {
    let both = |name: &str, a: &str, b: &str, shape: &[i64]| {
        let values = [numbers(a, shape), numbers(b, shape)].concat();
        let mut whole = shape.to_vec();
        whole[0] *= 2;
        (name.to_string(), whole, values)
    };
    let start = || OnnxFile::new(&[0, 3, 4, 4]).weight("w", &[4, 3, 1, 1]).weight("b", &[4]).weight("fw", &[5, 96]);
    let (weight, weight_shape, weights) = both("gw", "wa", "wb", &[3, 2, 3, 3]);
    let (bias, bias_shape, biases) = both("gb", "ba", "bb", &[3]);
    let pads = [Ints("pads", &[1, 1, 1, 1])];
    let grouped = start()
        .floats(&weight, &weight_shape, &weights)
        .floats(&bias, &bias_shape, &biases)
        .node("Conv", &["w", "b"], &[])
        .node("Conv", &[&weight, &bias], &[Ints("pads", &[1, 1, 1, 1]), Int("group", 2)])
        .node("Relu", &[], &[])
        .node("Flatten", &[], &[])
        .node("Gemm", &["fw"], &[Int("transB", 1)]);
    let expected = load(&grouped);
    let parts = start()
        .weight("wa", &[3, 2, 3, 3])
        .weight("wb", &[3, 2, 3, 3])
        .weight("ba", &[3])
        .weight("bb", &[3])
        .ints("sizes", &[2, 2])
        .node("Conv", &["w", "b"], &[]);
    let ends = |file: OnnxFile| {
        let joined = file
            .named_node("Relu", "", &["conv_a"], &["ra"], &[])
            .named_node("Relu", "", &["conv_b"], &["rb"], &[])
            .named_node("Concat", "", &["ra", "rb"], &["joined"], &[Int("axis", 1)])
            .from("joined");
        load(&joined.node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)]))
    };
    let split = parts
        .clone()
        .named_node("Split", "", &["value0", "sizes"], &["a", "b2"], &[Int("axis", 1)])
        .named_node("Conv", "", &["a", "wa", "ba"], &["conv_a"], &pads)
        .named_node("Conv", "", &["b2", "wb", "bb"], &["conv_b"], &pads);
    assert_eq!(ends(split), expected);
    let sliced = parts
        .ints("zero", &[0])
        .ints("two", &[2])
        .ints("end", &[1 << 40])
        .ints("one", &[1])
        .named_node("Slice", "", &["value0", "zero", "two", "one"], &["a"], &[])
        .named_node("Slice", "", &["value0", "two", "end", "one"], &["b2"], &[])
        .named_node("Conv", "", &["a", "wa", "ba"], &["conv_a"], &pads)
        .named_node("Conv", "", &["b2", "wb", "bb"], &["conv_b"], &pads);
    assert_eq!(ends(sliced), expected);
}

/// The end of a network of one convolution with `channels` outputs on 8 x 8.
fn classified(file: OnnxFile, inputs: i64) -> OnnxFile {
    file.weight("fw", &[5, inputs]).node("Flatten", &[], &[]).node("Gemm", &["fw"], &[Int("transB", 1)])
}

#[test]
fn response_normalisation_is_read_as_a_node_and_written_out() {
    let start = || OnnxFile::new(&[0, 3, 8, 8]).weight("w", &[6, 3, 1, 1]).node("Conv", &["w"], &[]);
    let lrn = [Int("size", 5), Float("alpha", 1e-4), Float("beta", 0.75), Float("bias", 2.0)];
    let node = load(&classified(start().node("LRN", &[], &lrn), 6 * 64));
    let LayerKind::Lrn(layer) = node.model.as_ref().unwrap().layers[1].kind.clone() else { panic!() };
    assert_eq!((layer.size, layer.alpha, layer.beta, layer.k), (5, 1e-4, 0.75, 2.0));
    // As torch.nn.LocalResponseNorm is exported.
    let written = start()
        .ints("axis", &[1])
        .ints("pads", &[0, 0, 2, 0, 0, 0, 0, 2, 0, 0])
        .floats("alpha", &[], &[1e-4])
        .floats("k", &[], &[2.0])
        .floats("beta", &[], &[0.75])
        .named_node("Mul", "", &["value0", "value0"], &["squares"], &[])
        .named_node("Unsqueeze", "", &["squares", "axis"], &["volume"], &[])
        .named_node("Pad", "", &["volume", "pads"], &["padded"], &[])
        .named_node(
            "AveragePool",
            "",
            &["padded"],
            &["mean"],
            &[Ints("kernel_shape", &[5, 1, 1]), Ints("strides", &[1, 1, 1])],
        )
        .named_node("Squeeze", "", &["mean", "axis"], &["maps"], &[]);
    for (operator, number) in [("Mul", "alpha"), ("Div", "inverse")] {
        let written = written
            .clone()
            .floats("inverse", &[], &[1e4])
            .named_node(operator, "", &["maps", number], &["a"], &[])
            .named_node("Add", "", &["a", "k"], &["b"], &[])
            .named_node("Pow", "", &["b", "beta"], &["divisor"], &[])
            .from("value0")
            .node("Div", &["divisor"], &[]);
        assert_eq!(load(&classified(written, 6 * 64)), node);
    }
}

#[test]
fn response_normalisation_within_maps_is_read() {
    let file = OnnxFile::new(&[0, 3, 8, 8])
        .weight("w", &[6, 3, 1, 1])
        .floats("alpha", &[], &[9e-4])
        .floats("k", &[], &[1.0])
        .floats("beta", &[], &[0.75])
        .node("Conv", &["w"], &[])
        .named_node("Mul", "", &["value0", "value0"], &["squares"], &[])
        .named_node(
            "AveragePool",
            "",
            &["squares"],
            &["mean"],
            &[Ints("kernel_shape", &[3, 3]), Ints("pads", &[1, 1, 1, 1]), Int("count_include_pad", 1)],
        )
        .named_node("Mul", "", &["mean", "alpha"], &["a"], &[])
        .named_node("Add", "", &["a", "k"], &["b"], &[])
        .named_node("Pow", "", &["b", "beta"], &["divisor"], &[])
        .from("value0")
        .node("Div", &["divisor"], &[]);
    let LayerKind::Lrn(lrn) = read(&classified(file, 6 * 64)).model.unwrap().layers[1].kind.clone() else { panic!() };
    assert_eq!((lrn.region, lrn.size, lrn.k), (Region::WithinChannel, 3, 1.0));
    assert!((lrn.alpha_of_sum() - 1e-4).abs() < 1e-12);
}

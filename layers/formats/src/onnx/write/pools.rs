//! Nodes of layers with windows.

use layers::LayerKind;
use layers::model::{LayerShape, LayerSpec, Pool};
use layers::tensor::ops::PoolKind;

use super::nodes::{GraphWriter, int, ints, parameters};

fn wide(pair: [usize; 2]) -> [i64; 2] {
    pair.map(|n| n as i64)
}

/// Conv, with its padding in numbers.
pub(super) fn conv(writer: &mut GraphWriter, layer: &LayerSpec, shape: &LayerShape) -> Result<(), String> {
    let LayerKind::Conv(conv) = &layer.kind else { return Err("is no convolution".into()) };
    let padding = conv.operation([shape.input[0], shape.input[1]]).padding;
    let pads = [padding.top, padding.left, padding.bottom, padding.right].map(|n| n as i64);
    let attributes = vec![
        int("group", conv.groups as i64),
        ints("kernel_shape", &wide(conv.kernel)),
        ints("pads", &pads),
        ints("strides", &wide(conv.stride)),
    ];
    let inputs = parameters(shape);
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    writer.node(&layer.name, "Conv", &inputs, attributes);
    Ok(())
}

/// MaxPool or AveragePool. Rounding up is written as padding after the image: versions of ONNX differ in ceil_mode.
pub(super) fn pool(writer: &mut GraphWriter, name: &str, pool: &Pool, shape: &LayerShape) -> Result<(), String> {
    let size = [shape.input[0], shape.input[1]];
    let padding = pool.operation(size).padding;
    let before = [padding.top, padding.left];
    let own = [padding.bottom, padding.right];
    // What the last window needs after the image.
    let needed = |axis: usize| {
        let end = (shape.output[axis] - 1) * pool.stride[axis] + pool.kernel[axis];
        end.saturating_sub(before[axis] + size[axis])
    };
    let after = [needed(0), needed(1)];
    let counts = pool.kind == PoolKind::AverageWithPadding;
    let pads = |before: [usize; 2], after: [usize; 2]| {
        ints("pads", &[before[0], before[1], after[0], after[1]].map(|n| n as i64))
    };
    let mut attributes = vec![ints("kernel_shape", &wide(pool.kernel)), ints("strides", &wide(pool.stride))];
    if pool.kind == PoolKind::Max {
        attributes.push(pads(before, after));
        writer.node(name, "MaxPool", &[], attributes);
        return Ok(());
    }
    let inside_padding = after[0] <= own[0] && after[1] <= own[1];
    if counts && !inside_padding {
        // The padding counts, what lies beyond it does not.
        let around = [0, 0, before[0], before[1], 0, 0, own[0], own[1]].map(|n| n as i64);
        let around = writer.integers(&format!("{name}.pads"), around.to_vec());
        writer.node(&format!("{name}.pad"), "Pad", &[&around], Vec::new());
        attributes.push(pads([0, 0], [after[0].saturating_sub(own[0]), after[1].saturating_sub(own[1])]));
    } else {
        attributes.push(pads(before, after));
        attributes.push(int("count_include_pad", counts.into()));
    }
    writer.node(name, "AveragePool", &[], attributes);
    Ok(())
}

/// Average pooling to a given size, of maps whose sides are multiples of it.
pub(super) fn adaptive(
    writer: &mut GraphWriter,
    name: &str,
    output: [usize; 2],
    shape: &LayerShape,
) -> Result<(), String> {
    let size = [shape.input[0], shape.input[1]];
    if size == output {
        return Ok(());
    }
    if !size[0].is_multiple_of(output[0]) || !size[1].is_multiple_of(output[1]) {
        return Err(format!(
            "averages {} x {} to {} x {}, which are no divisors, and ONNX has no operator for it; give images of another \
             size",
            size[0], size[1], output[0], output[1]
        ));
    }
    let window = wide([size[0] / output[0], size[1] / output[1]]);
    writer.node(name, "AveragePool", &[], vec![ints("kernel_shape", &window), ints("strides", &window)]);
    Ok(())
}

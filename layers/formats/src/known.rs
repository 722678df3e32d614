//! Which known network a file's layers are, so that its names, its preparation of images and its training apply.

use std::sync::LazyLock;

use layers::model::{Conv, Input, Linear, Mean, Pool, Units};
use layers::tensor::ops::{Activation, DropoutScale, Lrn, PoolKind, Region};
use layers::{LayerKind, Model};

use crate::ForeignTensor;

/// The presets, which are text until they are read.
static PRESETS: LazyLock<Vec<Model>> =
    LazyLock::new(|| Model::presets().iter().filter_map(|name| Model::preset(name).ok()).collect());

/// The computation of a layer in test mode, whatever words its file has for it.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Conv { filters: usize, kernel: [usize; 2], stride: [usize; 2], groups: usize, bias: bool, place: Place },
    Linear { units: usize, bias: bool },
    Activation(Activation),
    Lrn { size: usize, region: Region, alpha: Number, beta: Number, k: Number },
    Pool { kind: PoolKind, kernel: [usize; 2], stride: [usize; 2], place: Place },
    Adaptive { output: [usize; 2] },
    Scale(Number),
    BatchNorm { epsilon: Number },
}

/// Where the windows of a layer lie: rows above and columns on the left of the image, and the output's size.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Place {
    before: [usize; 2],
    output: [usize; 2],
    /// Rows below and columns on the right, where a divisor depends on them.
    after: [usize; 2],
}

/// A setting that files have as f32.
#[derive(Clone, Copy, Debug)]
struct Number(f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        (self.0 - other.0).abs() <= 1e-6 * self.0.abs().max(other.0.abs())
    }
}

/// Makes `file` the first of `candidates` that computes the same, else gives it the input of a preset whose layers are
/// the same but for sizes of maps. Returns notes for the user.
pub(crate) fn identify(file: &mut Model, tensors: &mut [ForeignTensor], own: Option<&Model>) -> Vec<String> {
    for candidate in own.into_iter().chain(PRESETS.iter()) {
        if adopt(file, tensors, candidate) {
            return Vec::new();
        }
    }
    let alike = PRESETS.iter().find(|preset| resembles(file, preset));
    let Some(preset) = alike else {
        return vec![
            "the file does not say how images are prepared: pixels go in as they are, 0 to 255, red first; if that is \
             wrong, write the network to a file (summary FILE --style toml), set its [input], and name it with --model"
                .into(),
        ];
    };
    file.input = input_like(&preset.input, &file.input);
    vec![format!(
        "the file does not say how images are prepared: [input] is taken from the preset {}, whose layers these are at \
         another size",
        preset.name
    )]
}

/// Makes `file` the preset that computes the same, if there is one. Returns whether there is.
pub(crate) fn adopt_preset(file: &mut Model, tensors: &mut [ForeignTensor]) -> bool {
    PRESETS.iter().any(|preset| adopt(file, tensors, preset))
}

/// Makes `file` the network `known`, with its number of classes, and renames the tensors, if both compute the same.
/// Returns whether they do.
pub(crate) fn adopt(file: &mut Model, tensors: &mut [ForeignTensor], known: &Model) -> bool {
    let mut known = known.clone();
    if known.input.crop != file.input.crop || known.set_classes(file.classes).is_err() {
        return false;
    }
    let same = steps(file).is_some_and(|found| Some(found) == steps(&known));
    let Ok(from) = file.parameters() else { return false };
    let Ok(to) = known.parameters() else { return false };
    if !same || from.len() != to.len() {
        return false;
    }
    for tensor in tensors.iter_mut() {
        if let Some(at) = from.iter().position(|spec| spec.name == tensor.name) {
            tensor.name.clone_from(&to[at].name);
        }
    }
    *file = known;
    true
}

/// How images are prepared for `preset`, at the size of `file`.
fn input_like(preset: &Input, file: &Input) -> Input {
    let mut input = preset.clone();
    input.crop = file.crop;
    // The rim that is cropped away stays as wide, unless the images are small.
    input.size = match &preset.mean {
        Mean::PackImage => preset.size.max(file.crop),
        _ => file.crop + (preset.size - preset.crop).min(file.crop),
    };
    input
}

/// Whether two networks have the same layers but for the sizes of maps.
fn resembles(file: &Model, preset: &Model) -> bool {
    let mut preset = preset.clone();
    if preset.set_classes(file.classes).is_err() {
        return false;
    }
    let Some(mut found) = steps(file) else { return false };
    let Some(mut known) = steps(&preset) else { return false };
    // One linear layer is no description of a network.
    if known.len() < 4 {
        return false;
    }
    for step in found.iter_mut().chain(&mut known) {
        if let Step::Conv { place, .. } | Step::Pool { place, .. } = step {
            *place = Place::default();
        }
    }
    found == known
}

/// The computation of a network in test mode; None if it has layers of other crates.
fn steps(model: &Model) -> Option<Vec<Step>> {
    let shapes = model.shapes().ok()?;
    let mut steps = Vec::with_capacity(shapes.len());
    for (layer, shape) in model.layers.iter().zip(&shapes) {
        let size = [shape.input[0], shape.input.get(1).copied().unwrap_or(1)];
        match &layer.kind {
            LayerKind::Conv(conv) => steps.push(of_conv(conv, size, &shape.output)),
            LayerKind::Linear(Linear { units, parameters }) => {
                let units = match units {
                    Units::Classes => model.classes,
                    Units::Number(units) => *units,
                };
                steps.push(Step::Linear { units, bias: parameters.bias.is_some() });
            }
            LayerKind::Activation(activation) => steps.push(Step::Activation(*activation)),
            LayerKind::Lrn(lrn) => steps.push(of_lrn(lrn)),
            LayerKind::Pool(pool) => steps.extend(of_pool(pool, size)?),
            LayerKind::AdaptiveAveragePool(pool) => steps.extend(of_adaptive(pool.output, size)),
            LayerKind::GlobalAveragePool => steps.extend(of_adaptive([1, 1], size)),
            LayerKind::Dropout(dropout) if dropout.scale == DropoutScale::AtTest && dropout.p > 0.0 => {
                steps.push(Step::Scale(Number(dropout.test_factor())));
            }
            LayerKind::BatchNorm(norm) => steps.push(Step::BatchNorm { epsilon: Number(norm.epsilon) }),
            LayerKind::Dropout(_) | LayerKind::Flatten | LayerKind::Softmax => {}
            _ => return None,
        }
    }
    Some(steps)
}

fn of_conv(conv: &Conv, size: [usize; 2], output: &[usize]) -> Step {
    let padding = conv.operation(size).padding;
    Step::Conv {
        filters: conv.filters,
        kernel: conv.kernel,
        stride: conv.stride,
        groups: conv.groups,
        bias: conv.parameters.bias.is_some(),
        place: Place { before: [padding.top, padding.left], output: [output[0], output[1]], after: [0, 0] },
    }
}

fn of_lrn(lrn: &Lrn) -> Step {
    let alpha = Number(lrn.alpha_of_sum());
    Step::Lrn { size: lrn.size, region: lrn.region, alpha, beta: Number(lrn.beta), k: Number(lrn.k) }
}

/// The step of a pooling, or none if its windows are single values; None if it does not fit.
fn of_pool(pool: &Pool, size: [usize; 2]) -> Option<Option<Step>> {
    let operation = pool.operation(size);
    let geometry = operation.geometry(&[1, size[0], size[1], 1]).ok()?;
    let padding = operation.padding;
    let is_single = operation.kernel == [1, 1] && operation.stride == [1, 1];
    if is_single && geometry.output == size {
        return Some(None);
    }
    let ends = |axis: usize| (geometry.output[axis] - 1) * operation.stride[axis] + operation.kernel[axis];
    let before = [padding.top, padding.left];
    let inside_image = before == [0, 0] && (0..2).all(|axis| ends(axis) <= size[axis]);
    let after = [padding.bottom, padding.right];
    let inside_padding = (0..2).all(|axis| ends(axis) <= before[axis] + size[axis] + after[axis]);
    let counts = pool.kind == PoolKind::AverageWithPadding;
    let kind = if counts && inside_image { PoolKind::Average } else { pool.kind };
    let after = if counts && !inside_padding { after } else { [0, 0] };
    let place = Place { before, output: geometry.output, after };
    Some(Some(Step::Pool { kind, kernel: operation.kernel, stride: operation.stride, place }))
}

/// The step of an average pooling to a given size; none if it changes nothing.
fn of_adaptive(output: [usize; 2], size: [usize; 2]) -> Option<Step> {
    if output == size {
        return None;
    }
    if !size[0].is_multiple_of(output[0]) || !size[1].is_multiple_of(output[1]) {
        return Some(Step::Adaptive { output });
    }
    let window = [size[0] / output[0], size[1] / output[1]];
    let place = Place { output, ..Place::default() };
    Some(Step::Pool { kind: PoolKind::Average, kernel: window, stride: window, place })
}

#[cfg(test)]
mod tests {
    use layers::tensor::ops::{AlphaScaling, RoundMode};

    use super::*;

    /// A preset as a file without names might have it.
    fn nameless(preset: &str) -> Model {
        let mut model = Model::preset(preset).unwrap();
        model.set_classes(5).unwrap();
        model.name = "file".into();
        model.layers.retain(|layer| !matches!(layer.kind, LayerKind::Dropout(_)));
        for (at, layer) in model.layers.iter_mut().enumerate() {
            layer.name = format!("l{at}");
            layer.export = None;
        }
        model.input = Input { size: model.input.crop, mean: Mean::None, ..Model::preset("paper").unwrap().input };
        model.input.crop = Model::preset(preset).unwrap().input.crop;
        model
    }

    #[test]
    fn presets_are_recognised_without_names_and_dropout() {
        for preset in ["caffe", "caffenet", "keras", "one-weird-trick", "cifar-18pct", "linear"] {
            let mut model = nameless(preset);
            let specs = model.parameters().unwrap();
            let tensor = |name: &String| ForeignTensor { name: name.clone(), values: ndarray::arr0(0.0).into_dyn() };
            let mut tensors: Vec<_> = specs.iter().map(|spec| tensor(&spec.name)).collect();
            assert!(adopt_preset(&mut model, &mut tensors), "{preset}");
            let mut expected = Model::preset(preset).unwrap();
            expected.set_classes(5).unwrap();
            assert_eq!(model, expected);
            let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            let parameters = expected.parameters().unwrap();
            assert_eq!(names, parameters.iter().map(|spec| spec.name.as_str()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_scale_at_test_is_no_detail() {
        // Without dropout the paper's network computes something else: its outputs are halved at test.
        assert!(!adopt_preset(&mut nameless("paper"), &mut []));
    }

    #[test]
    fn pools_and_alphas_in_other_words_are_the_same() {
        let mut model = nameless("caffe");
        for layer in &mut model.layers {
            match &mut layer.kind {
                // 55, 27 and 13 windows end at the edge: rounding up changes nothing.
                LayerKind::Pool(pool) => pool.round_mode = RoundMode::Floor,
                LayerKind::Lrn(lrn) => {
                    lrn.alpha = f64::from(1e-4f32) / 5.0;
                    lrn.alpha_scaling = AlphaScaling::Sum;
                }
                _ => {}
            }
        }
        assert!(adopt_preset(&mut model, &mut []));
        let mut model = nameless("caffe");
        for layer in &mut model.layers {
            if let LayerKind::Lrn(lrn) = &mut layer.kind {
                lrn.alpha *= 1.001;
            }
        }
        assert!(!adopt_preset(&mut model, &mut []));
    }

    #[test]
    fn the_layers_of_a_preset_at_another_size_have_its_input() {
        let mut model = nameless("caffe");
        model.input.crop = 224;
        model.input.size = 224;
        let notes = identify(&mut model, &mut [], None);
        assert!(notes[0].contains("preset caffe,"), "{notes:?}");
        let expected = Model::preset("caffe").unwrap().input;
        assert_eq!(model.input, Input { crop: 224, ..expected });
    }
}

//! From a model's layers to operations on a tape: settings resolved, what can be one operation fused.

use tensor::ops::{Activation, Conv2d, Dropout, Lrn, Pool2d, PoolKind};

use crate::Result;
use crate::model::{LayerKind, Model};

/// One operation on a tape.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub operation: Operation,
    /// The layer's number: its name is in messages, its number in dropout's stream.
    pub layer: usize,
    /// The number of the layer's first parameter.
    pub parameter: usize,
    /// Whether a second parameter, the bias, follows.
    pub bias: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    Conv(Conv2d),
    ConvMaxPool(Conv2d, Pool2d),
    ConvLrnMaxPool(Conv2d, Lrn, Pool2d),
    Local(Conv2d),
    Linear { relu: bool },
    Activation(Activation),
    Lrn(Lrn),
    LrnMaxPool(Lrn, Pool2d),
    Pool(Pool2d),
    Dropout(Dropout),
    BatchNorm { epsilon: f64, momentum: f64 },
    Flatten,
}

/// The operations of a model's first `upto` layers. A ReLU among them right after a convolution or a linear layer is
/// one with it, and so is a max-pooling with such a convolution, or with a local response normalisation, right before, or with
/// both; softmax is left to whoever wants probabilities.
pub(super) fn steps(model: &Model, upto: usize) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::with_capacity(upto);
    let mut parameter = 0;
    for (i, (layer, shape)) in model.layers.iter().zip(model.shapes()?).enumerate().take(upto) {
        let map = [shape.input.first().copied().unwrap_or(1), shape.input.get(1).copied().unwrap_or(1)];
        let operation = match &layer.kind {
            LayerKind::Conv(conv) => Operation::Conv(conv.operation(map)),
            LayerKind::Local(conv) => Operation::Local(conv.operation(map)),
            LayerKind::Linear(_) => Operation::Linear { relu: false },
            LayerKind::Activation(Activation::Relu) if fuse_relu(steps.last_mut()) => continue,
            LayerKind::Activation(f) => Operation::Activation(*f),
            LayerKind::Lrn(lrn) => Operation::Lrn(*lrn),
            LayerKind::Pool(pool) if fuse_pool(&mut steps, pool.operation(map)) => continue,
            LayerKind::Pool(pool) => Operation::Pool(pool.operation(map)),
            LayerKind::Dropout(dropout) => Operation::Dropout(*dropout),
            LayerKind::BatchNorm(norm) => Operation::BatchNorm { epsilon: norm.epsilon, momentum: norm.momentum },
            LayerKind::Flatten => Operation::Flatten,
            LayerKind::Softmax => continue,
        };
        let bias = shape.parameters.len() == 2;
        steps.push(Step { operation, layer: i, parameter, bias });
        parameter += shape.parameters.len();
    }
    Ok(steps)
}

/// Makes the last operation apply a ReLU, if it can and does not yet.
fn fuse_relu(last: Option<&mut Step>) -> bool {
    let relu = match last.map(|step| &mut step.operation) {
        Some(Operation::Conv(spec)) => &mut spec.relu,
        Some(Operation::Linear { relu }) => relu,
        _ => return false,
    };
    !std::mem::replace(relu, true)
}

/// Makes the last operations apply a max-pooling as well: one that normalises locally, one that convolves and applies a ReLU, or
/// the one after the other, which become one.
fn fuse_pool(steps: &mut Vec<Step>, pool: Pool2d) -> bool {
    let Some(Step { operation: last, .. }) = steps.last_mut() else { return false };
    let lrn = match *last {
        _ if pool.kind != PoolKind::Max => return false,
        Operation::Lrn(lrn) => lrn,
        Operation::Conv(conv) if conv.relu => {
            *last = Operation::ConvMaxPool(conv, pool);
            return true;
        }
        _ => return false,
    };
    *last = Operation::LrnMaxPool(lrn, pool);
    if let [.., Step { operation: before, .. }, _] = &mut steps[..]
        && let Operation::Conv(conv) = *before
        && conv.relu
    {
        *before = Operation::ConvLrnMaxPool(conv, lrn, pool);
        steps.pop();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relu_is_one_with_the_convolution_before_it() {
        let model = Model::preset("paper").unwrap();
        let all = steps(&model, model.layers.len()).unwrap();
        assert!(matches!(all[2].operation, Operation::Conv(Conv2d { relu: true, groups: 1, .. })));
        assert!(!all.iter().any(|step| matches!(step.operation, Operation::Activation(_))));
        // 5 convolutions, three with their norms and pools, 3 linear layers, 2 dropouts.
        assert_eq!(all.len(), 10);
        assert!(matches!(all[4].operation, Operation::ConvMaxPool(Conv2d { relu: true, .. }, _)));
        assert_eq!(all.last().unwrap().parameter, 14);
        let first = steps(&model, 1).unwrap();
        assert!(matches!(first[0].operation, Operation::Conv(Conv2d { relu: false, .. })));
    }

    #[test]
    fn a_max_pooling_is_one_with_the_normalisation_and_the_convolution_before_it() {
        let model = Model::preset("paper").unwrap();
        let all = steps(&model, model.layers.len()).unwrap();
        let fused = |step: &&Step| matches!(step.operation, Operation::ConvLrnMaxPool(conv, lrn, _) if conv.relu && lrn == Lrn::paper());
        let layers: Vec<_> = all.iter().filter(fused).map(|step| model.layers[step.layer].name.as_str()).collect();
        assert_eq!(layers, ["conv1", "conv2"]);
        assert!(!all.iter().any(|step| matches!(step.operation, Operation::Lrn(_) | Operation::LrnMaxPool(..))));
        // Where only the normalisation is asked for.
        let upto = model.find_layer("norm1").unwrap() + 1;
        assert!(matches!(steps(&model, upto).unwrap()[1].operation, Operation::Lrn(_)));
    }

    #[test]
    fn a_max_pooling_is_one_with_the_convolution_and_the_relu_before_it() {
        let model = Model::preset("keras").unwrap();
        let all = steps(&model, model.layers.len()).unwrap();
        let fused = |step: &&Step| matches!(step.operation, Operation::ConvMaxPool(..));
        let layers: Vec<_> = all.iter().filter(fused).map(|step| model.layers[step.layer].name.as_str()).collect();
        assert_eq!(layers, ["conv1", "conv2", "conv5"]);
        // Where only the ReLU is asked for.
        let upto = model.find_layer("relu1").unwrap() + 1;
        assert!(matches!(
            steps(&model, upto).unwrap()[..],
            [Step { operation: Operation::Conv(Conv2d { relu: true, .. }), .. }]
        ));
    }

    #[test]
    fn a_relu_after_a_pool_stays() {
        let model = Model::preset("source").unwrap();
        let all = steps(&model, model.layers.len()).unwrap();
        assert!(matches!(all[1].operation, Operation::LrnMaxPool(..)));
        assert!(matches!(all[2].operation, Operation::Activation(Activation::Relu)));
        assert!(matches!(all[0].operation, Operation::Conv(Conv2d { relu: false, .. })));
    }
}

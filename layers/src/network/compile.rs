//! From a model's layers to the nodes that a forward pass runs: settings resolved, stages fused.

use tensor::ops::{Activation, Conv2d, Dropout, Pool2d, PoolKind};

use crate::Result;
use crate::model::{LayerKind, LayerShape, Model};
use crate::ops::Stage;

/// An operation and the stages that are computed with it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub operation: Operation,
    pub stages: Vec<Stage>,
    /// The number of the first layer: its name is in messages and profiles, its number in dropout's stream.
    pub layer: usize,
    /// The number of the layer's first parameter.
    pub parameter: usize,
    /// Whether a second parameter, the bias, follows.
    pub bias: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    Conv(Conv2d),
    Local(Conv2d),
    Linear,
    Activation(Activation),
    /// Nothing but the stages.
    Stages,
    AveragePool(Pool2d),
    Dropout(Dropout),
    BatchNorm {
        epsilon: f64,
        momentum: f64,
    },
    Flatten,
}

/// The nodes of a model's first `upto` layers. Softmax is left to those who need probabilities.
pub(super) fn compile(model: &Model, upto: usize) -> Result<Vec<Node>> {
    let mut nodes: Vec<Node> = Vec::with_capacity(upto);
    let mut parameter = 0;
    for (i, (layer, shape)) in model.layers.iter().zip(model.shapes()?).enumerate().take(upto) {
        if let Some(lowered) = lower(&layer.kind, &shape) {
            let bias = shape.parameters.len() == 2;
            append(&mut nodes, Node { layer: i, parameter, bias, ..lowered });
        }
        parameter += shape.parameters.len();
    }
    Ok(nodes)
}

/// A layer as a node of its own.
fn lower(kind: &LayerKind, shape: &LayerShape) -> Option<Node> {
    let map = [shape.input.first().copied().unwrap_or(1), shape.input.get(1).copied().unwrap_or(1)];
    let node = |operation| Some(Node { operation, stages: Vec::new(), layer: 0, parameter: 0, bias: false });
    let stage =
        |stage| Some(Node { operation: Operation::Stages, stages: vec![stage], layer: 0, parameter: 0, bias: false });
    match kind {
        LayerKind::Conv(conv) => node(Operation::Conv(conv.operation(map))),
        LayerKind::Local(conv) => node(Operation::Local(conv.operation(map))),
        LayerKind::Linear(_) => node(Operation::Linear),
        LayerKind::Activation(Activation::Relu) => stage(Stage::Relu),
        LayerKind::Activation(f) => node(Operation::Activation(*f)),
        LayerKind::Lrn(lrn) => stage(Stage::Lrn(*lrn)),
        LayerKind::Pool(pool) if pool.kind == PoolKind::Max => stage(Stage::Pool(pool.operation(map))),
        LayerKind::Pool(pool) => node(Operation::AveragePool(pool.operation(map))),
        LayerKind::Dropout(dropout) => node(Operation::Dropout(*dropout)),
        LayerKind::BatchNorm(norm) => node(Operation::BatchNorm { epsilon: norm.epsilon, momentum: norm.momentum }),
        LayerKind::Flatten => node(Operation::Flatten),
        LayerKind::Softmax => None,
    }
}

/// Appends a node, or its stage to the node before it if they belong together.
fn append(nodes: &mut Vec<Node>, node: Node) {
    match (nodes.last_mut(), node.stages.as_slice()) {
        (Some(last), [stage]) if belongs(stage, last) => last.stages.push(*stage),
        _ => nodes.push(node),
    }
}

/// Whether a stage is computed with a node: in the order ReLU, normalisation, max-pooling, of which the ReLU follows a
/// product and the others a convolution's ReLU, or each other.
fn belongs(stage: &Stage, node: &Node) -> bool {
    matches!(
        (&node.operation, node.stages.last(), stage),
        (Operation::Conv(_) | Operation::Linear, None, Stage::Relu)
            | (Operation::Conv(_), Some(Stage::Relu), Stage::Lrn(_) | Stage::Pool(_))
            | (Operation::Conv(_) | Operation::Stages, Some(Stage::Lrn(_)), Stage::Pool(_))
    )
}

#[cfg(test)]
mod tests {
    use tensor::ops::Lrn;

    use super::*;

    fn nodes(preset: &str, upto: Option<&str>) -> (Model, Vec<Node>) {
        let model = Model::preset(preset).unwrap();
        let upto = upto.map_or(model.layers.len(), |layer| model.find_layer(layer).unwrap() + 1);
        let nodes = compile(&model, upto).unwrap();
        (model, nodes)
    }

    /// The names of the layers whose node has these stages.
    fn with_stages(preset: &str, fits: fn(&[Stage]) -> bool) -> Vec<String> {
        let (model, nodes) = nodes(preset, None);
        let found = nodes.iter().filter(|node| fits(&node.stages));
        found.map(|node| model.layers[node.layer].name.clone()).collect()
    }

    #[test]
    fn the_paper_is_ten_nodes() {
        let (_, all) = nodes("paper", None);
        // 5 convolutions, three with their norms and poolings, 3 linear layers, 2 dropouts.
        assert_eq!(all.len(), 10);
        assert!(!all.iter().any(|node| matches!(node.operation, Operation::Activation(_) | Operation::Stages)));
        assert_eq!(all[2].stages, [Stage::Relu]);
        assert_eq!(all.last().unwrap().parameter, 14);
        assert_eq!(nodes("paper", Some("conv1")).1[0].stages, []);
        assert_eq!(nodes("paper", Some("relu1")).1[0].stages, [Stage::Relu]);
    }

    #[test]
    fn stages_are_computed_with_the_convolution_before_them() {
        let normalised = |stages: &[Stage]| matches!(stages, [Stage::Relu, Stage::Lrn(_), Stage::Pool(_)]);
        assert_eq!(with_stages("paper", normalised), ["conv1", "conv2"]);
        let pooled = |stages: &[Stage]| matches!(stages, [Stage::Relu, Stage::Pool(_)]);
        assert_eq!(with_stages("paper", pooled), ["conv5"]);
        assert_eq!(with_stages("keras", pooled), ["conv1", "conv2", "conv5"]);
        assert_eq!(nodes("paper", Some("norm1")).1[0].stages, [Stage::Relu, Stage::Lrn(Lrn::paper())]);
    }

    #[test]
    fn a_relu_after_a_pooling_is_a_node_of_its_own() {
        let (_, all) = nodes("source", None);
        assert_eq!(all[0].stages, []);
        assert!(matches!(all[1].stages[..], [Stage::Lrn(_), Stage::Pool(_)]));
        assert_eq!(all[2].stages, [Stage::Relu]);
        assert!(all[1..3].iter().all(|node| node.operation == Operation::Stages));
    }
}

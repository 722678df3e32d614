//! From a model's layers to the nodes that a forward pass runs: stages are joined to the layer before them.

use std::ops::Range;

use super::Mode;
use crate::model::{LayerPosition, LayerShape, Model};
use crate::ops::Stage;

/// Consecutive layers that are computed together: the first one, and stages of its epilogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// The numbers of the layers. Messages and profiles have the name of the first.
    pub layers: Range<usize>,
    /// The numbers of the first layer's parameters; stages have none.
    pub parameters: Range<usize>,
}

/// The nodes of some of a model's layers, given the shapes of all layers.
pub(super) fn compile(model: &Model, shapes: &[LayerShape], layers: Range<usize>) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::with_capacity(layers.len());
    let mut stages: Vec<Stage> = Vec::new();
    let mut parameter = shapes[..layers.start].iter().map(|shape| shape.parameters.len()).sum();
    let numbered = model.layers.iter().zip(shapes).enumerate();
    for (number, (layer, shape)) in numbered.take(layers.end).skip(layers.start) {
        // A layer is the same stage at every step.
        let position = LayerPosition { number, input: &shape.input, mode: Mode::Train { seed: 0, step: 0 } };
        let stage = layer.kind.as_layer().stage(&position);
        match (nodes.last_mut(), stage) {
            (Some(node), Some(stage)) if model.layers[node.layers.start].kind.as_layer().takes(&stages, &stage) => {
                node.layers.end = number + 1;
                stages.push(stage);
            }
            _ => {
                let parameters = parameter..parameter + shape.parameters.len();
                nodes.push(Node { layers: number..number + 1, parameters });
                stages.clear();
            }
        }
        parameter += shape.parameters.len();
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(preset: &str, upto: Option<&str>) -> Vec<Node> {
        let model = Model::preset(preset).unwrap();
        let upto = upto.map_or(model.layers.len(), |layer| model.find_layer(layer).unwrap() + 1);
        compile(&model, &model.shapes().unwrap(), 0..upto)
    }

    /// The names of each node's layers.
    fn names(preset: &str, upto: Option<&str>) -> Vec<String> {
        let model = Model::preset(preset).unwrap();
        let name = |node: &Node| {
            let names: Vec<&str> = model.layers[node.layers.clone()].iter().map(|layer| layer.name.as_str()).collect();
            names.join(" ")
        };
        nodes(preset, upto).iter().map(name).collect()
    }

    #[test]
    fn stages_of_the_paper_are_computed_with_the_layer_before_them() {
        let expected = [
            "conv1 relu1 norm1 pool1",
            "conv2 relu2 norm2 pool2",
            "conv3 relu3",
            "conv4 relu4",
            "conv5 relu5 pool5",
            "fc6 relu6 drop6",
            "fc7 relu7 drop7",
            "fc8",
            "softmax",
        ];
        assert_eq!(names("paper", None), expected);
        assert_eq!(nodes("paper", Some("fc8")).last().unwrap().parameters, 14..16);
    }

    #[test]
    fn a_node_ends_with_the_last_layer_that_is_asked_for() {
        assert_eq!(names("paper", Some("conv1")), ["conv1"]);
        assert_eq!(names("paper", Some("relu1")), ["conv1 relu1"]);
        assert_eq!(names("paper", Some("norm1")), ["conv1 relu1 norm1"]);
    }

    #[test]
    fn nodes_after_a_layer_begin_within_its_epilogue() {
        let model = Model::preset("paper").unwrap();
        let layers = model.find_layer("relu5").unwrap() + 1..model.find_layer("fc6").unwrap() + 1;
        let nodes = compile(&model, &model.shapes().unwrap(), layers.clone());
        let expected = [
            Node { layers: layers.start..layers.start + 1, parameters: 10..10 },
            Node { layers: layers.start + 1..layers.end, parameters: 10..12 },
        ];
        assert_eq!(nodes, expected);
    }

    #[test]
    fn a_max_pooling_joins_a_relu() {
        assert_eq!(names("keras", Some("pool1")), ["conv1 relu1 pool1"]);
    }

    #[test]
    fn a_relu_after_a_pooling_is_a_node_of_its_own() {
        assert_eq!(names("source", Some("relu1")), ["conv1", "norm1 pool1", "relu1"]);
    }
}

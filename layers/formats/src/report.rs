use layers::weights::Weights;

use crate::Format;

/// What the tensors of a file became.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The file's format.
    pub format: Format,
    /// The tensors that are parameters of the network.
    pub matched: Vec<Matched>,
    /// Tensors of the file that the network has no place for: names and shapes.
    pub left_over: Vec<(String, Vec<usize>)>,
    /// What a user should know.
    pub notes: Vec<String>,
}

/// A tensor of a file and the parameter that it became.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    /// The tensor's name in the file.
    pub tensor: String,
    /// The parameter's name in the network.
    pub parameter: String,
    /// The shape in the file.
    pub from: Vec<usize>,
    /// The shape of the parameter.
    pub to: Vec<usize>,
}

impl Report {
    /// The report of weights in this workspace's own names.
    pub(crate) fn of_own(weights: &Weights) -> Self {
        let matched = |(name, values): &(String, ndarray::ArrayD<f32>)| Matched {
            tensor: name.clone(),
            parameter: name.clone(),
            from: values.shape().to_vec(),
            to: values.shape().to_vec(),
        };
        let matched = weights.tensors.iter().map(matched).collect();
        Self { format: Format::Own, matched, left_over: Vec::new(), notes: Vec::new() }
    }
}

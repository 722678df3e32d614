use std::fmt::{self, Display, Formatter};

use layers::weights::Weights;

use crate::{Format, not_finite};

/// The parameters that the tensors of a file became. Its text has a line for each of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The file's format.
    pub format: Format,
    /// Whether the file is one of this workspace.
    pub is_own: bool,
    /// The tensors that are parameters of the network, in the network's order.
    pub matched: Vec<Matched>,
    /// Tensors of the file that the network has no place for: names and shapes.
    pub left_over: Vec<(String, Vec<usize>)>,
    /// Notes for the user.
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
    /// Whether the values are in another order: axes were permuted, of a map before a linear layer too.
    pub permuted: bool,
}

impl Report {
    /// The report of weights in this workspace's own names.
    pub fn of_own(format: Format, weights: &Weights) -> Self {
        let matched = |(name, values): &(String, ndarray::ArrayD<f32>)| Matched {
            tensor: name.clone(),
            parameter: name.clone(),
            from: values.shape().to_vec(),
            to: values.shape().to_vec(),
            permuted: false,
        };
        let matched = weights.tensors.iter().map(matched).collect();
        let tensors = weights.tensors.iter().map(|(name, values)| (name.as_str(), values));
        let notes = not_finite(tensors).into_iter().collect();
        Self { format, is_own: true, matched, left_over: Vec::new(), notes }
    }

    /// One line that counts: `PyTorch: 16 tensors matched, 6 permuted, 16 renamed, 0 left over`.
    pub fn summary(&self) -> String {
        let count = |is_counted: fn(&Matched) -> bool| self.matched.iter().filter(|one| is_counted(one)).count();
        let permuted = count(|one| one.permuted);
        let renamed = count(|one| one.tensor != one.parameter);
        let format = self.format;
        let matched = self.matched.len();
        let left = self.left_over.len();
        format!("{format}: {matched} tensors matched, {permuted} permuted, {renamed} renamed, {left} left over")
    }
}

/// Names can be a megabyte long, and a width of 65,536 is none that can be formatted.
const MAX_WIDTH: usize = 60;

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        let width = self.matched.iter().map(|one| one.left().chars().count()).max().unwrap_or(0).min(MAX_WIDTH);
        for one in &self.matched {
            let permuted = if one.permuted { ", permuted" } else { "" };
            write!(f, "\n  {:<width$} -> {} {:?}{permuted}", one.left(), one.parameter, one.to)?;
        }
        for (name, shape) in &self.left_over {
            write!(f, "\n  {name} {shape:?} is left over")?;
        }
        Ok(())
    }
}

impl Matched {
    /// The file's side.
    fn left(&self) -> String {
        format!("{} {:?}", self.tensor, self.from)
    }
}

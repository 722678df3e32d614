//! The shapes, parameters and work of a model's layers.

use std::collections::HashSet;

use super::name;
use super::parameter::ParameterSpec;
use super::{LayerSpec, Model};
use crate::Result;

/// The most values of one parameter, or of one layer's output for one image: 256 GiB as f32. A larger number is a mistake
/// in the file.
const MAX_VALUES: usize = 1 << 36;

/// The result of a layer's shape rule.
///
/// ```
/// let shapes = alexnet_layers::Model::preset("paper")?.shapes()?;
/// assert_eq!(shapes[0].output, [55, 55, 96]);
/// assert_eq!(shapes[0].parameter_count(), 96 * (11 * 11 * 3 + 1));
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LayerShape {
    /// The layer's name.
    pub name: String,
    /// The layer's kind as in a model file.
    pub kind: &'static str,
    /// Its input for one image: `[height, width, channels]` or `[values]`.
    pub input: Vec<usize>,
    /// Its output for one image: `[height, width, channels]` or `[values]`.
    pub output: Vec<usize>,
    /// Its parameters.
    pub parameters: Vec<ParameterSpec>,
    /// Multiply-accumulates for one image, forward, of convolutions and matrix products.
    pub macs: u64,
}

impl LayerShape {
    /// Values of all its parameters, running statistics included.
    pub fn parameter_count(&self) -> u64 {
        self.parameters.iter().map(|parameter| parameter.len() as u64).sum()
    }

    /// Values of its output for one image.
    pub fn output_len(&self) -> usize {
        self.output.iter().product()
    }
}

/// The shape of the activations between two layers, for one image.
#[derive(Clone, Debug)]
pub(crate) struct Activations {
    shape: Vec<usize>,
    /// The shape of the map before it was flattened.
    flattened_from: Option<[usize; 3]>,
}

impl Activations {
    /// # Errors
    /// A message if there are too many values.
    pub fn new(shape: &[usize]) -> std::result::Result<Self, String> {
        value_count(shape)?;
        Ok(Self { shape: shape.to_vec(), flattened_from: None })
    }

    /// The shape for one image: `[height, width, channels]` or `[values]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Length of the last axis.
    pub fn channels(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    /// The map `[height, width, channels]`.
    ///
    /// # Errors
    /// A message if they are flat.
    pub fn map(&self) -> std::result::Result<[usize; 3], String> {
        self.shape.as_slice().try_into().map_err(|_| {
            format!("needs a map [height, width, channels], got {:?}; put it before flatten and linear", self.shape)
        })
    }

    /// The values as one row.
    pub fn flatten(&self) -> Self {
        Self { shape: vec![self.len()], flattened_from: self.flattened_map() }
    }

    /// Whether they are the row of a flattened map.
    pub fn is_flattened(&self) -> bool {
        self.flattened_from.is_some()
    }

    /// The map whose values [`flatten`](Self::flatten) gives as one row.
    pub fn flattened_map(&self) -> Option<[usize; 3]> {
        self.flattened_from.or_else(|| self.map().ok())
    }
}

/// The properties of the model that a layer's shape rule depends on.
pub(crate) struct LayerContext {
    /// The model's number of classes.
    pub classes: usize,
    /// Whether it is the model's last layer.
    pub is_last: bool,
}

/// The result of one layer's shape rule.
pub(crate) struct LayerOutput {
    /// The output for one image.
    pub activations: Activations,
    /// The layer's parameters, named within the layer.
    pub parameters: Vec<ParameterSpec>,
    /// Multiply-accumulates for one image.
    pub macs: u64,
}

impl LayerOutput {
    /// The output of a layer without parameters whose work is not counted.
    pub fn without_parameters(activations: Activations) -> Self {
        Self { activations, parameters: Vec::new(), macs: 0 }
    }
}

impl Model {
    /// Shapes, parameters and work of each layer, in order.
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) that names the first layer that does not fit its input.
    pub fn shapes(&self) -> Result<Vec<LayerShape>> {
        let crop = self.input.crop;
        let mut input = Activations { shape: vec![crop, crop, 3], flattened_from: None };
        let mut shapes = Vec::with_capacity(self.layers.len());
        for (i, layer) in self.layers.iter().enumerate() {
            let context = LayerContext { classes: self.classes, is_last: i + 1 == self.layers.len() };
            let output = layer.kind.as_layer().shape(&input, &context);
            let output = output.map_err(|message| self.error(Some(&layer.name), message))?;
            shapes.push(LayerShape {
                name: layer.name.clone(),
                kind: layer.kind.name(),
                input: input.shape,
                output: output.activations.shape.clone(),
                parameters: output.parameters.into_iter().map(|spec| named(layer, spec)).collect(),
                macs: output.macs,
            });
            input = output.activations;
        }
        Ok(shapes)
    }

    /// All parameters, in the order of the layers; a layer's weight before its bias.
    ///
    /// # Errors
    /// Those of [`shapes`](Self::shapes).
    pub fn parameters(&self) -> Result<Vec<ParameterSpec>> {
        Ok(self.shapes()?.into_iter().flat_map(|shape| shape.parameters).collect())
    }

    /// Checks that names are unique, that the layers fit each other, and the shape of the output.
    pub(super) fn check(&self) -> Result<()> {
        if !name::is_network(&self.name) {
            return Err(self.error(None, format!("\"name\" must be {}, got {:?}", name::NETWORKS, self.name)));
        }
        let mut names = HashSet::new();
        if let Some(layer) = self.layers.iter().find(|layer| !names.insert(layer.name.as_str())) {
            return Err(self.error(Some(&layer.name), "another layer has this name; give each its own".into()));
        }
        let shapes = self.shapes()?;
        let mut names = HashSet::new();
        for shape in &shapes {
            if let Some(p) = shape.parameters.iter().find(|p| !names.insert(p.export.as_str())) {
                let what = format!("another layer exports {:?} too; give each its own \"export\"", p.export);
                return Err(self.error(Some(&shape.name), what));
            }
        }
        match shapes.last() {
            Some(last) if last.output == [self.classes] => Ok(()),
            Some(last) => {
                let what = format!("the output must be {} values, one per class, got {:?}", self.classes, last.output);
                Err(self.error(Some(&last.name), what))
            }
            None => Err(self.error(None, "there are no layers".into())),
        }
    }
}

/// A layer's parameter with its name in the network.
fn named(layer: &LayerSpec, spec: ParameterSpec) -> ParameterSpec {
    let name = format!("{}.{}", layer.name, spec.name);
    let export = layer.export.as_ref().map_or_else(|| name.clone(), |export| format!("{export}.{}", spec.name));
    ParameterSpec { name, export, ..spec }
}

/// The number of values of a shape.
///
/// # Errors
/// A message if there are more than 2^36.
pub(super) fn value_count(shape: &[usize]) -> std::result::Result<usize, String> {
    let n = shape.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis)).filter(|&n| n <= MAX_VALUES);
    n.ok_or_else(|| format!("{shape:?} is too large: more than 2^36 values"))
}

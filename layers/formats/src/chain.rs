//! A network as its file describes it, layer after layer, before the layers have names.

use layers::model::{Input, LayerSpec, Linear, Units};
use layers::toml::Table;
use layers::{LayerKind, Model};
use ndarray::ArrayD;

use crate::ForeignTensor;
use crate::layer_names::LayerNames;

/// The most values between two layers, as in networks of `alexnet-layers`.
const MAX_VALUES: usize = 1 << 36;

/// The shape of one image's values between two layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Height, width, channels.
    Map([usize; 3]),
    /// A row.
    Row(usize),
}

impl Values {
    /// The number of values.
    pub fn len(self) -> usize {
        self.axes().product()
    }

    fn axes(self) -> impl Iterator<Item = usize> {
        let axes = match self {
            Self::Map(map) => map,
            Self::Row(len) => [len, 1, 1],
        };
        axes.into_iter()
    }

    /// Height, width, channels.
    ///
    /// # Errors
    /// A message for a row.
    pub fn map(self) -> Result<[usize; 3], String> {
        match self {
            Self::Map(map) => Ok(map),
            Self::Row(len) => Err(format!("needs maps of height, width and channels, and gets rows of {len} values")),
        }
    }
}

/// A layer without its name.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The name in the file; may be empty or unfit for a model file.
    pub name: String,
    /// Its kind and settings.
    pub kind: LayerKind,
    /// Its parameters in PyTorch's axes: `weight`, `bias`, `running_mean`, `running_var`.
    pub tensors: Vec<(&'static str, ArrayD<f32>)>,
}

/// Layers in order.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    links: Vec<Link>,
    values: Values,
}

impl Chain {
    /// No layers yet, for images of this height and width.
    pub fn new(size: usize) -> Self {
        Self { links: Vec::new(), values: Values::Map([size, size, 3]) }
    }

    /// The number of layers.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// The shape after the last layer.
    pub fn values(&self) -> Values {
        self.values
    }

    /// The last layer, to add a bias to it.
    pub fn last_mut(&mut self) -> Option<&mut Link> {
        self.links.last_mut()
    }

    /// The last layer.
    pub fn last(&self) -> Option<&Link> {
        self.links.last()
    }

    /// Adds a layer without parameters.
    ///
    /// # Errors
    /// A message if it does not fit the layer before it.
    pub fn push(&mut self, name: &str, kind: LayerKind) -> Result<(), String> {
        self.push_with(name, kind, Vec::new())
    }

    /// Adds a layer with parameters.
    ///
    /// # Errors
    /// A message if it does not fit the layer before it.
    pub fn push_with(
        &mut self,
        name: &str,
        kind: LayerKind,
        tensors: Vec<(&'static str, ArrayD<f32>)>,
    ) -> Result<(), String> {
        if matches!(self.links.last(), Some(Link { kind: LayerKind::Softmax, .. })) {
            return Err("follows the softmax; networks that end with it are read".into());
        }
        let values = output(&kind, self.values)?;
        if values.axes().try_fold(1usize, |n, axis| n.checked_mul(axis)).is_none_or(|n| n > MAX_VALUES) {
            return Err("gives more than 2^36 values for an image".into());
        }
        self.values = values;
        self.links.push(Link { name: name.into(), kind, tensors });
        Ok(())
    }

    /// The network, and its parameters in its order with its names.
    ///
    /// # Errors
    /// A message if the layers do not fit each other, or give no classes.
    pub fn finish(mut self, name: &str, about: &str, input: Input) -> Result<(Model, Vec<ForeignTensor>), String> {
        self.end_with_softmax()?;
        let classes = self.values.len();
        self.mark_classes(classes);
        let mut names = LayerNames::new(&self.links);
        let mut layers = Vec::with_capacity(self.links.len());
        let mut tensors = Vec::new();
        for link in self.links {
            let name = names.next_for(&link);
            for (parameter, values) in link.tensors {
                tensors.push(ForeignTensor { name: format!("{name}.{parameter}"), values });
            }
            layers.push(LayerSpec { name, export: None, kind: link.kind });
        }
        let name = valid_name(name);
        let mut model = Model { name, about: about.into(), input, classes, layers, train: Table::new() };
        // Checks the whole network.
        model.set_classes(classes).map_err(|error| error.to_string())?;
        Ok((model, tensors))
    }

    fn end_with_softmax(&mut self) -> Result<(), String> {
        if self.links.is_empty() {
            return Err("holds no layers".into());
        }
        if matches!(self.links.last(), Some(Link { kind: LayerKind::Softmax, .. })) {
            return Ok(());
        }
        if matches!(self.values, Values::Map(_)) {
            self.push("", LayerKind::Flatten)?;
        }
        self.push("", LayerKind::Softmax)
    }

    /// Makes the outputs of the last linear layer follow the number of classes.
    fn mark_classes(&mut self, classes: usize) {
        let with_parameters = self.links.iter_mut().rev().find(|link| !link.tensors.is_empty());
        if let Some(Link { kind: LayerKind::Linear(linear), .. }) = with_parameters
            && linear.units == Units::Number(classes)
        {
            linear.units = Units::Classes;
        }
    }
}

/// A name that a network may have.
fn valid_name(text: &str) -> String {
    let fits = |c: char| c.is_alphanumeric() || " _-.+()".contains(c);
    let name: String = text.chars().map(|c| if fits(c) { c } else { '-' }).take(60).collect();
    let name = name.trim_start_matches(|c: char| !c.is_alphanumeric() && c != '_').trim_end();
    if name.is_empty() { "network".into() } else { name.into() }
}

/// The shape of a layer's output.
fn output(kind: &LayerKind, input: Values) -> Result<Values, String> {
    let message = |error: layers::tensor::Error| error.to_string();
    Ok(match kind {
        LayerKind::Conv(conv) => {
            let [h, w, c] = input.map()?;
            if conv.groups == 0 || c % conv.groups != 0 {
                return Err(format!("has {} groups, and its input {c} channels", conv.groups));
            }
            let kernel = [conv.filters, conv.kernel[0], conv.kernel[1], c / conv.groups];
            let geometry = conv.operation([h, w]).geometry(&[1, h, w, c], &kernel).map_err(message)?;
            Values::Map(geometry.output)
        }
        LayerKind::Pool(pool) => {
            let [h, w, c] = input.map()?;
            let [height, width] = pool.operation([h, w]).geometry(&[1, h, w, c]).map_err(message)?.output;
            Values::Map([height, width, c])
        }
        LayerKind::AdaptiveAveragePool(pool) => {
            let [_, _, c] = input.map()?;
            Values::Map([pool.output[0], pool.output[1], c])
        }
        LayerKind::GlobalAveragePool => Values::Row(input.map()?[2]),
        LayerKind::Flatten => Values::Row(input.len()),
        LayerKind::Linear(Linear { units: Units::Number(units), .. }) => Values::Row(*units),
        LayerKind::Lrn(_) => Values::Map(input.map()?),
        _ => input,
    })
}

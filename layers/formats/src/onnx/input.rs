//! The images that a graph takes.

use super::proto::{GraphProto, ValueInfoProto, data_type};
use super::value::Images;

/// Sizes that are tried for graphs that take any: the presets' first.
pub(super) const USUAL_SIZES: [usize; 14] = [224, 227, 32, 24, 256, 299, 64, 96, 128, 192, 240, 288, 320, 512];

/// The input of a graph.
pub(super) struct GraphInput<'a> {
    /// Its name.
    pub name: &'a str,
    /// Height and width, if they are fixed.
    pub size: Option<usize>,
    /// The number of images, if it is fixed.
    pub batch: Option<i64>,
    channels_last: bool,
}

impl<'a> GraphInput<'a> {
    /// The only input that is no parameter.
    ///
    /// # Errors
    /// A message for another number of inputs, or one that is no images of three colours.
    pub fn of(graph: &'a GraphProto) -> Result<Self, String> {
        let is_parameter = |name: &str| graph.initializer.iter().any(|tensor| tensor.name == name);
        let inputs: Vec<&ValueInfoProto> = graph.input.iter().filter(|input| !is_parameter(&input.name)).collect();
        let &[input] = inputs.as_slice() else {
            return Err(format!("has {} inputs; networks with one are read", inputs.len()));
        };
        let tensor = input.kind.as_ref().and_then(|kind| kind.tensor_type.as_ref());
        let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map(|shape| shape.dim.as_slice());
        let lengths: Vec<Option<i64>> =
            dims.unwrap_or_default().iter().map(|dim| dim.dim_value.filter(|&n| n > 0)).collect();
        let shown = || format!("its input {:?} is {}", input.name, show(&lengths));
        if let Some(kind) = tensor.map(|tensor| tensor.elem_type)
            && ![data_type::F32, data_type::F16, data_type::F64, data_type::BF16, 0].contains(&kind)
        {
            return Err(format!("{} of the type {kind}; floating-point images are read", shown()));
        }
        let (channels_last, height, width) = match *lengths.as_slice() {
            [_, Some(3), height, width] => (false, height, width),
            [_, height, width, Some(3)] => (true, height, width),
            // A graph that fixes no lengths at all.
            [_, None, None, None] => (false, None, None),
            _ => return Err(format!("{}; images of three colours are read, [n, 3, height, width]", shown())),
        };
        let size = match (height, width) {
            (Some(height), Some(width)) if height == width => Some(height),
            (None, None) => None,
            _ => return Err(format!("{}; square images are read", shown())),
        };
        let size = match size {
            Some(size) => Some(usize::try_from(size).ok().filter(|&size| size <= 1 << 14).ok_or_else(shown)?),
            None => None,
        };
        Ok(Self { name: &input.name, size, batch: lengths[0], channels_last })
    }

    /// The images before the first layer.
    pub fn images(&self, size: usize) -> Images {
        let dims = if self.channels_last { vec![size, size, 3] } else { vec![3, size, size] };
        Images { layers: 0, dims, channels_last: self.channels_last, pads: None }
    }
}

fn show(lengths: &[Option<i64>]) -> String {
    let lengths: Vec<String> = lengths.iter().map(|n| n.map_or("any".into(), |n| n.to_string())).collect();
    format!("[{}]", lengths.join(", "))
}

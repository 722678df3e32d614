//! Grad-CAM.

use layers::model::LayerKind;
use layers::tensor::{Backend, Tensor};
use layers::{Model, Network, Var};
use ndarray::{Array2, Axis, Ix4};

use crate::error::check_class;
use crate::gradient::{constant_pass, gradient};
use crate::{Error, Result};

/// The name of the last convolution of a network, if it has one.
///
/// ```
/// use alexnet_analysis::{last_convolution, layers::Model};
///
/// assert_eq!(last_convolution(&Model::preset("paper")?), Some("conv5"));
/// assert_eq!(last_convolution(&Model::preset("linear")?), None);
/// # Ok::<(), alexnet_analysis::Error>(())
/// ```
pub fn last_convolution(model: &Model) -> Option<&str> {
    let is_convolution = |kind: &LayerKind| matches!(kind, LayerKind::Conv(_) | LayerKind::Local(_));
    model.layers.iter().rev().find(|layer| is_convolution(&layer.kind)).map(|layer| layer.name.as_str())
}

/// The Grad-CAM map of a class, of the height and width of a layer's maps (Selvaraju and others, "Grad-CAM", 2017,
/// section 3): the sum of the layer's maps after its activation function, each weighted with the mean gradient of the
/// class's logit over the map; negative values are 0. `image` is `[1, crop, crop, 3]`, `layer` for instance
/// [`last_convolution`].
///
/// # Errors
/// [`Error::Class`]; [`Error::Layer`] for a layer without maps; those of the network.
pub fn grad_cam<B: Backend<Scalar = f32>>(
    network: &Network<B>,
    image: &Tensor<B>,
    class: usize,
    layer: &str,
) -> Result<Array2<f32>> {
    check_class(network.model(), class)?;
    let layer = network.model().activated(layer)?;
    let mut pass = constant_pass(network);
    let maps = network.forward_to(&Var::constant(image.clone()), layer, &mut pass)?.into_value();
    let shape = maps.shape().to_vec();
    let no_maps = || Error::Layer { layer: layer.into(), what: format!("its output is {:?}", &shape[1..]) };
    let values = maps.to_array()?.into_dimensionality::<Ix4>().map_err(|_| no_maps())?;
    let maps = pass.tape.parameter(maps);
    let logits = network.forward_from(layer, &maps, &mut pass)?;
    let logit = pass.tape.slice(&logits, &[0..1, class..class + 1])?;
    let logit = pass.tape.sum(&logit)?;
    let gradient = gradient(pass, &logit, &maps)?;
    let [_, height, width, channels] = [shape[0], shape[1], shape[2], shape[3]];
    let positions = (height * width) as f32;
    let weights = gradient.index_axis(Axis(0), 0).sum_axis(Axis(0)).sum_axis(Axis(0)) / positions;
    let rows = values.index_axis(Axis(0), 0);
    let at = |(row, column)| (0..channels).map(|c| rows[[row, column, c]] * weights[c]).sum::<f32>().max(0.0);
    Ok(Array2::from_shape_fn((height, width), at))
}

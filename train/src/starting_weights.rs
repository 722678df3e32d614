//! Starting weights of a run, from `model.weights` and `model.reinit`.

use std::path::PathBuf;

use layers::weights::Weights;
use layers::{Model, Network};
use ndarray::ArrayD;
use tensor::Backend;

use crate::checkpoint::Tensors;
use crate::config::ModelConfig;
use crate::{Error, Result, compare, load};

/// Weights that a run starts with.
pub struct StartingWeights {
    path: PathBuf,
    /// The network that they were trained in, if the file names it.
    own: Option<Model>,
    /// Parameters of all layers but those in `model.reinit`.
    tensors: Tensors,
    /// Class names of the last layer; empty if they are unknown, or if the layer is in `model.reinit`.
    classes: Vec<String>,
}

impl StartingWeights {
    /// Loads the weights in `model.weights` for a network, without the layers in `model.reinit`; `None` if the setting
    /// is not given.
    ///
    /// # Errors
    /// [`Error::Layers`] with a list of the parameters that are missing, extra or of another shape; [`Error::Setting`]
    /// for a layer in `reinit` that the network does not have.
    pub fn load(config: &ModelConfig, model: &Model) -> Result<Option<Self>> {
        check_reinit_layers(config, model)?;
        let Some(path) = &config.weights else { return Ok(None) };
        // A file that does not name its network is taken to be for this one.
        let loaded = load::starting_weights(path, model)?;
        let own = loaded.described.or(loaded.weights.model);
        let mut tensors = loaded.weights.tensors;
        let classes = loaded.weights.classes.clone();
        tensors.retain(|(name, _)| !is_reinit(config, name));
        let mut whole = Weights { model: Some(model.clone()), tensors: tensors.clone(), ..loaded.weights };
        for spec in model.parameters()?.into_iter().filter(|spec| is_reinit(config, &spec.name)) {
            whole.tensors.push((spec.name, ArrayD::zeros(spec.shape)));
        }
        whole.fit(&loaded.path.display().to_string())?;
        let has_last = model.parameters()?.last().is_some_and(|spec| !is_reinit(config, &spec.name));
        let classes = if has_last { classes } else { Vec::new() };
        Ok(Some(Self { path: loaded.path, own, tensors, classes }))
    }

    /// Notes for a run that starts with these weights in `model`, on these classes.
    pub fn notes(&self, model: &Model, classes: &[String]) -> Vec<String> {
        self.other_network(model).into_iter().chain(self.other_classes(classes)).collect()
    }

    /// A note if the network that these weights were trained in interprets its input or parameters differently.
    fn other_network(&self, model: &Model) -> Option<String> {
        let different = compare::output_differences(self.own.as_ref()?, model);
        let what = format!("{} was trained in a network that differs", self.path.display());
        (!different.is_empty()).then(|| format!("{what}: {}", different.join("; ")))
    }

    /// A note if these weights were trained on other classes than `classes`, by their names.
    pub fn other_classes(&self, classes: &[String]) -> Option<String> {
        let at = (0..classes.len()).find(|&at| self.classes.get(at) != Some(&classes[at]));
        let at = at.filter(|_| !self.classes.is_empty())?;
        let theirs = self.classes.get(at).map_or("none", String::as_str);
        Some(format!(
            "{} was trained on other classes, or in another order: its class {at} is {theirs:?}, the pack's {:?}; to \
             initialise the last layer, name it in model.reinit",
            self.path.display(),
            classes[at]
        ))
    }

    /// Sets the parameters of a network; layers in `model.reinit` keep their initialisation.
    pub(crate) fn apply_to<B: Backend<Scalar = f32>>(
        self,
        network: &mut Network<B>,
        config: &ModelConfig,
    ) -> Result<()> {
        let mut tensors = self.tensors;
        for parameter in network.parameters().iter().filter(|p| is_reinit(config, &p.spec.name)) {
            tensors.push((parameter.spec.name.clone(), parameter.value.to_array()?));
        }
        Ok(network.set_parameters("model.weights", &tensors)?)
    }
}

/// Checks that each layer in `model.reinit` has parameters, and that other layers use the weights.
fn check_reinit_layers(config: &ModelConfig, model: &Model) -> Result<()> {
    let parameters = model.parameters()?;
    for layer in &config.reinit {
        model.find_layer(layer).map_err(|e| Error::setting("model.reinit", e.to_string()))?;
        let has_parameters = parameters.iter().any(|spec| is_of_layer(&spec.name, layer));
        if !has_parameters {
            let what = format!("{layer:?} has no parameters, so there is nothing to initialise; leave it out");
            return Err(Error::setting("model.reinit", what));
        }
    }
    if !config.reinit.is_empty() && parameters.iter().all(|spec| is_reinit(config, &spec.name)) {
        let what =
            "it names all layers that have parameters, and nothing of model.weights is used; leave the weights out";
        return Err(Error::setting("model.reinit", what));
    }
    Ok(())
}

/// Whether a parameter belongs to a layer in `model.reinit`.
fn is_reinit(config: &ModelConfig, name: &str) -> bool {
    config.reinit.iter().any(|layer| is_of_layer(name, layer))
}

fn is_of_layer(parameter: &str, layer: &str) -> bool {
    parameter.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'))
}

//! Starting weights of a run, from `model.weights` and `model.reinit`.

use std::path::{Path, PathBuf};

use formats::OptimizerState;
use layers::weights::Weights;
use layers::{Model, Network, ParameterSpec};
use ndarray::ArrayD;
use optim::Optimizer;
use tensor::Backend;

use crate::checkpoint::Tensors;
use crate::config::ModelConfig;
use crate::load::Loaded;
use crate::{Config, Error, Result, compare, load, optimizer_state};

/// Weights that a run starts with.
pub struct StartingWeights {
    path: PathBuf,
    /// The network that they were trained in, if the file names it.
    own: Option<Model>,
    /// Parameters of all layers but those that are initialised anew.
    tensors: Tensors,
    /// A note on those of their values that are not finite.
    not_finite: Option<String>,
    /// Class names of the last layer; empty if they are unknown, or if the layer is initialised anew.
    classes: Vec<String>,
    /// The layers that are initialised anew.
    reinit: Vec<String>,
    /// The last layer, if it is one of those because the file has another number of classes.
    other_count: Option<OtherCount>,
    /// The last layers, if they are among those because the file lacks them.
    missing: Vec<String>,
    /// The state of the optimizer in a file of another framework.
    optimizer: Option<OptimizerState>,
    /// Whether they are a moving average of weights.
    is_average: bool,
}

/// A last layer whose number of classes is not the network's.
struct OtherCount {
    layer: String,
    classes: usize,
}

impl StartingWeights {
    /// Loads the weights in `model.weights` for a network, without the layers in `model.reinit`, and without the last layer
    /// if the file has another number of classes, or the last linear layers if a file of another framework lacks them;
    /// `None` if the setting is not given.
    ///
    /// # Errors
    /// [`Error::Layers`] with a list of the parameters that are missing, extra or of another shape; [`Error::Setting`]
    /// for a layer in `reinit` that the network does not have, and for one that is frozen.
    pub fn load(config: &ModelConfig, model: &Model) -> Result<Option<Self>> {
        check_reinit_layers(config, model)?;
        let Some(path) = &config.weights else { return Ok(None) };
        let loaded = load::starting_weights(path, model)?;
        let is_average = loaded.is_average();
        let Loaded { path, mut weights, described, optimizer, .. } = loaded;
        let mut reinit = config.reinit.to_vec();
        let missing = missing_layers(&weights, model, &reinit)?;
        reinit.extend(missing.iter().cloned());
        let other_count = last_layer_of_other_classes(&weights, model, &reinit)?;
        reinit.extend(other_count.iter().map(|last| last.layer.clone()));
        check_something_is_used(&path, model, &reinit)?;
        check_not_frozen(model, &reinit)?;
        let own = described.or(weights.model.replace(model.clone()));
        weights.tensors.retain(|(name, _)| !is_of(&reinit, name));
        let tensors = weights.tensors.clone();
        for spec in model.parameters()?.into_iter().filter(|spec| is_of(&reinit, &spec.name)) {
            weights.tensors.push((spec.name, ArrayD::zeros(spec.shape)));
        }
        weights.fit(&path.display().to_string())?;
        let has_last = model.parameters()?.last().is_some_and(|spec| !is_of(&reinit, &spec.name));
        let classes = if has_last { weights.classes } else { Vec::new() };
        let not_finite = formats::not_finite(tensors.iter().map(|(name, values)| (name.as_str(), values)));
        Ok(Some(Self { path, own, tensors, not_finite, classes, reinit, other_count, missing, optimizer, is_average }))
    }

    /// The network that a run of this configuration starts with: initialised, and with the weights in `model.weights`.
    ///
    /// # Errors
    /// Those of [`load`](Self::load) and of the network.
    pub fn network<B: Backend<Scalar = f32>>(device: &B, config: &Config, model: &Model) -> Result<Network<B>> {
        let mut network = Network::new(device, model, config.run.seed)?;
        if let Some(weights) = Self::load(&config.model, model)? {
            weights.apply_to(&mut network)?;
        }
        Ok(network)
    }

    /// The layers that are initialised anew: those in `model.reinit`, and the last ones if the file has another number of
    /// classes or lacks them. A run writes them down as its `model.reinit`.
    pub fn reinit(&self) -> &[String] {
        &self.reinit
    }

    /// Notes for a run that starts with these weights in `model`, on these classes.
    pub fn notes(&self, model: &Model, classes: &[String]) -> Vec<String> {
        let new_layer = self.new_last_layer(classes.len()).or_else(|| self.new_layers());
        let not_finite = self.not_finite.iter().map(|note| format!("{}: {note}", self.path.display()));
        let other = self.other_network(model).into_iter().chain(self.other_size(model)).chain(not_finite);
        let average = format!("the weights of {} are their moving average (optim.ema_decay)", self.path.display());
        let average = self.is_average.then_some(average);
        average.into_iter().chain(new_layer).chain(other).chain(self.other_classes(classes)).collect()
    }

    /// A note if the images of the pack have another size than those that these weights were trained on.
    fn other_size(&self, model: &Model) -> Option<String> {
        let theirs = self.own.as_ref()?.input.size;
        let ours = model.input.size;
        (theirs != ours).then(|| {
            format!(
                "{} was trained on images of {theirs} pixels a side, those of the pack have {ours}: the network sees them \
                 at another scale; a pack of its size is made by pack --size {theirs}",
                self.path.display()
            )
        })
    }

    /// A note if the last layer is initialised anew because the file has another number of classes.
    fn new_last_layer(&self, classes: usize) -> Option<String> {
        let OtherCount { layer, classes: found } = self.other_count.as_ref()?;
        let file = self.path.display();
        Some(format!(
            "{layer} is initialised anew: {classes} classes here, {found} in {file} (set model.reinit={layer} to silence \
             this note)"
        ))
    }

    /// A note if last layers are initialised anew because the file lacks them.
    fn new_layers(&self) -> Option<String> {
        let layers = self.missing.join(",");
        let file = self.path.display();
        let silence = format!("(set model.reinit={layers} to silence this note)");
        match self.missing.len() {
            0 => None,
            1 => Some(format!("{layers} is initialised anew: {file} lacks it {silence}")),
            _ => Some(format!("{layers} are initialised anew: {file} lacks them {silence}")),
        }
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

    /// A note if the file holds the state of an optimizer: whether a run of this configuration goes on with it.
    ///
    /// # Errors
    /// Those of the network.
    pub fn optimizer_note(&self, config: &Config, model: &Model) -> Result<Option<String>> {
        let Some(state) = &self.optimizer else { return Ok(None) };
        let OptimizerState { kind, step, .. } = state;
        let path = self.path.display();
        Ok(Some(match self.reason_against(state, config, model)? {
            None => format!("{path}: the run goes on with the state of its optimizer, {kind} after {step} steps"),
            Some(why) => format!("{path}: the state of its optimizer, {kind}, is left out: {why}"),
        }))
    }

    /// Why the run does not go on with the state of the file's optimizer; nothing if it does.
    fn reason_against(&self, state: &OptimizerState, config: &Config, model: &Model) -> Result<Option<String>> {
        if !self.reinit.is_empty() {
            return Ok(Some("layers are initialised anew".into()));
        }
        optimizer_state::reason_against(state, config, model)
    }

    /// Gives an optimizer the state of the file, if this run goes on with it.
    pub(crate) fn apply_to_optimizer<B: Backend<Scalar = f32>>(
        &self,
        optimizer: &mut Optimizer<B>,
        network: &Network<B>,
        config: &Config,
    ) -> Result<()> {
        let Some(state) = &self.optimizer else { return Ok(()) };
        if self.reason_against(state, config, network.model())?.is_none() {
            optimizer.load_state(optimizer_state::on_device(state, network.device())?)?;
        }
        Ok(())
    }

    /// Sets the parameters of a network; layers that are initialised anew keep their initialisation.
    pub(crate) fn apply_to<B: Backend<Scalar = f32>>(self, network: &mut Network<B>) -> Result<()> {
        let mut tensors = self.tensors;
        for parameter in network.parameters().iter().filter(|p| is_of(&self.reinit, &p.spec.name)) {
            tensors.push((parameter.spec.name.clone(), parameter.value.to_array()?));
        }
        Ok(network.set_parameters("model.weights", &tensors)?)
    }
}

/// The last layer with parameters, if the weights have all of its parameters for another number of classes, and it is not in
/// `reinit`.
fn last_layer_of_other_classes(weights: &Weights, model: &Model, reinit: &[String]) -> Result<Option<OtherCount>> {
    let specs = model.parameters()?;
    let Some(layer) = specs.last().and_then(|spec| spec.name.rsplit_once('.')).map(|(layer, _)| layer) else {
        return Ok(None);
    };
    let fits = |spec: &ParameterSpec| weights.tensor(&spec.name).is_some_and(|tensor| tensor.shape() == spec.shape);
    let of_layer = |spec: &&ParameterSpec| is_of_layer(&spec.name, layer);
    let found = specs.iter().find(of_layer).and_then(|spec| weights.tensor(&spec.name)?.shape().first().copied());
    let is_reinit = reinit.iter().any(|name| name == layer);
    let Some(classes) = found.filter(|_| !is_reinit && !specs.iter().filter(of_layer).all(fits)) else {
        return Ok(None);
    };
    let mut other = model.clone();
    if other.set_classes(classes).is_err() || !other.parameters()?.iter().filter(of_layer).all(fits) {
        return Ok(None);
    }
    Ok(Some(OtherCount { layer: layer.to_string(), classes }))
}

/// The layers at the end of a network of which the weights have nothing, and that are not in `reinit`; none if the weights
/// are not the other layers'.
fn missing_layers(weights: &Weights, model: &Model, reinit: &[String]) -> Result<Vec<String>> {
    let specs = model.parameters()?;
    let fits = |(name, values): &(String, ArrayD<f32>)| {
        specs.iter().any(|spec| spec.name == *name && spec.shape == values.shape())
    };
    if weights.tensors.is_empty() || !weights.tensors.iter().all(fits) {
        return Ok(Vec::new());
    }
    let lacking = specs.iter().rev().take_while(|spec| weights.tensor(&spec.name).is_none());
    let layer_of = |spec: &ParameterSpec| spec.name.rsplit_once('.').map(|(layer, _)| layer.to_string());
    let mut layers: Vec<String> = lacking.filter_map(layer_of).collect();
    layers.reverse();
    layers.dedup();
    layers.retain(|layer| !reinit.contains(layer));
    let is_there = |layer: &String| weights.tensors.iter().any(|(name, _)| is_of_layer(name, layer));
    layers.retain(|layer| !is_there(layer));
    Ok(layers)
}

/// Checks that each layer in `model.reinit` has parameters.
fn check_reinit_layers(config: &ModelConfig, model: &Model) -> Result<()> {
    let parameters = model.parameters()?;
    for layer in config.reinit.iter() {
        model.find_layer(layer).map_err(|e| Error::setting("model.reinit", e.to_string()))?;
        let has_parameters = parameters.iter().any(|spec| is_of_layer(&spec.name, layer));
        if !has_parameters {
            let what = format!("{layer:?} has no parameters, so there is nothing to initialise; leave it out");
            return Err(Error::setting("model.reinit", what));
        }
    }
    if !config.reinit.is_empty() && parameters.iter().all(|spec| is_of(&config.reinit, &spec.name)) {
        let what =
            "it names all layers that have parameters, and nothing of model.weights is used; leave the weights out";
        return Err(Error::setting("model.reinit", what));
    }
    Ok(())
}

/// Checks that the network uses some of the weights.
fn check_something_is_used(path: &Path, model: &Model, reinit: &[String]) -> Result<()> {
    if !model.parameters()?.iter().all(|spec| is_of(reinit, &spec.name)) {
        return Ok(());
    }
    let what = format!(
        "{}: its last layer has another number of classes, and no other layer is used; leave the weights out",
        path.display()
    );
    Err(Error::setting("model.weights", what))
}

/// Checks that layers that are initialised anew are trained.
fn check_not_frozen(model: &Model, reinit: &[String]) -> Result<()> {
    let parameters = model.parameters()?;
    let is_frozen = |layer: &&String| {
        let mut own = parameters.iter().filter(|spec| is_of_layer(&spec.name, layer));
        own.all(|spec| !spec.is_trainable())
    };
    let Some(layer) = reinit.iter().find(is_frozen) else { return Ok(()) };
    let what = format!("{layer} is initialised anew and would keep its random values; leave it out");
    Err(Error::setting("model.freeze", what))
}

/// Whether a parameter belongs to one of the layers.
fn is_of(layers: &[String], name: &str) -> bool {
    layers.iter().any(|layer| is_of_layer(name, layer))
}

fn is_of_layer(parameter: &str, layer: &str) -> bool {
    parameter.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'))
}

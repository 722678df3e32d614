//! Learning rates of single layers, frozen layers and dropout: the settings that change a network before it is trained.

use std::collections::{BTreeMap, BTreeSet};

use layers::model::LayerKind;
use layers::{Error as LayersError, Model};

use super::ModelConfig;
use crate::{Error, Result};

/// The least multiplier of a learning rate that layer decay may leave: with a smaller one, steps are lost in the rounding
/// of weights even if gradients are ten million times as large as they.
const LEAST_RATE: f32 = f32::EPSILON * f32::EPSILON;

impl ModelConfig {
    /// Changes a network as `dropout`, `lr_multipliers`, `layer_decay` and `freeze` say. The folder of a run holds the
    /// changed network: a resumed run must not change it again.
    ///
    /// ```
    /// use alexnet_train::Config;
    /// use alexnet_train::layers::Model;
    ///
    /// let config = Config::parse("mine.toml", "model.freeze = 'conv1..conv5'")?;
    /// let mut model = Model::preset("paper")?;
    /// config.model.apply_to(&mut model)?;
    /// assert_eq!(model.parameters()?.iter().filter(|spec| spec.is_trainable()).count(), 6);
    /// # Ok::<(), alexnet_train::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`] for a pattern that selects no layer, with those that there are, for a multiplier without effect or
    /// beyond f32, for a decay that leaves no rate, and if nothing is left to train.
    pub fn apply_to(&self, model: &mut Model) -> Result<()> {
        if let Some(p) = self.dropout {
            model.set_dropout(p)?;
        }
        for (layer, factor) in self.multipliers(model)? {
            model.multiply_rate(&layer, factor).map_err(in_setting("model.lr_multipliers"))?;
        }
        if self.layer_decay != 1.0 {
            decay_by_depth(model, self.layer_decay).map_err(in_setting("model.layer_decay"))?;
        }
        self.check_rates(model)?;
        let mut frozen = BTreeSet::new();
        for pattern in self.freeze.iter() {
            for layer in model.select_layers(pattern).map_err(in_setting("model.freeze"))? {
                model.freeze_layer(&layer).map_err(in_setting("model.freeze"))?;
                frozen.insert(layer);
            }
        }
        self.check_not_both(model, &frozen)?;
        if model.parameters()?.iter().any(|spec| spec.is_trainable()) {
            return Ok(());
        }
        let key = if self.freeze.is_empty() { "model.lr_multipliers" } else { "model.freeze" };
        Err(Error::setting(key, "no layer is left to train; leave at least the last one out"))
    }

    /// Fails if a layer that `freeze` names is trained in a network: it would be trained although the settings say otherwise.
    pub(crate) fn check_frozen(&self, model: &Model) -> Result<()> {
        let parameters = model.parameters()?;
        for pattern in self.freeze.iter() {
            for layer in model.select_layers(pattern).map_err(in_setting("model.freeze"))? {
                let of_layer = |name: &str| name.rsplit_once('.').is_some_and(|(of, _)| of == layer);
                if parameters.iter().any(|spec| of_layer(&spec.name) && spec.is_trainable()) {
                    let what =
                        format!("{layer} is not frozen in the network; change it by ModelConfig::apply_to first");
                    return Err(Error::setting("model.freeze", what));
                }
            }
        }
        Ok(())
    }

    /// Fails for a multiplier of a learning rate that f32 does not hold, or that layer decay leaves no effect.
    fn check_rates(&self, model: &Model) -> Result<()> {
        for spec in model.parameters()? {
            let rate = spec.rate as f32;
            if !rate.is_finite() {
                let what = format!("the multiplier of {} would be {:e}, which is beyond f32", spec.name, spec.rate);
                return Err(Error::setting("model.lr_multipliers", format!("{what}; choose smaller factors")));
            }
            if self.layer_decay != 1.0 && spec.rate > 0.0 && rate < LEAST_RATE {
                let what = format!("the learning rate of {} would be multiplied by {:e}", spec.name, spec.rate);
                let advice = "choose a factor closer to 1, or freeze the first layers (model.freeze)";
                return Err(Error::setting("model.layer_decay", format!("{what} and change nothing; {advice}")));
            }
        }
        Ok(())
    }

    /// Fails for a multiplier whose layers are all frozen: it would have no effect.
    fn check_not_both(&self, model: &Model, frozen: &BTreeSet<String>) -> Result<()> {
        for entry in self.lr_multipliers.iter() {
            let Some((pattern, factor)) = parse_multiplier(entry) else { continue };
            let layers = model.select_layers(pattern).map_err(in_setting("model.lr_multipliers"))?;
            if factor > 0.0 && layers.iter().all(|layer| frozen.contains(layer)) {
                let what = format!("{entry} has no effect: {} is frozen (model.freeze)", layers.join(", "));
                return Err(Error::setting("model.lr_multipliers", format!("{what}; leave one of the two out")));
            }
        }
        Ok(())
    }

    /// The factor of each layer that `lr_multipliers` name: that of the last entry for it.
    pub(super) fn multipliers(&self, model: &Model) -> Result<BTreeMap<String, f64>> {
        let mut factors = BTreeMap::new();
        for entry in self.lr_multipliers.iter() {
            let Some((pattern, factor)) = parse_multiplier(entry) else {
                return Err(Error::setting("model.lr_multipliers", format!("{entry:?} is not like conv*=0.1")));
            };
            for layer in model.select_layers(pattern).map_err(in_setting("model.lr_multipliers"))? {
                factors.insert(layer, factor);
            }
        }
        Ok(factors)
    }
}

/// The pattern and the factor of an entry of `lr_multipliers`.
pub(super) fn parse_multiplier(entry: &str) -> Option<(&str, f64)> {
    let (pattern, factor) = entry.split_once('=')?;
    let factor = factor.trim().parse::<f64>().ok().filter(|factor| *factor >= 0.0 && (*factor as f32).is_finite())?;
    Some((pattern.trim(), factor)).filter(|(pattern, _)| !pattern.is_empty())
}

pub(super) fn in_setting(key: &'static str) -> impl Fn(LayersError) -> Error {
    move |error| Error::setting(key, error.to_string())
}

/// Multiplies the learning rate of each layer by `factor` for each layer with weights between it and the last. A batch
/// norm counts with the layer before it.
fn decay_by_depth(model: &mut Model, factor: f64) -> std::result::Result<(), LayersError> {
    let mut of_output = 1.0;
    for layer in model.select_layers("*")?.iter().rev() {
        model.multiply_rate(layer, of_output)?;
        let place = model.find_layer(layer)?;
        if !matches!(model.layers[place].kind, LayerKind::BatchNorm(_)) {
            of_output *= factor;
        }
    }
    Ok(())
}

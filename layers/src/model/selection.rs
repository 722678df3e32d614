//! Layers by names, globs and ranges, and the learning rates of single layers.

use super::{LayerKind, LayerSpec, Model, ParameterSettings, spelling};
use crate::Result;

impl Model {
    /// The names of the layers with parameters that `pattern` selects: a name, a glob (`conv*`, `fc?`), or a range of two
    /// names (`conv1..conv5`), both included; a range without one of them begins with the first layer or ends with the
    /// last.
    ///
    /// ```
    /// use alexnet_layers::Model;
    ///
    /// let model = Model::preset("paper")?;
    /// assert_eq!(model.select_layers("fc*")?, ["fc6", "fc7", "fc8"]);
    /// assert_eq!(model.select_layers("conv4..fc6")?, ["conv4", "conv5", "fc6"]);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) that lists the layers, if the pattern selects none that has parameters.
    pub fn select_layers(&self, pattern: &str) -> Result<Vec<String>> {
        let selected: Vec<bool> = match pattern.split_once("..") {
            Some((first, last)) => {
                let range = self.range(pattern, first.trim(), last.trim())?;
                (0..self.layers.len()).map(|layer| range.contains(&layer)).collect()
            }
            None => self.layers.iter().map(|layer| matches_glob(pattern.trim(), &layer.name)).collect(),
        };
        let mut names = Vec::new();
        for (is_selected, shape) in selected.iter().zip(self.shapes()?) {
            if *is_selected && !shape.parameters.is_empty() {
                names.push(shape.name);
            }
        }
        if names.is_empty() {
            return Err(self.error(None, self.no_layers(pattern, selected.contains(&true))?));
        }
        Ok(names)
    }

    /// The name of the layer that gives a layer's activations: of a layer with weights the activation function (ReLU, tanh,
    /// logistic) right after it or after its batch norm, else the layer itself.
    ///
    /// ```
    /// use alexnet_layers::Model;
    ///
    /// let model = Model::preset("paper")?;
    /// assert_eq!(model.activated("fc7")?, "relu7");
    /// assert_eq!(model.activated("pool5")?, "pool5");
    /// assert_eq!(model.activated("fc8")?, "fc8");
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) that lists the layers, if there is none of this name.
    pub fn activated(&self, layer: &str) -> Result<&str> {
        let number = self.find_layer(layer)?;
        let own = &self.layers[number];
        let mut after = self.layers[number + 1..].iter();
        if !matches!(own.kind, LayerKind::Conv(_) | LayerKind::Local(_) | LayerKind::Linear(_)) {
            return Ok(&own.name);
        }
        let next = after.find(|layer| !matches!(layer.kind, LayerKind::BatchNorm(_)));
        let activation = next.filter(|layer| matches!(layer.kind, LayerKind::Activation(_)));
        Ok(activation.map_or(&own.name, |layer| &layer.name))
    }

    /// The name of the last hidden layer with weights: that before the layer that gives the classes, for instance `fc7`.
    /// None if the network has fewer than two layers with weights.
    ///
    /// ```
    /// use alexnet_layers::Model;
    ///
    /// assert_eq!(Model::preset("paper")?.last_hidden_layer()?, Some("fc7".to_string()));
    /// assert_eq!(Model::preset("linear")?.last_hidden_layer()?, None);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`shapes`](Self::shapes).
    pub fn last_hidden_layer(&self) -> Result<Option<String>> {
        let with_weights = self.shapes()?.into_iter().filter(|shape| shape.macs > 0 && !shape.parameters.is_empty());
        Ok(with_weights.map(|shape| shape.name).rev().nth(1))
    }

    /// The layers from `first` to `last`.
    fn range(&self, pattern: &str, first: &str, last: &str) -> Result<std::ops::RangeInclusive<usize>> {
        let start = if first.is_empty() { 0 } else { self.find_layer(first)? };
        let end = if last.is_empty() { self.layers.len().saturating_sub(1) } else { self.find_layer(last)? };
        if start > end {
            let what = format!("{pattern:?} selects no layer: {first} comes after {last}; write {last}..{first}");
            return Err(self.error(None, what));
        }
        Ok(start..=end)
    }

    /// The message for a pattern without layers that have parameters.
    fn no_layers(&self, pattern: &str, selects_others: bool) -> Result<String> {
        let shapes = self.shapes()?;
        let with_parameters = shapes.iter().filter(|shape| !shape.parameters.is_empty());
        let names: Vec<&str> = with_parameters.map(|shape| shape.name.as_str()).collect();
        let near = spelling::suggestion(pattern, &names);
        let what = if selects_others { "selects only layers without parameters" } else { "selects no layer" };
        Ok(format!("{pattern:?} {what}{near}; those with parameters are {}", names.join(", ")))
    }

    /// Freezes a layer: its parameters keep their values in training, and a batch norm normalises by its running
    /// statistics, which stay as they are. No gradient is computed for a frozen layer before the first other one.
    ///
    /// ```
    /// use alexnet_layers::Model;
    ///
    /// let mut model = Model::preset("paper")?;
    /// for layer in model.select_layers("conv1..conv5")? {
    ///     model.freeze_layer(&layer)?;
    /// }
    /// assert_eq!(model.parameters()?.iter().filter(|spec| spec.is_trainable()).count(), 6);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`multiply_rate`](Self::multiply_rate).
    pub fn freeze_layer(&mut self, name: &str) -> Result<()> {
        let layer = self.find_layer(name)?;
        if let LayerKind::BatchNorm(norm) = &mut self.layers[layer].kind {
            norm.frozen = true;
            return Ok(());
        }
        self.multiply_rate(name, 0.0)
    }

    /// Multiplies the learning rates of a layer's parameters, which may have multipliers already (`weight_rate`,
    /// `bias_rate`, `rate`).
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) for a factor that is negative or not finite, an unknown layer, one without
    /// parameters, and one of a registered kind, whose rates are in its own settings.
    pub fn multiply_rate(&mut self, name: &str, factor: f64) -> Result<()> {
        let layer = self.find_layer(name)?;
        if !(factor >= 0.0 && factor.is_finite()) {
            let what = format!("a factor of a learning rate must be a finite number of at least 0, got {factor}");
            return Err(self.error(Some(name), what));
        }
        let LayerSpec { kind, .. } = &mut self.layers[layer];
        match kind {
            LayerKind::BatchNorm(norm) => norm.rate *= factor,
            LayerKind::Custom(_) => {
                let what =
                    format!("layers of the kind {:?} have learning rates in their own settings only", kind.name());
                return Err(self.error(Some(name), what));
            }
            kind => match parameter_settings(kind) {
                Some(settings) => {
                    settings.weight_rate *= factor;
                    settings.bias_rate *= factor;
                }
                None => return Err(self.error(Some(name), "it has no parameters, and so no learning rate".into())),
            },
        }
        Ok(())
    }
}

/// The settings of a layer's weights and bias.
fn parameter_settings(kind: &mut LayerKind) -> Option<&mut ParameterSettings> {
    match kind {
        LayerKind::Conv(conv) => Some(&mut conv.parameters),
        LayerKind::Local(local) => Some(&mut local.0.parameters),
        LayerKind::Linear(linear) => Some(&mut linear.parameters),
        _ => None,
    }
}

/// Whether `name` matches a pattern in which `*` stands for any characters and `?` for one.
pub(super) fn matches_glob(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let mut at = 0;
    let mut place = 0;
    // The last star, and the place in the name up to which it is taken to reach.
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(&c) if c == '?' || c == name[place] => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((of_star, reach)) = star else { return false };
                star = Some((of_star, reach + 1));
                at = of_star + 1;
                place = reach + 1;
            }
        }
    }
    pattern[at..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, by recursion.
    fn matches_plainly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => true,
            (Some((b'*', rest)), None) => matches_plainly(rest, name),
            (Some((b'*', rest)), Some((_, after))) => matches_plainly(rest, name) || matches_plainly(pattern, after),
            (Some((c, rest)), Some((d, after))) => (*c == b'?' || c == d) && matches_plainly(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_match_as_defined(pattern in "[ab*?]{0,8}", name in "[ab]{0,8}") {
            let expected = matches_plainly(pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(matches_glob(&pattern, &name), expected);
        }
    }

    #[test]
    fn a_glob_of_many_stars_ends() {
        assert!(!matches_glob(&format!("{}b", "a*".repeat(30)), &"a".repeat(64)));
    }
}

//! A watch for dead units: ReLUs that are at zero for every image of an epoch.
//!
//! The gradient of a bias is the sum of the gradients that reach its unit. It is exactly 0 in a step in which the ReLU after
//! it lets nothing through, for all images and places: so a unit is dead if the gradient of its bias is 0 in all steps.

use std::collections::BTreeMap;

use layers::Model;
use layers::model::LayerKind;
use tensor::ops::Activation;
use tensor::{Backend, Element, Tensor};

/// Steps of an epoch that are looked at, at most; they are evenly spaced.
const STEPS_PER_EPOCH: usize = 64;
/// Fewer images than these say nothing: a unit that is good for something may be at zero for all of them.
const MIN_IMAGES: usize = 1000;
/// More than this fraction of a layer's units dead is said.
const MANY: f64 = 0.2;

/// The units of layers before a ReLU, by the name of their bias.
#[derive(Debug)]
pub(crate) struct DeadUnits {
    layers: BTreeMap<String, Layer>,
    images_per_step: usize,
    /// Steps between two that are looked at.
    every: usize,
    step: usize,
    /// Steps looked at in this epoch.
    looked_at: usize,
    is_said: bool,
}

#[derive(Debug)]
struct Layer {
    name: String,
    /// Whether each unit was active in some step of the epoch. Empty until the first.
    is_active: Vec<bool>,
}

impl DeadUnits {
    /// A watch over the layers of a network that are followed by a ReLU.
    pub fn new(model: &Model, steps_per_epoch: usize, images_per_step: usize) -> Self {
        let mut layers = BTreeMap::new();
        let mut before: Option<&str> = None;
        for layer in &model.layers {
            match &layer.kind {
                LayerKind::Conv(_) | LayerKind::Linear(_) | LayerKind::BatchNorm(_) => before = Some(&layer.name),
                LayerKind::Activation(Activation::Relu) => {
                    if let Some(name) = before.take() {
                        let watched = Layer { name: name.to_string(), is_active: Vec::new() };
                        layers.insert(format!("{name}.bias"), watched);
                    }
                }
                _ => before = None,
            }
        }
        let every = steps_per_epoch.div_ceil(STEPS_PER_EPOCH).max(1);
        Self { layers, images_per_step, every, step: 0, looked_at: 0, is_said: false }
    }

    /// A step begins.
    pub fn begin_step(&mut self) {
        self.step += 1;
        self.looked_at += usize::from(self.is_looked_at());
    }

    fn is_looked_at(&self) -> bool {
        self.step.is_multiple_of(self.every)
    }

    /// Takes the gradient of a parameter into account.
    pub fn observe<B: Backend>(&mut self, parameter: &str, gradient: &Tensor<B>) -> tensor::Result<()> {
        if !self.is_looked_at() {
            return Ok(());
        }
        let Some(layer) = self.layers.get_mut(parameter) else { return Ok(()) };
        let values = gradient.to_vec()?;
        layer.is_active.resize(values.len(), false);
        for (is_active, value) in layer.is_active.iter_mut().zip(values) {
            *is_active |= value.f64() != 0.0;
        }
        Ok(())
    }

    /// Ends an epoch. Returns the fraction of dead units by layer, and a warning, once, if there are many. Of an epoch that
    /// was not seen whole, or of few images, nothing is known.
    pub fn end_epoch(&mut self, epoch: u64, is_whole: bool) -> (Vec<(String, f64)>, Option<String>) {
        let steps = std::mem::take(&mut self.looked_at);
        let is_known = is_whole && steps * self.images_per_step >= MIN_IMAGES;
        let mut shares = Vec::new();
        let mut texts = Vec::new();
        for layer in self.layers.values_mut() {
            let is_active = std::mem::take(&mut layer.is_active);
            if is_active.is_empty() || !is_known {
                continue;
            }
            let dead = is_active.iter().filter(|is_active| !**is_active).count();
            let share = dead as f64 / is_active.len() as f64;
            if share > MANY {
                texts.push(format!("{dead} of {} units of {}", is_active.len(), layer.name));
            }
            shares.push((layer.name.clone(), share));
        }
        if texts.is_empty() || std::mem::replace(&mut self.is_said, true) {
            return (shares, None);
        }
        let note = format!(
            "dead ReLUs: {} were at zero for every image of the {steps} steps looked at in epoch {epoch}, and no longer learn; \
             a lower optim.lr or a warm-up (optim.warmup_epochs) often helps",
            texts.join(", ")
        );
        (shares, Some(note))
    }
}

#[cfg(test)]
mod tests {
    use tensor::Cpu;

    use super::*;

    fn watch(steps: usize) -> DeadUnits {
        DeadUnits::new(&Model::preset("paper").unwrap(), steps, MIN_IMAGES)
    }

    fn gradient(values: &[f32]) -> Tensor<Cpu<f32>> {
        Tensor::from_slice(&Cpu::new(1).unwrap(), &[values.len()], values).unwrap()
    }

    #[test]
    fn the_layers_before_relus_are_watched() {
        let names: Vec<String> = watch(1).layers.into_keys().collect();
        let expected = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"].map(|name| format!("{name}.bias"));
        assert_eq!(names, expected);
        let residual = DeadUnits::new(&Model::preset("cifar-tanh").unwrap(), 1, MIN_IMAGES);
        assert!(residual.layers.is_empty(), "{residual:?}");
    }

    #[test]
    fn a_unit_is_dead_if_it_is_in_no_step_of_the_epoch() {
        let mut watch = watch(2);
        for _ in 0..2 {
            watch.begin_step();
            watch.observe("conv1.bias", &gradient(&[0.0, 1.0, 0.0, 0.0])).unwrap();
            watch.observe("conv1.weight", &gradient(&[1.0])).unwrap();
            watch.observe("fc6.bias", &gradient(&[1.0, -1.0])).unwrap();
        }
        watch.begin_step();
        watch.observe("conv1.bias", &gradient(&[0.0, 0.0, -1e-30, 0.0])).unwrap();
        let (shares, note) = watch.end_epoch(3, true);
        assert_eq!(shares, [("conv1".to_string(), 0.5), ("fc6".to_string(), 0.0)]);
        let note = note.unwrap();
        assert!(note.contains("2 of 4 units of conv1 were at zero") && note.contains("epoch 3"), "{note}");
        // The next epoch begins anew, and the warning is not repeated.
        watch.begin_step();
        watch.observe("conv1.bias", &gradient(&[0.0, 0.0])).unwrap();
        assert_eq!(watch.end_epoch(4, true), (vec![("conv1".to_string(), 1.0)], None));
    }

    #[test]
    fn of_long_epochs_some_steps_are_looked_at() {
        let mut watch = watch(1000);
        for step in 1..=1000 {
            watch.begin_step();
            let value = if step % 16 == 0 { 1.0 } else { 0.0 };
            watch.observe("conv1.bias", &gradient(&[value])).unwrap();
        }
        assert_eq!(watch.looked_at, 62);
        assert_eq!(watch.end_epoch(1, true).0, [("conv1".to_string(), 0.0)]);
        // Few images say nothing.
        watch.images_per_step = 15;
        for _ in 0..1000 {
            watch.begin_step();
            watch.observe("conv1.bias", &gradient(&[0.0])).unwrap();
        }
        assert_eq!(watch.end_epoch(2, true), (Vec::new(), None));
        watch.images_per_step = MIN_IMAGES;
        // Nor does a part of an epoch.
        watch.begin_step();
        assert_eq!(watch.end_epoch(2, false), (Vec::new(), None));
    }
}

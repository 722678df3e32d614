//! The state of optimizers in files of other frameworks: what a run goes on with, and what its checkpoints hand on.

use formats::{ForeignTensor, OptimizerState};
use layers::Model;
use ndarray::{ArrayD, IxDyn};
use optim::State;
use tensor::{Backend, Tensor};
use toml::{Table, Value};

use crate::checkpoint::Checkpoint;
use crate::config::{OptimKind, ScheduleKind};
use crate::{Config, Result};

/// The largest count of steps of a parameter that a checkpoint holds; more steps change nothing in Adam.
const MAX_COUNT: u64 = 1 << 24;

/// Why a run does not go on with the state of a file; nothing if it does.
pub(crate) fn reason_against(state: &OptimizerState, config: &Config, model: &Model) -> Result<Option<String>> {
    let kind = name(config.optim.kind);
    if kind != state.kind {
        return Ok(Some(format!("this run's optim.kind is {kind}")));
    }
    let specs = model.parameters()?;
    let is_known = |tensor: &ForeignTensor| {
        specs.iter().any(|spec| spec.name == tensor.name && spec.shape == tensor.values.shape())
    };
    let other = state.slots.iter().flat_map(|(_, tensors)| tensors).find(|tensor| !is_known(tensor));
    Ok(other.map(|tensor| format!("{} is another parameter in this network", tensor.name)))
}

/// The state as an optimizer of a run has it, on a device.
///
/// # Errors
/// Those of the device.
pub(crate) fn on_device<B: Backend<Scalar = f32>>(state: &OptimizerState, device: &B) -> Result<State<B>> {
    let mut tensors = Vec::new();
    for (slot, values) in &state.slots {
        for ForeignTensor { name, values } in values {
            tensors.push((format!("{slot}/{name}"), Tensor::from_array(device, values.view())?));
        }
    }
    let counted = state.slots.first().filter(|_| matches!(state.kind.as_str(), "adam" | "adamw"));
    let Some((_, first)) = counted else { return Ok(State { steps: state.step, tensors }) };
    let count = ArrayD::from_elem(IxDyn(&[1]), state.step.clamp(1, MAX_COUNT) as f32);
    for ForeignTensor { name, .. } in first {
        tensors.push((format!("{}.t/{name}", state.kind), Tensor::from_array(device, count.view())?));
    }
    Ok(State { steps: state.step, tensors })
}

impl Checkpoint {
    /// The state of its optimizer for another framework; none unless it is Adam's, AdamW's or that of gradient descent.
    pub fn optimizer_state(&self) -> Option<OptimizerState> {
        let kind = name(self.state.config.optim.kind);
        let slots: &[&str] = match kind {
            "adam" => &["adam.m", "adam.v"],
            "adamw" => &["adamw.m", "adamw.v"],
            "sgd" => &["momentum"],
            _ => return None,
        };
        let of_slot = |slot: &&str| {
            let named = self.optimizer.iter().filter_map(|(name, values)| {
                let parameter = name.strip_prefix(*slot)?.strip_prefix('/')?;
                Some(ForeignTensor { name: parameter.into(), values: values.clone() })
            });
            (slot.to_string(), named.collect())
        };
        let slots: Vec<(String, Vec<ForeignTensor>)> = slots.iter().map(of_slot).collect();
        let is_empty = slots.iter().all(|(_, tensors)| tensors.is_empty());
        (!is_empty).then(|| OptimizerState { kind: kind.into(), step: self.state.optimizer_steps, slots })
    }

    /// The settings of its optimizer, as the `[train]` of a network has them: those that have an effect.
    pub fn optimizer_settings(&self) -> Table {
        let optim = &self.state.config.optim;
        let mut settings = Table::new();
        let mut set = |key: &str, value: Value| settings.insert(key.to_string(), value);
        set("kind", Value::String(name(optim.kind).into()));
        set("lr", Value::Float(self.learning_rate()));
        set("weight_decay", Value::Float(optim.weight_decay));
        match optim.kind {
            OptimKind::Adam | OptimKind::AdamW => {
                set("beta1", Value::Float(optim.beta1));
                set("beta2", Value::Float(optim.beta2));
                set("epsilon", Value::Float(optim.epsilon));
                set("epsilon_hat", Value::Boolean(optim.epsilon_hat));
            }
            _ => {
                set("momentum", Value::Float(optim.momentum));
                if optim.nesterov {
                    set("nesterov", Value::Boolean(true));
                }
            }
        }
        settings
    }

    /// The learning rate after the completed epochs; the initial one if the schedule has ended at 0, with which nothing
    /// would go on.
    fn learning_rate(&self) -> f64 {
        let optim = &self.state.config.optim;
        let mut rate = optim.lr;
        if let Ok(mut schedule) = optim.schedule()
            && schedule.load_state(self.state.schedule.clone()).is_ok()
        {
            rate = schedule.rate(optim.lr, self.state.position.epoch as f64);
        }
        if rate > 0.0 { rate * self.state.rate_factor } else { optim.lr * self.state.rate_factor }
    }

    /// Notes on what files of other frameworks do not hold of its optimizer.
    pub(crate) fn notes_on_export(&self) -> Vec<String> {
        let optim = &self.state.config.optim;
        let mut notes = Vec::new();
        let kind = name(optim.kind);
        if !self.optimizer.is_empty() && self.optimizer_state().is_none() {
            let what = "files of Keras take that of optim.kind adam, adamw or sgd here";
            notes.push(format!("the state of its optimizer, {kind}, is left out: {what}"));
            return notes;
        }
        if self.optimizer_state().is_none() {
            return notes;
        }
        if optim.schedule != ScheduleKind::Constant || optim.warmup_epochs > 0.0 {
            let rate = self.learning_rate() as f32;
            notes.push(format!("its learning-rate schedule is left out: Keras goes on at a constant {rate}"));
        }
        if optim.clip_value > 0.0 || optim.clip_norm > 0.0 {
            notes.push("the clipping of its gradients is left out: Keras goes on without".to_string());
        }
        notes
    }
}

/// The name of an optimizer in settings.
fn name(kind: OptimKind) -> &'static str {
    match kind {
        OptimKind::Sgd => "sgd",
        OptimKind::Adam => "adam",
        OptimKind::AdamW => "adamw",
        OptimKind::RmsProp => "rmsprop",
        OptimKind::Lars => "lars",
    }
}

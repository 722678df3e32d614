//! Updates of named parameters, and the state between them.

use std::collections::{BTreeMap, BTreeSet};

use tensor::ops::{AdamStep, AdamUpdate, SgdStep, SgdUpdate};
use tensor::{Backend, Tensor};

use crate::error::{Range, check};
use crate::{Adam, Error, Result, Rule, Sgd};

/// A parameter to update in place.
#[derive(Debug)]
pub struct Update<'a, B: Backend> {
    /// The name, unique among the parameters: the key of its state.
    pub name: &'a str,
    /// The parameter.
    pub value: &'a mut Tensor<B>,
    /// The gradient of the mean loss.
    pub gradient: &'a Tensor<B>,
    /// Multiplier of the learning rate, at least 0. With 0 the parameter is frozen: it and its state stay unchanged.
    pub lr_mult: f64,
    /// Multiplier of the weight decay, at least 0.
    pub decay_mult: f64,
}

/// State of an optimizer, for a checkpoint.
#[derive(Clone, Debug)]
pub struct State<B: Backend> {
    /// Steps taken so far.
    pub steps: u64,
    /// Tensors by name, sorted. SGD has `momentum/NAME` for each parameter updated so far; Adam has `adam.m/NAME`,
    /// `adam.v/NAME` and `adam.t/NAME` (shape `[1]`: the number of updates of the parameter).
    pub tensors: Vec<(String, Tensor<B>)>,
}

/// Prefixes of the names of state tensors.
const MOMENTUM: &str = "momentum/";
const ADAM: [&str; 3] = ["adam.m/", "adam.v/", "adam.t/"];
/// Adam's count is stored as a float, of f32 or more. From this count on, the bias correction is 1 in any case.
const MAX_STORED_COUNT: u64 = 1 << 24;

/// State of one parameter.
#[derive(Clone, Debug)]
enum Slot<B: Backend> {
    Velocity(Tensor<B>),
    Moments { m: Tensor<B>, v: Tensor<B>, t: u64 },
}

impl<B: Backend> Slot<B> {
    fn shape(&self) -> &[usize] {
        match self {
            Self::Velocity(v) | Self::Moments { v, .. } => v.shape(),
        }
    }
}

/// An optimizer: its rule, and the state of each parameter, which is allocated at the first update.
#[derive(Clone, Debug)]
pub struct Optimizer<B: Backend> {
    rule: Rule,
    steps: u64,
    slots: BTreeMap<String, Slot<B>>,
    /// Allocated by [`preallocate`](Self::preallocate) and not used yet.
    preallocated: BTreeMap<String, Slot<B>>,
}

impl<B: Backend> Optimizer<B> {
    /// An optimizer that has taken no step.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting outside its range.
    pub fn new(rule: impl Into<Rule>) -> Result<Self> {
        let rule = rule.into();
        rule.validate()?;
        Ok(Self { rule, steps: 0, slots: BTreeMap::new(), preallocated: BTreeMap::new() })
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Updates each parameter given, with learning rate `lr`. Other parameters stay unchanged.
    ///
    /// # Errors
    /// [`Error::Setting`] for a learning rate or multiplier that is negative or not finite, [`Error::Shape`] if a gradient
    /// or the state has another shape, [`Error::Duplicate`] if a name occurs twice: all before anything changes.
    /// [`Error::Tensor`] if the device has no memory for a parameter's state. [`Error::Step`] if the device fails during
    /// the step, after which some parameters may be updated.
    pub fn step(&mut self, lr: f64, updates: Vec<Update<'_, B>>) -> Result<()> {
        check("lr", Range::NonNegative, lr)?;
        self.check_all(&updates, &mut BTreeSet::new())?;
        self.steps += 1;
        self.apply(lr, updates)
    }

    /// Begins a step with learning rate `lr` whose parameters are updated as their gradients are computed. The result has
    /// the same bits as [`step`](Self::step) with all of them.
    ///
    /// # Errors
    /// [`Error::Setting`] for a learning rate that is negative or not finite.
    pub fn begin(&mut self, lr: f64) -> Result<Step<'_, B>> {
        check("lr", Range::NonNegative, lr)?;
        self.steps += 1;
        Ok(Step { optimizer: self, lr, names: BTreeSet::new() })
    }

    /// Allocates the state of these parameters, if it is not allocated yet. Call it before the first step: state allocated
    /// during the step fragments the memory that the step frees.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device has no memory for it.
    pub fn preallocate<'a>(&mut self, parameters: impl IntoIterator<Item = (&'a str, &'a Tensor<B>)>) -> Result<()> {
        for (name, value) in parameters {
            if !self.slots.contains_key(name) && !self.preallocated.contains_key(name) {
                let slot = new_slot(&self.rule, value);
                let slot = slot.map_err(|source| Error::Tensor { parameter: name.into(), source })?;
                self.preallocated.insert(name.into(), slot);
            }
        }
        Ok(())
    }

    fn check_all(&self, updates: &[Update<'_, B>], names: &mut BTreeSet<String>) -> Result<()> {
        for update in updates {
            self.check(update)?;
            if !names.insert(update.name.into()) {
                return Err(Error::Duplicate { parameter: update.name.into() });
            }
        }
        Ok(())
    }

    fn check(&self, update: &Update<'_, B>) -> Result<()> {
        check(&format!("lr_mult of `{}`", update.name), Range::NonNegative, update.lr_mult)?;
        check(&format!("decay_mult of `{}`", update.name), Range::NonNegative, update.decay_mult)?;
        let expected = update.value.shape();
        let fits = |what: &str, t: &Tensor<B>| {
            if t.shape() == expected {
                return Ok(());
            }
            Err(Error::Shape {
                parameter: update.name.into(),
                what: what.into(),
                expected: expected.to_vec(),
                got: t.shape().to_vec(),
            })
        };
        fits("gradient", update.gradient)?;
        match self.slots.get(update.name) {
            Some(Slot::Velocity(v)) => fits("momentum", v),
            Some(Slot::Moments { m, v, .. }) => fits("adam.m", m).and(fits("adam.v", v)),
            None => Ok(()),
        }
    }

    fn make_slot(&mut self, update: &Update<'_, B>) -> tensor::Result<()> {
        if !self.slots.contains_key(update.name) {
            let preallocated =
                self.preallocated.remove(update.name).filter(|slot| slot.shape() == update.value.shape());
            let slot = preallocated.map_or_else(|| new_slot(&self.rule, update.value), Ok)?;
            self.slots.insert(update.name.into(), slot);
        }
        Ok(())
    }

    /// Updates all parameters in one call, which is one launch on a GPU.
    fn apply(&mut self, lr: f64, updates: Vec<Update<'_, B>>) -> Result<()> {
        let mut by_name = BTreeMap::new();
        for update in updates.into_iter().filter(|update| update.lr_mult > 0.0) {
            self.make_slot(&update).map_err(|source| Error::Tensor { parameter: update.name.into(), source })?;
            by_name.insert(update.name, update);
        }
        self.apply_updates(lr, by_name).map_err(|source| Error::Step { source })
    }

    fn apply_updates(&mut self, lr: f64, mut updates: BTreeMap<&str, Update<'_, B>>) -> tensor::Result<()> {
        let mut sgd = Vec::new();
        let mut adam = Vec::new();
        for (name, slot) in &mut self.slots {
            let Some(update) = updates.remove(name.as_str()) else { continue };
            match (&self.rule, slot) {
                (Rule::Sgd(rule), Slot::Velocity(v)) => sgd.push(sgd_update(rule, lr, v, update)),
                (Rule::Adam(rule), Slot::Moments { m, v, t }) => {
                    *t += 1;
                    adam.push(adam_update(rule, lr, *t, m, v, update));
                }
                _ => unreachable!("new_slot and load_state make the slots of the rule"),
            }
        }
        Tensor::sgd_steps(sgd)?;
        Tensor::adam_steps(adam)
    }

    /// The state, for a checkpoint. The tensors share memory with the optimizer's until the next step.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device has no memory for Adam's counts.
    pub fn state(&self) -> Result<State<B>> {
        let mut tensors = BTreeMap::new();
        for (name, slot) in &self.slots {
            match slot {
                Slot::Velocity(v) => {
                    tensors.insert(format!("{MOMENTUM}{name}"), v.clone());
                }
                Slot::Moments { m, v, t } => {
                    let count = (*t).min(MAX_STORED_COUNT) as f64;
                    let count = Tensor::full(m.device(), &[1], count)
                        .map_err(|source| Error::Tensor { parameter: name.clone(), source })?;
                    for (prefix, tensor) in ADAM.iter().zip([m.clone(), v.clone(), count]) {
                        tensors.insert(format!("{prefix}{name}"), tensor);
                    }
                }
            }
        }
        Ok(State { steps: self.steps, tensors: tensors.into_iter().collect() })
    }

    /// Restores an earlier [`state`](Self::state) of an optimizer with the same kind of rule. Training continues with the
    /// same bits as if it had never stopped.
    ///
    /// # Errors
    /// [`Error::State`] for a tensor that this rule does not have, one that occurs twice, and for a missing one; nothing
    /// changes then. Shapes are checked against the parameters at the next step.
    pub fn load_state(&mut self, state: State<B>) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in state.tensors {
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(Error::state(name, "occurs twice; the checkpoint is damaged"));
            }
        }
        let slots = match self.rule {
            Rule::Sgd(_) => velocities(tensors)?,
            Rule::Adam(_) => moments(tensors)?,
        };
        self.steps = state.steps;
        self.slots = slots;
        self.preallocated = BTreeMap::new();
        Ok(())
    }
}

/// A step in progress, made by [`Optimizer::begin`].
#[derive(Debug)]
pub struct Step<'a, B: Backend> {
    optimizer: &'a mut Optimizer<B>,
    lr: f64,
    names: BTreeSet<String>,
}

impl<B: Backend> Step<'_, B> {
    /// Updates more parameters.
    ///
    /// # Errors
    /// Those of [`Optimizer::step`]; [`Error::Duplicate`] also for a parameter that an earlier call updated.
    pub fn update(&mut self, updates: Vec<Update<'_, B>>) -> Result<()> {
        self.optimizer.check_all(&updates, &mut self.names)?;
        self.optimizer.apply(self.lr, updates)
    }
}

fn new_slot<B: Backend>(rule: &Rule, value: &Tensor<B>) -> tensor::Result<Slot<B>> {
    let zeros = || Tensor::zeros(value.device(), value.shape());
    Ok(match rule {
        Rule::Sgd(_) => Slot::Velocity(zeros()?),
        Rule::Adam(_) => Slot::Moments { m: zeros()?, v: zeros()?, t: 0 },
    })
}

fn sgd_update<'a, B: Backend>(
    rule: &Sgd,
    lr: f64,
    v: &'a mut Tensor<B>,
    update: Update<'a, B>,
) -> SgdUpdate<'a, Tensor<B>> {
    let rate = lr * update.lr_mult;
    let decay = rule.weight_decay * update.decay_mult;
    let step = SgdStep { rate, momentum: rule.momentum, decay, nesterov: rule.nesterov };
    SgdUpdate { step, w: update.value, v, g: update.gradient }
}

fn adam_update<'a, B: Backend>(
    rule: &Adam,
    lr: f64,
    t: u64,
    m: &'a mut Tensor<B>,
    v: &'a mut Tensor<B>,
    update: Update<'a, B>,
) -> AdamUpdate<'a, Tensor<B>> {
    let Adam { beta1, beta2, epsilon, weight_decay, epsilon_hat } = *rule;
    let rate = lr * update.lr_mult;
    let decay = weight_decay * update.decay_mult;
    let step = AdamStep { rate, beta1, beta2, epsilon, decay, step: t, epsilon_hat };
    AdamUpdate { step, w: update.value, m, v, g: update.gradient }
}

type Tensors<B> = BTreeMap<String, Tensor<B>>;
type Slots<B> = BTreeMap<String, Slot<B>>;

fn velocities<B: Backend>(tensors: Tensors<B>) -> Result<Slots<B>> {
    let slot = |(name, v): (String, Tensor<B>)| match name.strip_prefix(MOMENTUM) {
        Some(parameter) => Ok((parameter.to_string(), Slot::Velocity(v))),
        None => Err(unexpected_tensor(name, "sgd", MOMENTUM)),
    };
    tensors.into_iter().map(slot).collect()
}

fn moments<B: Backend>(mut tensors: Tensors<B>) -> Result<Slots<B>> {
    let mut slots = BTreeMap::new();
    while let Some(first) = tensors.keys().next().cloned() {
        let Some(parameter) = ADAM.iter().find_map(|prefix| first.strip_prefix(prefix)) else {
            return Err(unexpected_tensor(first, "adam", "adam.m/, adam.v/ or adam.t/"));
        };
        let mut take = |prefix: &str| {
            let name = format!("{prefix}{parameter}");
            let missing = || Error::state(&name, "missing, though other tensors of its parameter exist");
            tensors.remove(&name).ok_or_else(missing)
        };
        let m = take(ADAM[0])?;
        let v = take(ADAM[1])?;
        let t = take(ADAM[2])?;
        slots.insert(parameter.to_string(), Slot::Moments { m, v, t: count(parameter, &t)? });
    }
    Ok(slots)
}

fn count<B: Backend>(parameter: &str, t: &Tensor<B>) -> Result<u64> {
    let name = format!("{}{parameter}", ADAM[2]);
    let value = t.scalar().map_err(|source| Error::Tensor { parameter: name.clone(), source })?;
    if (1.0..=MAX_STORED_COUNT as f64).contains(&value) && value.fract() == 0.0 {
        return Ok(value as u64);
    }
    Err(Error::state(name, format!("expected a whole number from 1 to {MAX_STORED_COUNT}, got {value}")))
}

fn unexpected_tensor(name: String, kind: &str, expected: &str) -> Error {
    let what =
        format!("optimizer `{kind}` keeps only tensors named {expected}...; resume with the optimizer that wrote it");
    Error::state(name, what)
}

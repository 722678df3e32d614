//! Steps on named parameters, and what is remembered between them.

use std::collections::{BTreeMap, BTreeSet};

use tensor::ops::{AdamStep, AdamUpdate, SgdStep, SgdUpdate};
use tensor::{Backend, Tensor};

use crate::error::{Range, check};
use crate::{Adam, Error, Result, Rule, Sgd};

/// A parameter to be updated in place.
#[derive(Debug)]
pub struct Update<'a, B: Backend> {
    /// Unique among the parameters; what the state is kept under.
    pub name: &'a str,
    /// The parameter.
    pub value: &'a mut Tensor<B>,
    /// The gradient of the mean loss for it.
    pub gradient: &'a Tensor<B>,
    /// Multiplies the learning rate, at least 0. With 0 the parameter is frozen: it and its state are left alone.
    pub rate: f64,
    /// Multiplies the weight decay, at least 0.
    pub decay: f64,
}

/// What an optimizer remembers, for a checkpoint.
#[derive(Clone, Debug)]
pub struct State<B: Backend> {
    /// Steps taken so far.
    pub steps: u64,
    /// Tensors by name, in order of the names. Under SGD `momentum/NAME` for each parameter that had a step, under Adam
    /// `adam.m/NAME`, `adam.v/NAME` and `adam.t/NAME` (shape `[1]`: the parameter's own number of steps).
    pub tensors: Vec<(String, Tensor<B>)>,
}

/// Prefixes of the names of state.
const MOMENTUM: &str = "momentum/";
const ADAM: [&str; 3] = ["adam.m/", "adam.v/", "adam.t/"];
/// Adam's count is stored as a number of the tensors' type, f32 at least; beyond this its bias correction is 1.
const MAX_STORED_COUNT: u64 = 1 << 24;

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

/// A rule and what it remembers of each parameter. The memory is made at a parameter's first step.
#[derive(Clone, Debug)]
pub struct Optimizer<B: Backend> {
    rule: Rule,
    steps: u64,
    slots: BTreeMap<String, Slot<B>>,
    /// Made ahead of the first step.
    reserved: BTreeMap<String, Slot<B>>,
}

impl<B: Backend> Optimizer<B> {
    /// An optimizer that has taken no step.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting outside its range.
    pub fn new(rule: impl Into<Rule>) -> Result<Self> {
        let rule = rule.into();
        rule.validate()?;
        Ok(Self { rule, steps: 0, slots: BTreeMap::new(), reserved: BTreeMap::new() })
    }

    /// The rule.
    pub fn rule(&self) -> &Rule {
        &self.rule
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes one step at learning rate `rate` on each parameter given. A parameter left out stays as it is.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rate or multiplier that is negative or not finite, [`Error::Shape`] where a gradient or
    /// the remembered state is of another shape, [`Error::Duplicate`] for a name that comes twice: all found before
    /// anything is changed. [`Error::Tensor`] if the device cannot hold a parameter's state. [`Error::Step`] if it
    /// fails in the step, in which case some parameters have had theirs.
    pub fn step(&mut self, rate: f64, updates: Vec<Update<'_, B>>) -> Result<()> {
        check("rate", Range::NonNegative, rate)?;
        self.check_all(&updates, &mut BTreeSet::new())?;
        self.steps += 1;
        self.apply(rate, updates)
    }

    /// Begins one step at learning rate `rate`, whose parameters are given as their gradients come. The bits are those of
    /// [`step`](Self::step) with all of them.
    ///
    /// # Errors
    /// [`Error::Setting`] for a rate that is negative or not finite.
    pub fn begin(&mut self, rate: f64) -> Result<Step<'_, B>> {
        check("rate", Range::NonNegative, rate)?;
        self.steps += 1;
        Ok(Step { optimizer: self, rate, names: BTreeSet::new() })
    }

    /// Makes the memory that the first step on these parameters needs, unless it is there. Where that is before anything
    /// else of the step, it does not come to lie between what the step gives back.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device cannot hold it.
    pub fn reserve<'a>(&mut self, parameters: impl IntoIterator<Item = (&'a str, &'a Tensor<B>)>) -> Result<()> {
        for (name, value) in parameters {
            if !self.slots.contains_key(name) && !self.reserved.contains_key(name) {
                let slot = new_slot(&self.rule, value);
                let slot = slot.map_err(|source| Error::Tensor { parameter: name.into(), source })?;
                self.reserved.insert(name.into(), slot);
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
        check(&format!("the rate multiplier of `{}`", update.name), Range::NonNegative, update.rate)?;
        check(&format!("the decay multiplier of `{}`", update.name), Range::NonNegative, update.decay)?;
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
            Some(Slot::Velocity(v)) => fits("remembered momentum", v),
            Some(Slot::Moments { m, v, .. }) => fits("remembered adam.m", m).and(fits("remembered adam.v", v)),
            None => Ok(()),
        }
    }

    fn make_slot(&mut self, update: &Update<'_, B>) -> tensor::Result<()> {
        if !self.slots.contains_key(update.name) {
            let reserved = self.reserved.remove(update.name).filter(|slot| slot.shape() == update.value.shape());
            let slot = reserved.map_or_else(|| new_slot(&self.rule, update.value), Ok)?;
            self.slots.insert(update.name.into(), slot);
        }
        Ok(())
    }

    /// All parameters given in one call, which is one launch on a GPU.
    fn apply(&mut self, rate: f64, updates: Vec<Update<'_, B>>) -> Result<()> {
        let mut moving = BTreeMap::new();
        for update in updates.into_iter().filter(|u| u.rate > 0.0) {
            self.make_slot(&update).map_err(|source| Error::Tensor { parameter: update.name.into(), source })?;
            moving.insert(update.name, update);
        }
        self.move_all(rate, moving).map_err(|source| Error::Step { source })
    }

    fn move_all(&mut self, rate: f64, mut updates: BTreeMap<&str, Update<'_, B>>) -> tensor::Result<()> {
        let mut sgd = Vec::new();
        let mut adam = Vec::new();
        for (name, slot) in &mut self.slots {
            let Some(update) = updates.remove(name.as_str()) else { continue };
            match (&self.rule, slot) {
                (Rule::Sgd(rule), Slot::Velocity(v)) => sgd.push(sgd_update(rule, rate, v, update)),
                (Rule::Adam(rule), Slot::Moments { m, v, t }) => {
                    *t += 1;
                    adam.push(adam_update(rule, rate, *t, m, v, update));
                }
                _ => unreachable!("slots are made and loaded by the rule"),
            }
        }
        Tensor::sgd_steps(sgd)?;
        Tensor::adam_steps(adam)
    }

    /// What is remembered. The tensors share memory with the optimizer's until its next step.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device cannot hold Adam's counts.
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

    /// Replaces what is remembered by an earlier [`state`](Self::state) of an optimizer with the same kind of rule.
    /// Continuing from it gives the same bits as never having stopped.
    ///
    /// # Errors
    /// [`Error::State`] for a tensor that this rule does not keep, that comes twice, or that lacks its companions;
    /// nothing is changed then. Shapes are checked against the parameters at the next step.
    pub fn load_state(&mut self, state: State<B>) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in state.tensors {
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(Error::state(name, "comes twice; the checkpoint is damaged"));
            }
        }
        let slots = match self.rule {
            Rule::Sgd(_) => velocities(tensors)?,
            Rule::Adam(_) => moments(tensors)?,
        };
        (self.steps, self.slots, self.reserved) = (state.steps, slots, BTreeMap::new());
        Ok(())
    }
}

/// A step under way: [`Optimizer::begin`].
#[derive(Debug)]
pub struct Step<'a, B: Backend> {
    optimizer: &'a mut Optimizer<B>,
    rate: f64,
    names: BTreeSet<String>,
}

impl<B: Backend> Step<'_, B> {
    /// Takes the step on more parameters.
    ///
    /// # Errors
    /// As [`Optimizer::step`]; [`Error::Duplicate`] also for a parameter that has had this step. Those that were given
    /// before have had theirs.
    pub fn update(&mut self, updates: Vec<Update<'_, B>>) -> Result<()> {
        self.optimizer.check_all(&updates, &mut self.names)?;
        self.optimizer.apply(self.rate, updates)
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
    rate: f64,
    v: &'a mut Tensor<B>,
    u: Update<'a, B>,
) -> SgdUpdate<'a, Tensor<B>> {
    let Sgd { momentum, decay, nesterov } = *rule;
    let step = SgdStep { rate: rate * u.rate, momentum, decay: decay * u.decay, nesterov };
    SgdUpdate { step, w: u.value, v, g: u.gradient }
}

fn adam_update<'a, B: Backend>(
    rule: &Adam,
    rate: f64,
    t: u64,
    m: &'a mut Tensor<B>,
    v: &'a mut Tensor<B>,
    u: Update<'a, B>,
) -> AdamUpdate<'a, Tensor<B>> {
    let Adam { beta1, beta2, epsilon, decay, epsilon_hat } = *rule;
    let rate = rate * u.rate;
    let decay = decay * u.decay;
    let step = AdamStep { rate, beta1, beta2, epsilon, decay, step: t, epsilon_hat };
    AdamUpdate { step, w: u.value, m, v, g: u.gradient }
}

type Tensors<B> = BTreeMap<String, Tensor<B>>;
type Slots<B> = BTreeMap<String, Slot<B>>;

fn velocities<B: Backend>(tensors: Tensors<B>) -> Result<Slots<B>> {
    let slot = |(name, v): (String, Tensor<B>)| match name.strip_prefix(MOMENTUM) {
        Some(parameter) => Ok((parameter.to_string(), Slot::Velocity(v))),
        None => Err(foreign(name, "sgd", MOMENTUM)),
    };
    tensors.into_iter().map(slot).collect()
}

fn moments<B: Backend>(mut tensors: Tensors<B>) -> Result<Slots<B>> {
    let mut slots = BTreeMap::new();
    while let Some(first) = tensors.keys().next().cloned() {
        let Some(parameter) = ADAM.iter().find_map(|prefix| first.strip_prefix(prefix)) else {
            return Err(foreign(first, "adam", "adam.m/, adam.v/ or adam.t/"));
        };
        let mut take = |prefix: &str| {
            let name = format!("{prefix}{parameter}");
            let missing = || Error::state(&name, "missing, though others of its parameter are there");
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

fn foreign(name: String, kind: &str, expected: &str) -> Error {
    let what =
        format!("optimizer `{kind}` keeps only tensors named {expected}...; resume with the optimizer that wrote it");
    Error::state(name, what)
}

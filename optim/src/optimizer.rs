//! Steps of named parameters, and the state between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tensor::{Backend, Tensor};

use crate::clipping::{Change, change_all, global_norm, scale_to};
use crate::error::{Range, check};
use crate::state::{Slot, check_names, parameter_of, unexpected_tensor};
use crate::{Clipping, Error, GradientObserver, Group, ParameterStep, Result, State, Step, Update, UpdateRule};

/// An optimizer: its update rule, groups of parameters, and the state of each parameter, which is allocated at its first
/// update. Clones have states of their own.
///
/// ```
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{Adam, Optimizer, Update};
///
/// // f(w) = w^2
/// let mut w = Tensor::full(&Cpu::<f64>::new(1)?, &[1], 1.0)?;
/// let mut adam = Optimizer::new(Adam::default())?;
/// for _ in 0..100 {
///     let gradient = w.scale(2.0)?;
///     adam.step(0.05, vec![Update::new("w", &mut w, &gradient)])?;
/// }
/// assert!(w.scalar()?.abs() < 0.05);
///
/// let mut resumed = Optimizer::new(Adam::default())?;
/// resumed.load_state(adam.state()?)?;
/// assert_eq!(resumed.steps(), 100);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Optimizer<B: Backend> {
    rules: Rules<B>,
    clipping: Vec<Clipping>,
    gradient_norm: Option<f64>,
    steps: u64,
    slots: BTreeMap<String, Slot<B>>,
    /// Allocated by [`preallocate`](Self::preallocate) and not used yet.
    preallocated: BTreeMap<String, Slot<B>>,
    observer: Option<GradientObserver<B>>,
}

/// The rule, and the groups in which another may hold.
#[derive(Clone, Debug)]
struct Rules<B: Backend> {
    rule: Arc<dyn UpdateRule<B>>,
    groups: Vec<Group<B>>,
}

impl<B: Backend> Rules<B> {
    /// The number of the parameter's group, if it is in one.
    fn group(&self, parameter: &str) -> Option<usize> {
        self.groups.iter().position(|group| group.has(parameter))
    }

    /// The number of the parameter's group, if that has a rule of its own.
    fn group_with_rule(&self, parameter: &str) -> Option<usize> {
        self.group(parameter).filter(|&group| self.groups[group].rule.is_some())
    }

    /// The rule of a group, or the one outside groups with rules.
    fn rule(&self, group: Option<usize>) -> &dyn UpdateRule<B> {
        let rule = group.and_then(|group| self.groups[group].rule.as_ref());
        rule.unwrap_or(&self.rule).as_ref()
    }

    /// The rule of a parameter.
    fn of(&self, parameter: &str) -> &dyn UpdateRule<B> {
        self.rule(self.group_with_rule(parameter))
    }

    /// The update with its multipliers times those of its group.
    fn multiply<'a>(&self, update: Update<'a, B>) -> Update<'a, B> {
        let Some(group) = self.group(update.name).map(|group| &self.groups[group]) else { return update };
        let lr_mult = update.lr_mult * group.lr_mult;
        let decay_mult = update.decay_mult * group.decay_mult;
        Update { lr_mult, decay_mult, ..update }
    }
}

impl<B: Backend> Optimizer<B> {
    /// An optimizer that has taken no step.
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting outside its range.
    pub fn new(rule: impl UpdateRule<B> + 'static) -> Result<Self> {
        rule.validate()?;
        check_names(&rule)?;
        Ok(Self {
            rules: Rules { rule: Arc::new(rule), groups: Vec::new() },
            clipping: Vec::new(),
            gradient_norm: None,
            steps: 0,
            slots: BTreeMap::new(),
            preallocated: BTreeMap::new(),
            observer: None,
        })
    }

    /// Sets the observer of the gradients of steps from now on, or removes it.
    pub fn observe_gradients(&mut self, observer: Option<GradientObserver<B>>) {
        self.observer = observer;
    }

    /// Adds a group of parameters. A parameter belongs to the first group that has it, or to none. Add groups before the
    /// first step and before [`load_state`](Self::load_state): state of a parameter whose rule changes is dropped.
    ///
    /// # Errors
    /// [`Error::Setting`] for a multiplier or a setting of the group's rule outside its range.
    pub fn with_group(mut self, group: Group<B>) -> Result<Self> {
        group.validate()?;
        if let Some(rule) = &group.rule {
            rule.validate()?;
            check_names(rule.as_ref())?;
            let keeps = |name: &str| self.rules.group(name).is_some() || !group.has(name);
            self.slots.retain(|name, _| keeps(name));
            self.preallocated.retain(|name, _| keeps(name));
        }
        self.rules.groups.push(group);
        Ok(self)
    }

    /// Clips gradients from now on; several kinds of clipping are applied in the order in which they are added.
    ///
    /// # Errors
    /// [`Error::Setting`] for a limit that is not above 0.
    pub fn with_clipping(mut self, clipping: Clipping) -> Result<Self> {
        clipping.validate()?;
        self.clipping.push(clipping);
        Ok(self)
    }

    /// Replaces the rule of parameters outside groups by one of the same state, such as another momentum or weight decay,
    /// also between steps.
    ///
    /// ```
    /// use alexnet_optim::tensor::Cpu;
    /// use alexnet_optim::{Adam, Optimizer, Sgd};
    ///
    /// let mut sgd = Optimizer::<Cpu<f32>>::new(Sgd::default())?;
    /// sgd.set_rule(Sgd { momentum: 0.95, ..Sgd::default() })?;
    /// assert!(sgd.set_rule(Adam::default()).is_err());
    /// # Ok::<(), alexnet_optim::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`] for a setting outside its range, and for a rule with another state.
    pub fn set_rule(&mut self, rule: impl UpdateRule<B> + 'static) -> Result<()> {
        rule.validate()?;
        let old = self.rules.rule.as_ref();
        if rule.state() != old.state() || rule.count() != old.count() {
            return Err(Error::setting("rule", "one with the same state", rule.name()));
        }
        self.rules.rule = Arc::new(rule);
        Ok(())
    }

    /// Replaces all clipping, also between steps.
    ///
    /// # Errors
    /// [`Error::Setting`] for a limit that is not above 0.
    pub fn set_clipping(&mut self, clipping: Vec<Clipping>) -> Result<()> {
        clipping.iter().try_for_each(Clipping::validate)?;
        self.clipping = clipping;
        Ok(())
    }

    /// The rule of parameters outside groups.
    pub fn rule(&self) -> &dyn UpdateRule<B> {
        self.rules.rule.as_ref()
    }

    /// Steps taken so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The global norm of the gradients of the last step before they were clipped by it; `None` without
    /// [`Clipping::GlobalNorm`].
    pub fn gradient_norm(&self) -> Option<f64> {
        self.gradient_norm
    }

    /// Whether a step needs all gradients in one call, because they are clipped by their global norm.
    pub fn needs_all_gradients(&self) -> bool {
        self.clipping.iter().any(|clipping| matches!(clipping, Clipping::GlobalNorm(_)))
    }

    /// Updates each parameter given, with learning rate `lr`. Other parameters stay unchanged.
    ///
    /// # Errors
    /// [`Error::Setting`] for a learning rate or multiplier that is negative or not finite, [`Error::Shape`] if a gradient
    /// or the state has another shape, [`Error::Duplicate`] if a name occurs twice, [`Error::Norm`] if gradients are to be
    /// clipped by a norm that is not finite: all before anything changes. [`Error::Tensor`] if the device has no memory for
    /// a parameter's state. [`Error::Step`] if the device fails during the step, after which some parameters may be
    /// updated.
    pub fn step(&mut self, lr: f64, updates: Vec<Update<'_, B>>) -> Result<()> {
        check("lr", Range::NonNegative, lr)?;
        self.check_all(&updates, &mut BTreeSet::new())?;
        let changes = self.changes(&updates)?;
        self.steps += 1;
        self.apply(lr, updates, &changes)
    }

    /// Begins a step with learning rate `lr` whose parameters are updated as their gradients are computed. The result has
    /// the same bits as [`step`](Self::step) with all of them.
    ///
    /// ```
    /// use alexnet_optim::tensor::{Cpu, Tensor};
    /// use alexnet_optim::{Optimizer, Sgd, Update};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let mut weights = [Tensor::zeros(&cpu, &[2])?, Tensor::zeros(&cpu, &[3])?];
    /// let mut sgd = Optimizer::new(Sgd::default())?;
    /// let mut step = sgd.begin(0.1)?;
    /// for (name, value) in ["fc.bias", "fc.weight"].into_iter().zip(&mut weights) {
    ///     let gradient = Tensor::full(&cpu, value.shape(), 1.0)?; // freed before the next one is computed
    ///     step.update(vec![Update::new(name, value, &gradient)])?;
    /// }
    /// assert_eq!(sgd.steps(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
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
                let slot = Slot::new(self.rules.of(name), value);
                let slot = slot.map_err(|source| Error::Tensor { parameter: name.into(), source })?;
                self.preallocated.insert(name.into(), slot);
            }
        }
        Ok(())
    }

    /// The state, for a checkpoint. The tensors share memory with the optimizer's until the next step.
    ///
    /// # Errors
    /// [`Error::Tensor`] if the device has no memory for the counts of rules that count.
    pub fn state(&self) -> Result<State<B>> {
        let mut tensors = BTreeMap::new();
        for (name, slot) in &self.slots {
            slot.save(self.rules.of(name), name, &mut tensors)?;
        }
        Ok(State { steps: self.steps, tensors: tensors.into_iter().collect() })
    }

    /// Restores an earlier [`state`](Self::state) of an optimizer with the same kinds of rules. Training continues with the
    /// same bits as if it had never stopped.
    ///
    /// # Errors
    /// [`Error::State`] for a tensor that the rule of its parameter does not have, one that occurs twice, and for a missing
    /// one; nothing changes then. Shapes are checked against the parameters at the next step.
    pub fn load_state(&mut self, state: State<B>) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in state.tensors {
            if tensors.insert(name.clone(), tensor).is_some() {
                return Err(Error::state(name, "occurs twice; the checkpoint is damaged"));
            }
        }
        let mut slots = BTreeMap::new();
        while let Some((first, tensor)) = tensors.first_key_value() {
            let rule = self.rules.of(first.split_once('/').map_or("", |(_, parameter)| parameter));
            let Some(parameter) = parameter_of(rule, first).map(str::to_string) else {
                return Err(unexpected_tensor(rule, first.clone()));
            };
            let device = tensor.device().clone();
            let slot = Slot::restore(rule, &parameter, device, &mut tensors)?;
            slots.insert(parameter, slot);
        }
        self.steps = state.steps;
        self.slots = slots;
        self.preallocated = BTreeMap::new();
        Ok(())
    }

    pub(crate) fn check_all(&self, updates: &[Update<'_, B>], names: &mut BTreeSet<String>) -> Result<()> {
        for update in updates {
            self.check(update)?;
            if !names.insert(update.name.into()) {
                return Err(Error::Duplicate { parameter: update.name.into() });
            }
        }
        Ok(())
    }

    fn check(&self, update: &Update<'_, B>) -> Result<()> {
        update.validate()?;
        let Some(slot) = self.slots.get(update.name) else { return Ok(()) };
        slot.check(self.rules.of(update.name), update.name, update.value.shape())
    }

    /// Shows the gradients of these updates to the observer, and returns the effect of clipping on them. Those of frozen
    /// parameters do not count in a norm.
    pub(crate) fn changes(&mut self, updates: &[Update<'_, B>]) -> Result<Vec<Change>> {
        if let Some(observer) = &self.observer {
            observer.observe_all(updates)?;
        }
        let is_frozen = |update: &Update<'_, B>| {
            let group = self.rules.group(update.name).map(|group| &self.rules.groups[group]);
            update.lr_mult == 0.0 || group.is_some_and(|group| group.lr_mult == 0.0)
        };
        let gradients: Vec<&Tensor<B>> = updates.iter().filter(|u| !is_frozen(u)).map(|u| u.gradient).collect();
        let mut changes = Vec::new();
        for clipping in &self.clipping {
            match *clipping {
                Clipping::Value(limit) => changes.push(Change::Clamp(limit)),
                Clipping::GlobalNorm(limit) => {
                    let norm = global_norm(&gradients, &changes).map_err(|source| Error::Step { source })?;
                    self.gradient_norm = Some(norm);
                    changes.extend(scale_to(limit, norm)?);
                }
            }
        }
        Ok(changes)
    }

    fn make_slot(&mut self, update: &Update<'_, B>) -> tensor::Result<()> {
        if !self.slots.contains_key(update.name) {
            let preallocated = self.preallocated.remove(update.name);
            let preallocated = preallocated.filter(|slot| slot.has_shape(update.value.shape()));
            let slot = preallocated.map_or_else(|| Slot::new(self.rules.of(update.name), update.value), Ok)?;
            self.slots.insert(update.name.into(), slot);
        }
        Ok(())
    }

    /// Updates all parameters, together if their gradients stay as they are: on a GPU that is one launch. Changed gradients
    /// are copies, of which only one at a time takes memory.
    pub(crate) fn apply(&mut self, lr: f64, updates: Vec<Update<'_, B>>, changes: &[Change]) -> Result<()> {
        if changes.is_empty() {
            return self.apply_together(lr, updates);
        }
        for update in updates {
            let changed = change_all(update.gradient, changes).map_err(|source| Error::Step { source })?;
            self.apply_together(lr, vec![Update { gradient: &changed, ..update }])?;
        }
        Ok(())
    }

    fn apply_together(&mut self, lr: f64, updates: Vec<Update<'_, B>>) -> Result<()> {
        let mut by_name = BTreeMap::new();
        let multiplied = updates.into_iter().map(|update| self.rules.multiply(update));
        for update in multiplied.filter(|update| update.lr_mult > 0.0).collect::<Vec<_>>() {
            self.make_slot(&update).map_err(|source| Error::Tensor { parameter: update.name.into(), source })?;
            by_name.insert(update.name, update);
        }
        self.apply_updates(lr, by_name).map_err(|source| Error::Step { source })
    }

    fn apply_updates(&mut self, lr: f64, mut updates: BTreeMap<&str, Update<'_, B>>) -> tensor::Result<()> {
        let Self { rules, slots, .. } = self;
        let mut by_group: BTreeMap<Option<usize>, Vec<ParameterStep<'_, B>>> = BTreeMap::new();
        for (name, slot) in slots {
            let Some(Update { value, gradient, lr_mult, decay_mult, .. }) = updates.remove(name.as_str()) else {
                continue;
            };
            slot.count += 1;
            let state = slot.tensors.as_mut_slice();
            let rate = lr * lr_mult;
            let step = ParameterStep { name, value, gradient, state, rate, decay_mult, count: slot.count };
            by_group.entry(rules.group_with_rule(name)).or_default().push(step);
        }
        by_group.into_iter().try_for_each(|(group, parameters)| rules.rule(group).update_all(parameters))
    }
}

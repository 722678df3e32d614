//! Groups of parameters with settings of their own.

use std::fmt;
use std::sync::Arc;

use tensor::Backend;

use crate::error::{Range, check};
use crate::{Result, UpdateRule};

/// A group of parameters, chosen by name: multipliers, and an update rule of its own if it has other settings.
///
/// ```
/// use alexnet_optim::tensor::Cpu;
/// use alexnet_optim::{Adam, Group, Optimizer, Sgd};
///
/// let biases = Group::new(|name| name.ends_with(".bias")).lr_mult(2.0).decay_mult(0.0);
/// let head = Group::new(|name| name.starts_with("fc8.")).rule(Adam::default());
/// // A parameter belongs to the first group that takes it: fc8.bias is one of the biases.
/// let optimizer = Optimizer::<Cpu<f32>>::new(Sgd::default())?.with_group(biases)?.with_group(head)?;
/// # Ok::<(), alexnet_optim::Error>(())
/// ```
#[derive(Clone)]
pub struct Group<B: Backend> {
    has: Arc<dyn Fn(&str) -> bool + Send + Sync>,
    pub(crate) lr_mult: f64,
    pub(crate) decay_mult: f64,
    pub(crate) rule: Option<Arc<dyn UpdateRule<B>>>,
}

impl<B: Backend> Group<B> {
    /// The parameters whose names `has` accepts, with multipliers of 1 and the optimizer's rule.
    pub fn new(has: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { has: Arc::new(has), lr_mult: 1.0, decay_mult: 1.0, rule: None }
    }

    /// Sets the multiplier of the learning rate, at least 0, which multiplies each parameter's own. 0 freezes the group.
    pub fn lr_mult(mut self, lr_mult: f64) -> Self {
        self.lr_mult = lr_mult;
        self
    }

    /// Sets the multiplier of the weight decay, at least 0, which multiplies each parameter's own.
    pub fn decay_mult(mut self, decay_mult: f64) -> Self {
        self.decay_mult = decay_mult;
        self
    }

    /// Sets the group's update rule.
    pub fn rule(mut self, rule: impl UpdateRule<B> + 'static) -> Self {
        self.rule = Some(Arc::new(rule));
        self
    }

    pub(crate) fn has(&self, parameter: &str) -> bool {
        (self.has)(parameter)
    }

    pub(crate) fn validate(&self) -> Result<()> {
        check("lr_mult of a group", Range::NonNegative, self.lr_mult)?;
        check("decay_mult of a group", Range::NonNegative, self.decay_mult)
    }
}

impl<B: Backend> fmt::Debug for Group<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lr_mult, decay_mult, rule, .. } = self;
        let mut group = f.debug_struct("Group");
        group.field("lr_mult", lr_mult).field("decay_mult", decay_mult).field("rule", rule).finish_non_exhaustive()
    }
}

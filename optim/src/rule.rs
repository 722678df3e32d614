//! Update rules: the trait that each implements, and the built-in ones as an enum for configurations.

use std::fmt::Debug;

use tensor::{Backend, Tensor};

use crate::{Adam, AdamW, Lars, Result, RmsProp, Sgd};

/// An update rule: how a parameter and its state change with a gradient. An [`Optimizer`](crate::Optimizer) runs it, keeps
/// the state of each parameter and does everything else: names, checks, multipliers, groups, clipping, saving.
///
/// An own rule needs its name, the names of its state and the formula. Quasi-hyperbolic momentum (Ma and Yarats, 2019):
///
/// ```
/// use alexnet_optim::tensor::{self, Backend, Cpu, Tensor};
/// use alexnet_optim::{Optimizer, ParameterStep, Update, UpdateRule};
///
/// /// m <- beta m + (1 - beta) g; w <- w - lr ((1 - nu) g + nu m)
/// #[derive(Debug)]
/// struct Qhm { beta: f64, nu: f64 }
///
/// impl<B: Backend> UpdateRule<B> for Qhm {
///     fn name(&self) -> &str {
///         "qhm"
///     }
///
///     fn state(&self) -> &[&str] {
///         &["qhm.m"]
///     }
///
///     fn update(&self, p: ParameterStep<'_, B>) -> tensor::Result<()> {
///         let m = &mut p.state[0];
///         *m = m.scale(self.beta)?;
///         m.add_scaled(1.0 - self.beta, p.gradient)?;
///         p.value.add_scaled(-p.rate * (1.0 - self.nu), p.gradient)?;
///         p.value.add_scaled(-p.rate * self.nu, m)
///     }
/// }
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut w = Tensor::from_slice(&cpu, &[2], &[1.0, -1.0])?;
/// let mut qhm = Optimizer::new(Qhm { beta: 0.5, nu: 0.5 })?;
/// let gradient = Tensor::from_slice(&cpu, &[2], &[1.0, -4.0])?;
/// qhm.step(0.25, vec![Update::new("w", &mut w, &gradient)])?;
/// assert_eq!(w.to_vec()?, [0.8125, -0.25]);
/// assert_eq!(qhm.state()?.tensors[0].0, "qhm.m/w");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait UpdateRule<B: Backend>: Debug + Send + Sync {
    /// The rule's name, for messages: `sgd`.
    fn name(&self) -> &str;

    /// Checks the settings. [`Optimizer::new`](crate::Optimizer::new) calls it.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) that names the first one outside its range.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Names of the tensors of a parameter's state, each of the parameter's shape and zero before its first update. They
    /// are saved as `NAME/PARAMETER`; a name has no slash.
    fn state(&self) -> &[&str];

    /// The name under which the number of a parameter's updates is saved, if the rule needs that number.
    fn count(&self) -> Option<&str> {
        None
    }

    /// Updates one parameter and its state in place.
    ///
    /// # Errors
    /// Those of the device.
    fn update(&self, parameter: ParameterStep<'_, B>) -> tensor::Result<()>;

    /// Updates several parameters: one by one, unless the rule has something faster, such as one launch on a GPU.
    ///
    /// # Errors
    /// Those of the device.
    fn update_all(&self, parameters: Vec<ParameterStep<'_, B>>) -> tensor::Result<()> {
        parameters.into_iter().try_for_each(|parameter| self.update(parameter))
    }
}

/// One step of one parameter, as an [`UpdateRule`] gets it. All tensors have the same shape.
#[derive(Debug)]
#[non_exhaustive]
pub struct ParameterStep<'a, B: Backend> {
    /// The parameter's name.
    pub name: &'a str,
    /// The parameter.
    pub value: &'a mut Tensor<B>,
    /// The gradient of the mean loss, clipped if the optimizer clips.
    pub gradient: &'a Tensor<B>,
    /// The state, in the order of [`UpdateRule::state`].
    pub state: &'a mut [Tensor<B>],
    /// The learning rate times the parameter's and its group's multipliers.
    pub rate: f64,
    /// Multiplier of the weight decay: the parameter's times its group's.
    pub decay_mult: f64,
    /// Number of the parameter's updates, with this one. Without [`UpdateRule::count`] it is not saved: a restored
    /// optimizer starts at 1 again.
    pub count: u64,
}

/// The built-in update rules, for configurations.
///
/// ```
/// use alexnet_optim::tensor::Cpu;
/// use alexnet_optim::{Optimizer, RmsProp, Rule};
///
/// let rule = Rule::from(RmsProp::default());
/// assert_eq!(rule.name(), "rmsprop");
/// let optimizer = Optimizer::<Cpu<f32>>::new(rule)?;
/// # Ok::<(), alexnet_optim::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "lowercase"))]
#[non_exhaustive]
pub enum Rule {
    /// Gradient descent with momentum.
    Sgd(Sgd),
    /// Adam.
    Adam(Adam),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// RMSprop.
    RmsProp(RmsProp),
    /// Layer-wise adaptive rate scaling.
    Lars(Lars),
}

impl From<Sgd> for Rule {
    fn from(sgd: Sgd) -> Self {
        Self::Sgd(sgd)
    }
}

impl From<Adam> for Rule {
    fn from(adam: Adam) -> Self {
        Self::Adam(adam)
    }
}

impl From<AdamW> for Rule {
    fn from(adamw: AdamW) -> Self {
        Self::AdamW(adamw)
    }
}

impl From<RmsProp> for Rule {
    fn from(rmsprop: RmsProp) -> Self {
        Self::RmsProp(rmsprop)
    }
}

impl From<Lars> for Rule {
    fn from(lars: Lars) -> Self {
        Self::Lars(lars)
    }
}

impl Rule {
    /// The rule's name, as a run's configuration gives it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sgd(_) => "sgd",
            Self::Adam(_) => "adam",
            Self::AdamW(_) => "adamw",
            Self::RmsProp(_) => "rmsprop",
            Self::Lars(_) => "lars",
        }
    }

    fn rule<B: Backend>(&self) -> &dyn UpdateRule<B> {
        match self {
            Self::Sgd(rule) => rule,
            Self::Adam(rule) => rule,
            Self::AdamW(rule) => rule,
            Self::RmsProp(rule) => rule,
            Self::Lars(rule) => rule,
        }
    }
}

impl<B: Backend> UpdateRule<B> for Rule {
    fn name(&self) -> &str {
        self.name()
    }

    fn validate(&self) -> Result<()> {
        self.rule::<B>().validate()
    }

    fn state(&self) -> &[&str] {
        self.rule::<B>().state()
    }

    fn count(&self) -> Option<&str> {
        self.rule::<B>().count()
    }

    fn update(&self, parameter: ParameterStep<'_, B>) -> tensor::Result<()> {
        self.rule().update(parameter)
    }

    fn update_all(&self, parameters: Vec<ParameterStep<'_, B>>) -> tensor::Result<()> {
        self.rule().update_all(parameters)
    }
}

//! An observer of gradients.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use tensor::{Backend, Tensor};

use crate::{Error, Result, Update};

/// A function that sees each parameter's name and gradient.
type Observe<B> = dyn Fn(&str, &Tensor<B>) -> tensor::Result<()> + Send + Sync;

/// A function that sees the gradient of each parameter before it is clipped and the parameter is updated: for logs of
/// norms, or to find units that no longer learn. It changes nothing; an error of it ends the step.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use alexnet_optim::tensor::{Cpu, Tensor};
/// use alexnet_optim::{GradientObserver, Optimizer, Sgd, Update};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let mut w = Tensor::full(&cpu, &[2], 1.0)?;
/// let gradient = Tensor::full(&cpu, &[2], 0.5)?;
/// let seen = Arc::new(Mutex::new(Vec::new()));
/// let log = Arc::clone(&seen);
/// let mut sgd = Optimizer::new(Sgd::default())?;
/// sgd.observe_gradients(Some(GradientObserver::new(move |name, gradient| {
///     let first = gradient.to_vec()?[0];
///     log.lock().unwrap().push((name.to_string(), first));
///     Ok(())
/// })));
/// sgd.step(0.1, vec![Update::new("w", &mut w, &gradient)])?;
/// assert_eq!(*seen.lock().unwrap(), [("w".to_string(), 0.5)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct GradientObserver<B: Backend>(Arc<Observe<B>>);

impl<B: Backend> GradientObserver<B> {
    /// An observer from a function of a parameter's name and its gradient.
    pub fn new(observe: impl Fn(&str, &Tensor<B>) -> tensor::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(observe))
    }

    /// Shows the gradients of updates.
    pub(crate) fn observe_all(&self, updates: &[Update<'_, B>]) -> Result<()> {
        let observe = |update: &Update<'_, B>| (self.0)(update.name, update.gradient);
        updates.iter().try_for_each(observe).map_err(|source| Error::Step { source })
    }
}

impl<B: Backend> Clone for GradientObserver<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Backend> Debug for GradientObserver<B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("GradientObserver")
    }
}

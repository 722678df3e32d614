//! A step whose parameters are updated one after the other.

use std::collections::BTreeSet;

use tensor::Backend;

use crate::{Error, Optimizer, Result, Update};

/// A step in progress, made by [`Optimizer::begin`].
#[derive(Debug)]
pub struct Step<'a, B: Backend> {
    pub(crate) optimizer: &'a mut Optimizer<B>,
    pub(crate) lr: f64,
    /// The parameters that were updated.
    pub(crate) names: BTreeSet<String>,
}

impl<B: Backend> Step<'_, B> {
    /// Updates more parameters.
    ///
    /// # Errors
    /// Those of [`Optimizer::step`]; [`Error::Duplicate`] also for a parameter that an earlier call updated;
    /// [`Error::PartialStep`] for a second call if gradients are clipped by their global norm.
    pub fn update(&mut self, updates: Vec<Update<'_, B>>) -> Result<()> {
        if !self.names.is_empty() && self.optimizer.needs_all_gradients() {
            return Err(Error::PartialStep);
        }
        self.optimizer.check_all(&updates, &mut self.names)?;
        let changes = self.optimizer.changes(&updates)?;
        self.optimizer.apply(self.lr, updates, &changes)
    }
}

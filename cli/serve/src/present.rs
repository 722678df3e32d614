//! The classifier of the moment, which a newer one may replace while requests are answered.

use std::sync::{Arc, PoisonError, RwLock};

use ndarray::Array2;
use tensor::Backend;

use crate::classifier::{Classifier, Compute, Description};
use crate::explain::{self, Explanation};
use crate::{Error, Result};

/// A classifier on any device, with its description.
pub(crate) struct Described {
    pub description: Description,
    compute: Box<dyn Compute>,
}

/// The classifier of the moment; a run without a checkpoint has none yet.
#[derive(Default)]
pub(crate) struct Present(RwLock<Option<Arc<Described>>>);

impl Present {
    /// The classifier.
    pub fn get(&self) -> Option<Arc<Described>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a classifier in the place of the present one, if there is one.
    ///
    /// # Errors
    /// [`Error::Classifier`] if it cannot classify an image, or takes other images or has other classes than the present
    /// one: images of requests may wait.
    pub fn set<B: Backend<Scalar = f32>>(&self, classifier: Classifier<B>) -> Result<()> {
        classifier.check()?;
        let description = classifier.describe();
        if let Some(present) = self.get() {
            let present = &present.description;
            if (present.size, &present.classes) != (description.size, &description.classes) {
                let what = "they have other classes, or take images of another size, than those before";
                return Err(Error::Classifier(train::Error::setting("weights", what)));
            }
        }
        let described = Described { description, compute: Box::new(classifier) };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(described));
        Ok(())
    }
}

impl Compute for Present {
    fn predict(&self, squares: &[u8]) -> train::Result<Array2<f32>> {
        let missing = || train::Error::setting("weights", "there are none yet");
        self.get().ok_or_else(missing)?.compute.predict(squares)
    }

    fn explain(&self, square: &[u8], class: Option<usize>) -> explain::Result<Explanation> {
        self.get().ok_or("there are no weights yet")?.compute.explain(square, class)
    }
}

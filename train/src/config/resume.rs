//! The check of a resumed run's settings.

use std::path::Path;

use optim::UpdateRule;
use tensor::Cpu;
use toml::Value;

use super::{Config, OnResume, OptimConfig, keys};
use crate::{Error, Result};

impl Config {
    /// Fails if a run that began with `before` cannot go on with these settings: its checkpoints would not fit them. Packs
    /// may have moved: their fingerprints are compared elsewhere. Returns the differences that change the results of the
    /// steps to come, such as `optim.lr was 0.01, now 0.001`.
    ///
    /// # Errors
    /// [`Error::Resume`] with both values of each setting that may not differ.
    pub fn check_resumable(&self, before: &Self, run: &Path) -> Result<Vec<String>> {
        let has_other_state = state_of(&self.optim) != state_of(&before.optim);
        let mut noted = Vec::new();
        let mut refused = Vec::new();
        let mut settings = Vec::new();
        for (setting, old, new) in keys::differences(&before.to_table(), &self.to_table()) {
            let difference = format!("{} was {old}, now {new}", setting.key);
            match setting.on_resume {
                OnResume::Silent => {}
                OnResume::Noted if setting.key != "optim.momentum" || !has_other_state => noted.push(difference),
                _ => {
                    refused.push(difference);
                    settings.push((setting.key.to_string(), new));
                }
            }
        }
        if self.change != before.change {
            let show = |config: &Self| config.to_table().get("change").map_or("unset".to_string(), Value::to_string);
            noted.push(format!("change was {}, now {}", show(before), show(self)));
        }
        if refused.is_empty() {
            return Ok(noted);
        }
        if !before.model.reinit.is_empty() && before.model.reinit == self.model.reinit {
            // The new run begins with what these layers have learned.
            settings.push(("model.reinit".into(), "[]".into()));
        }
        Err(Error::Resume { run: run.to_path_buf(), differences: refused, settings })
    }
}

/// The names of the optimizer's state: RMSprop has one for momentum only with momentum.
pub(super) fn state_of(optim: &OptimConfig) -> Vec<String> {
    let rule = optim.rule();
    UpdateRule::<Cpu<f32>>::state(&rule).iter().map(|name| name.to_string()).collect()
}

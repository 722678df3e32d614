//! Ranges of settings.

use super::{Config, DataConfig, OptimConfig, RunConfig};
use crate::{Error, Result};

/// The most epochs: times the batches of any pack that there can be, steps stay far from overflow.
const MOST_EPOCHS: u64 = 1_000_000_000;
const EPOCHS: &str = "in 1..=1000000000 (--epochs)";

/// Fails with the setting's name, its range and what came.
fn require(ok: bool, key: &str, range: &str, came: impl std::fmt::Display) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::setting(key, format!("must be {range}, got {came}"))) }
}

impl Config {
    /// Checks every value against its range.
    pub(super) fn validate(&self) -> Result<()> {
        if let Some(p) = self.model.dropout {
            require((0.0..1.0).contains(&p), "model.dropout", "in [0, 1)", p)?;
        }
        require(!self.model.name.is_empty(), "model.name", "a preset's name or a file", "nothing")?;
        let paths = [("data.val", &self.data.val), ("model.weights", &self.model.weights)];
        for (key, path) in paths.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?))) {
            require(!path.as_os_str().is_empty(), key, "the name of a file or folder, or be left out", "nothing")?;
        }
        self.data.validate()?;
        self.optim.validate()?;
        self.run.validate()
    }
}

impl DataConfig {
    fn validate(&self) -> Result<()> {
        let d = self.colour_deviation;
        require(d >= 0.0 && d.is_finite(), "data.colour_deviation", "at least 0", d)?;
        let range = |key: &str, [from, to]: [f64; 2], [least, most]: [f64; 2]| {
            let rises = from <= to && from >= least && to <= most;
            require(rises, key, &format!("two rising numbers in [{least}, {most}]"), format!("[{from}, {to}]"))
        };
        range("data.crop_scale", self.crop_scale, [0.0001, 1.0])?;
        range("data.crop_ratio", self.crop_ratio, [0.01, 100.0])?;
        range("data.erase_scale", self.erase_scale, [0.0001, 1.0])?;
        range("data.erase_ratio", self.erase_ratio, [0.01, 100.0])?;
        let within =
            |key: &str, v: f64, most: f64| require((0.0..=most).contains(&v), key, &format!("in [0, {most}]"), v);
        within("data.brightness", self.brightness, 10.0)?;
        within("data.contrast", self.contrast, 10.0)?;
        within("data.saturation", self.saturation, 10.0)?;
        within("data.hue", self.hue, 0.5)?;
        within("data.erase", self.erase, 1.0)?;
        within("data.mixup", self.mixup, 100.0)?;
        within("data.cutmix", self.cutmix, 100.0)?;
        let smoothing = self.label_smoothing;
        require((0.0..1.0).contains(&smoothing), "data.label_smoothing", "in [0, 1)", smoothing)?;
        require(self.shared > 0, "data.shared", "at least 1", self.shared)?;
        // TOML's integers are signed.
        let fits = i64::try_from(self.window_bytes).is_ok() && i64::try_from(self.prefetch_bytes).is_ok();
        require(fits, "data.window_bytes and data.prefetch_bytes", "below 2^63", self.window_bytes)
    }
}

impl OptimConfig {
    fn validate(&self) -> Result<()> {
        let unit = |v: f64| (0.0..1.0).contains(&v);
        let not_negative = |v: f64| v >= 0.0 && v.is_finite();
        require(not_negative(self.rate), "optim.rate", "a number of at least 0", self.rate)?;
        require(not_negative(self.decay), "optim.decay", "a number of at least 0", self.decay)?;
        require(unit(self.momentum), "optim.momentum", "in [0, 1)", self.momentum)?;
        require(unit(self.beta1), "optim.beta1", "in [0, 1)", self.beta1)?;
        require(unit(self.beta2), "optim.beta2", "in [0, 1)", self.beta2)?;
        require(self.epsilon > 0.0 && self.epsilon.is_finite(), "optim.epsilon", "above 0", self.epsilon)?;
        require(self.factor > 0.0 && self.factor <= 1.0, "optim.factor", "in (0, 1]", self.factor)?;
        require(self.period > 0.0 && self.period.is_finite(), "optim.period", "above 0", self.period)?;
        require(not_negative(self.threshold), "optim.threshold", "at least 0", self.threshold)?;
        require(self.patience > 0, "optim.patience", "at least 1", self.patience)?;
        let rising = self.drop_epochs.windows(2).all(|w| w[0] < w[1]) && self.drop_epochs.iter().all(|e| *e > 0.0);
        require(rising, "optim.drop_epochs", "rising numbers above 0", format!("{:?}", self.drop_epochs))
    }
}

impl RunConfig {
    fn validate(&self) -> Result<()> {
        require(self.batch > 0, "run.batch", "at least 1", self.batch)?;
        require((1..=1024).contains(&self.threads), "run.threads", "in 1..=1024", self.threads)?;
        let precision = self.precision.as_str();
        require(["f32", "tf32", "bf16"].contains(&precision), "run.precision", "f32, tf32 or bf16", precision)?;
        require((1..=MOST_EPOCHS).contains(&self.epochs), "run.epochs", EPOCHS, self.epochs)?;
        require(self.steps != Some(0), "run.steps", "at least 1", 0)?;
        // TOML's integers are signed: a larger seed could not be written to run.toml.
        require(i64::try_from(self.seed).is_ok(), "run.seed", "below 2^63", self.seed)?;
        require(self.keep > 0, "run.keep", "at least 1", self.keep)
    }
}

//! Sweeps: a file that says which settings vary, and the trials that follow from it.

mod plot;

use std::path::{Path, PathBuf};

use files::regular_file;
use serde::{Deserialize, Serialize};
use tensor::random::{Stream, purpose};
use toml::{Table, Value};

use crate::config::{keys, merge, parse_table};
use crate::{Config, Error, Result};

pub use plot::plot;

/// Trials at most: a grid of many settings grows fast.
const MOST_TRIALS: usize = 10_000;

/// A sweep, as its file describes it.
///
/// ```
/// use alexnet_train::sweep::Sweep;
///
/// let text = "
///     method = 'grid'
///     [settings]
///     data.train = 'train.pack'
///     [vary]
///     'optim.lr' = [0.1, 0.01]
///     'optim.momentum' = [0.9, 0.95, 0.99]
/// ";
/// assert_eq!(Sweep::parse("sweep.toml", text)?.trials()?.len(), 6);
/// # Ok::<(), alexnet_train::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// How the values are chosen.
    pub method: Method,
    /// Number of trials of a random sweep.
    #[serde(default)]
    pub runs: Option<usize>,
    /// Seed of a random sweep.
    #[serde(default = "one")]
    pub seed: u64,
    /// Settings of all trials, as in `run.toml`.
    #[serde(default)]
    pub settings: Table,
    /// The settings that vary, by their names.
    vary: Table,
    #[serde(skip)]
    origin: String,
}

fn one() -> u64 {
    1
}

/// How a sweep chooses values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Every combination of the listed values.
    Grid,
    /// Random values, by the seed.
    Random,
}

/// The values of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// One of a list.
    Choice(Vec<Value>),
    /// A number between two others.
    Uniform([f64; 2]),
    /// A number whose logarithm is uniform.
    LogUniform([f64; 2]),
}

/// A range as the file gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Range {
    Choice(Vec<Value>),
    Uniform([f64; 2]),
    LogUniform([f64; 2]),
}

/// One combination of values.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its name, and that of its run's folder: `001` for the first.
    pub name: String,
    /// The values of the settings that vary, by their names.
    pub values: Vec<(String, Value)>,
    /// All its settings.
    pub settings: Table,
}

impl Sweep {
    /// Reads a sweep's file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read; those of [`parse`](Self::parse).
    pub fn read(path: &Path) -> Result<Self> {
        let text = regular_file::read_text(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads the text of a sweep's file; `origin` is its name for errors.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the setting at fault.
    pub fn parse(origin: &str, text: &str) -> Result<Self> {
        let table = parse_table(origin, text)?;
        let mut sweep: Self = table.try_into().map_err(|e: toml::de::Error| Error::setting(origin, e.message()))?;
        sweep.origin = origin.to_string();
        let wrong = |what: &str| Err(Error::setting(format!("{origin}: runs"), what));
        match (sweep.method, sweep.runs) {
            (Method::Random, None | Some(0)) => return wrong("a random sweep needs their number"),
            (Method::Grid, Some(_)) => return wrong("follow from the lists of a grid; leave it out"),
            _ => {}
        }
        if sweep.vary().is_ok_and(|vary| vary.is_empty()) {
            return Err(Error::setting(format!("{origin}: vary"), "no setting varies"));
        }
        sweep.trials()?;
        Ok(sweep)
    }

    /// The settings that vary with their values, by name.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the setting at fault.
    pub fn vary(&self) -> Result<Vec<(String, Values)>> {
        let mut all = Vec::new();
        for (key, value) in flattened(&self.vary) {
            let setting = keys::parse_setting(&format!("{key}=0")).map_err(|e| self.prefixed(e))?;
            let (section, names) = setting.iter().next().ok_or_else(|| self.error(&key, "is no setting"))?;
            let name = names.as_table().and_then(|names| names.keys().next()).cloned().unwrap_or_default();
            all.push((format!("{section}.{name}"), self.values(&key, value)?));
        }
        Ok(all)
    }

    fn values(&self, key: &str, value: Value) -> Result<Values> {
        let range = match value {
            Value::Array(list) => Range::Choice(list),
            other => other.try_into().map_err(|e: toml::de::Error| self.error(key, e.message()))?,
        };
        let rises = |[low, high]: [f64; 2]| low < high && low.is_finite() && high.is_finite();
        match range {
            Range::Choice(list) if list.is_empty() => Err(self.error(key, "its list is empty")),
            Range::Choice(list) => Ok(Values::Choice(list)),
            _ if self.method == Method::Grid => Err(self.error(key, "a grid needs lists of values: [0.1, 0.01]")),
            Range::Uniform(range) if rises(range) => Ok(Values::Uniform(range)),
            Range::LogUniform(range) if rises(range) && range[0] > 0.0 => Ok(Values::LogUniform(range)),
            Range::Uniform(_) => Err(self.error(key, "expected two rising numbers")),
            Range::LogUniform(_) => Err(self.error(key, "expected two rising numbers above 0")),
        }
    }

    /// The trials, in the order in which they run.
    ///
    /// # Errors
    /// [`Error::Setting`] for a value that the setting does not allow, and for more than 10,000 trials.
    pub fn trials(&self) -> Result<Vec<Trial>> {
        let vary = self.vary()?;
        let combinations = match self.method {
            Method::Grid => self.grid(&vary)?,
            Method::Random => (0..self.runs.unwrap_or(0)).map(|number| self.draw(&vary, number as u64)).collect(),
        };
        let mut trials = Vec::new();
        for (number, values) in (1..).zip(combinations) {
            let mut settings = self.settings.clone();
            for ((key, _), value) in vary.iter().zip(&values) {
                merge(&mut settings, &keys::table_of(key, value.clone()));
            }
            Config::from_overrides(&[(self.origin.clone(), settings.clone())]).map_err(|e| self.prefixed(e))?;
            let values = vary.iter().map(|(key, _)| key.clone()).zip(values).collect();
            trials.push(Trial { name: format!("{number:03}"), values, settings });
        }
        Ok(trials)
    }

    fn grid(&self, vary: &[(String, Values)]) -> Result<Vec<Vec<Value>>> {
        let mut all = vec![Vec::new()];
        for (_, values) in vary {
            let Values::Choice(list) = values else { continue };
            if all.len() * list.len() > MOST_TRIALS {
                let what = format!("the grid has more than {MOST_TRIALS} combinations; leave values out");
                return Err(Error::setting(format!("{}: vary", self.origin), what));
            }
            let with = |before: &Vec<Value>| {
                let before = before.clone();
                list.iter().map(move |value| before.iter().chain([value]).cloned().collect::<Vec<Value>>())
            };
            all = all.iter().flat_map(with).collect();
        }
        Ok(all)
    }

    /// The values of a trial of a random sweep. They follow from the seed and its number alone.
    fn draw(&self, vary: &[(String, Values)], number: u64) -> Vec<Value> {
        let stream = Stream::new(self.seed, purpose::USER, number);
        let value = |(at, (_, values)): (usize, &(String, Values))| {
            let share = f64::from(stream.uniform(at as u64));
            match values {
                Values::Choice(list) => list[((share * list.len() as f64) as usize).min(list.len() - 1)].clone(),
                Values::Uniform([low, high]) => Value::Float(rounded(low + share * (high - low))),
                Values::LogUniform([low, high]) => Value::Float(rounded(low * (high / low).powf(share))),
            }
        };
        vary.iter().enumerate().map(value).collect()
    }

    fn error(&self, key: &str, what: &str) -> Error {
        Error::setting(format!("{}: vary.{key}", self.origin), what)
    }

    fn prefixed(&self, error: Error) -> Error {
        match error {
            Error::Setting { key, what, remedy } if !key.starts_with(&self.origin) => {
                Error::Setting { key: format!("{}: {key}", self.origin), what, remedy }
            }
            other => other,
        }
    }
}

/// The folder of a sweep's runs if none is given: that of the file's name, under `sweeps`.
pub fn default_folder(file: &Path) -> PathBuf {
    Path::new("sweeps").join(file.file_stem().unwrap_or_default())
}

/// Four digits: enough to tell trials apart, and to type.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

/// The entries of a table by `section.name`, whether the file has `'optim.lr' = ...` or `optim.lr = ...`.
fn flattened(vary: &Table) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    for (key, value) in vary {
        match value {
            Value::Table(inner) if !key.contains('.') => {
                all.extend(inner.iter().map(|(name, value)| (format!("{key}.{name}"), value.clone())));
            }
            other => all.push((key.clone(), other.clone())),
        }
    }
    all
}

/// A sweep's trial with its error, for [`plot()`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrialResult {
    /// The name of the trial.
    pub name: String,
    /// The values of the settings that vary, by their names.
    pub values: Vec<(String, Value)>,
    /// The best value of the run's monitored metric.
    pub best: Option<f64>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RANDOM: &str = "
        method = 'random'
        runs = 12
        [vary]
        optim.lr = { log_uniform = [1e-4, 1e-1] }
        'optim.momentum' = { uniform = [0.5, 0.9] }
        'run.batch' = [32, 64]
    ";

    #[test]
    fn a_grid_has_every_combination_once() {
        let text =
            "method = 'grid'\n[settings]\nrun.epochs = 3\n[vary]\n'run.batch' = [32, 64]\n'optim.lr' = [0.1, 0.2, 0.3]";
        let trials = Sweep::parse("s", text).unwrap().trials().unwrap();
        let mut seen: Vec<String> = trials.iter().map(|trial| format!("{:?}", trial.values)).collect();
        seen.sort();
        seen.dedup();
        assert_eq!([trials.len(), seen.len()], [6, 6]);
        assert_eq!(trials[5].name, "006");
        let config = Config::from_overrides(&[("s".into(), trials[0].settings.clone())]).unwrap();
        assert_eq!((config.run.epochs, config.run.batch), (3, 32));
    }

    proptest! {
        #[test]
        fn random_values_are_in_their_ranges_and_follow_from_the_seed(seed in any::<u32>()) {
            let text = format!("seed = {seed}\n{RANDOM}");
            let trials = Sweep::parse("s", &text).unwrap().trials().unwrap();
            prop_assert_eq!(&trials, &Sweep::parse("s", &text).unwrap().trials().unwrap());
            prop_assert_eq!(trials.len(), 12);
            for trial in &trials {
                let value = |key: &str| trial.values.iter().find(|(name, _)| name == key).unwrap().1.clone();
                prop_assert!((1e-4..=1e-1).contains(&value("optim.lr").as_float().unwrap()));
                prop_assert!((0.5..=0.9).contains(&value("optim.momentum").as_float().unwrap()));
                prop_assert!([32, 64].contains(&value("run.batch").as_integer().unwrap()));
            }
            prop_assert!(trials[0].values != trials[1].values);
        }
    }

    #[test]
    fn faults_are_named() {
        for (text, expected) in [
            ("method = 'grid'\n[vary]\n'optim.rat' = [1]", "s: optim.rat: unknown setting"),
            ("method = 'grid'\n[vary]\n'optim.lr' = { uniform = [0, 1] }", "s: vary.optim.lr: a grid needs lists"),
            ("method = 'grid'\n[vary]\n'optim.lr' = []", "s: vary.optim.lr: its list is empty"),
            ("method = 'grid'\n[vary]\n'optim.lr' = [-1.0]", "s: optim.lr: must be"),
            ("method = 'grid'\n[vary]", "s: vary: no setting varies"),
            ("method = 'random'\n[vary]\n'optim.lr' = [1.0]", "s: runs: a random sweep needs their number"),
            ("method = 'grid'\nruns = 3\n[vary]\n'optim.lr' = [1.0]", "s: runs: follow from the lists"),
            ("method = 'random'\nruns = 3\n[vary]\n'optim.lr' = { log_uniform = [0, 1] }", "above 0"),
            ("method = 'random'\nruns = 3\n[vary]\n'optim.lr' = { uniform = [2, 1] }", "two rising numbers"),
            ("method = 'best'\n[vary]", "unknown variant `best`"),
        ] {
            let error = Sweep::parse("s", text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let list: Vec<String> = (0..101).map(|n| format!("{}.0", n + 1)).collect();
        let list = list.join(",");
        let large = format!("method = 'grid'\n[vary]\n'optim.lr' = [{list}]\n'optim.clip_norm' = [{list}]");
        assert!(Sweep::parse("s", &large).unwrap_err().to_string().contains("more than 10000"));
    }
}

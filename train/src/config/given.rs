//! What a user gave: a setting that would do nothing is a mistake, and is told before a run begins.

use toml::{Table, Value};

use super::{Colour, Config, Crop, OptimKind, ScheduleKind, Shuffle, keys, prefix};
use crate::{Error, Result};

/// A user's settings, by where they came from.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// A file's, which the command line's win over, with its name.
    pub file: Option<(String, Table)>,
    /// The command line's, each with its flag; later ones win.
    pub line: Vec<(String, Table)>,
}

/// Settings that have an effect only where another one has certain values.
struct Condition {
    keys: &'static [&'static str],
    holds: fn(&Config) -> bool,
    /// The setting that decides.
    on: &'static str,
    /// What to do for an effect.
    help: &'static str,
}

const CONDITIONS: &[Condition] = &[
    Condition {
        keys: &[
            "data.crop",
            "data.crop_scale",
            "data.crop_ratio",
            "data.mirror",
            "data.shared",
            "data.colour",
            "data.colour_deviation",
            "data.pca",
            "data.brightness",
            "data.contrast",
            "data.saturation",
            "data.hue",
            "data.erase",
            "data.erase_scale",
            "data.erase_ratio",
            "data.mixup",
            "data.cutmix",
        ],
        holds: |c| c.data.augment,
        on: "data.augment",
        help: "add --set data.augment=true, which also crops at random and mirrors unless data.crop and data.mirror say otherwise",
    },
    Condition {
        keys: &["data.crop_scale", "data.crop_ratio"],
        holds: |c| c.data.crop == Crop::Resized,
        on: "data.crop",
        help: "add --set data.crop=resized",
    },
    Condition {
        keys: &["data.shared"],
        holds: |c| c.data.crop != Crop::Centre || c.data.mirror,
        on: "data.crop",
        help: "there is no mirroring either, and images share nothing else; add --set data.crop=random or data.mirror=true",
    },
    Condition {
        keys: &["data.colour_deviation", "data.pca"],
        holds: |c| c.data.colour != Colour::None,
        on: "data.colour",
        help: "add --set data.colour=paper, or source",
    },
    Condition {
        keys: &["data.colour", "data.pca"],
        holds: |c| c.data.colour == Colour::None || c.data.colour_deviation > 0.0,
        on: "data.colour_deviation",
        help: "add --set data.colour_deviation=0.1, the paper's",
    },
    Condition {
        keys: &["data.erase_scale", "data.erase_ratio"],
        holds: |c| c.data.erase > 0.0,
        on: "data.erase",
        help: "add --set data.erase=SHARE, that of the images of which a rectangle is erased",
    },
    Condition {
        keys: &["data.window_bytes"],
        holds: |c| matches!(c.data.shuffle, Shuffle::Auto | Shuffle::Window),
        on: "data.shuffle",
        help: "add --set data.shuffle=window",
    },
    Condition {
        keys: &["optim.momentum", "optim.nesterov"],
        holds: |c| c.optim.kind == OptimKind::Sgd,
        on: "optim.kind",
        help: "add --set optim.kind=sgd",
    },
    Condition {
        keys: &["optim.nesterov"],
        holds: |c| c.optim.momentum > 0.0,
        on: "optim.momentum",
        help: "add --set optim.momentum=0.9",
    },
    Condition {
        keys: &["optim.beta1", "optim.beta2", "optim.epsilon", "optim.epsilon_hat"],
        holds: |c| c.optim.kind == OptimKind::Adam,
        on: "optim.kind",
        help: "add --set optim.kind=adam",
    },
    Condition {
        keys: &["optim.factor"],
        holds: |c| c.optim.schedule != ScheduleKind::Constant,
        on: "optim.schedule",
        help: "add --set optim.schedule=steps, exponential or plateau",
    },
    Condition {
        keys: &["optim.drop_epochs"],
        holds: |c| c.optim.schedule == ScheduleKind::Steps,
        on: "optim.schedule",
        help: "add --set optim.schedule=steps",
    },
    Condition {
        keys: &["optim.schedule"],
        holds: |c| c.optim.schedule != ScheduleKind::Steps || !c.optim.drop_epochs.is_empty(),
        on: "optim.drop_epochs",
        help: "add --set optim.drop_epochs=[...], the epochs after which the rate drops",
    },
    Condition {
        keys: &["optim.drop_epochs"],
        holds: drops_within_epochs,
        on: "run.epochs",
        help: "the rate would never drop: name an epoch before the end, or give more --epochs",
    },
    Condition {
        keys: &["optim.period"],
        holds: |c| c.optim.schedule == ScheduleKind::Exponential,
        on: "optim.schedule",
        help: "add --set optim.schedule=exponential",
    },
    Condition {
        keys: &["optim.patience", "optim.threshold", "optim.times"],
        holds: |c| c.optim.schedule == ScheduleKind::Plateau,
        on: "optim.schedule",
        help: "add --set optim.schedule=plateau",
    },
    Condition {
        keys: &["model.fresh"],
        holds: |c| c.model.weights.is_some(),
        on: "model.weights",
        help: "add --weights FILE, the weights of the other layers",
    },
];

/// Whether the first drop comes before the end of a run. Of one of steps that depends on its pack.
fn drops_within_epochs(config: &Config) -> bool {
    let first = config.optim.drop_epochs.first();
    config.run.steps.is_some() || first.is_none_or(|&first| first < config.run.epochs as f64)
}

/// Settings of which nobody writes all: a file that has them is a run's own, which holds also what had no effect.
const OF_A_RUN: [&str; 8] = [
    "model.name",
    "data.train",
    "data.augment",
    "optim.kind",
    "optim.momentum",
    "optim.beta1",
    "optim.schedule",
    "run.epochs",
];

impl Given {
    /// All of it, weakest first.
    pub fn layers(&self) -> Vec<(String, Table)> {
        self.file.iter().chain(&self.line).cloned().collect()
    }

    /// Fails where epochs and steps are given at once. On the command line either takes the place of both in a file, and in a
    /// file of both in the network's.
    ///
    /// # Errors
    /// [`Error::Setting`] that says where.
    pub fn check_length(&self) -> Result<()> {
        let both = |place: &str| {
            Error::setting(
                format!("{place}run.epochs and run.steps"),
                "both are given, and either says how long the run is; give one of them",
            )
        };
        if self.on_line("run.epochs") && self.on_line("run.steps") {
            return Err(both(""));
        }
        match &self.file {
            Some((origin, file)) if has(file, "run.epochs") && has(file, "run.steps") && !is_of_a_run(file) => {
                Err(both(&format!("{origin}: ")))
            }
            _ => Ok(()),
        }
    }

    /// Fails where a flag of the command line and a `--set` give the same setting: neither is to be ignored.
    ///
    /// # Errors
    /// [`Error::Setting`] that names both.
    pub fn check_flags(&self) -> Result<()> {
        let sets = || self.line.iter().filter(|(flag, _)| flag == "--set");
        for (flag, table) in self.line.iter().filter(|(flag, _)| flag != "--set") {
            let is_set_too = |key: &str| has(table, key) && sets().any(|(_, other)| has(other, key));
            if let Some((key, _)) = keys::KEYS.iter().find(|(key, _)| is_set_too(key)) {
                let both = format!("{flag} and --set {key}");
                return Err(Error::setting(both, "both are given, and they are the same setting; give one of them"));
            }
        }
        Ok(())
    }

    /// Fails where the `[train]` tables of a network's file are not what a file of `--config` may be. `origin` is the file.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the file and the setting.
    pub fn check_network(origin: &str, train: &Table) -> Result<()> {
        keys::check(train).map_err(|e| prefix(origin, e))?;
        let given = Self { file: Some((origin.to_string(), train.clone())), line: Vec::new() };
        given.check_length()?;
        let config = Config::from_layers(&given.layers()).map_err(|e| prefix(origin, e))?;
        given.check_effects(&Table::new(), &config).map(drop)
    }

    /// Fails for a setting that has no effect in `config`, which was made of these and of `network`, what the network's file
    /// says. Of a run's own file such settings are no mistake; those that are not the network's are told in notes.
    ///
    /// # Errors
    /// [`Error::Setting`] that says which setting it takes.
    pub fn check_effects(&self, network: &Table, config: &Config) -> Result<Vec<String>> {
        for (_, table) in &self.line {
            if let Some((key, what)) = self.without_effect(table, network, config).into_iter().next() {
                return Err(Error::setting(key, what));
            }
        }
        let Some((origin, file)) = &self.file else { return Ok(Vec::new()) };
        let mut idle = self.without_effect(file, network, config);
        // What the command line decides is meant, whatever else the file says.
        idle.retain(|(key, _)| !unmet(key, config).is_some_and(|condition| self.on_line(condition.on)));
        if is_of_a_run(file) {
            let usual = Config::from_layers(&[(origin.clone(), network.clone())])?.to_table();
            idle.retain(|(key, _)| keys::value(file, key) != keys::value(&usual, key));
            return Ok(idle.into_iter().map(|(key, what)| format!("{origin}: {key}: {what}")).collect());
        }
        match idle.into_iter().next() {
            Some((key, what)) => Err(Error::setting(format!("{origin}: {key}"), what)),
            None => Ok(Vec::new()),
        }
    }

    /// The settings of a table that have no effect, and why.
    fn without_effect(&self, table: &Table, network: &Table, config: &Config) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        for (key, _) in keys::KEYS {
            let Some(value) = keys::value(table, key).filter(|value| !asks_for_nothing(key, value)) else { continue };
            if let Some(condition) = unmet(key, config) {
                let why = self.why(condition, network, config);
                found.push((*key, format!("{value} has no effect while {why}; {}", condition.help)));
            }
        }
        found
    }

    /// What the deciding setting is, and who says so.
    fn why(&self, condition: &Condition, network: &Table, config: &Config) -> String {
        let on = condition.on;
        let Some(value) = keys::value(&config.to_table(), on).cloned() else { return format!("{on} is not given") };
        let by_user = self.on_line(on) || self.file.as_ref().is_some_and(|(_, file)| has(file, on));
        let by_network = !by_user && has(network, on);
        let whose =
            if by_network { format!(", as the file of the network {} says", config.model.name) } else { String::new() };
        format!("{on} = {value}{whose}")
    }

    fn on_line(&self, key: &str) -> bool {
        self.line.iter().any(|(_, table)| has(table, key))
    }
}

fn has(table: &Table, key: &str) -> bool {
    keys::value(table, key).is_some()
}

fn is_of_a_run(file: &Table) -> bool {
    OF_A_RUN.iter().all(|key| has(file, key))
}

/// What keeps a setting from having an effect.
fn unmet(key: &str, config: &Config) -> Option<&'static Condition> {
    CONDITIONS.iter().find(|condition| condition.keys.contains(&key) && !(condition.holds)(config))
}

/// Whether a value asks for what is so without an effect: no mirroring, no crops at other places, no share.
fn asks_for_nothing(key: &str, value: &Value) -> bool {
    let is_amount = key.starts_with("data.");
    match value {
        Value::Boolean(on) => !on,
        Value::Array(values) => values.is_empty(),
        Value::Integer(number) => (is_amount && *number == 0) || (key == "data.shared" && *number == 1),
        Value::Float(number) => is_amount && *number == 0.0,
        Value::String(name) => name == "none" || name == "centre",
        _ => false,
    }
}

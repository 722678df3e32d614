//! A user's settings. A setting that has no effect is an error before the run begins, not silently ignored.

use toml::Table;

use super::setting::{Condition, settings};
use super::{Config, keys, prefix};
use crate::{Error, Remedy, Result};

/// The settings that a user gives, by their origin.
#[derive(Clone, Debug, Default)]
pub struct UserSettings {
    /// Those of a file, with its name. The command line overrides them.
    pub file: Option<(String, Table)>,
    /// Those of the command line, each with its flag; later ones win.
    pub command_line: Vec<(String, Table)>,
}

/// A file that has all of these is a `run.toml`, which also holds settings without an effect; no user writes all of them.
const MARKS_OF_RUN_TOML: [&str; 8] = [
    "model.name",
    "data.train",
    "data.augment",
    "optim.kind",
    "optim.momentum",
    "optim.beta1",
    "optim.schedule",
    "run.epochs",
];

/// A setting that has no effect.
struct IdleSetting {
    key: &'static str,
    decided_by: &'static str,
    message: String,
    advice: &'static str,
}

impl IdleSetting {
    /// The error of this setting, whose name begins with its origin.
    fn error(self, origin: &str) -> Error {
        let advice = Remedy::Advice(self.advice.into());
        Error::setting(format!("{origin}{}", self.key), self.message).with_remedy(advice)
    }
}

impl UserSettings {
    /// All tables with their origin, later ones winning.
    pub fn overrides(&self) -> Vec<(String, Table)> {
        self.file.iter().chain(&self.command_line).cloned().collect()
    }

    /// Fails if `run.epochs` and `run.steps` are given by one origin. Either of them on the command line overrides both
    /// in the file, and either in the file overrides both in the network's.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the origin.
    pub fn check_length(&self) -> Result<()> {
        let both = |place: &str| {
            Error::setting(
                format!("{place}run.epochs and run.steps"),
                "both are given, and either says how long the run is; give one of them",
            )
        };
        if self.on_command_line("run.epochs") && self.on_command_line("run.steps") {
            return Err(both(""));
        }
        match &self.file {
            Some((origin, file)) if has(file, "run.epochs") && has(file, "run.steps") && !is_run_toml(file) => {
                Err(both(&format!("{origin}: ")))
            }
            _ => Ok(()),
        }
    }

    /// Fails if a flag and a `--set` give the same setting: neither may be ignored.
    ///
    /// # Errors
    /// [`Error::Setting`] that names both.
    pub fn check_flags(&self) -> Result<()> {
        let sets = || self.command_line.iter().filter(|(flag, _)| flag == "--set");
        for (flag, table) in self.command_line.iter().filter(|(flag, _)| flag != "--set") {
            let is_set_too = |key: &str| has(table, key) && sets().any(|(_, other)| has(other, key));
            if let Some(setting) = settings().find(|setting| is_set_too(setting.key)) {
                let both = format!("{flag} and --set {}", setting.key);
                return Err(Error::setting(both, "both are given, and they are the same setting; give one of them"));
            }
        }
        Ok(())
    }

    /// Checks the `[train]` tables of the network file `origin` as if they were a file of `--config`. A setting may depend
    /// on one that these settings override.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the file and the setting.
    pub fn check_network(&self, origin: &str, train: &Table) -> Result<()> {
        let config = Self::check_values(origin, train)?;
        let network = Self { file: Some((origin.to_string(), train.clone())), command_line: Vec::new() };
        if !self.gives("run.epochs") && !self.gives("run.steps") {
            network.check_length()?;
        }
        if !self.gives("run.epochs")
            && !self.gives("run.steps")
            && let Some(error) = network.change_beyond_the_end(train, &config)
        {
            return Err(error);
        }
        let idle = network.idle_settings(train, &Table::new(), &config);
        match idle.into_iter().find(|setting| !self.gives(setting.decided_by)) {
            Some(setting) if !is_run_toml(train) => Err(setting.error(&format!("{origin}: "))),
            _ => Ok(()),
        }
    }

    /// Checks the names and values of the `[train]` tables of the network file `origin`, where no network is trained.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the file and the setting.
    pub fn check_values(origin: &str, train: &Table) -> Result<Config> {
        keys::with_current_names(train).map_err(|e| prefix(origin, e))?;
        Config::from_overrides(&[(origin.to_string(), train.clone())]).map_err(|e| prefix(origin, e))
    }

    /// Fails for a setting that has no effect in `config`, which was made of these settings and those of the network file,
    /// `network`. A `run.toml` may hold such settings: notes are returned for those that differ from the network file's.
    ///
    /// # Errors
    /// [`Error::Setting`] that says which setting is needed.
    pub fn check_effects(&self, network: &Table, config: &Config) -> Result<Vec<String>> {
        for change in &config.change {
            let at = config.at_epoch(change.at_epoch)?;
            if let Some(idle) = self.idle_settings(&change.settings, network, &at).into_iter().next() {
                return Err(idle.error(&format!("{}: ", change.origin())));
            }
        }
        let mut notes = Vec::new();
        let is_refused = |file: &Table| has_changes(file) && !is_run_toml(file) && !self.on_command_line("run.epochs");
        match self.change_beyond_the_end(network, config) {
            Some(error) if self.file.as_ref().is_some_and(|(_, file)| is_refused(file)) => return Err(error),
            error => notes.extend(error.map(|error| error.to_string())),
        }
        for (_, table) in &self.command_line {
            if let Some(idle) = self.idle_settings(table, network, config).into_iter().next() {
                return Err(idle.error(""));
            }
        }
        let Some((origin, file)) = &self.file else { return Ok(notes) };
        let mut idle = self.idle_settings(file, network, config);
        // Settings of the file may be idle because the command line overrides a setting that they depend on.
        idle.retain(|setting| !self.on_command_line(setting.decided_by));
        if is_run_toml(file) {
            let of_network = Config::from_overrides(&[(origin.clone(), network.clone())])?.to_table();
            let of_file = Config::from_overrides(&[(origin.clone(), file.clone())])?.to_table();
            idle.retain(|setting| keys::value(&of_file, setting.key) != keys::value(&of_network, setting.key));
            let note = |setting: IdleSetting| setting.error(&format!("{origin}: ")).to_string();
            notes.extend(idle.into_iter().map(note));
            return Ok(notes);
        }
        match idle.into_iter().next() {
            Some(setting) => Err(setting.error(&format!("{origin}: "))),
            None => Ok(notes),
        }
    }

    /// The error of a change that comes after the last epoch. The end of a run of steps depends on the pack.
    fn change_beyond_the_end(&self, network: &Table, config: &Config) -> Option<Error> {
        if config.run.steps.is_some() {
            return None;
        }
        let epochs = config.run.epochs;
        let change = config.change.iter().find(|change| change.at_epoch >= epochs as f64)?;
        let origin = match &self.file {
            Some((origin, file)) if has_changes(file) => format!("{origin}: "),
            _ if has_changes(network) => format!("{}: ", config.model.name),
            // A resumed run has them already.
            _ if self.on_command_line("run.epochs") => String::new(),
            _ => return None,
        };
        let what = format!("never begins, since the run ends after run.epochs = {epochs}");
        let advice = Remedy::Advice("choose an earlier at_epoch, or a larger run.epochs".into());
        Some(Error::setting(format!("{origin}{}", change.origin()), what).with_remedy(advice))
    }

    /// The settings of a table that have no effect.
    fn idle_settings(&self, table: &Table, network: &Table, config: &Config) -> Vec<IdleSetting> {
        let mut idle = Vec::new();
        for setting in settings() {
            let Some(value) = keys::value(table, setting.key).filter(|value| !setting.is_off(value)) else { continue };
            if let Some(condition) = setting.unmet(config) {
                let reason = self.reason(condition, network, config);
                let message = format!("{value} has no effect while {reason}");
                let advice = condition.advice;
                idle.push(IdleSetting { key: setting.key, decided_by: condition.decided_by, message, advice });
            }
        }
        idle
    }

    /// The deciding setting with its value, and the network file if that gives it.
    fn reason(&self, condition: &Condition, network: &Table, config: &Config) -> String {
        let key = condition.decided_by;
        let Some(value) = keys::value(&config.to_table(), key).cloned() else { return format!("{key} is not given") };
        if has(network, key) && !self.gives(key) {
            return format!("{key} = {value}, as the file of the network {} says", config.model.name);
        }
        format!("{key} = {value}")
    }

    /// Whether the command line or the file gives a setting.
    pub fn gives(&self, key: &str) -> bool {
        self.on_command_line(key) || self.file.as_ref().is_some_and(|(_, file)| has(file, key))
    }

    fn on_command_line(&self, key: &str) -> bool {
        self.command_line.iter().any(|(_, table)| has(table, key))
    }
}

fn has(table: &Table, key: &str) -> bool {
    keys::value(table, key).is_some()
}

fn has_changes(file: &Table) -> bool {
    file.contains_key("change")
}

fn is_run_toml(file: &Table) -> bool {
    MARKS_OF_RUN_TOML.iter().all(|key| has(file, key))
}

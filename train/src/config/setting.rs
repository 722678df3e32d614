//! The form of a setting's entry.
//!
//! Each section (`model.rs`, `data.rs`, `optim.rs`, `run.rs`, `tensor.rs`) is one list of entries. [`section!`] makes
//! everything else of them: the struct with its defaults, the reader and writer of TOML, the checks of values, the list
//! in `alexnet train --help`, the page `cli/docs/settings.md` and the rules of `--resume`.

use toml::Value;

use super::{Config, data, model, optim, run, tensor};

/// A section of settings: a table of `run.toml`.
#[derive(Debug)]
pub struct Section {
    /// The table's name.
    pub name: &'static str,
    /// A heading.
    pub doc: &'static str,
    /// Its settings.
    pub settings: &'static [Setting],
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// `section.name`.
    pub key: &'static str,
    /// Description, in Markdown on one line.
    pub doc: &'static str,
    /// Former names, as `section.name`, which are still read.
    pub aliases: &'static [&'static str],
    /// The default in words, where its value says too little.
    pub default_text: Option<&'static str>,
    /// Allowed values, where the type allows more.
    pub range: Option<&'static str>,
    /// Whether the value is in `range`.
    pub(super) in_range: fn(&Config) -> bool,
    /// The value that switches the setting off; it may be given where the setting has no effect.
    pub(super) off: Option<&'static str>,
    /// All of these must hold for the setting to have an effect.
    pub needs: &'static [&'static Condition],
    /// Whether a resumed run may change it.
    pub on_resume: OnResume,
    /// Whether it may change in the course of a run, by `[[change]]`.
    pub timed: bool,
}

/// The treatment of a setting that a resumed run changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnResume {
    /// It is refused: the checkpoint does not fit another value.
    Refused,
    /// It changes, and a note says so: the results differ from there on.
    Noted,
    /// It changes: the results of the same steps are the same, but for rounding.
    Silent,
}

/// Other settings that decide whether a setting has an effect.
#[derive(Debug)]
pub struct Condition {
    /// The condition in words, for the documentation.
    pub needed: &'static str,
    /// Whether it is met.
    pub(super) holds: fn(&Config) -> bool,
    /// The deciding setting.
    pub(super) decided_by: &'static str,
    /// Advice to a user whose setting has no effect; `set KEY=VALUE` begins it if that helps.
    pub(super) advice: &'static str,
}

/// All sections, in the order of `run.toml`.
pub const SECTIONS: [&Section; 5] = [&model::SECTION, &data::SECTION, &optim::SECTION, &run::SECTION, &tensor::SECTION];

/// All settings, section by section.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    SECTIONS.into_iter().flat_map(|section| section.settings)
}

impl Setting {
    /// The setting of a name or a former name.
    pub fn find(key: &str) -> Option<&'static Self> {
        settings().find(|setting| setting.key == key || setting.aliases.contains(&key))
    }

    /// The name without its section.
    pub fn name(&self) -> &'static str {
        self.key.split_once('.').map_or(self.key, |(_, name)| name)
    }

    /// The condition that keeps the setting from having an effect.
    pub(super) fn unmet(&self, config: &Config) -> Option<&'static Condition> {
        self.needs.iter().copied().find(|condition| !(condition.holds)(config))
    }

    /// Whether a value switches the setting off.
    pub(super) fn is_off(&self, value: &Value) -> bool {
        let Some(off) = self.off else { return false };
        match value {
            Value::Float(number) => off.parse() == Ok(*number),
            Value::String(text) => text == off,
            other => other.to_string() == off,
        }
    }
}

/// Declares a section. An entry is
///
/// ```text
/// /// Description, for users as well.
/// #[alias = "former_name"]                            (any number of them)
/// #[default_text = "default in words"]
/// #[range("allowed values in words", |value| check)]
/// #[off = "value that switches it off"]
/// #[needs(CONDITION, ...)]
/// #[on_resume = Noted]                                (or Silent; without it, Refused)
/// #[timed = true]
/// name: Type = default,
/// ```
///
/// All attributes but the description may be left out; they come in this order.
macro_rules! section {
    (
        $(#[doc = $section_doc:literal])+
        $section:ident: $config:ident {
            $(
                $(#[doc = $doc:literal])+
                $(#[alias = $alias:literal])*
                $(#[default_text = $default_text:literal])?
                $(#[range($range:literal, $in_range:expr)])?
                $(#[off = $off:literal])?
                $(#[needs($($condition:ident),+)])?
                $(#[on_resume = $on_resume:ident])?
                $(#[timed = $timed:literal])?
                $name:ident: $type:ty = $default:expr,
            )+
        }
    ) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $config {
            $(
                $(#[doc = $doc])+
                $(#[serde(alias = $alias)])*
                pub $name: $type,
            )+
        }

        impl Default for $config {
            fn default() -> Self {
                Self { $($name: $default),+ }
            }
        }

        /// The entries of this section.
        pub const SECTION: $crate::config::Section = $crate::config::Section {
            name: stringify!($section),
            doc: concat!($($section_doc),+),
            settings: &[$(
                $crate::config::Setting {
                    key: concat!(stringify!($section), ".", stringify!($name)),
                    doc: concat!($($doc),+),
                    aliases: &[$(concat!(stringify!($section), ".", $alias)),*],
                    default_text: section!(@optional $($default_text)?),
                    range: section!(@optional $($range)?),
                    in_range: {
                        fn in_range(_config: &$crate::Config) -> bool {
                            true $(&& {
                                let in_range: fn(&$type) -> bool = $in_range;
                                in_range(&_config.$section.$name)
                            })?
                        }
                        in_range
                    },
                    off: section!(@optional $($off)?),
                    needs: &[$($(&$condition),+)?],
                    on_resume: section!(@on_resume $($on_resume)?),
                    timed: false $(|| $timed)?,
                }
            ),+],
        };
    };
    (@optional) => { None };
    (@optional $value:literal) => { Some($value) };
    (@on_resume) => { $crate::config::OnResume::Refused };
    (@on_resume $on_resume:ident) => { $crate::config::OnResume::$on_resume };
}
pub(super) use section;

/// Whether a number is finite and at least 0.
pub(super) fn is_amount(value: &f64) -> bool {
    *value >= 0.0 && value.is_finite()
}

/// Whether a number is finite and above 0.
pub(super) fn is_positive(value: &f64) -> bool {
    *value > 0.0 && value.is_finite()
}

/// Whether a number is at least 0 and below 1.
pub(super) fn is_fraction(value: &f64) -> bool {
    (0.0..1.0).contains(value)
}

/// Whether two numbers rise, and lie between two others.
pub(super) fn rises_within([first, second]: &[f64; 2], least: f64, most: f64) -> bool {
    first <= second && *first >= least && *second <= most
}

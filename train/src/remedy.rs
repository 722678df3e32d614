//! Advice to the user on an error.

use std::fmt::{self, Display, Formatter};
use std::path::PathBuf;

use crate::{mean, run};

/// Advice to the user on an error, as a value: a program may give it in its own words. Its text is for programmers of
/// this crate; the `alexnet` command names its flags instead.
///
/// ```
/// use std::path::Path;
/// use alexnet_train::{Remedy, run::Run};
///
/// let error = Run::open(Path::new("no such run")).unwrap_err();
/// let words = |remedy: &Remedy| match remedy {
///     Remedy::StartNew => "press Start".to_string(),
///     other => other.to_string(),
/// };
/// assert!(error.message(&words).ends_with("; press Start"));
/// assert!(error.to_string().ends_with("; start a new run there"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Another batch size in place of the network's or, if it has none, this default.
    BatchSize {
        /// The default.
        default: usize,
    },
    /// Images of a larger size in the pack.
    LargerImages,
    /// Images of this size in the pack.
    ImagesOfSize(usize),
    /// A mean image or a mean colour ([`mean::load`]).
    GiveMean,
    /// The network of a file that does not name it.
    NameNetwork,
    /// No network, as the file names its own.
    LeaveNetworkOut,
    /// Another folder for the run.
    OtherFolder,
    /// Another folder for the run, or an empty one.
    EmptyFolder,
    /// The run that is there already, or another folder.
    ResumeOrOtherFolder,
    /// A new run: there is none to resume.
    StartNew,
    /// Waiting for the other process, or another folder.
    WaitOrOtherFolder,
    /// The missing files of the run, or a new run in another folder.
    RestoreOrOtherFolder,
    /// Room or permission to save, and then resuming the run.
    SaveAndResume,
    /// A new run that begins with the weights of this one.
    BeginFromWeights {
        /// The run that cannot be resumed with other settings.
        run: PathBuf,
        /// These settings, which the new run may have, with their values as TOML.
        settings: Vec<(String, String)>,
    },
    /// A new run that begins with the best weights of this one, whose checkpoints are damaged.
    BeginFromBest {
        /// The run that cannot be resumed.
        run: PathBuf,
    },
    /// A list of all settings.
    ListSettings,
    /// Another value of a setting: `set KEY=VALUE`, with or without more words.
    Advice(String),
}

impl Display for Remedy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::BatchSize { default } => {
                write!(f, "set run.batch (without it, it is the network's or {default})")
            }
            Self::LargerImages => write!(f, "pack the images at a larger size"),
            Self::ImagesOfSize(size) => write!(f, "pack the images at size {size}"),
            Self::GiveMean => write!(f, "give a mean: {}", mean::FORMS),
            Self::NameNetwork => write!(f, "name the network"),
            Self::LeaveNetworkOut => write!(f, "leave the network out"),
            Self::OtherFolder => write!(f, "choose another folder"),
            Self::EmptyFolder => write!(f, "choose another folder, or an empty one"),
            Self::ResumeOrOtherFolder => write!(f, "resume it, or choose another folder"),
            Self::StartNew => write!(f, "start a new run there"),
            Self::WaitOrOtherFolder => write!(f, "wait, or choose another folder"),
            Self::RestoreOrOtherFolder => write!(f, "restore them, or begin again in another folder"),
            Self::SaveAndResume => write!(f, "make it possible to save there, then resume the run"),
            Self::BeginFromWeights { run, .. } => {
                write!(
                    f,
                    "leave them as they were, or begin a new run with model.weights = {:?}",
                    run.display().to_string()
                )
            }
            Self::BeginFromBest { run } => {
                let weights = run::best_weights(run).display().to_string();
                write!(f, "begin a new run with model.weights = {weights:?}")
            }
            Self::Advice(text) => f.write_str(text),
            Self::ListSettings => write!(f, "`config::settings` lists them"),
        }
    }
}

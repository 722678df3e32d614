//! The errors of this crate.

use std::fmt;
use std::path::PathBuf;

/// The result of an operation of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Each message names the file, layer or operation, the expected and the found values, and the remedy.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An operation on tensors failed: shapes that do not fit, settings out of range, memory, the device.
    Tensor(tensor::Error),
    /// A misuse of the tape.
    Tape {
        /// The operation on the tape.
        op: &'static str,
        /// The expected and the found values, and the remedy.
        what: String,
    },
    /// A gradient check could not be made.
    GradientCheck {
        /// The expected and the found values.
        what: String,
    },
    /// A layer of a network failed.
    Layer {
        /// The layer's name.
        layer: String,
        /// The error in it.
        source: Box<Error>,
    },
    /// A model's text is not a network.
    Model {
        /// The preset or the file of the text.
        origin: String,
        /// The layer at fault, where there is one.
        layer: Option<String>,
        /// The expected and the found values, and the remedy.
        what: String,
    },
    /// There is no preset of this name.
    UnknownModel {
        /// The unknown name.
        name: String,
        /// Presets with similar names, the nearest first.
        near: Vec<String>,
        /// All presets.
        known: Vec<String>,
    },
    /// Parameters and the network they are meant for do not fit.
    Parameters {
        /// The file of the parameters, or another origin.
        origin: String,
        /// Parameters of the network that are missing.
        missing: Vec<String>,
        /// Parameters that the network does not have.
        extra: Vec<String>,
        /// Parameters of another shape: name, expected shape, found shape.
        mismatched: Vec<(String, Vec<usize>, Vec<usize>)>,
    },
    /// A file of weights cannot be used.
    Weights {
        /// The file.
        path: PathBuf,
        /// The expected and the found values, and the remedy.
        what: String,
    },
    /// The system refused to read or write a file.
    File {
        /// The file.
        path: PathBuf,
        /// The failed attempt.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tensor(error) => error.fmt(f),
            Self::Tape { op, what } => write!(f, "{op}: {what}"),
            Self::GradientCheck { what } => write!(f, "gradient check: {what}"),
            Self::Layer { layer, source } => write!(f, "layer {layer:?}: {source}"),
            Self::Model { origin, layer, what } => write!(f, "{origin}: {}{what}", layer_prefix(layer.as_deref())),
            Self::UnknownModel { name, near, known } => {
                let known = known.join(", ");
                let hint = if is_alexnet(name) { ALEXNETS.to_string() } else { suggestion(near) };
                write!(f, "no network {name:?}: it is neither a file nor one of {known}{hint}")
            }
            Self::Parameters { origin, missing, extra, mismatched } => {
                f.write_str(&parameters_message(origin, missing, extra, mismatched))
            }
            Self::Weights { path, what } => write!(f, "{}: {what}", path.display()),
            Self::File { path, what, source } => write!(f, "{}: {what}: {source}", path.display()),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Tensor(error) => Some(error),
            Self::Layer { source, .. } => Some(source.as_ref()),
            Self::File { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<tensor::Error> for Error {
    fn from(error: tensor::Error) -> Self {
        Self::Tensor(error)
    }
}

impl From<files::Error> for Error {
    fn from(error: files::Error) -> Self {
        Self::File { path: error.path, what: error.what, source: error.source }
    }
}

impl Error {
    pub(crate) fn tape(op: &'static str, what: impl Into<String>) -> Self {
        Self::Tape { op, what: what.into() }
    }
}

fn layer_prefix(layer: Option<&str>) -> String {
    layer.map(|name| format!("layer {name:?}: ")).unwrap_or_default()
}

fn suggestion(near: &[String]) -> String {
    near.first().map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

/// One line with at most eight names of a kind, so that the weights of another network do not fill the screen.
fn parameters_message(
    origin: &str,
    missing: &[String],
    extra: &[String],
    mismatched: &[(String, Vec<usize>, Vec<usize>)],
) -> String {
    let mismatched: Vec<String> =
        mismatched.iter().map(|(name, want, got)| format!("{name} is {got:?} and not {want:?}")).collect();
    let lists = [("missing", missing), ("not in the network", extra), ("of another shape", &mismatched)];
    let parts: Vec<String> =
        lists.iter().filter(|(_, names)| !names.is_empty()).map(|(kind, names)| list(kind, names)).collect();
    format!("{origin}: weights of another network: {}", parts.join("; "))
}

fn list(kind: &str, names: &[String]) -> String {
    const SHOWN: usize = 8;
    let rest = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - rest].join(", ");
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{} {kind}: {shown}{more}", names.len())
}

/// The hint for the name that all presets share.
const ALEXNETS: &str = "; paper is the AlexNet of 2012, one-weird-trick that of torchvision";

fn is_alexnet(name: &str) -> bool {
    name.eq_ignore_ascii_case("alexnet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_listed_by_kind_and_long_lists_cut() {
        let extra = (0..10).map(|i| format!("p{i}")).collect();
        let mismatched = vec![("fc8.weight".to_string(), vec![10, 4096], vec![1000, 4096])];
        let error = Error::Parameters { origin: "w.h5".into(), missing: vec!["conv1.bias".into()], extra, mismatched };
        assert_eq!(
            error.to_string(),
            "w.h5: weights of another network: 1 missing: conv1.bias; \
             10 not in the network: p0, p1, p2, p3, p4, p5, p6, p7 and 2 more; \
             1 of another shape: fc8.weight is [1000, 4096] and not [10, 4096]"
        );
    }

    /// The one word that everybody will try.
    #[test]
    fn alexnet_is_several_networks() {
        for name in ["alexnet", "AlexNet"] {
            let message = crate::Model::load(name).unwrap_err().to_string();
            assert!(
                message.ends_with("; paper is the AlexNet of 2012, one-weird-trick that of torchvision"),
                "{message}"
            );
        }
    }

    #[test]
    fn an_unknown_preset_names_the_nearest() {
        let error = Error::UnknownModel {
            name: "papr".into(),
            near: vec!["paper".into()],
            known: vec!["paper".into(), "source".into()],
        };
        assert_eq!(
            error.to_string(),
            "no network \"papr\": it is neither a file nor one of paper, source; did you mean \"paper\"?"
        );
    }
}

//! The principal components of colour that PCA colour noise follows.

use std::path::{Path, PathBuf};

use data::{Pack, PrincipalComponents};
use files::regular_file;
use serde::{Deserialize, Serialize};

use super::DataConfig;
use crate::{Error, Result};

/// Principal components of colour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pca {
    /// A TOML file of `eigenvalues` and `eigenvectors`, or a pack. [`DataConfig::read_pca`] replaces it by its values.
    File(PathBuf),
    /// The values, for pixels of 0 to 255.
    #[serde(with = "Values")]
    Values(PrincipalComponents),
}

/// The form of [`PrincipalComponents`] in TOML.
#[derive(Serialize, Deserialize)]
#[serde(remote = "PrincipalComponents", deny_unknown_fields)]
struct Values {
    eigenvalues: [f32; 3],
    eigenvectors: [[f32; 3]; 3],
}

impl DataConfig {
    /// Reads the file of `data.pca` and replaces it by its values, so that `run.toml` records them.
    ///
    /// # Errors
    /// [`Error::Setting`] that names the file and what is wrong with it.
    pub fn read_pca(&mut self) -> Result<()> {
        if let Some(Pca::File(path)) = &self.pca {
            self.pca = Some(Pca::Values(read(path)?));
        }
        Ok(())
    }
}

/// The components in a TOML file or of a pack.
fn read(path: &Path) -> Result<PrincipalComponents> {
    let wrong = |what: String| Error::setting("data.pca", format!("{}: {what}", path.display()));
    if path.is_dir() {
        return Ok(Pack::open(path)?.statistics().components());
    }
    let text = regular_file::read_text(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let help = "expected `eigenvalues = [a, b, c]` and `eigenvectors = [[r, g, b], [r, g, b], [r, g, b]]`";
    let document = toml::Deserializer::parse(&text).map_err(|e| wrong(format!("{e}; {help}")))?;
    let components = Values::deserialize(document).map_err(|e| wrong(format!("{}; {help}", e.message())))?;
    components.check().map_err(|e| wrong(e.to_string()))?;
    Ok(components)
}

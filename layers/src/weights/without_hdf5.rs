//! The place of `hdf5_file` in builds without HDF5.

use std::path::Path;

use super::{Weights, refused};
use crate::Result;

const MISSING: &str = "HDF5 needs the feature \"hdf5\" of alexnet-layers; this build has safetensors alone";

/// An error.
pub fn load_with(path: &Path) -> Result<(Weights, Option<()>)> {
    Err(refused(path, MISSING))
}

/// An error.
pub fn save_with(path: &Path, _: &Weights, _: Option<&()>) -> Result<()> {
    Err(refused(path, MISSING))
}

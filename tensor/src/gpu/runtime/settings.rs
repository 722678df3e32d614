//! CubeCL's settings in our process.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Settles them, unless the program that uses this crate has: CubeCL would look for `cubecl.toml` in the working folder
/// and those above, and write what it tuned under the nearest `target`. Its `CUBECL_` variables keep their meaning. It
/// could keep compiled kernels too, but by a key in which neither the device nor the kernel's source has a part.
pub(crate) fn settle() {
    let mut settings = CubeClRuntimeConfig::storage().lock();
    if settings.is_none() {
        let mut ours = CubeClRuntimeConfig::default();
        ours.autotune.cache = CacheConfig::File(cache_folder());
        *settings = Some(Arc::new(ours.override_from_env()));
    }
}

/// Where this user's programs keep what they can find out again.
pub(crate) fn cache_folder() -> PathBuf {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        variable("HOME").map(|home| home.join("Library/Caches"))
    } else {
        variable("XDG_CACHE_HOME").or_else(|| variable("HOME").map(|home| home.join(".cache")))
    };
    base.unwrap_or_else(env::temp_dir).join("alexnet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_under_target() {
        settle();
        let root = CubeClRuntimeConfig::get().autotune.cache.root();
        assert!(root.is_absolute() && root.ends_with("alexnet"), "{}", root.display());
    }
}

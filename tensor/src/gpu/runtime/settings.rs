//! CubeCL's global settings, and the cache folder.

use std::env;
use std::path::PathBuf;
use std::sync::Arc;

use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};

/// Sets CubeCL's settings, unless the program has done so. Otherwise, CubeCL would read `cubecl.toml` in the working
/// folder and those above, and write its tuning cache under the nearest `target`. `CUBECL_` variables keep their meaning.
/// CubeCL's cache of compiled kernels stays off: its key covers neither the device nor the kernel's source.
pub(crate) fn apply_defaults() {
    let mut settings = CubeClRuntimeConfig::storage().lock();
    if settings.is_none() {
        let mut ours = CubeClRuntimeConfig::default();
        ours.autotune.cache = CacheConfig::File(cache_folder());
        *settings = Some(Arc::new(ours.override_from_env()));
    }
}

/// The folder for caches of this program, in the user's cache folder.
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
        apply_defaults();
        let root = CubeClRuntimeConfig::get().autotune.cache.root();
        assert!(root.is_absolute() && root.ends_with("alexnet"), "{}", root.display());
    }
}

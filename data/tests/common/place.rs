//! Small images with labels files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use alexnet_data::{Pack, PackOptions, PackReport, pack};
use tempfile::TempDir;

use super::jpeg;

/// A folder for sources, labels and packs.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes small images with these names.
    pub fn images(&self, names: &[&str]) {
        for (seed, name) in (0..).zip(names) {
            self.write(name, &jpeg(12, 11, seed));
        }
    }

    pub fn pack(&self, source: &str, set: impl Fn(PackOptions) -> PackOptions) -> Result<(Pack, PackReport), String> {
        let out = self.path("out.pack");
        let _ = fs::remove_dir_all(&out);
        let options = set(PackOptions { size: 8, jobs: 1, ..PackOptions::new(self.path(source), &out) });
        let report = pack(&options, |_| ()).map_err(|e| e.to_string())?;
        Ok((Pack::open(&out).unwrap(), report))
    }

    /// Class of each image by name.
    pub fn classes(
        &self,
        source: &str,
        set: impl Fn(PackOptions) -> PackOptions,
    ) -> Result<BTreeMap<String, String>, String> {
        let (pack, _) = self.pack(source, set)?;
        let class = |i: usize| pack.classes()[pack.label(i) as usize].clone();
        Ok((0..pack.len()).map(|i| (pack.name(i), class(i))).collect())
    }

    /// Same as above, with this labels file.
    pub fn by(&self, source: &str, labels: &Path) -> Result<BTreeMap<String, String>, String> {
        self.classes(source, |o| PackOptions { labels: Some(labels.to_path_buf()), ..o })
    }
}

pub fn expected(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, class)| ((*name).to_string(), (*class).to_string())).collect()
}

/// Four images, labelled cat, dog, dog, cat.
pub fn four() -> (Place, BTreeMap<String, String>) {
    let place = Place::new();
    place.images(&["s/img_0.jpg", "s/img_1.jpg", "s/img_2.jpg", "s/img_3.jpg"]);
    let classes = [("img_0.jpg", "cat"), ("img_1.jpg", "dog"), ("img_2.jpg", "dog"), ("img_3.jpg", "cat")];
    (place, expected(&classes))
}

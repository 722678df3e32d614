//! Seeds: the small files that the tests keep, of every framework.

use std::fs;
use std::path::Path;

/// The most bytes of a seed.
const MOST: usize = 200_000;

/// The files whose path contains this text; all of them if it is empty.
pub fn of(part: &str) -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden"), part, &mut seeds);
    assert!(!seeds.is_empty(), "no seeds for {part:?}");
    seeds
}

fn collect(folder: &Path, part: &str, seeds: &mut Vec<Vec<u8>>) {
    let entries = fs::read_dir(folder).expect("the golden files can be listed");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, part, seeds);
        } else if path.extension().is_none_or(|ending| ending != "py") && path.to_string_lossy().contains(part) {
            let bytes = fs::read(&path).expect("a golden file can be read");
            seeds.extend((bytes.len() <= MOST).then_some(bytes));
        }
    }
}

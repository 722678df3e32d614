//! The list of kernels in the sources.

use std::path::{Path, PathBuf};

use crate::server::Source;

/// The functions marked `#[cube(launch...)]` in `tensor/src/gpu` that were never launched, and the number of all.
pub fn missing(sources: &[Source]) -> (Vec<String>, usize) {
    let mut files = Vec::new();
    collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gpu"), &mut files);
    let texts = files.iter().map(|file| std::fs::read_to_string(file).expect("a source file"));
    let functions: Vec<String> = texts.flat_map(|text| launched(&text)).collect();
    let made = |f: &String| sources.iter().any(|source| source.name.contains(&format!("::{f}::")));
    (functions.iter().filter(|f| !made(f)).cloned().collect(), functions.len())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder of the sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The names of the marked functions, without those of unit tests.
fn launched(text: &str) -> Vec<String> {
    let name = |after: &str| {
        let rest = &after[after.find("fn ")? + 3..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().map(String::from)
    };
    let text = text.split("mod tests {").next().unwrap_or("");
    // At the start of a line: documentation mentions the attribute too.
    text.split("\n#[cube(launch").skip(1).filter_map(name).collect()
}

//! Replaces a settings file: whenever the program or the machine stops, the file holds the old settings or the new
//! ones.

use std::path::Path;

use alexnet_files::{regular_file, replace_bytes};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = Path::new("settings.toml");
    let runs = match regular_file::read_text(path) {
        Ok(text) => text.lines().count(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error.into()),
    };
    replace_bytes(path, "run\n".repeat(runs + 1).as_bytes())?;
    println!("{} says that this was run number {}", path.display(), runs + 1);
    Ok(())
}

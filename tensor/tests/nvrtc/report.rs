//! A report of the compiled kernels.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::nvrtc::Usage;
use crate::server::Source;

/// Writes each source and a table to the folder in `ALEXNET_DUMP_CUDA`, if it is set.
pub fn write(sources: &[Source], compiled: &[Result<Usage, String>]) {
    let Some(folder) = std::env::var_os("ALEXNET_DUMP_CUDA").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut table = String::from("file registers stack spilled shared threads kernel\n");
    for (i, (source, result)) in sources.iter().zip(compiled).enumerate() {
        let short = source.name.split('<').next().and_then(|n| n.rsplit("::").next()).unwrap_or("kernel");
        let file = format!("{i:03}-{short}.cu");
        let text = format!("// {}\n{}", source.name, source.text);
        std::fs::write(folder.join(&file), text).expect("a file");
        let Usage { registers, stack, spilled } = result.as_ref().copied().unwrap_or_default();
        let Source { shared, units, name, .. } = source;
        let _ = writeln!(table, "{file} {registers} {stack} {spilled} {shared} {units} {name}");
    }
    std::fs::write(folder.join("table.txt"), table).expect("a file");
}

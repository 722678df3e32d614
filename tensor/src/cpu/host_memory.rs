//! The machine's memory: its total, and the part that is available to this process, also within a container's limit.

use std::path::{Path, PathBuf};

use crate::Memory;

/// Total and available memory on Linux: those of the machine, or of the control group (cgroup) with the lowest limit.
/// `None` on other systems.
pub(super) fn read() -> Option<Memory> {
    read_below(Path::new("/"))
}

/// Like [`read`], from the files below `root`.
fn read_below(root: &Path) -> Option<Memory> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let mut total = meminfo(&text, "MemTotal")?;
    let mut free = meminfo(&text, "MemAvailable")?;
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    for group in groups.lines().filter_map(|line| ControlGroup::parse(root, line)) {
        for limit in group.limits() {
            total = total.min(limit.total);
            free = free.min(limit.free);
        }
    }
    Some(Memory { total, free, is_host: true })
}

/// The bytes of a line such as `MemAvailable:   21340216 kB`.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A control group that can limit this process's memory, and the file names of its version.
struct ControlGroup {
    /// The folder of the root group.
    base: PathBuf,
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// The line of `memory.stat` that counts cached files which the system can drop at once.
    droppable: &'static str,
}

/// A control group's limit.
struct Limit {
    total: u64,
    free: u64,
}

impl ControlGroup {
    /// Parses a line of `/proc/self/cgroup`: `0::/path` (version 2) or `4:memory:/path` (version 1).
    fn parse(root: &Path, line: &str) -> Option<Self> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            let base = root.join("sys/fs/cgroup");
            return Some(Self {
                folder: base.join(path),
                base,
                limit: "memory.max",
                usage: "memory.current",
                droppable: "inactive_file",
            });
        }
        if !controllers.split(',').any(|c| c == "memory") {
            return None;
        }
        let base = root.join("sys/fs/cgroup/memory");
        Some(Self {
            folder: base.join(path),
            base,
            limit: "memory.limit_in_bytes",
            usage: "memory.usage_in_bytes",
            droppable: "total_inactive_file",
        })
    }

    /// The limits of the group and of the groups that contain it. In a container the path may be that of the machine
    /// outside, where some folders do not exist: those are skipped.
    fn limits(&self) -> Vec<Limit> {
        let folders = self.folder.ancestors().take_while(|folder| folder.starts_with(&self.base));
        folders.filter_map(|folder| self.limit_of(folder)).collect()
    }

    fn limit_of(&self, folder: &Path) -> Option<Limit> {
        // Without a limit, the file says "max", which is not a number.
        let total = number(&folder.join(self.limit))?;
        let usage = number(&folder.join(self.usage))?;
        let statistics = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let droppable = statistics.lines().find_map(|line| line.strip_prefix(self.droppable)?.trim().parse().ok());
        let used = usage.saturating_sub(droppable.unwrap_or(0));
        Some(Limit { total, free: total.saturating_sub(used) })
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MEMINFO: &str = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n";

    /// A root folder with these files and a `meminfo`.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a folder");
        for (path, text) in [("proc/meminfo", MEMINFO)].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            fs::write(path, text).expect("a file");
        }
        root
    }

    fn memory(files: &[(&str, &str)]) -> (u64, u64) {
        let memory = read_below(machine(files).path()).expect("memory");
        assert!(memory.is_host);
        (memory.total, memory.free)
    }

    #[test]
    fn without_limits_all_memory_counts() {
        let whole = (24_000_000 * 1024, 20_000_000 * 1024);
        assert_eq!(memory(&[]), whole);
        let unlimited = [("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")];
        assert_eq!(memory(&unlimited), whole);
        assert_eq!(read_below(Path::new("/nowhere")), None);
    }

    #[test]
    fn the_lowest_limit_counts_and_cached_files_are_free() {
        let files = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "9000000000\n"),
            ("sys/fs/cgroup/a/b/memory.current", "1000\n"),
            ("sys/fs/cgroup/a/memory.max", "5000000000\n"),
            ("sys/fs/cgroup/a/memory.current", "3000000000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 7\nfile 1500000000\ninactive_file 1000000000\n"),
        ];
        assert_eq!(memory(&files), (5_000_000_000, 3_000_000_000), "the containing group has less");
    }

    #[test]
    fn version_1_limits_memory_too() {
        let files = [
            ("proc/self/cgroup", "5:cpu:/x\n4:memory:/a\n0::/\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4000000000\n"),
            ("sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1500000000\n"),
            ("sys/fs/cgroup/memory/a/memory.stat", "inactive_file 3\ntotal_inactive_file 500000000\n"),
        ];
        assert_eq!(memory(&files), (4_000_000_000, 3_000_000_000));
    }

    #[test]
    fn a_container_that_sees_only_its_own_group_is_limited_by_it() {
        let files = [
            ("proc/self/cgroup", "0::/outside/pod\n"),
            ("sys/fs/cgroup/memory.max", "2000000000\n"),
            ("sys/fs/cgroup/memory.current", "500000000\n"),
        ];
        assert_eq!(memory(&files), (2_000_000_000, 1_500_000_000));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_machine_has_memory() {
        let memory = read().expect("Linux reports it");
        assert!(memory.free > 1 << 20 && memory.free <= memory.total, "{memory:?}");
    }
}

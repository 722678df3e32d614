//! How much memory the machine has left for this program.

use std::path::{Path, PathBuf};

use crate::Memory;

/// What the system says, where it says: Linux, and there the least that a control group of this process leaves.
pub(super) fn of_the_system() -> Option<Memory> {
    from_files(Path::new("/"))
}

/// As [`of_the_system`], from the files under `root`.
fn from_files(root: &Path) -> Option<Memory> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let (mut total, mut free) = (meminfo(&text, "MemTotal")?, meminfo(&text, "MemAvailable")?);
    let groups = std::fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    for group in groups.lines().filter_map(|line| Group::parse(root, line)) {
        for (limit, left) in group.limits() {
            (total, free) = (total.min(limit), free.min(left));
        }
    }
    Some(Memory { total, free, is_host: true })
}

/// The bytes of a line such as `MemAvailable:   21340216 kB`.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A control group that limits this process's memory, and the names that its version gives the limits.
struct Group {
    /// Where all groups are.
    base: PathBuf,
    folder: PathBuf,
    limit: &'static str,
    usage: &'static str,
    /// Of the files that are cached, what can be dropped at once.
    cache: &'static str,
}

impl Group {
    /// Of a line of `/proc/self/cgroup`: `0::/path` (version 2) or `4:memory:/path` (version 1).
    fn parse(root: &Path, line: &str) -> Option<Self> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let path = path.trim_start_matches('/');
        if controllers.is_empty() {
            let base = root.join("sys/fs/cgroup");
            let folder = base.join(path);
            return Some(Self { base, folder, limit: "memory.max", usage: "memory.current", cache: "inactive_file" });
        }
        if !controllers.split(',').any(|c| c == "memory") {
            return None;
        }
        let base = root.join("sys/fs/cgroup/memory");
        let folder = base.join(path);
        let (limit, usage) = ("memory.limit_in_bytes", "memory.usage_in_bytes");
        Some(Self { base, folder, limit, usage, cache: "total_inactive_file" })
    }

    /// Limit, and what is left of it, of the group and of those around it. In a container the path may be that of the
    /// machine outside, which is not there: then those that are.
    fn limits(&self) -> Vec<(u64, u64)> {
        let around = self.folder.ancestors().take_while(|folder| folder.starts_with(&self.base));
        around.filter_map(|folder| self.limit_of(folder)).collect()
    }

    fn limit_of(&self, folder: &Path) -> Option<(u64, u64)> {
        let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
        // "max" is no number: no limit.
        let (limit, usage) = (number(self.limit)?, number(self.usage)?);
        let statistics = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
        let cache = statistics.lines().find_map(|line| line.strip_prefix(self.cache)?.trim().parse::<u64>().ok());
        Some((limit, limit.saturating_sub(usage.saturating_sub(cache.unwrap_or(0)))))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const MEMINFO: &str = "MemTotal:       24000000 kB\nMemFree:         1000000 kB\nMemAvailable:   20000000 kB\n";

    /// A root with these files.
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
        let memory = from_files(machine(files).path()).expect("memory");
        assert!(memory.is_host);
        (memory.total, memory.free)
    }

    #[test]
    fn without_limits_it_is_the_machines() {
        let whole = (24_000_000 * 1024, 20_000_000 * 1024);
        assert_eq!(memory(&[]), whole);
        let unlimited = [("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")];
        assert_eq!(memory(&unlimited), whole);
        assert_eq!(from_files(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_group_limits_it_and_cached_files_count_as_free() {
        let files = [
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "9000000000\n"),
            ("sys/fs/cgroup/a/b/memory.current", "1000\n"),
            ("sys/fs/cgroup/a/memory.max", "5000000000\n"),
            ("sys/fs/cgroup/a/memory.current", "3000000000\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 7\nfile 1500000000\ninactive_file 1000000000\n"),
        ];
        assert_eq!(memory(&files), (5_000_000_000, 3_000_000_000), "the one around has less");
    }

    #[test]
    fn so_does_one_of_version_1() {
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
    fn this_machine_has_some() {
        let memory = of_the_system().expect("Linux tells");
        assert!(memory.free > 1 << 20 && memory.free <= memory.total, "{memory:?}");
    }
}

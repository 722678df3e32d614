//! Running the command without root's rights: permissions hold for it.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::World;

/// The user and the group "nobody".
const NOBODY: u32 = 65_534;

/// Sets the permissions of a file or folder.
pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The command as a user without rights of their own in the world's folder: tests that run as root start it as another
/// user, others as themselves.
pub fn command(world: &World, args: &[&str]) -> Command {
    // SAFETY: geteuid takes nothing and cannot fail.
    let is_root = unsafe { libc::geteuid() } == 0;
    if !is_root {
        return world.command(args);
    }
    // That user may have no permission for the folders of the program, so it is started through an open file.
    let program = File::open(env!("CARGO_BIN_EXE_alexnet")).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.args(args).current_dir(world.path("")).uid(NOBODY).gid(NOBODY).env("HOME", "/nonexistent");
    // SAFETY: the closure does nothing; it keeps the handle open until the program is started.
    unsafe {
        command.pre_exec(move || {
            let _ = &program;
            Ok(())
        });
    }
    command
}

/// Runs the command as that user; it must fail with 1 and one message, which is returned.
pub fn fails(world: &World, args: &[&str]) -> String {
    let output = command(world, args).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {message}");
    assert!(message.contains("error: ") && !message.contains("panicked"), "{args:?}: {message}");
    message
}

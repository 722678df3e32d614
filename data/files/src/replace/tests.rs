use super::*;
use std::cell::RefCell;

fn write(text: &'static str) -> impl FnOnce(&Path) -> Result<(), Error> {
    move |path| {
        fs::write(path, text).expect("temporary file is writable");
        Ok(())
    }
}

#[test]
fn replaces_and_leaves_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    replace(&path, write("old")).unwrap();
    replace(&path, write("new")).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn bytes_are_replaced_and_permissions_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    replace_bytes(&path, b"old").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
        replace_bytes(&path, b"new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o440);
    }
    replace_bytes(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    check_writable(folder.path()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(check_writable(&path).unwrap_err().kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn a_replacement_that_is_not_committed_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    replace(&path, write("old")).unwrap();
    let replacement = Replacement::begin(&path).unwrap();
    fs::write(replacement.temporary(), "new").unwrap();
    assert!(is_temporary(&replacement.temporary().file_name().unwrap().to_string_lossy()));
    drop(replacement);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let replacement = Replacement::begin(&path).unwrap();
    fs::write(replacement.temporary(), "new").unwrap();
    replacement.commit().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert!(Replacement::begin(folder.path()).is_err());
}

#[test]
fn a_failed_write_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    replace(&path, write("old")).unwrap();
    let failed = replace(&path, |temporary| {
        fs::write(temporary, "half").unwrap();
        Err(Error { path: path.clone(), what: "a test", source: io::Error::other("fails") })
    });
    assert_eq!(failed.unwrap_err().what, "a test");
    assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn of_a_link_the_target_is_replaced() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("deep")).unwrap();
    fs::write(at("deep/file"), "old").unwrap();
    symlink("deep/file", at("link")).unwrap();
    symlink("link", at("deep-link")).unwrap();
    symlink("deep/new", at("to-nothing")).unwrap();
    replace_bytes(&at("deep-link"), b"new").unwrap();
    replace_bytes(&at("to-nothing"), b"first").unwrap();
    assert_eq!(fs::read(at("deep/file")).unwrap(), b"new");
    assert_eq!(fs::read(at("deep/new")).unwrap(), b"first");
    for link in ["link", "deep-link", "to-nothing"] {
        assert!(at(link).symlink_metadata().unwrap().is_symlink(), "{link}");
    }
    symlink("b", at("a")).unwrap();
    symlink("a", at("b")).unwrap();
    let error = replace_bytes(&at("a"), b"x").unwrap_err().to_string();
    assert!(error.ends_with("cannot be replaced; choose another name: it is a cyclic link"), "{error}");
}

#[cfg(unix)]
#[test]
fn only_files_are_replaced() {
    use std::os::unix::fs::{FileTypeExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let refusal = |path: &Path| replace_bytes(path, b"x").unwrap_err().to_string();
    assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
    symlink("pipe", at("link")).unwrap();
    symlink("/dev/full", at("device")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    for (name, found) in
        [("pipe", "a named pipe"), ("link", "a named pipe"), ("device", "a device"), ("folder", "a folder")]
    {
        let expected = format!("{name}: cannot be replaced; choose another name: expected a file, found {found}");
        assert!(refusal(&at(name)).ends_with(&expected), "{}", refusal(&at(name)));
    }
    assert!(at("pipe").metadata().unwrap().file_type().is_fifo());
    assert!(at("device").metadata().unwrap().file_type().is_char_device());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
}

#[test]
fn sweep_removes_only_temporaries() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".alexnet-tmp-x"), "half").unwrap();
    fs::write(folder.path().join("keep"), "whole").unwrap();
    assert_eq!(sweep(folder.path()).unwrap().len(), 1);
    assert!(folder.path().join("keep").exists());
}

#[test]
fn a_missing_folder_is_named() {
    let error = replace(Path::new("/no/such/folder/a.h5"), write("x")).unwrap_err();
    assert!(error.to_string().starts_with("/no/such/folder/a.h5: "), "{error}");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Call {
    Write,
    SyncFile,
    Rename,
    SyncFolder,
}

/// The system's disk, which also notes the order of calls.
#[derive(Default)]
struct Recorded(RefCell<Vec<Call>>);

impl Disk for Recorded {
    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.0.borrow_mut().push(Call::SyncFile);
        System.sync_file(path)
    }

    fn rename(&self, temporary: TemporaryFile, to: &Path) -> io::Result<()> {
        self.0.borrow_mut().push(Call::Rename);
        System.rename(temporary, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.0.borrow_mut().push(Call::SyncFolder);
        System.sync_folder(folder)
    }
}

/// The contents that the file can have when the power fails after these calls: of what was not yet synced, a disk keeps
/// all, nothing or, of content, a part.
fn after_power_loss(calls: &[Call]) -> Vec<&'static str> {
    let at = |call| calls.iter().position(|c| *c == call);
    let synced = |call, by| at(call).zip(at(by)).is_some_and(|(call, by)| by > call);
    if at(Call::Rename).is_none() {
        return vec!["old"];
    }
    let mut contents = if synced(Call::Write, Call::SyncFile) { vec!["new"] } else { vec!["new", "", "n\0w"] };
    if !synced(Call::Rename, Call::SyncFolder) {
        contents.push("old");
    }
    contents
}

/// A disk that reorders and drops whatever was not synced leaves the old file or the new one, and the new one once
/// `replace` has returned.
#[test]
fn power_loss_leaves_old_or_new() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.h5");
    let disk = Recorded::default();
    replace_on(&disk, &path, |temporary| {
        disk.0.borrow_mut().push(Call::Write);
        write("new")(temporary)
    })
    .unwrap();
    let calls = disk.0.into_inner();
    assert_eq!(calls.len(), 4, "{calls:?}");
    for lost_after in 0..calls.len() {
        let found = after_power_loss(&calls[..lost_after]);
        assert!(
            found.iter().all(|content| ["old", "new"].contains(content)),
            "after {:?}: {found:?}",
            &calls[..lost_after]
        );
    }
    assert_eq!(after_power_loss(&calls), ["new"], "lost although replace had returned");
}

/// The check itself: without the file's sync, a part of the content can be left under the name.
#[test]
fn an_unsynced_file_can_be_lost() {
    let calls = [Call::Write, Call::Rename, Call::SyncFolder];
    assert_eq!(after_power_loss(&calls), ["new", "", "n\0w"]);
}

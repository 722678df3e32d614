//! The lines of Python in `FORMAT.md`, run as they stand. Without Python and h5py (CI installs them) there is nothing to run
//! them with, and the test says so.

use std::fs;
use std::process::Command;

use alexnet_data::{PackOptions, Storage, pack};

use crate::common::Setting;

/// A Python that has h5py.
fn python() -> Option<&'static str> {
    let has =
        |python: &&str| Command::new(python).args(["-c", "import h5py"]).output().is_ok_and(|o| o.status.success());
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has);
    if found.is_none() {
        eprintln!("not run: no python3 with h5py is installed");
    }
    found
}

/// The blocks of Python in the document.
fn blocks() -> Vec<String> {
    let text = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/FORMAT.md")).unwrap();
    let blocks = text.split("```python\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_string()).collect()
}

#[test]
fn the_lines_of_the_document_read_a_pack() {
    let blocks = blocks();
    assert_eq!(blocks.len(), 2);
    assert!(blocks.iter().all(|block| block.lines().count() <= 12), "ten lines, more or less");
    let Some(python) = python() else { return };
    let setting = Setting::new();
    setting.pack("train.pack");
    pack(&PackOptions { storage: Storage::JPEG, ..setting.options("jpeg.pack") }, |_| ()).unwrap();
    let check = "
import zlib
assert classes == ['ant', 'bee', 'cow'], classes
assert images.shape == (5, 32, 32, 3) and images.dtype == np.uint8
assert (mapped == images[:]).all()
assert abs(mean_image.mean() - table.attrs['mean_rgb'].mean()) < 1e-3
print(' '.join(str(v) for v in mapped[3].reshape(-1)))
";
    let run = |script: String| {
        let output = Command::new(python).args(["-c", &script]).current_dir(setting.path("")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = run(blocks[0].clone() + check);
    let pixels = setting.open("train.pack").pixels(3).unwrap().iter().map(u8::to_string).collect::<Vec<_>>().join(" ");
    let mut lines = printed.lines();
    assert!(lines.next().unwrap().starts_with("ant/003.png ant "), "{printed}");
    assert_eq!(lines.next(), Some(pixels.as_str()));
    let printed = run(blocks[1].clone() + "print(len(jpeg), jpeg[:3].hex())");
    let stored = setting.open("jpeg.pack").stored(3).unwrap().len();
    assert_eq!(printed.trim(), format!("{stored} ffd8ff"));
}

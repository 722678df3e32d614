//! ONNX graphs whose tensors are in other files.

use std::path::Path;

use alexnet_formats::onnx;

use crate::onnx_file::Attribute::Int;
use crate::onnx_file::{OnnxFile, numbers};
use crate::protobuf::Message;

/// A graph whose weights are in another file.
fn graph(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut tensor = Message::default().ints(1, &[5, 12]).int(2, 1).text(8, "w").int(14, 1);
    for (key, value) in entries {
        tensor = tensor.message(13, Message::default().text(1, key).text(2, value));
    }
    let file = OnnxFile::new(&[0, 3, 2, 2]).initializer(tensor);
    file.node("Flatten", &[], &[]).node("Gemm", &["w"], &[Int("transB", 1)]).bytes()
}

fn load(folder: &Path, entries: &[(&str, &str)]) -> Result<Vec<f32>, String> {
    let path = folder.join("net.onnx");
    std::fs::write(&path, graph(entries)).unwrap();
    let file = onnx::read(&path).map_err(|error| error.to_string())?;
    Ok(file.tensors[0].values.iter().copied().collect())
}

#[test]
fn tensors_in_other_files_are_read_from_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let values = numbers("w", &[5, 12]);
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/w.bin"), [&[9; 16][..], &bytes, &[7; 8]].concat()).unwrap();
    let place = [("location", "data/w.bin"), ("offset", "16"), ("length", "240")];
    assert_eq!(load(folder.path(), &place).unwrap(), values);
    assert_eq!(load(folder.path(), &place[..2]).unwrap(), values);
}

#[test]
fn other_places_are_refused() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret"), [0; 240]).unwrap();
    let folder = outside.path().join("inner");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("short"), [0; 100]).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("../secret", folder.join("link")).unwrap();
    let absolute = outside.path().join("secret").display().to_string();
    let cases = [
        (vec![("location", "../secret")], "same folder"),
        (vec![("location", absolute.as_str())], "same folder"),
        (vec![("location", "./short/../short")], "same folder"),
        (vec![("location", "")], "same folder"),
        (vec![("location", "link")], if cfg!(unix) { "same folder" } else { "link" }),
        (vec![("location", "short")], "truncated"),
        (vec![("location", "short"), ("offset", "18446744073709551615")], "truncated"),
        (vec![("location", "short"), ("length", "100")], "damaged"),
        (vec![("location", "short"), ("offset", "-1")], "no number"),
        (vec![("location", "missing")], "missing"),
        (vec![], "names no file"),
    ];
    for (entries, expected) in cases {
        let message = load(&folder, &entries).unwrap_err();
        assert!(message.contains(expected) && message.contains("net.onnx"), "{message}");
    }
}

#[test]
fn many_tensors_in_one_place_are_no_more_values_than_the_file_justifies() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("w.bin"), vec![0; 4 << 20]).unwrap();
    let tensor = Message::default().ints(1, &[1024, 1024]).int(2, 1).text(8, "w").int(14, 1);
    let tensor = tensor.message(13, Message::default().text(1, "location").text(2, "w.bin"));
    let mut file = OnnxFile::new(&[0, 3, 2, 2]).weight("first", &[1024, 12]).initializer(tensor);
    file = file.node("Flatten", &[], &[]).node("Gemm", &["first"], &[Int("transB", 1)]);
    for _ in 0..8 {
        file = file.node("Gemm", &["w"], &[Int("transB", 1)]);
    }
    let path = folder.path().join("net.onnx");
    std::fs::write(&path, file.bytes()).unwrap();
    let message = onnx::read(&path).unwrap_err().to_string();
    assert!(message.contains("more values"), "{message}");
}

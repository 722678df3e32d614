//! Parameters in several files.

use std::fs;
use std::path::Path;

use alexnet_formats::layers::weights::{AxisOrder, save_tensors};
use alexnet_formats::{Format, load, read};
use ndarray::ArrayD;

use crate::support::{Pickle, SMALL, archive, bits, bytes, model, temporary_file, weights};

/// Writes a network's parameters in two safetensors files and their index.
fn written(path: &Path) -> alexnet_formats::layers::weights::Weights {
    let model = model(SMALL);
    let original = weights(&model, 1);
    let theirs = |spec: &alexnet_formats::layers::ParameterSpec| {
        let values = AxisOrder::PyTorch.from_own(spec, original.tensor(&spec.name).unwrap().view()).unwrap();
        (spec.export.clone(), values)
    };
    let tensors: Vec<(String, ArrayD<f32>)> = model.parameters().unwrap().iter().map(theirs).collect();
    let (first, second) = tensors.split_at(5);
    let mut map = vec![];
    for (name, part) in [("m-1-of-2.safetensors", first), ("m-2-of-2.safetensors", second)] {
        save_tensors(&path.with_file_name(name), &part.iter().cloned().collect()).unwrap();
        map.extend(part.iter().map(|(tensor, _)| format!("\"{tensor}\": \"{name}\"")));
    }
    let index = format!("{{\n  \"metadata\": {{\"total_size\": 1}},\n  \"weight_map\": {{{}}}\n}}", map.join(", "));
    fs::write(path, index).unwrap();
    original
}

#[test]
fn an_index_stands_for_its_files() {
    let (_folder, path) = temporary_file("model.safetensors.index.json");
    let original = written(&path);
    assert_eq!(Format::of(&path).unwrap(), Format::Shards);
    let loaded = load(&path, Some(&model(SMALL))).unwrap();
    assert_eq!(bits(&loaded.weights), bits(&original));
}

#[test]
fn files_of_pytorch_too() {
    let (_folder, path) = temporary_file("pytorch_model.bin.index.json");
    for name in ["a", "b"] {
        let pickle = Pickle::new().raw(b"}").text(name).row("Float", "0", 1).raw(b"s").end();
        fs::write(path.with_file_name(format!("{name}.bin")), archive(&pickle, &[("0", &bytes(&[1.0]))])).unwrap();
    }
    fs::write(&path, "{\"weight_map\": {\"b\": \"b.bin\", \"a\": \"a.bin\"}}").unwrap();
    let file = read(&path).unwrap().unwrap();
    assert_eq!(file.tensors.iter().map(|tensor| tensor.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn wrong_indexes_are_refused() {
    let (folder, path) = temporary_file("model.safetensors.index.json");
    written(&path);
    let index = fs::read_to_string(&path).unwrap();
    let refusal = |from: &str, to: &str| {
        fs::write(&path, index.replace(from, to)).unwrap();
        read(&path).unwrap_err().to_string()
    };
    assert!(refusal("\"fc8.bias\"", "\"fc9.bias\"").contains("fc9.bias is not in m-2-of-2.safetensors"));
    let message = refusal("m-2-of-2.safetensors", "missing.safetensors");
    assert!(
        message.contains("model.safetensors.index.json: names ")
            && message.contains("missing.safetensors, which is not")
    );
    let message = refusal("\"fc8.bias\"", "\"fc8.weight\"");
    assert!(message.contains("names the tensor \"fc8.weight\" twice"), "{message}");
    for outside in ["../m-2-of-2.safetensors", "/etc/passwd", "sub/m.safetensors", "..", "a\\\\b", ""] {
        let message = refusal("m-2-of-2.safetensors", outside);
        assert!(message.contains("not in its folder"), "{outside}: {message}");
    }
    let message = refusal("m-2-of-2.safetensors", "model.safetensors.index.json");
    assert!(message.contains("a shard is safetensors or PyTorch's"), "{message}");
    fs::create_dir(folder.path().join("folder")).unwrap();
    assert!(refusal("m-2-of-2.safetensors", "folder").contains("folder: expected a file"));
}

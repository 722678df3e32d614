//! Formats by the content of files.

use std::path::Path;

use alexnet_formats::layers::weights::save_tensors;
use alexnet_formats::{Error, Format, is_own, load, read, save};
use ndarray::ArrayD;
use zip::CompressionMethod;

use crate::support::{Pickle, SMALL, archive, file, legacy, model, temporary_file, weights, zip};

/// The format of a file of this content, whatever its name.
fn of(content: &[u8]) -> Result<Format, String> {
    let (_folder, path) = file("x.toml", content);
    Format::of(&path).map_err(|error| {
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        error.to_string()
    })
}

#[test]
fn each_format_by_its_content() {
    let pickle = Pickle::new().raw(b"}").end();
    assert_eq!(of(&archive(&pickle, &[])), Ok(Format::Torch));
    assert_eq!(of(&legacy(&pickle, &[])), Ok(Format::Torch));
    let keras: [(&str, &[u8]); 3] = [("metadata.json", b"{}"), ("config.json", b"{}"), ("model.weights.h5", b"")];
    assert_eq!(of(&zip(&keras, CompressionMethod::Stored)), Ok(Format::KerasArchive));
    assert_eq!(of(b"{\"weight_map\": {}}"), Ok(Format::Shards));
    for (name, expected) in [("a.h5", Format::Own), ("a.safetensors", Format::Safetensors)] {
        let (_folder, path) = temporary_file(name);
        save(&path, &weights(&model(SMALL), 1), None).unwrap();
        assert_eq!(Format::of(&path).unwrap(), expected);
        assert!(is_own(&path).unwrap() && read(&path).unwrap().is_none());
    }
}

#[test]
fn safetensors_of_other_programs_are_matched_like_other_formats() {
    let (_folder, path) = temporary_file("a.safetensors");
    save_tensors(&path, &[("a".into(), ArrayD::zeros(vec![2]))].into()).unwrap();
    assert!(is_own(&path).unwrap());
    let header = br#"{"model.fc1.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let content = [&(header.len() as u64).to_le_bytes()[..], header, &1f32.to_le_bytes()].concat();
    let (_folder, path) = file("a.safetensors", &content);
    assert!(!is_own(&path).unwrap());
    let file = read(&path).unwrap().unwrap();
    assert_eq!((file.format, file.tensors[0].name.as_str()), (Format::Safetensors, "model.fc1.weight"));
    let error = load(&path, None).unwrap_err();
    assert!(matches!(error, Error::UnknownNetwork { .. }), "{error:?}");
}

#[test]
fn protocol_buffers_are_told_apart_even_if_they_are_cut() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (name, format) in [
        ("onnx/torchscript.onnx", Format::Onnx),
        ("onnx/dynamo.onnx", Format::Onnx),
        ("caffe/layer.caffemodel", Format::Caffe),
        ("caffe/layers.caffemodel", Format::Caffe),
    ] {
        let bytes = std::fs::read(golden.join(name)).unwrap();
        for length in [bytes.len(), bytes.len() - 1, bytes.len() / 2, 100] {
            let (_folder, path) = file("weights", &bytes[..length]);
            assert_eq!(Format::of(&path).unwrap(), format, "{name} cut to {length}");
        }
    }
}

#[test]
fn other_files_are_refused_with_what_is_read() {
    let message = of(b"<!DOCTYPE html><html>").unwrap_err();
    for known in ["safetensors", ".pt", ".keras", ".caffemodel", "ONNX"] {
        assert!(message.contains(known), "{known}: {message}");
    }
    let message = of(&zip(&[("word/document.xml", b"<xml>")], CompressionMethod::Stored)).unwrap_err();
    assert!(message.contains("neither PyTorch nor Keras: it holds word/document.xml"), "{message}");
    assert!(
        of(b"\x80\x04\x95\x0b\0\0\0\0\0\0\0cos\nsystem\n")
            .unwrap_err()
            .contains("a Python pickle that torch.save did not")
    );
    assert!(of(b"PK\x03\x04 and so on").unwrap_err().contains("not a whole zip file"));
    assert!(of(b"{\"a\": 1, \"b\": 2}").unwrap_err().contains("no known format"));
    assert!(of(b"name: \"CaffeNet\"\nlayer {\n  name: \"data\"\n").unwrap_err().contains("the .caffemodel holds both"));
    let mean =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/caffe/mean.binaryproto")).unwrap();
    assert!(of(&mean).unwrap_err().contains("a mean of Caffe"));
    // Short files are those of this workspace's readers.
    let (_folder, path) = file("a.h5", b"");
    assert!(load(&path, None).unwrap_err().to_string().contains("an empty file"));
    assert!(matches!(Format::of(Path::new("no such file")), Err(Error::File { .. })));
    assert!(matches!(Format::of(path.parent().unwrap()), Err(Error::File { .. })));
}

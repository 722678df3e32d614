//! State dicts in all forms.

use std::path::Path;

use alexnet_formats::{Error, ForeignFile, torch};
use half::{bf16, f16};
use ndarray::{ArrayD, Dimension, IxDyn};
use proptest::prelude::*;
use zip::CompressionMethod;

use crate::support::{Pickle, archive, bytes, file, legacy, zip};

const ROW: [f32; 3] = [1.0, -2.5, 3.25];

fn read(content: &[u8]) -> ForeignFile {
    let (_folder, path) = file("a.pt", content);
    torch::read(&path).unwrap()
}

/// The message of a file that is not read.
#[track_caller]
fn refusal(content: &[u8]) -> String {
    let (_folder, path) = file("a.pt", content);
    let error = torch::read(&path).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
    error.to_string()
}

fn names(file: &ForeignFile) -> Vec<&str> {
    file.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
}

fn only_row(file: &ForeignFile) -> Vec<f32> {
    assert_eq!(names(file), ["a"]);
    file.tensors[0].values.iter().copied().collect()
}

/// `{"a": tensor}`.
fn one() -> Pickle {
    Pickle::new().raw(b"}").text("a").row("Float", "0", 3).raw(b"s")
}

#[test]
fn both_forms_any_folder_stored_or_deflated() {
    let pickle = one().end();
    let row = bytes(&ROW);
    assert_eq!(only_row(&read(&archive(&pickle, &[("0", &row)]))), ROW);
    assert_eq!(only_row(&read(&legacy(&pickle, &[("0", 3, &row)]))), ROW);
    for folder in ["archive/", "", "größer/"] {
        let names = [format!("{folder}data.pkl"), format!("{folder}data/0")];
        let records: [(&str, &[u8]); 2] = [(&names[0], &pickle), (&names[1], &row)];
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            assert_eq!(only_row(&read(&zip(&records, method))), ROW);
        }
    }
}

#[test]
fn both_orders_of_bytes() {
    let pickle = one().end();
    let swapped: Vec<u8> = ROW.iter().flat_map(|value| value.to_be_bytes()).collect();
    let records: [(&str, &[u8]); 3] = [("a/data.pkl", &pickle), ("a/byteorder", b"big"), ("a/data/0", &swapped)];
    assert_eq!(only_row(&read(&zip(&records, CompressionMethod::Stored))), ROW);
    let mut old = legacy(&pickle, &[("0", 3, &swapped)]);
    let at = old.windows(2).position(|pair| pair == b"\x88s").unwrap();
    old[at] = b'\x89';
    assert_eq!(only_row(&read(&old)), ROW);
    let odd: [(&str, &[u8]); 3] = [("a/data.pkl", &pickle), ("a/byteorder", b"middle"), ("a/data/0", &swapped)];
    assert!(refusal(&zip(&odd, CompressionMethod::Stored)).contains("neither little nor big"));
}

#[test]
fn every_type_of_floating_point_numbers() {
    let of = |class: &str, size: usize, data: Vec<u8>| {
        let len = (data.len() / size) as i32;
        let pickle = Pickle::new().raw(b"}").text("a").row(class, "0", len).raw(b"s").end();
        let file = read(&archive(&pickle, &[("0", &data)]));
        (only_row(&file), file.notes)
    };
    let half = ROW.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
    assert_eq!(of("Half", 2, half), (ROW.to_vec(), vec!["its numbers are f16 and become f32".to_string()]));
    let brain = ROW.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
    assert_eq!(of("BFloat16", 2, brain), (ROW.to_vec(), vec!["its numbers are bf16 and become f32".to_string()]));
    let double = [0.1f64, f64::INFINITY].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(of("Double", 8, double).0, [0.1, f32::INFINITY]);
    assert_eq!(of("Float", 4, bytes(&ROW)), (ROW.to_vec(), vec![]));
}

#[test]
fn whole_numbers_are_left_out_and_other_types_refused() {
    let with = |name: &str, class: &str, size: usize| {
        let pickle = one().text(name).row(class, "1", 1).raw(b"s").end();
        archive(&pickle, &[("0", &bytes(&ROW)), ("1", &vec![1; size])])
    };
    let counted = read(&with("bn1.num_batches_tracked", "Long", 8));
    assert_eq!((names(&counted), counted.notes.len()), (vec!["a"], 0));
    let indexed = read(&with("index", "Int", 4));
    assert_eq!((names(&indexed), indexed.notes.len()), (vec!["a"], 1));
    assert!(refusal(&with("z", "ComplexFloat", 8)).contains("z is of complex64 numbers"));
    assert!(refusal(&with("z", "QInt8", 1)).contains("z is of qint8 numbers"));
    assert!(refusal(&with("z", "Strange", 1)).contains("torch.StrangeStorage"));
}

#[test]
fn tensors_share_storages_with_offsets_and_strides() {
    let storage = ("Float", "0", 6);
    let pickle = Pickle::new()
        .raw(b"}(")
        .text("matrix")
        .tensor(storage, 0, &[2, 3], &[3, 1])
        .text("transposed")
        .tensor(storage, 0, &[3, 2], &[1, 3])
        .text("column")
        .tensor(storage, 1, &[2], &[3])
        .text("repeated")
        .tensor(storage, 5, &[2, 2], &[0, 0])
        .text("number")
        .tensor(storage, 4, &[], &[])
        .text("none")
        .tensor(storage, 6, &[0, 3], &[3, 1])
        .text("odd stride")
        .tensor(storage, 2, &[1, 2], &[i32::MAX, 2])
        .raw(b"u")
        .end();
    let file = read(&archive(&pickle, &[("0", &bytes(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))]));
    let of = |name: &str| &file.tensors.iter().find(|tensor| tensor.name == name).unwrap().values;
    let expected = |shape: &[usize], values: &[f32]| ArrayD::from_shape_vec(IxDyn(shape), values.to_vec()).unwrap();
    assert_eq!(of("matrix"), &expected(&[2, 3], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    assert_eq!(of("transposed"), &expected(&[3, 2], &[0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
    assert_eq!(of("column"), &expected(&[2], &[1.0, 4.0]));
    assert_eq!(of("repeated"), &expected(&[2, 2], &[5.0; 4]));
    assert_eq!(of("number"), &expected(&[], &[4.0]));
    assert_eq!(of("none"), &expected(&[0, 3], &[]));
    assert_eq!(of("odd stride"), &expected(&[1, 2], &[2.0, 4.0]));
}

proptest! {
    /// Against the formula: the value at an index is that at the offset plus the index times the strides.
    #[test]
    fn any_strides(axes in proptest::collection::vec((0i32..4, 0i32..5), 0..4), offset in 0i32..4) {
        let (shape, strides): (Vec<i32>, Vec<i32>) = axes.into_iter().unzip();
        let numbers: Vec<f32> = (0..64).map(|n| n as f32).collect();
        let pickle = Pickle::new().raw(b"}").text("a").tensor(("Float", "0", 64), offset, &shape, &strides).raw(b"s");
        let file = read(&archive(&pickle.end(), &[("0", &bytes(&numbers))]));
        let lengths: Vec<usize> = shape.iter().map(|&axis| axis as usize).collect();
        prop_assert_eq!(file.tensors[0].values.shape(), &lengths);
        for (index, value) in file.tensors[0].values.indexed_iter() {
            let place: usize = index.slice().iter().zip(&strides).map(|(i, s)| i * *s as usize).sum();
            prop_assert_eq!(*value, (place + offset as usize) as f32);
        }
    }
}

#[test]
fn parameters_in_other_dictionaries() {
    let row = bytes(&ROW);
    let wrapped = |key: &str| Pickle::new().raw(b"}(").text("epoch").number(3).text(key).raw(b"}");
    let inner = |pickle: Pickle| pickle.text("a").row("Float", "0", 3).raw(b"s");
    for key in ["state_dict", "model_state_dict", "model", "net", "unheard of"] {
        let file = read(&archive(&inner(wrapped(key)).raw(b"u").end(), &[("0", &row)]));
        assert_eq!(only_row(&file), ROW);
        assert_eq!(file.notes, [format!("the parameters are those in its {key:?}")]);
    }
    // PyTorch's example of ImageNet saves a tensor beside the parameters, timm a moving average.
    let beside = inner(wrapped("state_dict")).text("best_acc1").row("Float", "0", 3).text("state_dict_ema").raw(b"}");
    let file = read(&archive(&inner(beside).raw(b"u").end(), &[("0", &row)]));
    assert_eq!(only_row(&file), ROW);
    assert!(file.notes.contains(&"its state_dict_ema is not read".to_string()), "{:?}", file.notes);
    // {"model": {"state_dict": {..}}}
    let twice = Pickle::new().raw(b"}").text("model").raw(b"}").text("state_dict").raw(b"}");
    assert_eq!(only_row(&read(&archive(&inner(twice).raw(b"ss").end(), &[("0", &row)]))), ROW);
    let two = Pickle::new().raw(b"}(").text("first").raw(b"}");
    let two = inner(inner(two).text("second").raw(b"}")).raw(b"u").end();
    assert!(refusal(&archive(&two, &[("0", &row)])).contains("first, second; save one of them alone"));
}

#[test]
fn ordered_dictionaries_parameters_and_unknown_objects() {
    let row = bytes(&ROW);
    let rebuilt = |module: &str, name: &str| {
        let opened = Pickle::new().global("collections", "OrderedDict").raw(b")R").text("a").global(module, name);
        opened.raw(b"(").row("Float", "0", 3).raw(b"\x88}tRs").end()
    };
    for (module, name) in [("torch._utils", "_rebuild_parameter"), ("torch.nn.parameter", "Parameter")] {
        assert_eq!(only_row(&read(&archive(&rebuilt(module, name), &[("0", &row)]))), ROW);
    }
    // Before 0.4 there was `_rebuild_tensor(storage, offset, size, stride)`, and names of bytes from Python 2.
    let oldest = Pickle::new().raw(b"}U\x01a").global("torch._utils", "_rebuild_tensor").raw(b"(");
    let oldest = oldest.raw(b"(U\x07storage").global("torch", "FloatStorage").raw(b"U\x010U\x03cpu");
    let oldest = oldest.number(3).raw(b"NtQ").number(0).numbers(&[3]).numbers(&[1]).raw(b"tRs").end();
    assert_eq!(only_row(&read(&legacy(&oldest, &[("0", 3, &row)]))), ROW);
    // A dictionary of pairs, as Python 2 wrote it, and attributes of it.
    let pairs = Pickle::new().global("collections", "OrderedDict").raw(b"(](](").text("a").row("Float", "0", 3);
    let pairs = pairs.raw(b"eetR}").text("_metadata").raw(b"}sb").end();
    assert_eq!(only_row(&read(&archive(&pairs, &[("0", &row)]))), ROW);
    // `_rebuild_from_type_v2(_rebuild_tensor_v2, Tensor, (..), {})`.
    let typed = Pickle::new().raw(b"}").text("a").global("torch._tensor", "_rebuild_from_type_v2").raw(b"(");
    let typed = typed.global("torch._utils", "_rebuild_tensor_v2").global("torch", "Tensor").raw(b"(");
    let typed = typed.storage("Float", "0", 3).number(0).numbers(&[3]).numbers(&[1]).raw(b"\x89}t}tRs").end();
    assert_eq!(only_row(&read(&archive(&typed, &[("0", &row)]))), ROW);
    // `_rebuild_tensor_v3` names the type of the numbers.
    let third = Pickle::new().raw(b"}").text("a").global("torch._utils", "_rebuild_tensor_v3").raw(b"(");
    let third = third.storage("Untyped", "0", 12).number(0).numbers(&[3]).numbers(&[1]);
    let third = third.raw(b"\x89}").global("torch", "float32").raw(b"}tRs").end();
    assert_eq!(only_row(&read(&archive(&third, &[("0", &row)]))), ROW);
    // Settings beside the parameters: a class with a state, a numpy scalar, a set of protocol 4. None of it is looked at.
    let settings = one().text("args").global("argparse", "Namespace").raw(b")\x81}").text("lr").raw(b"G");
    let settings =
        settings.raw(&0.1f64.to_be_bytes()).raw(b"sbs").text("best").global("numpy.core.multiarray", "scalar");
    let settings = settings.raw(b"(NC\x08").raw(&[1; 8]).raw(b"tRs").text("seen").raw(b"\x8f(").number(1).raw(b"\x90s");
    let file = read(&archive(&settings.end(), &[("0", &row)]));
    assert_eq!(only_row(&file), ROW);
    assert!(file.notes[0].contains("args, best, seen"), "{:?}", file.notes);
}

#[test]
fn newer_protocols() {
    let mut pickle =
        b"\x80\x04\x95\xff\0\0\0\0\0\0\0}\x94\x8c\x01a\x94\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2".to_vec();
    pickle.extend(b"\x94\x93\x94(");
    pickle.extend(Pickle(Vec::new()).storage("Float", "0", 3).number(0).numbers(&[3]).numbers(&[1]).0);
    pickle.extend(b"\x89}tR\x94s.");
    assert_eq!(only_row(&read(&archive(&pickle, &[("0", &bytes(&ROW))]))), ROW);
    pickle[1] = 6;
    assert!(refusal(&archive(&pickle, &[])).contains("a pickle of version 6"));
}

#[test]
fn whole_modules_and_scripts_are_refused_with_the_remedy() {
    let module = Pickle::new().global("torchvision.models.alexnet", "AlexNet").raw(b")\x81}b").end();
    let message = refusal(&archive(&module, &[]));
    assert!(message.contains("a whole pickled object of torchvision.models.alexnet.AlexNet"), "{message}");
    assert!(message.contains("torch.save(torch.load(FILE, weights_only=False).state_dict()"), "{message}");
    let inside = Pickle::new().raw(b"}").text("model").global("models.yolo", "Model").raw(b")\x81s").end();
    assert!(
        refusal(&archive(&inside, &[])).contains("in its \"model\" holds a whole pickled object of models.yolo.Model")
    );
    let script: [(&str, &[u8]); 2] = [("a/data.pkl", &module), ("a/constants.pkl", b"\x80\x02).")];
    assert!(refusal(&zip(&script, CompressionMethod::Stored)).contains("torch.jit.load(FILE)"));
}

/// Functions that would do harm are values like any other.
#[test]
fn nothing_is_called() {
    let (_folder, mark) = file("a.pt", b"");
    std::fs::remove_file(&mark).unwrap();
    let command = format!("touch {}", mark.display());
    let calls =
        [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch", "load"), ("subprocess", "call")];
    for (module, name) in calls {
        let root = Pickle::new().global(module, name).raw(b"(").text(&command).raw(b"tR").end();
        let message = refusal(&archive(&root, &[]));
        assert!(message.contains(&format!("a whole pickled object of {module}.{name}")), "{message}");
        let beside = one().text("x").global(module, name).raw(b"(").text(&command).raw(b"tRs").end();
        assert_eq!(only_row(&read(&archive(&beside, &[("0", &bytes(&ROW))]))), ROW);
    }
    assert!(!Path::new(&mark).exists());
}

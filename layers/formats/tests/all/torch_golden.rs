//! Files that PyTorch itself wrote (`../golden/torch/make.py`).

use std::path::{Path, PathBuf};

use alexnet_formats::layers::weights::AxisOrder;
use alexnet_formats::{Format, load, read};

use crate::support::{SMALL, bits, model};

/// The files that hold the same network.
const STATES: [&str; 13] = [
    "state.pt",
    "protocol_4.pt",
    "legacy.pt",
    "half.pt",
    "bfloat16.pt",
    "double_legacy.pt",
    "parameters.pt",
    "data_parallel.pt",
    "torchvision_checkpoint.pth",
    "lightning.ckpt",
    "views.pt",
    "channels_last.pt",
    "no_checksums.pt",
];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/torch").join(name)
}

/// The values of `make.py`: they count over all tensors in PyTorch's axes.
#[test]
fn every_form_holds_the_same_network() {
    let model = model(SMALL);
    let first = load(&golden(STATES[0]), Some(&model)).unwrap().weights;
    let mut count = 0u16;
    for spec in model.parameters().unwrap() {
        let theirs = AxisOrder::PyTorch.from_own(&spec, first.tensor(&spec.name).unwrap().view()).unwrap();
        for value in &theirs {
            assert_eq!(*value, f32::from(count % 200 + 1) / 8.0, "{}", spec.name);
            count += 1;
        }
    }
    for name in STATES {
        assert_eq!(Format::of(&golden(name)).unwrap(), Format::Torch);
        let loaded = load(&golden(name), Some(&model)).unwrap();
        assert_eq!(bits(&loaded.weights), bits(&first), "{name}");
        assert!(loaded.report.left_over.is_empty(), "{name}: {:?}", loaded.report.left_over);
    }
}

#[test]
fn notes_say_what_was_done() {
    let notes = |name: &str| read(&golden(name)).unwrap().unwrap().notes.join("; ");
    assert_eq!(notes("state.pt"), "");
    assert_eq!(notes("half.pt"), "its numbers are f16 and become f32");
    assert_eq!(notes("double_legacy.pt"), "its numbers are f64 and become f32");
    let checkpoint = notes("torchvision_checkpoint.pth");
    assert_eq!(checkpoint, "the parameters are those in its \"model\"; its model_ema is not read");
    assert_eq!(notes("lightning.ckpt"), "the parameters are those in its \"state_dict\"");
}

#[test]
fn whole_modules_are_refused_with_the_remedy() {
    let message = read(&golden("whole_module.pt")).unwrap_err().to_string();
    assert!(message.contains("a whole pickled object of torch.nn.modules.container.Sequential"), "{message}");
    let message = read(&golden("numpy.pt")).unwrap_err().to_string();
    assert!(message.contains("holds arrays of numpy") && message.contains("torch.from_numpy"), "{message}");
    let message = read(&golden("script.pt")).unwrap_err().to_string();
    assert!(message.contains("torch.jit.load(FILE)"), "{message}");
}

//! The experiments that are built in.

/// Declares the experiments: each is the file of its name in `experiments/`.
macro_rules! experiments {
    ($($name:literal),* $(,)?) => {
        const EXPERIMENTS: &[(&str, &str)] =
            &[$(($name, include_str!(concat!("../../experiments/", $name, ".toml")))),*];
    };
}

experiments![
    "fig1",
    "cifar-lrn",
    "tiny-imagenet",
    "ablations",
    "imagenette",
    "paper",
    "source-145",
    "half",
    "no-lrn",
    "pool-2",
    "no-colour",
    "no-cross-talk",
    "remove-conv3",
    "remove-conv4",
    "remove-conv5",
    "five-averaged",
    "conv6-pretrained",
    "tanh",
    "ilsvrc-2010",
];

/// The names and texts of the experiments that are built in.
pub fn embedded() -> &'static [(&'static str, &'static str)] {
    EXPERIMENTS
}

//! Comparison of two networks.

use layers::Model;

/// First difference between two networks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The layer, for a message.
    pub place: String,
    /// The line of the first network.
    pub first: String,
    /// The line of the second network.
    pub second: String,
}

impl Difference {
    /// The first line in which the texts of two networks differ.
    pub fn of(first: &str, second: &str) -> Self {
        let shown = |line: Option<&str>| line.unwrap_or("nothing").to_string();
        let mut first_lines = first.lines();
        let mut place = String::new();
        for line in second.lines() {
            let other = first_lines.next();
            if other != Some(line) {
                return Self { place, first: shown(other), second: line.to_string() };
            }
            place = match line.strip_prefix("name = ") {
                Some(name) => format!("{name}: "),
                None if line == "[input]" => "input: ".to_string(),
                None if line == "[[layer]]" => String::new(),
                None => place,
            };
        }
        Self { place, first: shown(first_lines.next()), second: "nothing".to_string() }
    }

    /// The first difference between the outputs of a trained network `own` and of `requested`, if any. Names and
    /// training settings have no effect on them, and the number of classes and the image size are those of the pack.
    pub fn between(own: &Model, requested: &Model) -> Option<Self> {
        let mut fitted = requested.clone();
        fitted.input.size = own.input.size;
        // If it cannot have this number of classes, that is the difference.
        let _ = fitted.set_classes(own.classes);
        let texts = [own, &fitted].map(|model| {
            let bare =
                Model { name: own.name.clone(), about: String::new(), train: toml::Table::new(), ..model.clone() };
            let text = bare.to_toml();
            let counts = |line: &&str| !OF_TRAINING.contains(&key(line));
            text.lines().filter(counts).fold(String::new(), |text, line| text + line + "\n")
        });
        (texts[0] != texts[1]).then(|| Self::of(&texts[0], &texts[1]))
    }
}

/// Keys that a run's settings change: learning rates of layers, and frozen ones.
const OF_TRAINING: [&str; 4] = ["weight_rate", "bias_rate", "rate", "frozen"];

/// The key of a line of TOML.
fn key(line: &str) -> &str {
    line.split(" = ").next().unwrap_or("")
}

/// Keys without an effect on the output for given weights: initialisation, training, names, and sizes given by a pack.
const NOT_OF_OUTPUT: [&str; 19] = [
    "name",
    "about",
    "classes",
    "units",
    "size",
    "export",
    "init",
    "bias",
    "weight_rate",
    "bias_rate",
    "weight_decay",
    "bias_decay",
    "momentum",
    "rate",
    "frozen",
    "decay",
    "p",
    "train",
    "crop",
];

/// The differences between the outputs of `own` and `model` with the same weights, as `layer: SETTINGS there, SETTINGS
/// here`.
pub(crate) fn output_differences(own: &Model, model: &Model) -> Vec<String> {
    let there = parts(own);
    let here = parts(model);
    if there.len() != here.len() {
        return vec![format!("{} layers there, {} here", there.len() - 1, here.len() - 1)];
    }
    let mut found = Vec::new();
    for (own, part) in there.iter().zip(&here) {
        let only = |of: &Part, other: &Part| -> Vec<String> {
            of.lines.iter().filter(|line| !other.lines.contains(line)).cloned().collect()
        };
        let [theirs, ours] = [only(own, part), only(part, own)].map(|lines| lines.join(", "));
        let or_none = |lines: String| if lines.is_empty() { "nothing".to_string() } else { lines };
        if theirs != ours {
            found.push(format!("{}: {} there, {} here", part.name, or_none(theirs), or_none(ours)));
        }
    }
    found
}

/// The settings of the input or of a layer.
struct Part {
    name: String,
    /// The lines of its TOML with an effect on the output.
    lines: Vec<String>,
}

/// The input and all layers, without dropout, which has an effect in training only.
fn parts(model: &Model) -> Vec<Part> {
    let bare = Model { about: String::new(), train: toml::Table::new(), ..model.clone() };
    let text = bare.to_toml();
    let names = std::iter::once("input").chain(model.layers.iter().map(|layer| layer.name.as_str()));
    let is_lrn = |part: &str| part.contains("\nkind = \"lrn\"");
    let counts = |part: &str, line: &str| {
        let key = key(line);
        line.contains(" = ") && (!NOT_OF_OUTPUT.contains(&key) || (key == "size" && is_lrn(part)))
    };
    let all = names.zip(text.split("\n[[layer]]\n")).filter(|(_, part)| !part.contains("\nscale = \"in-training\""));
    all.map(|(name, part)| {
        let lines = part.lines().filter(|line| counts(part, line)).map(str::to_string).collect();
        Part { name: name.to_string(), lines }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_given_with_its_layer() {
        let of = Difference::of;
        let expected = |place: &str, first: &str, second: &str| Difference {
            place: place.into(),
            first: first.into(),
            second: second.into(),
        };
        assert_eq!(of("name = \"a\"\nx = 1", "name = \"a\"\nx = 2"), expected("\"a\": ", "x = 1", "x = 2"));
        assert_eq!(of("[input]\nx = 1", "[input]"), expected("input: ", "x = 1", "nothing"));
        assert_eq!(of("", "x = 1"), expected("", "nothing", "x = 1"));
        assert_eq!(
            of("[input]\n[[layer]]\nname = 1", "[input]\n[[layer]]\nname = 2"),
            expected("", "name = 1", "name = 2")
        );
    }

    #[test]
    fn names_training_classes_and_image_size_are_no_difference() {
        let own = Model::preset("cifar-18pct").unwrap();
        let mut asked = own.clone();
        asked.name = "mine".into();
        asked.about = "Another text.".into();
        asked.train = toml::Table::new();
        asked.input.size += 8;
        asked.set_classes(3).unwrap();
        asked.freeze_layer("conv1").unwrap();
        asked.multiply_rate("conv2", 0.5).unwrap();
        assert_eq!(Difference::between(&own, &asked), None);
        asked.input.scale = own.input.scale * 2.0;
        let found = Difference::between(&own, &asked).unwrap();
        assert!(found.place == "input: " && found.first.starts_with("scale = "), "{found:?}");
        assert!(Difference::between(&own, &Model::preset("cifar-relu").unwrap()).is_some());
    }

    #[test]
    fn output_differences_are_listed_by_layer() {
        let own = Model::preset("paper").unwrap();
        let mut model = own.clone();
        model.name = "mine".into();
        model.input.size = 300;
        model.set_classes(7).unwrap();
        model.set_dropout(0.1).unwrap();
        assert_eq!(output_differences(&own, &model), Vec::<String>::new());
        model.input.scale = 0.5;
        model.input.mean = layers::model::Mean::None;
        let relu = model.layers.iter_mut().find(|layer| layer.name == "relu1").unwrap();
        relu.kind = layers::model::LayerKind::Activation(tensor::ops::Activation::Tanh);
        let found = output_differences(&own, &model);
        assert_eq!(
            found,
            [
                "input: scale = 1.0, mean = \"pack-image\" there, scale = 0.5, mean = \"none\" here",
                "relu1: kind = \"relu\" there, kind = \"tanh\" here"
            ]
        );
        model.layers.truncate(3);
        assert_eq!(output_differences(&own, &model).len(), 1);
    }
}

//! Whether two networks are the same, and where they are not.

use layers::Model;

/// Where two networks differ first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The layer, for a message.
    pub place: String,
    /// What the first says there.
    pub first: String,
    /// What the second says there.
    pub second: String,
}

impl Difference {
    /// The first line in which two networks' texts differ.
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

    /// Where the network `asked` would compute otherwise than `own`, if it would. Names and training are nothing to a network
    /// that is trained, and it took classes and the images' size from its pack.
    pub fn between(own: &Model, asked: &Model) -> Option<Self> {
        let mut fitted = asked.clone();
        fitted.input.size = own.input.size;
        // One that cannot have so many classes differs by them.
        let _ = fitted.set_classes(own.classes);
        let texts = [own, &fitted].map(|model| {
            let bare =
                Model { name: own.name.clone(), about: String::new(), train: toml::Table::new(), ..model.clone() };
            bare.to_toml()
        });
        (texts[0] != texts[1]).then(|| Self::of(&texts[0], &texts[1]))
    }
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
    fn names_training_classes_and_size_of_images_make_no_other_network() {
        let own = Model::preset("cifar-18pct").unwrap();
        let mut asked = own.clone();
        asked.name = "mine".into();
        asked.about = "Another text.".into();
        asked.train = toml::Table::new();
        asked.input.size += 8;
        asked.set_classes(3).unwrap();
        assert_eq!(Difference::between(&own, &asked), None);
        asked.input.scale = own.input.scale * 2.0;
        let found = Difference::between(&own, &asked).unwrap();
        assert!(found.place == "input: " && found.first.starts_with("scale = "), "{found:?}");
        assert!(Difference::between(&own, &Model::preset("cifar-relu").unwrap()).is_some());
    }
}

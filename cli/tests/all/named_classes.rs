//! Names of classes that are given by a file, and weights that were trained on classes by other names.

use std::fs;

use crate::support::World;

#[test]
fn a_file_of_class_names_is_used_or_refused_by_its_name() {
    let world = World::new();
    let rows: String = ["blue", "red"]
        .iter()
        .flat_map(|c| (0..6).map(move |i| format!("{c}/{i}.png,{}\n", usize::from(*c == "red"))))
        .collect();
    fs::write(world.path("l.csv"), format!("file,label\n{rows}")).unwrap();
    fs::write(world.path("names.txt"), "name\nBlue\nRed\n").unwrap();
    let pack = ["pack", "train", "p", "--size", "10", "--labels", "l.csv", "--class-names", "names.txt"];
    let message = world.fails(1, &pack);
    assert!(
        message.contains("error: names.txt: the line \"name\" names a column or a list, no class: remove it"),
        "{message}"
    );
    fs::write(world.path("names.txt"), "\u{feff}Red 1\r\n\nBlue 0\r\n").unwrap();
    world.ok(&pack);
    let info = world.ok(&["info", "p"]);
    assert!(info.contains("Blue") && info.contains("Red") && !info.contains("Red 1"), "{info}");
}

#[test]
fn weights_of_classes_by_other_names_are_noted() {
    let world = World::trained();
    fs::rename(world.path("train/red"), world.path("train/green")).unwrap();
    world.ok(&["pack", "train", "other.pack", "--size", "10"]);
    let said = |data: &str| {
        let out = format!("run-{data}");
        let train =
            ["train", "--data", data, "--model", "tiny.toml", "--weights", "run", "--epochs", "1", "--out", &out];
        let output = world.run(&train);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let note = "was trained on other classes, or in another order: its class 1 is \"red\", the pack's \"green\"; to \
                initialise the last layer, name it in model.reinit";
    let text = said("other.pack");
    assert!(text.contains(note), "{text}");
    assert!(!said("train.pack").contains("other classes"));
}

//! Errors of network files.

use alexnet_layers::{Error, LayerKind, Model};
use proptest::prelude::*;

/// A file whose one convolution has these settings.
fn file(layer: &str) -> String {
    format!(
        "classes = 2\n[input]\ncrop = 8\n[[layer]]\n{layer}\n[[layer]]\nname = \"fc\"\nkind = \"linear\"\nunits = \"classes\"\n"
    )
}

#[test]
fn refusals_name_file_layer_and_what_was_meant() {
    let conv = "name = \"c1\"\nkind = \"conv\"\nfilters = 4\nkernel = 3\n";
    let cases: &[(String, &[&str])] = &[
        (file("name = \"c1\"\nkind = \"convv\""), &["f.toml", "\"c1\"", "\"convv\"", "did you mean \"conv\""]),
        (file(&format!("{conv}pading = 1")), &["f.toml", "\"c1\"", "\"pading\"", "did you mean \"padding\""]),
        (file("name = \"c1\"\nkind = \"max\""), &["\"c1\"", "did you mean \"max-pool\""]),
        (file("name = \"c1\"\nkind = \"conv\"\nfiltres = 4"), &["\"filtres\"", "did you mean \"filters\""]),
        (file("name = \"c1\"\nkind = \"conv\"\nfilters = 4"), &["\"c1\"", "\"kernel\" is missing"]),
        (file(&format!("{conv}stride = 0")), &["\"c1\"", "\"stride\"", "from 1 to", "got 0"]),
        (file(&format!("{conv}groups = 2")), &["\"c1\"", "groups", "got 2"]),
        (file(&format!("{conv}init = {{ kind = \"norml\" }}")), &["\"c1\"", "init", "did you mean \"normal\""]),
        (file(&format!("{conv}init = {{ kind = \"normal\", std = -1 }}")), &["\"std\"", "at least 0", "got -1"]),
        (file(&format!("{conv}bias = nan")), &["\"bias\"", "got nan"]),
        (file(&format!("{conv}weight_decay = -0.1")), &["\"weight_decay\"", "at least 0"]),
        (file("name = \"c1\"\nkind = \"conv\"\nfilters = 4\nkernel = 9"), &["\"c1\"", "kernel of 9", "input of 8"]),
        (file("name = \"c1\"\nkind = \"dropout\"\np = 1.0"), &["\"c1\"", "\"p\"", "below 1", "got 1.0"]),
        (
            file("name = \"c1\"\nkind = \"max-pool\"\nkernel = 2\nedge = \"cell\""),
            &["\"edge\"", "did you mean \"ceil\""],
        ),
        (file("name = \"c1\"\nkind = \"max-pool\"\nkernel = 2\npadding = 2"), &["\"c1\"", "padding", "smaller"]),
        (file("name = \"c1\"\nkind = \"adaptive-average-pool\""), &["\"c1\"", "\"output\" is missing"]),
        (file("name = \"c1\"\nkind = \"adaptive-average-pool\"\noutput = 0"), &["\"output\"", "from 1 to", "got 0"]),
        (file("name = \"fc\"\nkind = \"relu\""), &["\"fc\"", "another layer has this name"]),
        (file(&format!("{conv}init = {{ kind = \"normal\" }}")), &["init: \"std\" is missing"]),
        (
            file(&format!("{conv}init = {{ kind = \"normal\", std = 1, low = 0 }}")),
            &["init: unknown key \"low\"", "std"],
        ),
        (file(&format!("{conv}init = {{}}")), &["\"init\" must be a table like", "got {}"]),
        (file(&format!("{conv}bias = {{ kind = \"uniform\", low = 2, high = 1 }}")), &["bias: \"low\"", "2 and 1"]),
        (
            file("name = \"c1\"\nkind = \"max-pool\"\nkernel = 2\ncount_padding = true"),
            &["unknown key \"count_padding\"", "name, kind, export, kernel, stride, padding, edge"],
        ),
        (file("name = \"a\\nb\"\nkind = \"relu\""), &["#1", "\"name\"", "got \"a\\nb\""]),
        (file("name = \"c1\"\nkind = \"softmax\""), &["\"c1\"", "last"]),
        (file("name = \"a.b\"\nkind = \"relu\""), &["#1", "\"name\""]),
        (file("name = \"c1\"\nkind = \"lrn\"\nk = 0"), &["\"c1\"", "\"k\"", "above 0"]),
        ("classes = 2\n[input]\ncrop = 8\nsize = 4".into(), &["[input]", "crop", "8 and 4"]),
        ("classes = 2".into(), &["f.toml", "\"input\" is missing"]),
        ("classes = 2\n[input]\ncrop = 8".into(), &["\"layer\" is missing"]),
        ("layer = []\n[input]\ncrop = 8".into(), &["no layers"]),
        ("a = [1,\n2\nb".into(), &["f.toml", "line 3", "not TOML"]),
        (file("name = \"c1\"\nkind = \"relu\"").replace("classes = 2", "classes = 0"), &["\"classes\"", "got 0"]),
        (file("name = \"c1\"\nkind = \"relu\"").replace("\"classes\"", "7"), &["\"fc\"", "2 values", "[7]"]),
        (
            format!("{}[train]\nchange = 3\n", file("name = \"c1\"\nkind = \"relu\"")),
            &["[train]", "\"change\" must be tables, each as [[train.change]]", "got 3"],
        ),
        (format!("{}[train.optin]\n", file("name = \"c1\"\nkind = \"relu\"")), &["[train]", "did you mean \"optim\""]),
    ];
    for (text, expected) in cases {
        let error = Model::parse(text, "f.toml").expect_err(text);
        assert!(matches!(error, Error::Model { .. }));
        let message = error.to_string();
        assert!(message.lines().count() == 1, "{message}");
        for part in *expected {
            assert!(message.contains(part), "{part:?} in {message:?}");
        }
    }
}

#[test]
fn absurd_sizes_are_refused() {
    let cases = [
        "name = \"c1\"\nkind = \"conv\"\nfilters = 1048576\nkernel = [1048576, 1048576]\npadding = [1048576, 1048576, 1048576, 1048576]",
        "name = \"c1\"\nkind = \"local\"\nfilters = 1048576\nkernel = 1\npadding = 1048576",
        "name = \"c1\"\nkind = \"conv\"\nfilters = 18446744073709551615\nkernel = 1",
        "name = \"c1\"\nkind = \"conv\"\nfilters = 9223372036854775807\nkernel = 1",
        "name = \"c1\"\nkind = \"conv\"\nfilters = -1\nkernel = 1",
        "name = \"c1\"\nkind = \"linear\"\nunits = 1048577",
    ];
    for layer in cases {
        let message = Model::parse(&file(layer), "f.toml").expect_err(layer).to_string();
        assert!(message.contains("f.toml"), "{message}");
    }
}

/// Runs make folders of a network's name: it is no path, and gives a terminal no orders.
#[test]
fn a_networks_name_is_no_path() {
    let named = |name: &str| {
        let text = Model::preset_text("linear").unwrap().replace("name = \"linear\"", &format!("name = {name}"));
        Model::parse(&text, "net.toml").map(|model| model.name).map_err(|error| error.to_string())
    };
    let long = format!("\"{}\"", "x".repeat(61));
    for name in [
        "\"../../up\"",
        "\"/etc\"",
        "\"a/b\"",
        "'a\\b'",
        "\"..\"",
        "\".hidden\"",
        "\"\"",
        "\" x\"",
        "\"-x\"",
        "\"a\\u001b[2J\"",
        "\"a\\nb\"",
        "\"a\\u202eb\"",
        long.as_str(),
    ] {
        let error = named(name).unwrap_err();
        assert!(error.starts_with("net.toml: \"name\" must be a text of 1 to 60 letters"), "{name}: {error}");
        assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{error:?}");
    }
    for name in ["one-weird-trick", "net_2.b", "Réseau (5)", "_", &"x".repeat(60)] {
        assert_eq!(named(&format!("\"{name}\"")).unwrap(), name);
    }
    // Without a name it has its file's.
    let nameless = Model::preset_text("linear").unwrap().replace("name = \"linear\"", "");
    let name = |origin: &str| Model::parse(&nameless, origin).unwrap().name;
    assert_eq!(name("models/small.toml"), "small.toml");
    assert_eq!(name("../.\x1bsmall"), "small");
    assert_eq!(name("../.."), "network");
}

#[test]
fn names_and_paths() {
    let error = Model::load("papr").unwrap_err();
    assert!(matches!(&error, Error::UnknownModel { near, .. } if near[0] == "paper"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.toml");
    std::fs::write(&path, Model::preset_text("linear").unwrap()).unwrap();
    assert_eq!(Model::load(path.to_str().unwrap()).unwrap(), Model::preset("linear").unwrap());
    std::fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    let error = Model::load(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("small.toml") && error.contains("expected text in UTF-8"), "{error}");
    std::fs::File::options().write(true).open(&path).unwrap().set_len(5 << 20).unwrap();
    let error = Model::load(path.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("small.toml") && error.contains("at most 4 MiB"), "{error}");
    let error = Model::load(folder.path().to_str().unwrap()).unwrap_err().to_string();
    assert!(error.ends_with("expected a file, found a folder"), "{error}");
    let error = Model::load(folder.path().join("none.toml").to_str().unwrap()).unwrap_err();
    assert!(matches!(error, Error::File { .. }), "{error}");
}

/// Pieces of model files, to be put together at random.
fn garbage() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:?}").to_lowercase()),
        (0usize..40).prop_map(|n| n.to_string()),
        Just("1048576".to_string()),
        prop::collection::vec(0i64..2_000_000, 0..5).prop_map(|v| format!("{v:?}")),
        "[a-z-]{0,12}".prop_map(|s| format!("{s:?}")),
        prop::sample::select(vec!["\"same\"", "\"classes\"", "true", "false", "{ kind = \"normal\", std = 1 }"])
            .prop_map(str::to_owned),
    ];
    let keys = [
        "filters",
        "kernel",
        "stride",
        "padding",
        "groups",
        "units",
        "init",
        "bias",
        "size",
        "alpha",
        "beta",
        "k",
        "region",
        "edge",
        "p",
        "scale",
        "epsilon",
        "momentum",
        "export",
        "count_padding",
        "output",
        "weight_rate",
    ];
    let setting = (prop::sample::select(keys.to_vec()), value.clone()).prop_map(|(k, v)| format!("{k} = {v}\n"));
    let layer = (prop::sample::select(LayerKind::NAMES.to_vec()), prop::collection::btree_set(setting, 0..5), 0..99u32);
    let layer = layer.prop_map(|(kind, settings, n)| {
        let settings: String = settings.into_iter().collect();
        format!("[[layer]]\nname = \"l{n}\"\nkind = \"{kind}\"\n{settings}")
    });
    (1usize..2_000_000, value, prop::collection::vec(layer, 0..6))
        .prop_map(|(crop, classes, layers)| format!("classes = {classes}\n[input]\ncrop = {crop}\n{}", layers.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_a_network_or_an_error(text in ".{0,300}") {
        let _ = Model::parse(&text, "f.toml");
    }

    #[test]
    fn any_settings_are_a_network_or_an_error_in_one_line(text in garbage()) {
        match Model::parse(&text, "f.toml") {
            Ok(model) => prop_assert_eq!(Model::parse(&model.to_toml(), "f.toml").unwrap(), model),
            Err(error) => prop_assert!(error.to_string().starts_with("f.toml: "), "{}", error),
        }
    }

    /// A preset's text with one byte changed: parsed or refused, never a panic.
    #[test]
    fn a_preset_with_a_slip_is_a_network_or_an_error(name in prop::sample::select(Model::presets().to_vec()), at in any::<prop::sample::Index>(), byte in 32u8..127) {
        let mut text = Model::preset_text(name).unwrap().as_bytes().to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(model) = Model::parse(&String::from_utf8(text).unwrap(), "f.toml") {
            prop_assert!(model.shapes().is_ok());
        }
    }
}

//! Settings of a user have an effect, or are refused with the setting that they need.

use alexnet_train::config::keys::parse_setting;
use alexnet_train::config::{Config, UserSettings, parse_table};
use layers::Model;

fn line(settings: &[&str]) -> UserSettings {
    let line = settings.iter().map(|text| ("--set".to_string(), parse_setting(text).unwrap())).collect();
    UserSettings { file: None, command_line: line }
}

fn file(text: &str) -> UserSettings {
    UserSettings { file: Some(("my.toml".into(), parse_table("my.toml", text).unwrap())), command_line: Vec::new() }
}

/// The settings of a network and of a user combined, and the notes on them.
fn checked(network: &str, given: &UserSettings) -> Result<(Config, Vec<String>), String> {
    let model = Model::preset(network).unwrap();
    let name = parse_setting(&format!("model.name={network}")).unwrap();
    let mut overrides = vec![(network.to_string(), model.train.clone()), ("model".to_string(), name)];
    overrides.extend(given.overrides());
    given.check_length().map_err(|e| e.to_string())?;
    let config = Config::from_overrides(&overrides).map_err(|e| e.to_string())?;
    let notes = given.check_effects(&model.train, &config).map_err(|e| e.to_string())?;
    Ok((config, notes))
}

#[test]
fn augmentation_of_a_network_without_is_refused() {
    for setting in [
        "data.mixup=0.5",
        "data.cutmix=1.0",
        "data.random_erasing=0.5",
        "data.crop=resized",
        "data.mirror=true",
        "data.brightness=0.4",
        "data.colour=paper",
        "data.crop_scale=[0.5, 1.0]",
        "data.crop_group=128",
    ] {
        let (key, _) = setting.split_once('=').unwrap();
        let error = checked("linear", &line(&[setting])).unwrap_err();
        assert!(error.starts_with(&format!("{key}: ")), "{error}");
        let expected = "has no effect while data.augment = false, as the file of the network linear says; set \
                        data.augment=true";
        assert!(error.contains(expected), "{error}");
        if key != "data.crop_scale" {
            assert!(checked("linear", &line(&[setting, "data.augment=true"])).is_ok(), "{setting}");
            assert!(checked("paper", &line(&[setting])).is_ok(), "{setting}");
        }
    }
    let error = checked("paper", &line(&["data.augment=false", "data.mixup=0.5"])).unwrap_err();
    assert!(error.contains("data.mixup: 0.5 has no effect while data.augment = false; "), "{error}");
    // Settings at their neutral values, and those that do not augment images.
    for setting in
        ["data.mixup=0", "data.mirror=false", "data.crop=centre", "data.colour=none", "data.label_smoothing=0.1"]
    {
        assert!(checked("linear", &line(&[setting])).is_ok(), "{setting}");
    }
}

#[test]
fn settings_of_what_is_not_used_name_what_uses_them() {
    for (network, setting, what, other) in [
        ("paper", "optim.beta1=0.8", "optim.kind = \"sgd\"", "optim.kind=adam"),
        ("paper", "optim.epsilon_hat=true", "optim.kind = \"sgd\"", "optim.kind=adam"),
        ("keras", "optim.momentum=0.8", "optim.kind = \"adam\"", "optim.kind=sgd"),
        ("keras", "optim.nesterov=true", "optim.kind = \"adam\"", "optim.kind=sgd"),
        ("linear", "optim.drop_epochs=[3]", "optim.schedule = \"constant\"", "optim.schedule=steps"),
        ("linear", "optim.patience=3", "optim.schedule = \"constant\"", "optim.schedule=plateau"),
        ("linear", "optim.factor=0.5", "optim.schedule = \"constant\"", "optim.schedule=exponential"),
        ("paper", "optim.period=2.0", "optim.schedule = \"plateau\"", "optim.schedule=exponential"),
        ("paper", "data.crop_scale=[0.5, 1.0]", "data.crop = \"random\"", "data.crop=resized"),
        ("caffe", "data.colour_deviation=0.2", "data.colour = \"none\"", "data.colour=paper"),
        ("paper", "data.random_erasing_scale=[0.1, 0.2]", "data.random_erasing = 0.0", "data.random_erasing=0.5"),
        ("paper", "model.reinit=[\"fc8\"]", "model.weights is not given", "model.weights=w.h5"),
    ] {
        let error = checked(network, &line(&[setting])).unwrap_err();
        assert!(error.contains(&format!("has no effect while {what}")), "{error}");
        assert!(error.contains(other.split('=').next().unwrap()) || error.contains("model.weights=FILE"), "{error}");
        assert!(checked(network, &line(&[setting, other])).is_ok(), "{setting}, {other}");
    }
    for (settings, what, other) in [
        (&["optim.nesterov=true", "optim.momentum=0"][..], "optim.momentum = 0.0", "optim.momentum=0.5"),
        (&["optim.schedule=steps"], "optim.drop_epochs = []", "optim.drop_epochs=[3]"),
        (&["optim.schedule=polynomial", "run.steps=5"], "optim.decay_epochs = 0.0", "optim.decay_epochs=3"),
        (&["optim.schedule=one-cycle", "run.steps=5"], "optim.decay_epochs = 0.0", "optim.decay_epochs=3"),
        (&["optim.rise=0.5", "optim.decay_epochs=3"], "optim.schedule = \"constant\"", "optim.schedule=one-cycle"),
        (&["optim.power=2.0", "optim.decay_epochs=3"], "optim.schedule = \"constant\"", "optim.schedule=polynomial"),
        (&["optim.schedule=steps", "optim.drop_epochs=[5, 6]", "run.epochs=5"], "run.epochs = 5", "run.epochs=6"),
        (
            &["data.augment=true", "data.crop_group=9", "data.crop=centre", "data.mirror=false"],
            "\"centre\"",
            "data.mirror=true",
        ),
        (
            &["data.augment=true", "data.colour=paper", "data.colour_deviation=0"],
            "deviation = 0.0",
            "data.colour_deviation=1",
        ),
    ] {
        let error = checked("linear", &line(settings)).unwrap_err();
        assert!(error.contains("has no effect while ") && error.contains(what), "{error}");
        assert!(checked("linear", &line(&[settings, &[other]].concat())).is_ok(), "{settings:?}, {other}");
    }
    // A length that is not given is that of the run.
    let (whole, _) = checked("linear", &line(&["optim.schedule=cosine", "run.epochs=7"])).unwrap();
    assert_eq!(whole.optim.decay_epochs, 7.0);
    // The network's own drops may come after the end of a short run.
    assert!(checked("caffe", &line(&["run.epochs=1"])).is_ok());
    let windows = checked("paper", &line(&["data.shuffle=full", "data.window_bytes=5000"])).unwrap_err();
    assert!(windows.contains("set data.shuffle=window"), "{windows}");
    assert!(checked("paper", &line(&["data.window_bytes=5000"])).is_ok());
}

/// The command line decides; the `run.toml` of a run holds every setting.
#[test]
fn files_are_held_to_the_same_and_those_of_runs_are_read() {
    let mut given = file("[optim]\ndrop_epochs = [3]\n");
    let error = checked("linear", &given).unwrap_err();
    assert!(error.starts_with("my.toml: optim.drop_epochs: [3] has no effect while optim.schedule = "), "{error}");
    given.command_line = line(&["optim.schedule=constant"]).command_line;
    assert!(checked("linear", &given).is_ok());
    for network in Model::presets() {
        for more in [&[][..], &["data.augment=false", "optim.schedule=constant"], &["optim.kind=adam"]] {
            let (config, notes) = checked(network, &line(more)).unwrap();
            assert!(notes.is_empty(), "{notes:?}");
            let (again, notes) = checked(network, &file(&config.to_toml())).unwrap();
            assert_eq!((again, notes), (config, Vec::new()), "{network}, {more:?}");
        }
    }
    let mut edited = checked("linear", &line(&[])).unwrap().0;
    edited.data.mixup = 0.5;
    let (_, notes) = checked("linear", &file(&edited.to_toml())).unwrap();
    let expected = "my.toml: data.mixup: 0.5 has no effect while data.augment = false; ";
    assert!(notes.len() == 1 && notes[0].starts_with(expected), "{notes:?}");
}

/// Epochs or steps of a source replace both in sources of lower precedence, however they are given.
#[test]
fn epochs_and_steps_replace_each_other() {
    let length = |given: &UserSettings| {
        let (config, _) = checked("linear", given).unwrap();
        (config.run.epochs, config.run.steps)
    };
    assert_eq!(length(&line(&["run.epochs=4"])), (4, None));
    assert_eq!(length(&line(&["run.steps=7"])), (30, Some(7)));
    assert_eq!(
        length(&UserSettings { command_line: line(&["run.epochs=4"]).command_line, ..file("[run]\nsteps = 7") }),
        (4, None)
    );
    assert_eq!(
        length(&UserSettings { command_line: line(&["run.steps=7"]).command_line, ..file("[run]\nepochs = 4") }),
        (4, Some(7))
    );
    let of_steps = checked("linear", &line(&["run.steps=7"])).unwrap().0;
    assert_eq!(length(&file(&of_steps.to_toml())), (30, Some(7)));
    let overrides =
        [("run.toml".to_string(), of_steps.to_table()), ("--set".into(), parse_setting("run.epochs=4").unwrap())];
    assert_eq!(Config::from_overrides(&overrides).unwrap().run.steps, None);
    for (given, place) in
        [(line(&["run.epochs=3", "run.steps=2"]), ""), (file("[run]\nepochs = 3\nsteps = 2"), "my.toml: ")]
    {
        let error = checked("linear", &given).unwrap_err();
        assert!(error.starts_with(&format!("{place}run.epochs and run.steps: both are given")), "{error}");
    }
}

/// Neither a flag nor a `--set` of the same setting is ignored.
#[test]
fn a_flag_and_a_set_of_one_setting_are_refused() {
    let given = |settings: &[(&str, &str)]| {
        let line = settings.iter().map(|(flag, text)| (flag.to_string(), parse_setting(text).unwrap())).collect();
        UserSettings { file: None, command_line: line }.check_flags().map_err(|e| e.to_string())
    };
    for (flag, key) in [("--batch", "run.batch"), ("--data", "data.train"), ("--device", "run.device")] {
        let text = format!("{key}=5");
        let error = given(&[(flag, &text), ("--set", &text)]).unwrap_err();
        assert!(error.starts_with(&format!("{flag} and --set {key}: both are given")), "{error}");
        given(&[(flag, &text), ("--set", "optim.lr=1")]).unwrap();
    }
    given(&[("--set", "run.batch=5"), ("--set", "run.batch=6")]).unwrap();
}

#[test]
fn a_networks_settings_are_held_to_the_same() {
    for network in Model::presets() {
        UserSettings::default().check_network(network, &Model::preset(network).unwrap().train).unwrap();
    }
    for (text, expected) in [
        ("[run]\nepochs = 3\nsteps = 2", "net.toml: run.epochs and run.steps: both are given"),
        ("[optim]\nbeta1 = 0.5", "net.toml: optim.beta1: 0.5 has no effect while optim.kind = \"sgd\""),
        ("[optim]\nrat = 0.5", "net.toml: optim.rat: unknown setting; near ones: optim.lr"),
        ("[optim]\nlr = true", "net.toml: optim.lr: invalid type"),
        ("[run]\nbatch = 0", "net.toml: run.batch: must be at least 1"),
    ] {
        let train = parse_table("net.toml", text).unwrap();
        let error = UserSettings::default().check_network("net.toml", &train).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn values_that_are_none_are_said_as_they_are() {
    for (text, expected) in [
        ("optim.lr=0.1\nmomentum=0.5", "optim.lr: its value has further settings on more lines"),
        ("optim.lr=0.1\n[run]\nseed=5", "optim.lr: its value has further settings on more lines"),
        ("=1", "=1: the setting has no name"),
    ] {
        assert!(parse_setting(text).unwrap_err().to_string().starts_with(expected), "{text}");
    }
    for (text, expected) in [
        ("optim.lr=1e400", "optim.lr: 1e400 is too large a number"),
        (
            "run.keep_checkpoints=99999999999999999999",
            "run.keep_checkpoints: 99999999999999999999 is too large a number",
        ),
        ("optim.lr=fast", "optim.lr: invalid type: string \"fast\""),
        ("data.val=", "data.val: must be a file or folder, or left out"),
        ("model.weights=", "model.weights: must be a file or folder, or left out"),
        ("model.name=", "model.name: must be a preset's name or a file"),
    ] {
        let error = checked("linear", &line(&[text])).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    assert!(checked("linear", &line(&["optim.drop_epochs=[\n3,\n5]", "optim.schedule=steps"])).is_ok());
}

/// A setting under a former name is held to the same, and named by its current name.
#[test]
fn former_names_have_the_same_checks() {
    let given = line(&["data.erase_scale=[0.1, 0.2]"]);
    let error = checked("paper", &given).unwrap_err();
    assert!(
        error.starts_with("data.random_erasing_scale: [0.1, 0.2] has no effect while data.random_erasing = 0.0"),
        "{error}"
    );
    let error = checked("paper", &file("[model]\nfresh = ['fc8']")).unwrap_err();
    assert!(
        error.starts_with("my.toml: model.reinit: [\"fc8\"] has no effect while model.weights is not given"),
        "{error}"
    );
    let flag = ("--lr".to_string(), parse_setting("optim.lr=1").unwrap());
    let set = ("--set".to_string(), parse_setting("optim.rate=2").unwrap());
    let both = UserSettings { file: None, command_line: vec![flag, set] };
    assert!(both.check_flags().unwrap_err().to_string().starts_with("--lr and --set optim.lr: both are given"));
    let old = parse_table("net.toml", "[optim]\nschedule = 'plateau'\nrate = 0.5\ntimes = 2").unwrap();
    UserSettings::default().check_network("net.toml", &old).unwrap();
}

/// The advice of an error about a network's settings works: the command line gives the setting that decides.
#[test]
fn a_networks_settings_may_depend_on_the_command_line() {
    for (text, setting) in [
        ("[data]\nerase_scale = [0.1, 0.2]", "data.erase=0.5"),
        ("[optim]\nschedule = 'steps'\ndrop_epochs = [120]\n[run]\nepochs = 10", "run.epochs=200"),
        ("[optim]\nmax_drops = 2", "optim.schedule=plateau"),
        ("[run]\nepochs = 3\nsteps = 2", "run.epochs=1"),
    ] {
        let train = parse_table("net.toml", text).unwrap();
        UserSettings::default().check_network("net.toml", &train).unwrap_err();
        line(&[setting]).check_network("net.toml", &train).unwrap();
        UserSettings::check_values("net.toml", &train).unwrap();
    }
}

#[test]
fn a_change_after_the_last_epoch_is_refused() {
    let change = |epochs: u64, at: f64| format!("run.epochs = {epochs}\n[[change]]\nat_epoch = {at}\noptim.lr = 0.1");
    assert_eq!(checked("linear", &file(&change(6, 5.9))).unwrap().1, Vec::<String>::new());
    let error = checked("linear", &file(&change(5, 5.0))).unwrap_err();
    assert!(error.starts_with("my.toml: [[change]] at epoch 5: never begins"), "{error}");
    assert!(error.contains("run.epochs = 5; choose an earlier at_epoch"), "{error}");
    // A shorter run for a trial is no mistake, but is told.
    let mut trial = file(&change(6, 5.0));
    trial.command_line = line(&["run.epochs=2"]).command_line;
    let notes = checked("linear", &trial).unwrap().1;
    assert!(notes[0].contains("[[change]] at epoch 5: never begins") && notes.len() == 1, "{notes:?}");
    let notes = checked("run-145", &line(&["run.epochs=2"])).unwrap().1;
    assert!(notes[0].starts_with("run-145: [[change]] at epoch 67: never begins") && notes.len() == 1, "{notes:?}");
    assert_eq!(checked("run-145", &line(&["run.steps=2"])).unwrap().1, Vec::<String>::new());
    // A run.toml may have been shortened on the command line.
    let text = format!("{}\n{}", Config::default().to_toml(), "[[change]]\nat_epoch = 95\noptim.lr = 0.1");
    let notes = checked("linear", &file(&text)).unwrap().1;
    assert!(notes[0].starts_with("my.toml: [[change]] at epoch 95: never begins"), "{notes:?}");
}

#[test]
fn a_change_after_the_last_epoch_of_a_networks_file_is_refused() {
    let text = "[[change]]\nat_epoch = 5\noptim.lr = 0.1\n[run]\nepochs = 5";
    let train = parse_table("net.toml", text).unwrap();
    let error = UserSettings::default().check_network("net.toml", &train).unwrap_err().to_string();
    assert!(error.starts_with("net.toml: [[change]] at epoch 5: never begins"), "{error}");
    line(&["run.epochs=3"]).check_network("net.toml", &train).unwrap();
    line(&["run.steps=3"]).check_network("net.toml", &train).unwrap();
}

#[test]
fn a_quoted_key_says_to_leave_the_quotes_out() {
    for text in ["'optim.lr' = 0.1", "[[change]]\nat_epoch = 1\n'optim.lr' = 0.1", "'optim.rate' = 0.1"] {
        let error = checked("linear", &file(text)).unwrap_err();
        assert!(error.contains("leave the quotes out: optim.lr = 0.1"), "{error}");
    }
}

#[test]
fn values_of_another_type_are_refused_in_plain_words() {
    for (text, expected) in [
        (
            "run.early_stopping = -1",
            "run.early_stopping: invalid value: integer `-1`, expected a whole number of at least 0",
        ),
        ("optim.lr = '0,1'", "expected a number"),
        ("optim.drop_epochs = 3", "optim.drop_epochs: invalid type: integer `3`, expected a list, such as [1, 2]"),
        (
            "[[change]]\nat_epoch = 'x'\noptim.lr = 0.1",
            "change.at_epoch: invalid type: string \"x\", expected a number",
        ),
    ] {
        let error = checked("linear", &file(text)).unwrap_err();
        assert!(error.contains(expected) && !error.contains("64"), "{text}: {error}");
    }
}

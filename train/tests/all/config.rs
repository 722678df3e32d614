//! Settings: their sources and their errors.

use alexnet_train::config::keys::parse_setting;
use alexnet_train::config::{Config, OptimKind, Pca, Shuffle, parse_table, settings};
use data::PrincipalComponents;
use proptest::prelude::*;
use std::path::Path;

fn layer(text: &str) -> (String, toml::Table) {
    ("test".to_string(), parse_table("test", text).unwrap())
}

fn full() -> Config {
    let mut config = Config::default();
    config.model.dropout = Some(0.25);
    config.model.weights = Some("w.h5".into());
    config.data.val = Some("val".into());
    config.run.steps = Some(7);
    config.model.freeze = vec!["conv1".to_string()].into();
    config.data.mean = Some("imagenet".into());
    let eigenvectors = [[0.6, 0.0, 0.8], [0.0, 1.0, 0.0], [0.8, 0.0, -0.6]];
    config.data.pca = Some(Pca::Values(PrincipalComponents { eigenvalues: [14_830.0, 1375.5, 389.0], eigenvectors }));
    config
}

/// The table of a configuration has the settings of the list, and no others.
#[test]
fn settings_are_those_of_the_config() {
    let table = full().to_table();
    let mut names: Vec<String> = Vec::new();
    for (section, value) in &table {
        names.extend(value.as_table().unwrap().keys().map(|name| format!("{section}.{name}")));
    }
    names.sort();
    let mut keys: Vec<String> = settings().map(|setting| setting.key.to_string()).collect();
    keys.sort();
    assert_eq!(names, keys);
}

#[test]
fn names_and_former_names_are_unique() {
    let mut names: Vec<&str> =
        settings().flat_map(|setting| setting.aliases.iter().copied().chain([setting.key])).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn run_toml_round_trips() {
    let config = full();
    assert_eq!(Config::parse("run.toml", &config.to_toml()).unwrap(), config);
}

#[test]
fn later_layers_win() {
    let layers = [layer("[optim]\nlr = 0.5\nmomentum = 0.1"), layer("[optim]\nlr = 0.25\nkind = 'adam'")];
    let config = Config::from_overrides(&layers).unwrap();
    assert_eq!((config.optim.lr, config.optim.momentum, config.optim.kind), (0.25, 0.1, OptimKind::Adam));
}

#[test]
fn settings_are_toml_or_text() {
    let set = |text: &str| Config::from_overrides(&[("--set".into(), parse_setting(text).unwrap())]);
    assert_eq!(set("optim.kind=adam").unwrap().optim.kind, OptimKind::Adam);
    assert_eq!(set("optim.drop_epochs=[25, 51, 79]").unwrap().optim.drop_epochs, [25.0, 51.0, 79.0]);
    assert!(!set("data.augment = false").unwrap().data.augment);
    assert_eq!(set("data.train=a pack").unwrap().data.train, Path::new("a pack"));
    let error = set("optim.lr=fast").unwrap_err().to_string();
    assert!(error.contains("fast") || error.contains("expected"), "{error}");
}

#[test]
fn unknown_keys_name_near_ones() {
    for (wrong, near) in [
        ("optim.rat", "optim.lr"),
        ("optim.weight_decy", "optim.weight_decay"),
        ("run.sed", "run.seed"),
        ("rate", "optim.lr"),
    ] {
        let error = parse_setting(&format!("{wrong}=1")).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains(near), "{error}");
    }
    let error = Config::from_overrides(&[layer("[optim]\nmomentun = 0.9")]).unwrap_err().to_string();
    assert!(error.contains("test") && error.contains("optim.momentum"), "{error}");
}

#[test]
fn values_out_of_range_name_setting_and_range() {
    for (setting, words) in [
        ("run.batch=0", "at least 1"),
        ("run.threads=0", "1..=1024"),
        ("optim.lr=-0.1", "at least 0"),
        ("optim.lr=nan", "at least 0"),
        ("optim.momentum=1", "[0, 1)"),
        ("model.dropout=1.0", "[0, 1)"),
        ("optim.drop_epochs=[3, 2]", "rising"),
        ("run.steps=0", "at least 1"),
        ("run.accumulate=99999999999", "1..=1000000"),
    ] {
        let error =
            Config::from_overrides(&[("--set".into(), parse_setting(setting).unwrap())]).unwrap_err().to_string();
        let key = setting.split('=').next().unwrap();
        assert!(error.contains(key) && error.contains(words), "{error}");
    }
}

#[test]
fn a_resumed_run_may_be_longer_but_not_other() {
    let before = Config::default();
    let mut longer = before.clone();
    longer.run.epochs = 200;
    longer.run.threads = 7;
    longer.check_resumable(&before, Path::new("run")).unwrap();
    let mut other = before.clone();
    other.model.weights = Some("w.h5".into());
    let error = other.check_resumable(&before, Path::new("run")).unwrap_err().to_string();
    assert!(error.contains("model.weights was unset, now \"w.h5\""), "{error}");
    let mut other = before.clone();
    other.run.batch = 64;
    other.run.seed = 9;
    let error = other.check_resumable(&before, Path::new("run")).unwrap_err().to_string();
    assert!(error.contains("run.batch was 128, now 64") && error.contains("run.seed was 1, now 9"), "{error}");
}

proptest! {
    /// Whatever comes after --set, the answer is a setting or an error that repeats it.
    #[test]
    fn any_setting_is_taken_or_refused(key in "[a-z_.]{0,20}", value in ".{0,20}") {
        let text = format!("{key}={value}");
        match parse_setting(&text) {
            Ok(table) => { let _ = Config::from_overrides(&[("--set".into(), table)]); }
            Err(error) => prop_assert!(error.to_string().contains(key.as_str())),
        }
    }
}

#[test]
fn a_value_of_the_wrong_kind_names_its_setting() {
    for (key, value, word) in
        [("tensor.algorithms", "'foo'", "exact"), ("optim.kind", "'foo'", "adam"), ("run.threads", "-1", "integer")]
    {
        let (section, name) = key.split_once('.').unwrap();
        let given = layer(&format!("[{section}]\n{name} = {value}"));
        let message = Config::from_overrides(&[given]).unwrap_err().to_string();
        assert!(message.starts_with(key) && message.contains(word), "{message}");
    }
}

/// The `[train]` tables of the presets hold known settings, in their ranges.
#[test]
fn every_presets_defaults_are_settings() {
    for name in layers::Model::presets() {
        let model = layers::Model::preset(name).unwrap();
        let config = Config::from_overrides(&[(name.to_string(), model.train.clone())]).unwrap();
        config.optim.schedule().unwrap();
        config.optim.optimizer::<tensor::Cpu<f32>>().unwrap();
    }
}

#[test]
fn orders_have_names_and_the_names_of_before() {
    let shuffle =
        |text: &str| Config::from_overrides(&[layer(&format!("[data]\nshuffle = {text}"))]).map(|c| c.data.shuffle);
    for (text, expected) in [
        ("true", Shuffle::Auto),
        ("false", Shuffle::None),
        ("'auto'", Shuffle::Auto),
        ("'none'", Shuffle::None),
        ("'full'", Shuffle::Full),
        ("'window'", Shuffle::Window),
    ] {
        assert_eq!(shuffle(text).unwrap(), expected);
    }
    let error = shuffle("'often'").unwrap_err().to_string();
    assert!(error.contains("auto (true), none (false), full or window"), "{error}");
    let mut config = Config::default();
    assert_eq!(config.data.order(), data::Shuffle::Full);
    config.data.shuffle = Shuffle::Window;
    config.data.window_bytes = 77;
    assert_eq!(config.data.order(), data::Shuffle::Window { bytes: 77 });
}

#[test]
fn augmentation_out_of_range_is_named() {
    for (setting, expected) in [
        ("hue = 0.6", "data.hue: must be in [0, 0.5], got 0.6"),
        ("crop_scale = [0.5, 0.2]", "data.crop_scale: must be two rising numbers in [0.0001, 1], got [0.5, 0.2]"),
        ("random_erasing = 2.0", "data.random_erasing: must be in [0, 1], got 2"),
        ("mixup = -1.0", "data.mixup: must be in [0, 100], got -1"),
        ("label_smoothing = 1.0", "data.label_smoothing: must be in [0, 1), got 1"),
        ("crop_group = 0", "data.crop_group: must be at least 1, got 0"),
    ] {
        let error = Config::from_overrides(&[layer(&format!("[data]\n{setting}"))]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn components_of_colour_are_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pca.toml");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let mut config = Config::default();
        config.data.pca = Some(Pca::File(path.clone()));
        config.data.read_pca().map(|()| config.data.pca.unwrap())
    };
    let vectors = "eigenvectors = [[-0.5675, -0.5808, -0.5836], [0.7192, -0.0045, -0.6948], [0.4009, -0.8140, 0.4203]]";
    match read(&format!("eigenvalues = [14143.0, 1222.5, 292.6]\n{vectors}")).unwrap() {
        Pca::Values(found) => assert_eq!(found.eigenvalues, [14143.0, 1222.5, 292.6]),
        Pca::File(path) => panic!("{} was not read", path.display()),
    }
    for (text, expected) in [
        ("eigenvalues = [1.0, 2.0]", "pca.toml: "),
        (
            "eigenvalues = [-1.0, 1.0, 1.0]\neigenvectors = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]",
            "eigenvalues: expected three",
        ),
        ("eigenvalues = [1.0, 1.0, 1.0]\neigenvectors = [[1, 0, 0], [0, 1, 0], [0, 1, 1]]", "eigenvectors: expected"),
        ("nothing", "expected `eigenvalues"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains("data.pca") && error.contains(expected), "{error}");
    }
}

/// Each former name and value, with the current one, as files, `--set` and stored configurations have it.
#[test]
fn former_names_are_read_and_current_ones_written() {
    for (former, current) in [
        ("model.fresh=['fc']", "model.reinit=['fc']"),
        ("data.shared=3", "data.crop_group=3"),
        ("data.erase=0.5", "data.random_erasing=0.5"),
        ("data.erase_scale=[0.1, 0.2]", "data.random_erasing_scale=[0.1, 0.2]"),
        ("data.erase_ratio=[0.5, 2.0]", "data.random_erasing_ratio=[0.5, 2.0]"),
        ("data.colour=source", "data.colour=alexnet-code"),
        ("optim.rate=0.5", "optim.lr=0.5"),
        ("optim.decay=0.25", "optim.weight_decay=0.25"),
        ("optim.times=7", "optim.max_drops=7"),
        ("run.keep=9", "run.keep_checkpoints=9"),
    ] {
        let config = |text: &str| Config::from_overrides(&[("--set".into(), parse_setting(text).unwrap())]).unwrap();
        let expected = config(current);
        assert_ne!(expected, Config::default());
        assert_eq!(config(former), expected, "{former}");
        let (key, value) = former.split_once('=').unwrap();
        let (section, name) = key.split_once('.').unwrap();
        let value = if value == "source" { "'source'" } else { value };
        let text = format!("[{section}]\n{name} = {value}");
        assert_eq!(Config::parse("run.toml", &text).unwrap(), expected, "{text}");
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), expected, "as a checkpoint's state: {text}");
        let (section, entry) = current.split_once('=').unwrap().0.split_once('.').unwrap();
        assert!(expected.to_table()[section].as_table().unwrap().contains_key(entry), "{current}");
    }
}

#[test]
fn a_former_and_a_current_name_override_each_other() {
    let layers = [layer("[optim]\nlr = 0.5"), layer("[optim]\nrate = 0.25")];
    assert_eq!(Config::from_overrides(&layers).unwrap().optim.lr, 0.25);
    let error = Config::from_overrides(&[layer("[optim]\nrate = 0.5\nlr = 0.25")]).unwrap_err().to_string();
    assert!(error.contains("test: optim.lr: is given under two names"), "{error}");
}

proptest! {
    /// Caffe's "poly" policy for an end of 0, PyTorch's LinearLR from a factor of 1 for a power of 1.
    #[test]
    fn a_polynomial_schedule_falls_to_its_end(
        power in 0.1..4.0_f64,
        end in 0.0..1.0_f64,
        decay_epochs in 1.0..100.0_f64,
        epoch in 0.0..120.0_f64,
    ) {
        let text = format!(
            "[optim]\nlr = 0.5\nschedule = 'polynomial'\npower = {power:?}\nend_factor = {end:?}\ndecay_epochs = {decay_epochs:?}"
        );
        let optim = Config::parse("test", &text).unwrap().optim;
        let remaining = (1.0 - epoch / decay_epochs).max(0.0);
        let expected = 0.5 * (end + (1.0 - end) * remaining.powf(power));
        prop_assert!((optim.schedule().unwrap().rate(optim.lr, epoch) - expected).abs() < 1e-12);
    }
}

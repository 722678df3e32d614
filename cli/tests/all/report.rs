//! Reports on runs.

use std::fs;

use crate::support::World;

const EVIL: &str = "<script>alert(1)</script>";

/// The part of a page before the script of its charts.
fn own_part(html: &str) -> &str {
    &html[..html.find("plotly.js v").expect("the script of the charts")]
}

#[test]
fn a_report_on_a_run_has_all_sections_and_its_plots_as_files() {
    let world = World::trained();
    let said = world.ok(&["report", "run", "--plots", "plots"]);
    assert!(said.contains("report.html: a report on 1 run; its plots are in plots"), "{said}");
    let html = fs::read_to_string(world.path("report.html")).unwrap();
    let page = own_part(&html);
    for section in ["Results", "Curves", "Speed", "Kernels", "Evaluation", "Settings", "Environment", "Reproduce"] {
        assert!(page.contains(&format!(">{section}</h2>")), "{section}");
    }
    for part in [
        "Loss of run: training and validation",
        "Learning rate of run",
        "Confusion matrix of run",
        "Calibration of run",
        "top-1 error",
        "Most certain hits of run",
        ">best validation top-1 error</th>",
        "if no setting was changed when it was resumed",
        "there is no convolution to draw",
        "alexnet train --config run/run.toml --model run/model.toml --out again",
        "alexnet eval --data val.pack --weights run",
        "run.batch",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let mut names: Vec<String> =
        fs::read_dir(world.path("plots")).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    for name in ["confusion.csv", "error.png", "loss.csv", "loss.png", "predictions.png", "rate.csv", "speed.png"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    let losses = fs::read_to_string(world.path("plots/loss.csv")).unwrap();
    let lines: Vec<&str> = losses.lines().collect();
    // Two epochs of three steps each.
    assert_eq!(lines[0], "line,epochs (of 3 steps),loss (nats)");
    assert_eq!(lines.len(), 1 + 6 + 2, "{losses}");
    assert!(lines[6].starts_with("training,2,") && lines[8].starts_with("validation,2,"), "{losses}");
    assert_eq!(image::open(world.path("plots/loss.png")).unwrap().width(), 960);
}

/// The commands of a report repeat its run.
#[test]
fn the_commands_of_a_report_repeat_the_run() {
    let world = World::trained();
    world.ok(&["report", "run"]);
    world.ok(&["train", "--config", "run/run.toml", "--model", "run/model.toml", "--out", "again"]);
    let losses = |run: &str| -> Vec<serde_json::Value> {
        let text = fs::read_to_string(world.path(run).join("log.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["loss"].clone()).collect()
    };
    assert_eq!(losses("run"), losses("again"));
}

#[test]
fn several_runs_are_in_one_report_with_what_differs() {
    let world = World::trained();
    let more = ["--data", "train.pack", "--model", "tiny.toml", "--set", "optim.lr=0.03", "--out", "fast"];
    world.ok(&[&["train"][..], &more].concat());
    world.ok(&["report", "run", "fast", "--out", "both.html", "--plots", "plots"]);
    let html = fs::read_to_string(world.path("both.html")).unwrap();
    let page = own_part(&html);
    for part in [
        "Shown in the charts",
        "run, validation",
        "fast, training",
        "Settings that differ",
        "<th scope=\"row\">optim.lr</th>",
        "The run has no validation pack: --data names one to evaluate it on.",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(world.path("plots/run-1/confusion.png").exists() && !world.path("plots/run-2/confusion.png").exists());
    world.ok(&["report", "run", "fast", "--data", "val.pack", "--plots", "plots"]);
    assert!(world.path("plots/run-2/confusion.png").exists());
    let message = world.fails(2, &["report", "run", "fast", "run", "--data", "val.pack", "--data", "val.pack"]);
    assert!(message.contains("--data: 2 for 3 runs: give one for all, or one for each"), "{message}");
}

#[test]
fn without_its_data_or_weights_a_report_says_so() {
    let world = World::trained();
    fs::rename(world.path("val.pack"), world.path("moved.pack")).unwrap();
    world.ok(&["report", "run"]);
    let page = |world: &World| own_part(&fs::read_to_string(world.path("report.html")).unwrap()).to_string();
    let missing = "The validation pack val.pack is not there: --data names another. Confusion, calibration and images";
    assert!(page(&world).contains(missing));
    world.ok(&["report", "run", "--data", "moved.pack"]);
    assert!(page(&world).contains("Confusion matrix of run"));
    assert!(world.fails(1, &["report", "run", "--data", "nowhere.pack"]).contains("nowhere.pack"));

    // Another pack at the old place is no reason to have no report.
    world.ok(&["pack", "val", "val.pack", "--size", "12"]);
    world.ok(&["report", "run"]);
    assert!(
        page(&world).contains("The run was not evaluated on its validation pack, ")
            && page(&world).contains("--size 10")
    );
    world.fails(2, &["report", "run", "--data", "val.pack"]);

    fs::remove_dir_all(world.path("run/checkpoints")).unwrap();
    fs::remove_file(world.path("run/best.h5")).unwrap();
    world.ok(&["report", "run"]);
    assert!(page(&world).contains("There are no weights to look at"));

    assert!(
        world.fails(2, &["report", "run", "--out", "r.pdf"]).contains("--out: r.pdf: expected a name that ends in")
    );
    assert!(world.fails(1, &["report", "train"]).contains("train/run.toml"));
}

/// Names of classes and folders come from outside.
#[test]
fn names_stay_text() {
    let world = World::new();
    for part in ["train", "val"] {
        // A name with a slash cannot be a folder's.
        fs::rename(world.path(part).join("blue"), world.path(part).join("<script>alert(1)<b>")).unwrap();
    }
    world.ok(&["pack", "train", "train.pack", "--size", "10"]);
    world.ok(&["pack", "val", "val.pack", "--size", "10", "--classes-of", "train.pack"]);
    let out = "<img src=x onerror=alert(2)>";
    world.ok(&["train", "--data", "train.pack", "--val", "val.pack", "--model", "tiny.toml", "--out", out]);
    world.ok(&["report", out]);
    let html = fs::read_to_string(world.path("report.html")).unwrap();
    let page = own_part(&html);
    assert!(!html.contains(&EVIL[..EVIL.len() - 10]) && !page.contains("<img src=x"));
    assert!(page.contains("&#60;script&#62;alert(1)&#60;b&#62;") && page.contains("&#60;img src=x"));
    // Text for Plotly is escaped for it too: it takes some HTML.
    assert!(page.contains("&lt;script&gt;alert(1)&lt;b&gt;"));
}

//! The page of a running training.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alexnet_serve::train::Config;
use alexnet_serve::train::log::{Log, StepLine};
use alexnet_serve::train::run::Run;
use alexnet_serve::{Classifier, Options, Service};
use serde_json::Value;

use crate::support::{TestServer, classifier, image_of, model, png, wait_until};

fn line(step: u64) -> StepLine {
    StepLine {
        step,
        epoch: 1,
        loss: 2.0 / step as f64,
        top1_error: 0.5,
        rate: 0.01,
        images_per_s: 123.0,
        wait_s: 0.0,
        seconds: 1.0,
        time: "2026-01-01T00:00:00Z".into(),
    }
}

fn append(folder: &Path, step: u64) {
    append_line(folder, &line(step));
}

fn append_line(folder: &Path, line: &StepLine) {
    assert_eq!(Log::open(&folder.join("log.jsonl"), line.step - 1).unwrap().append(line), None);
}

/// The first report to come for which something is true.
fn report(lines: &mut impl Iterator<Item = String>, is_awaited: impl Fn(&Value) -> bool) -> Value {
    loop {
        let name = lines.find_map(|line| line.strip_prefix("event: ").map(str::to_string)).expect("an event");
        assert_eq!(name, "run");
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_string)).expect("its data");
        let report = serde_json::from_str(&data).unwrap();
        if is_awaited(&report) {
            return report;
        }
    }
}

#[test]
fn lines_are_sent_as_they_are_logged() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let run = Run::create(&folder, &Config::default(), &model()).unwrap();
    append(&folder, 1);
    let server = TestServer::with(Options::default(), Service { run: Some(folder.clone()), ..Service::default() });
    let mut stream = server.connect();
    stream.write_all(b"GET /v1/run/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let first = report(&mut lines, |_| true);
    assert_eq!(first["state"], "running");
    assert_eq!((&first["name"], &first["network"]), (&"run".into(), &"small".into()));
    assert_eq!(first["training"].as_array().unwrap().len(), 1);
    append(&folder, 2);
    let second = report(&mut lines, |report| report["step"] == 2);
    assert_eq!(second["training"][1]["loss"], 1.0);
    let validation = r#"{"step":2,"epoch":1,"train_loss":1.5,"train_top1_error":0.5,"#.to_string()
        + r#""loss":1.25,"top1_error":0.25,"top5_error":0.0}"#;
    std::fs::write(folder.join("validation.jsonl"), format!("{validation}\n{{\"step\":")).unwrap();
    let validated = report(&mut lines, |report| !report["validation"].as_array().unwrap().is_empty());
    assert_eq!(validated["validation"].as_array().unwrap().len(), 1);
    assert_eq!(validated["validation"][0]["top1_error"], 0.25);
    assert_eq!(validated["steps_per_epoch"], Value::Null);
    append_line(&folder, &StepLine { epoch: 2, ..line(3) });
    let next = report(&mut lines, |report| report["step"] == 3);
    assert_eq!(next["steps_per_epoch"], 2);
    drop(run);
    report(&mut lines, |report| report["state"] == "interrupted");
    // A page that follows a run does not hold up the end of the server.
    server.stop.request();
    assert_eq!(lines.filter(|line| line.starts_with("event:")).count(), 0);
}

#[test]
fn newer_weights_take_the_place_of_older_ones() {
    let mut waiting = vec![
        // Other classes are no newer weights of the same run.
        Classifier { classes: vec!["other".into()], ..classifier() },
        Classifier { weights: "second.h5".into(), ..classifier() },
        Classifier { weights: "first.h5".into(), ..classifier() },
    ];
    let allowed = Arc::new(AtomicUsize::new(0));
    let permits = Arc::clone(&allowed);
    let renewal = move || {
        let is_due = permits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok();
        if is_due { waiting.pop() } else { None }
    };
    let options = Options { renewal: Duration::ZERO, ..Options::default() };
    let server = TestServer::with(options, Service { renewal: Some(Box::new(renewal)), ..Service::default() });
    let weights = || server.get("/v1/model").json()["model"]["weights"].clone();
    let image = png(&image_of(1));
    assert_eq!(server.post("/v1/predict", "", &image).status, 409);
    for name in ["first.h5", "second.h5"] {
        allowed.store(1, Ordering::Relaxed);
        wait_until(name, || weights() == name);
        assert_eq!(server.post("/v1/predict", "", &image).status, 200);
    }
    allowed.store(1, Ordering::Relaxed);
    wait_until("the last look", || allowed.load(Ordering::Relaxed) == 0);
    assert_eq!(weights(), "second.h5");
}

#[test]
fn a_run_without_weights_and_weights_without_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("run");
    let _run = Run::create(&folder, &Config::default(), &model()).unwrap();
    let server = TestServer::with(Options::default(), Service { run: Some(folder.clone()), ..Service::default() });
    assert_eq!(server.get("/v1/model").json()["model"], Value::Null);
    let answer = server.post("/v1/predict", "", &png(&image_of(1)));
    assert_eq!((answer.status, answer.code().as_str()), (409, "no_weights"));
    let report = server.get("/v1/run").json();
    assert_eq!((&report["training"], &report["loss"]), (&Value::Array(Vec::new()), &Value::Null));
    assert!(report["settings"]["optim"]["lr"].is_number(), "{report}");
    std::fs::write(folder.join("run.toml"), "broken").unwrap();
    let answer = server.get("/v1/run");
    assert_eq!((answer.status, answer.code().as_str()), (500, "internal"));

    let server = TestServer::new(Options::default());
    for path in ["/v1/run", "/v1/run/events"] {
        let answer = server.get(path);
        assert_eq!((answer.status, answer.code().as_str()), (404, "no_run"));
    }
}

//! `serve`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::World;

/// A server that is killed if a test ends early.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `serve` at a free port; the process, its address, and the other lines of standard output to come.
fn serve(world: &World, args: &[&str]) -> (Serving, String) {
    let mut command = world.command(&[&["serve", "--port", "0"], args].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.unwrap_or_else(|| panic!("no address: {line}")).to_string();
    (Serving(child), address)
}

/// The body of the answer to a request, which must succeed.
fn ask(address: &str, method: &str, path: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1.to_string()
}

#[test]
fn a_run_is_served_until_a_signal() {
    let world = World::trained();
    let (mut serving, address) = serve(&world, &["run"]);
    let image = std::fs::read(world.path("val/red/1.png")).unwrap();
    let answer: Value = serde_json::from_str(&ask(&address, "POST", "/v1/predict", &image)).unwrap();
    let expected: Value =
        serde_json::from_str(&world.ok(&["predict", "--weights", "run", "--json", "val/red/1.png"])).unwrap();
    let [found, expected] = [&answer["predictions"][0]["top"], &expected[0]["top"]];
    assert_eq!(found[0]["name"], expected[0]["name"]);
    let probability = |top: &Value| top[0]["probability"].as_f64().unwrap();
    assert!((probability(found) - probability(expected)).abs() < 1e-6, "{found} is not {expected}");
    let run: Value = serde_json::from_str(&ask(&address, "GET", "/v1/run", b"")).unwrap();
    assert_eq!((&run["state"], run["validation"].as_array().unwrap().len()), (&"finished".into(), 2));
    assert!(ask(&address, "GET", "/", b"").contains("<title>"));

    assert!(Command::new("kill").args(["-TERM", &serving.0.id().to_string()]).status().unwrap().success());
    assert_eq!(serving.0.wait().unwrap().code(), Some(0));
    let mut errors = String::new();
    serving.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(!errors.contains("warning") && !errors.contains("error: "), "{errors}");
}

#[test]
fn the_nearest_training_images_are_shown() {
    let world = World::new();
    for part in ["train", "val"] {
        std::fs::rename(world.path(part).join("red"), world.path(part).join("n01440764")).unwrap();
    }
    world.ok(&["pack", "train", "train.pack", "--size", "10"]);
    world.ok(&["train", "--data", "train.pack", "--model", "tiny.toml", "--out", "run"]);
    let layer = ["--layer", "fc1", "--out", "features.h5"];
    world.ok(&[&["features", "--weights", "run", "--data", "train.pack"][..], &layer].concat());
    let (mut serving, address) = serve(&world, &["run", "--features", "features.h5"]);
    let image = std::fs::read(world.path("train/n01440764/4.png")).unwrap();
    let answer: Value = serde_json::from_str(&ask(&address, "POST", "/v1/explain", &image)).unwrap();
    let nearest = &answer["neighbours"][0];
    assert_eq!([&nearest["name"], &nearest["class"]], ["n01440764/4.png", "n01440764"], "{answer}");
    assert_eq!(nearest["words"], "tench, Tinca tinca");
    assert!(nearest["distance"].as_f64().unwrap() < 1e-3 && nearest["image"].is_string(), "{nearest}");
    assert_eq!(answer["neighbours"].as_array().unwrap().len(), 8);
    let _ = serving.0.kill();
    let mut notes = String::new();
    serving.0.stderr.take().unwrap().read_to_string(&mut notes).unwrap();
    assert!(!notes.contains("features by"), "they are by the same weights: {notes}");
    let message = world.fails(1, &["serve", "run", "--port", "0", "--features", "train.pack/pack.h5"]);
    assert!(message.contains("no features"), "{message}");
    world.fails(2, &["serve", "run", "--port", "0", "--data", "train.pack"]);
}

#[test]
fn a_run_without_a_checkpoint_takes_its_first() {
    let world = World::trained();
    std::fs::rename(world.path("run/checkpoints"), world.path("kept")).unwrap();
    for name in ["best.h5", "best.toml"] {
        std::fs::remove_file(world.path("run").join(name)).unwrap();
    }
    let (mut serving, address) = serve(&world, &["run", "--host", "0.0.0.0"]);
    let port = address.rsplit_once(':').unwrap().1;
    let address = format!("127.0.0.1:{port}");
    let run: Value = serde_json::from_str(&ask(&address, "GET", "/v1/run", b"")).unwrap();
    assert_eq!(run["network"], "tiny");
    let model = || serde_json::from_str::<Value>(&ask(&address, "GET", "/v1/model", b"")).unwrap();
    assert!(model()["model"].is_null());
    std::fs::rename(world.path("kept"), world.path("run/checkpoints")).unwrap();
    while model()["model"].is_null() {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(model()["model"]["weights"], "step-000000006.h5");
    serving.0.kill().unwrap();
    let mut errors = String::new();
    serving.0.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(errors.contains("no checkpoint yet") && errors.contains("warning: --host 0.0.0.0"), "{errors}");
}

#[test]
fn what_cannot_be_served_is_refused() {
    let world = World::trained();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let message = world.fails(1, &["serve", "run", "--port", &port]);
    assert!(message.contains(&format!("--port {port}")) && message.contains("choose another"), "{message}");
    let message = world.fails(1, &["serve", "run", "--host", "192.0.2.1", "--port", "0"]);
    assert!(message.contains("--host 192.0.2.1"), "{message}");
    for (code, args) in [
        (1, &["missing"][..]),
        (1, &["val"]),
        (2, &["run", "--host", "example.org"]),
        (2, &["run", "--max-body", "0"]),
        (2, &["run", "--port", "70000"]),
    ] {
        world.fails(code, &[&["serve", "--port", "0"], args].concat());
    }
}

//! The pages of `alexnet serve`.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::axe;
use crate::chromium::{Browser, View};
use crate::support::running::Running;
use crate::support::{MODEL, World};

/// Two small convolutions before the linear layer, so that there are kernels and maps to show.
const LAYERS: &str = r#"[[layer]]
name = "conv1"
kind = "conv"
filters = 4
kernel = 3
padding = 1
init = { kind = "normal", std = 0.1 }
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "conv2"
kind = "conv"
filters = 4
kernel = 3
padding = 1
init = { kind = "normal", std = 0.1 }
[[layer]]
name = "relu2"
kind = "relu"
[[layer]]
name = "fc1"
"#;

/// Settings of a run on the packs of a world, in the folder `run`.
const TRAIN: [&str; 9] =
    ["train", "--data", "train.pack", "--val", "val.pack", "--model", "convolutions.toml", "--out", "run"];

fn world() -> World {
    let world = World::packed();
    let model = MODEL.replacen("[[layer]]\nname = \"fc1\"\n", LAYERS, 1);
    fs::write(world.path("convolutions.toml"), model).unwrap();
    world
}

/// Serves the run at a free port; the address ends in a slash.
fn serve(world: &World) -> (Running, String) {
    let mut command = world.command(&["serve", "run", "--port", "0", "--device", "cpu", "--threads", "1"]);
    let mut serving = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    let mut line = String::new();
    BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = format!("http://{}/", address.unwrap_or_else(|| panic!("no address: {line}")));
    (serving, address)
}

/// Opens a page in each view: it has no errors, asks nobody else, fits the screen and is accessible.
fn check_views(browser: &mut Browser, address: &str, server: &str, mut visit: impl FnMut(&mut Browser)) {
    for view in View::all() {
        browser.open(address, view);
        visit(browser);
        let widths = browser.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        assert!(widths[0].as_u64() <= widths[1].as_u64(), "{view:?}: wider than the screen: {widths}");
        axe::check(browser);
        assert_eq!(browser.errors, Vec::<String>::new(), "{view:?}");
        let is_own = |url: &&String| url.starts_with(server) || url.starts_with("data:") || url.starts_with("blob:");
        let others: Vec<&String> = browser.requests.iter().filter(|url| !is_own(url)).collect();
        assert!(others.is_empty(), "{view:?}: {others:?}");
    }
}

/// Drops a blue image onto the page, and waits until it is classified and explained.
fn drop_image(browser: &mut Browser) {
    let shown = browser.evaluate(
        "(async () => {
            const canvas = new OffscreenCanvas(14, 11);
            const context = canvas.getContext('2d');
            context.fillStyle = 'rgb(20, 40, 200)';
            context.fillRect(0, 0, 14, 11);
            const transfer = new DataTransfer();
            transfer.items.add(new File([await canvas.convertToBlob()], 'blue.png', { type: 'image/png' }));
            // The drop comes before the page has learned of the network.
            model = null;
            document.dispatchEvent(new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true }));
            const isDone = () => !document.getElementById('result').hidden
                && document.getElementById('input').src.startsWith('data:')
                && document.getElementById('status').textContent === '';
            for (let wait = 0; wait < 600 && !isDone(); wait += 1) await new Promise((done) => setTimeout(done, 100));
            const count = (selector) => document.querySelectorAll(selector).length;
            return {
                status: document.getElementById('status').textContent,
                first: document.querySelector('#classes button')?.textContent,
                classes: count('#classes button'),
                kernels: count('#kernels img'),
                maps: count('#maps img'),
            };
        })()",
    );
    assert_eq!(shown["status"], "", "{shown}");
    assert!(shown["first"].as_str().unwrap().starts_with("blue"), "{shown}");
    assert_eq!(shown["classes"], 2, "{shown}");
    for tiles in ["kernels", "maps"] {
        assert!(shown[tiles].as_u64().unwrap() > 0, "{tiles}: {shown}");
    }
}

#[test]
fn a_dropped_image_is_classified_and_explained() {
    let Some(mut browser) = Browser::start() else { return };
    let world = world();
    world.ok(&[&TRAIN[..], &["--epochs", "60", "--lr", "0.05"]].concat());
    let (_serving, address) = serve(&world);
    check_views(&mut browser, &address, &address, drop_image);
}

#[test]
fn a_training_is_shown_as_it_goes() {
    let Some(mut browser) = Browser::start() else { return };
    let world = world();
    let mut training =
        Running::start(world.command(&TRAIN).args(["--epochs", "1000000"]).stdout(Stdio::null()).stderr(Stdio::null()));
    let has_begun = || fs::read_to_string(world.path("run/log.jsonl")).is_ok_and(|log| log.lines().count() > 12);
    for _ in 0..1200 {
        if has_begun() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(has_begun() && training.try_wait().unwrap().is_none());
    let (_serving, address) = serve(&world);
    check_views(&mut browser, &format!("{address}training"), &address, |browser| {
        let seen = browser.evaluate(
            "(async () => {
                const step = () => Number(document.getElementById('figure-step')?.textContent.replaceAll(',', ''));
                const waitFor = async (isDone) => {
                    for (let wait = 0; wait < 600 && !isDone(); wait += 1) {
                        await new Promise((done) => setTimeout(done, 100));
                    }
                };
                await waitFor(() => step() > 0);
                const first = step();
                await waitFor(() => step() > first);
                const points = document.querySelector('#chart-loss polyline')?.getAttribute('points') ?? '';
                const charts = document.querySelectorAll('.chart svg').length;
                return { first, later: step(), points: points.split(' ').length, charts };
            })()",
        );
        assert!(seen["later"].as_u64() > seen["first"].as_u64(), "{seen}");
        assert!(seen["points"].as_u64().unwrap() > 5, "{seen}");
        assert_eq!(seen["charts"], Value::from(4), "{seen}");
    });
}

//! A headless Chromium, driven by its DevTools protocol over a pair of pipes.
//!
//! Crates for it compile for minutes and bring TLS and an HTTP client along; these tests need a few calls, which are
//! JSON objects.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// No answer takes as long on any machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// The programs' names in distributions.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser with one page.
pub struct Browser {
    child: Child,
    input: ChildStdin,
    messages: Receiver<Value>,
    calls: u64,
    session: Option<String>,
    /// Messages of errors of the page: exceptions, and what the console shows as errors.
    pub errors: Vec<String>,
    /// Addresses that the page asked for.
    pub requests: Vec<String>,
    _profile: TempDir,
}

/// The width, height and theme of a page.
#[derive(Clone, Copy, Debug)]
pub struct View {
    pub width: u32,
    pub height: u32,
    pub is_dark: bool,
}

impl View {
    /// A telephone and a desktop, in both themes.
    pub fn all() -> Vec<Self> {
        let sizes = [(390, 844), (1440, 900)];
        let view = |(width, height), is_dark| Self { width, height, is_dark };
        sizes.into_iter().flat_map(|size| [false, true].map(|is_dark| view(size, is_dark))).collect()
    }
}

impl Browser {
    /// Starts the browser. `None`, with a message, if there is none and the environment does not demand one.
    pub fn start() -> Option<Self> {
        let is_there = |name: &&&str| {
            let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            found.is_ok_and(|status| status.success())
        };
        let Some(name) = NAMES.iter().find(is_there) else {
            let is_required = std::env::var("ALEXNET_BROWSER").is_ok_and(|value| value == "required");
            assert!(!is_required, "ALEXNET_BROWSER=required, but there is none of {NAMES:?}");
            say("skipped: no Chromium found; install the package chromium to test pages in it");
            return None;
        };
        Some(Self::start_program(name))
    }

    fn start_program(name: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // The protocol wants its pipes at the descriptors 3 and 4.
        let script = "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1";
        let mut child = Command::new("sh")
            .args(["-c", script, name, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, messages) = channel();
        std::thread::spawn(move || {
            for message in output.split(0) {
                let Ok(value) = message.map(|bytes| serde_json::from_slice(&bytes).unwrap_or(Value::Null)) else {
                    break;
                };
                if sender.send(value).is_err() {
                    break;
                }
            }
        });
        let mut browser = Self {
            child,
            input,
            messages,
            calls: 0,
            session: None,
            errors: Vec::new(),
            requests: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_string();
        browser.session = Some(session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Opens a page in a view, and waits until it is loaded.
    pub fn open(&mut self, address: &str, view: View) {
        let View { width, height, is_dark } = view;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let theme = if is_dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        self.call("Emulation.setEmulatedMedia", features);
        self.errors.clear();
        self.requests.clear();
        self.evaluate("window.isBefore = true");
        let opened = self.call("Page.navigate", json!({ "url": address }));
        assert!(opened["errorText"].is_null(), "{address}: {opened}");
        // The event of loading may be that of the page before, or come before the answer.
        let start = Instant::now();
        while self.evaluate("!window.isBefore && document.readyState === 'complete'") != true {
            assert!(start.elapsed() < PATIENCE, "{address} is not loaded");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The value of an expression of JavaScript in the page, or of its promise.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let arguments = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut result = self.call("Runtime.evaluate", arguments);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Calls a method of the protocol.
    fn call(&mut self, method: &str, arguments: Value) -> Value {
        self.calls += 1;
        let id = self.calls;
        let mut message = json!({ "id": id, "method": method, "params": arguments });
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let mut bytes = serde_json::to_vec(&message).unwrap();
        bytes.push(0);
        self.input.write_all(&bytes).unwrap();
        loop {
            let mut answer = self.next();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// The next message, of which errors and requests are kept.
    fn next(&mut self) -> Value {
        let message = self.messages.recv_timeout(PATIENCE).expect("an answer of the browser");
        let details = &message["params"];
        match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => self.errors.push(details["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled") if details["type"] == "error" => self.errors.push(details.to_string()),
            Some("Log.entryAdded") if details["entry"]["level"] == "error" => self.errors.push(details.to_string()),
            Some("Network.requestWillBeSent") => {
                self.requests.extend(details["request"]["url"].as_str().map(str::to_string));
            }
            _ => {}
        }
        message
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The end of its input ends the browser; it may have ended before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a message that a passing test shows too.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

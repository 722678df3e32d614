//! A server with a small network, and a client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use alexnet_serve::data::{CropAndNormalize, Mean, Views};
use alexnet_serve::layers::{Model, Network};
use alexnet_serve::tensor::Cpu;
use alexnet_serve::train::Stop;
use alexnet_serve::train::predict::{ClassProbability, predict};
use alexnet_serve::{Classifier, Options, Server, Service};
use image::{Rgb, RgbImage};
use serde_json::Value;

/// A convolution and a linear layer on 12 x 12 crops of 16 x 16 images.
pub const MODEL: &str = r#"
name = "small"
about = "For tests."
classes = 3
[input]
size = 16
crop = 12
[[layer]]
name = "conv1"
kind = "conv"
filters = 10
kernel = 3
init = { kind = "normal", std = 0.5 }
[[layer]]
name = "relu1"
kind = "relu"
[[layer]]
name = "fc1"
kind = "linear"
units = "classes"
init = { kind = "normal", std = 0.5 }
"#;

pub const CLASSES: [&str; 3] = ["n02123045", "dog", "<b>bird</b>"];
/// Time after which a test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn model() -> Model {
    Model::parse(MODEL, "small.toml").unwrap()
}

pub fn classifier() -> Classifier<Cpu<f32>> {
    let network = Network::new(&Cpu::<f32>::new(1).unwrap(), &model(), 7).unwrap();
    let input = CropAndNormalize { crop: 12, bgr: false, scale: 0.02, mean: Mean::Rgb([2.0; 3]), deviation: None };
    let classes = CLASSES.map(str::to_string).to_vec();
    let views = Views::Centre;
    let weights = "small.h5".into();
    Classifier { network, input, views, temperature: 1.0, classes, exif_orientation: false, weights, gallery: None }
}

/// The classes that `train::predict` finds for an image.
pub fn expected(image: &RgbImage, top: usize) -> Vec<ClassProbability> {
    let Classifier { network, input, classes, .. } = classifier();
    let path = tempfile::tempdir().unwrap();
    let file = path.path().join("image.png");
    image.save(&file).unwrap();
    let square = alexnet_serve::data::read_square(&file, 16).unwrap();
    predict(&network, &classes, &input, Views::Centre, 16, &square, top).unwrap()
}

pub fn image_of(number: u32) -> RgbImage {
    RgbImage::from_fn(20, 18, |x, y| {
        let level = |factor: u32| (x * factor + y * (number + 3) + 40 * number) as u8;
        Rgb([level(number + 1), level(5), level(11 * number)])
    })
}

pub fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A form with these files.
pub fn form(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, bytes) in files {
        let head = format!("--edge\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{name}\"\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    body
}

pub const FORM: &str = "Content-Type: multipart/form-data; boundary=edge\r\n";

/// A server that runs until it is dropped.
pub struct TestServer {
    pub address: SocketAddr,
    pub stop: Stop,
    thread: Option<JoinHandle<alexnet_serve::Result<()>>>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// The word of an error, which has a message too.
    pub fn code(&self) -> String {
        let json = self.json();
        assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
        json["error"]["code"].as_str().unwrap().to_string()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl TestServer {
    pub fn new(options: Options) -> Self {
        Self::with(options, Service { classifier: Some(classifier()), ..Service::default() })
    }

    pub fn with(options: Options, service: Service<Cpu<f32>>) -> Self {
        let server = Server::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = server.address();
        let stop = Stop::default();
        let own = stop.clone();
        let thread = thread::spawn(move || server.serve(options, service, &own));
        Self { address, stop, thread: Some(thread) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes as they are, and reads the answer until the server closes.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that refuses a request may close before it has read all.
        let _ = stream.write_all(request);
        read_answer(stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.raw(head("GET", path, "", None).as_bytes())
    }

    /// Posts a body; `headers` are lines.
    pub fn post(&self, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.raw(&[head("POST", path, headers, Some(body.len())).as_bytes(), body].concat())
    }

    /// The value of a metric.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(other, _)| other == name));
        line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
    }

    /// Waits until the server has ended.
    pub fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap().unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(thread::panicking() || matches!(ended, Ok(Ok(()))), "{ended:?}");
        }
    }
}

pub fn head(method: &str, path: &str, headers: &str, length: Option<usize>) -> String {
    let length = length.map_or(String::new(), |length| format!("Content-Length: {length}\r\n"));
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}{length}\r\n")
}

pub fn read_answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let mut part = [0; 65536];
    loop {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            // The server closed with a part of the request unread.
            Err(_) if !bytes.is_empty() => break,
            Err(error) => panic!("no answer: {error}"),
        }
    }
    Answer::parse(&bytes)
}

/// Waits until something is true.
pub fn wait_until(what: &str, mut is_true: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_true() {
        assert!(since.elapsed() < PATIENCE, "{what} did not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

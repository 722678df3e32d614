//! Measures a server: `cargo run --release --example load -- ADDRESS CLIENTS SECONDS IMAGE...` has so many clients post
//! the images in turn, each over a connection of its own, and prints the rate and the times of requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, clients, seconds, files @ ..] = &arguments[..] else {
        return Err("usage: load ADDRESS CLIENTS SECONDS IMAGE...".into());
    };
    let clients: usize = clients.parse()?;
    let seconds = Duration::from_secs(seconds.parse()?);
    let images = files.iter().map(std::fs::read).collect::<std::io::Result<Vec<_>>>()?;
    if images.is_empty() {
        return Err("expected an image at least".into());
    }
    // A warm-up, that is not measured.
    run(address, clients, seconds / 5, &images)?;
    let since = Instant::now();
    let mut times = run(address, clients, seconds, &images)?;
    let elapsed = since.elapsed().as_secs_f64();
    if times.is_empty() {
        return Err("no request was answered in this time".into());
    }
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("clients      {clients}");
    println!("requests     {}", times.len());
    println!("images/s     {:.1}", times.len() as f64 / elapsed);
    println!("p50, p90     {:.1} ms, {:.1} ms", at(0.5), at(0.9));
    println!("p99, most    {:.1} ms, {:.1} ms", at(0.99), at(1.0));
    Ok(())
}

/// Has all clients post images for a time; the times of their requests.
fn run(address: &str, clients: usize, time: Duration, images: &[Vec<u8>]) -> Result<Vec<Duration>> {
    let end = Instant::now() + time;
    let times = thread::scope(|scope| {
        let start = |client| scope.spawn(move || post_until(end, address, &images[client % images.len()..], images));
        let running: Vec<_> = (0..clients).map(start).collect();
        running.into_iter().map(|client| client.join().unwrap_or_else(|_| Err("a client failed".into()))).collect()
    });
    let times: Result<Vec<Vec<Duration>>> = times;
    Ok(times?.concat())
}

/// Posts images, first those of `first`, until a time; the times of the requests.
fn post_until(end: Instant, address: &str, first: &[Vec<u8>], images: &[Vec<u8>]) -> Result<Vec<Duration>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut times = Vec::new();
    for image in first.iter().chain(images.iter().cycle()) {
        let since = Instant::now();
        if since >= end {
            break;
        }
        let length = image.len();
        let head = format!("POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n");
        writer.write_all(&[head.as_bytes(), image].concat())?;
        read_answer(&mut reader)?;
        times.push(since.elapsed());
    }
    Ok(times)
}

/// Reads an answer, which must be a success.
fn read_answer(reader: &mut impl BufRead) -> Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(format!("the server answered {line:?}").into());
    }
    let mut length = 0;
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse()?,
            Some(_) => {}
            None => break,
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    Ok(())
}

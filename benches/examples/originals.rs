//! Photographs as they come, to a network's input: decoded, the shorter side resized to 256, the centre 224 x 224 cut
//! out and normalised. Prints pictures a second as JSON: `originals FOLDER THREADS SECONDS`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use data::{DecodeOptions, Input, Mean, Views, decode_square, views};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

fn load(bytes: &[u8], input: &Input) -> Result<f32, Failure> {
    let square = decode_square(bytes.to_vec(), 256, &DecodeOptions::default())?;
    Ok(views(square.pixels(), 256, input, Views::Centre)?[[0, 0, 0, 0]])
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("expected: originals FOLDER THREADS SECONDS");
    let (folder, threads, seconds) = (next()?, next()?.parse::<usize>()?, next()?.parse::<f64>()?);
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths)?;
    paths.sort();
    let bytes = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let mean = Mean::Rgb([127.3, 119.7, 104.9]);
    let input = Input { crop: 224, bgr: false, scale: 1.0, mean, deviation: None };
    let work = |thread: usize| -> Result<f64, Failure> {
        let (mut images, begun) = (0, Instant::now());
        for bytes in bytes.iter().cycle().skip(thread * bytes.len() / threads) {
            std::hint::black_box(load(bytes, &input)?);
            images += 1;
            if begun.elapsed().as_secs_f64() >= seconds {
                break;
            }
        }
        Ok(f64::from(images) / begun.elapsed().as_secs_f64())
    };
    let rate = std::thread::scope(|scope| -> Result<f64, Failure> {
        let threads: Vec<_> = (0..threads)
            .map(|thread| {
                let work = &work;
                scope.spawn(move || work(thread))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().map_err(|_| "a thread failed")?).sum()
    })?;
    println!("{{\"images_per_s\": {rate:.1}, \"pictures\": {}}}", bytes.len());
    Ok(())
}

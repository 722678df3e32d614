//! From original photographs to the input of a network: decode, resize the shorter side to 256, crop the centre 256 x
//! 256, crop a random 224 x 224, flip half of the images, subtract the mean colour. Prints images per second as JSON:
//! `originals FOLDER THREADS SECONDS`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use data::{DecodeOptions, decode_square};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn files(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { files(&path, found)? } else { found.push(path) }
    }
    Ok(())
}

const SIZE: usize = 256;
const CROP: usize = 224;
const BATCH: usize = 128;
const MEAN: [f32; 3] = [127.3, 119.7, 104.9];

/// Fills `out` `[CROP, CROP, 3]` from a crop and flip that follow from `draw`.
fn load(bytes: &[u8], draw: usize, out: &mut [f32]) -> Result<(), Failure> {
    let square = decode_square(bytes.to_vec(), SIZE, &DecodeOptions::default())?;
    let left = draw % 33;
    let top = draw / 33 % 33;
    let mirror = draw / 1089 % 2 == 1;
    for (y, out) in out.chunks_exact_mut(3 * CROP).enumerate() {
        let row = &square.pixels()[3 * ((top + y) * SIZE + left)..][..3 * CROP];
        let fill = |(out, pixel): (&mut [f32], &[u8])| {
            for ((out, &value), mean) in out.iter_mut().zip(pixel).zip(MEAN) {
                *out = f32::from(value) - mean;
            }
        };
        if mirror {
            out.chunks_exact_mut(3).zip(row.chunks_exact(3).rev()).for_each(fill);
        } else {
            out.chunks_exact_mut(3).zip(row.chunks_exact(3)).for_each(fill);
        }
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let mut next = || args.next().ok_or("expected: originals FOLDER THREADS SECONDS");
    let folder = next()?;
    let threads = next()?.parse::<usize>()?;
    let seconds = next()?.parse::<f64>()?;
    let mut paths = Vec::new();
    files(Path::new(&folder), &mut paths)?;
    paths.sort();
    let bytes = paths.iter().map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let work = |thread: usize| -> Result<f64, Failure> {
        // Each thread fills batches of its own.
        let mut batch = vec![0.0; BATCH * CROP * CROP * 3];
        let mut images = 0u32;
        let begun = Instant::now();
        for bytes in bytes.iter().cycle().skip(thread * bytes.len() / threads) {
            let place = images as usize % BATCH * CROP * CROP * 3;
            let draw = images.wrapping_mul(2_654_435_761) >> 16;
            load(bytes, draw as usize, &mut batch[place..place + CROP * CROP * 3])?;
            std::hint::black_box(&batch);
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
    println!("{{\"images_per_s\": {rate:.1}, \"images\": {}}}", bytes.len());
    Ok(())
}

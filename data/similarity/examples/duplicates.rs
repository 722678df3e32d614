//! Images that were stored twice in a small set: `cargo run --example duplicates`.

use alexnet_similarity::{Fingerprint, candidates, components};

/// Side of an image.
const SIDE: usize = 64;

/// An image of waves, whose length and direction depend on the seed.
fn image(seed: usize) -> Vec<u8> {
    let mut pixels = Vec::new();
    for place in 0..SIDE * SIDE {
        let x = (place % SIDE) as f64;
        let y = (place / SIDE) as f64;
        let wave = |channel: usize| ((x * (seed % 7 + 1) as f64 + y * (seed % 5 + channel) as f64) / 23.0).sin();
        pixels.extend([0, 1, 2].map(|channel| (128.0 + 100.0 * wave(channel)) as u8));
    }
    pixels
}

fn main() -> Result<(), alexnet_similarity::Error> {
    let mut images: Vec<Vec<u8>> = (0..30).map(image).collect();
    // One once more, darker, as a photograph that was edited.
    images.push(images[11].iter().map(|&value| (f64::from(value) * 0.97) as u8).collect());
    let fingerprints =
        images.iter().map(|pixels| Fingerprint::new(pixels, SIDE, SIDE)).collect::<Result<Vec<_>, _>>()?;
    let pairs = candidates(&fingerprints);
    for set in components(images.len(), &pairs) {
        println!("the same image: {set:?}");
    }
    Ok(())
}

//! Rendering of a figure: colours, light, clutter and noise.

use image::{Rgb, RgbImage};

use super::dice::Dice;
use super::kinds::{Figure, Kind, Part};

/// Red, green and blue from 0 to 1.
type Colour = [f32; 3];

/// Samples along each side of a pixel, for smooth edges.
const SAMPLES: u32 = 3;
/// The least distance in RGB between foreground and background: less would be invisible under the noise.
const CONTRAST: f32 = 0.5;

/// A surface whose colour varies smoothly between two.
struct Paint {
    from: Colour,
    to: Colour,
    /// Frequency along x and y (radians over the image's side) and phase.
    waves: [[f32; 3]; 2],
}

impl Paint {
    fn new(from: Colour, variation: f32, dice: &mut Dice) -> Self {
        let to = from.map(|value| (value + dice.between(-variation, variation)).clamp(0.0, 1.0));
        let waves = [(); 2].map(|()| {
            let frequency = dice.between(2.0, 14.0);
            let direction = dice.angle();
            [frequency * direction.cos(), frequency * direction.sin(), dice.angle()]
        });
        Self { from, to, waves }
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let swing: f32 = self.waves.iter().map(|[a, b, phase]| (a * x + b * y + phase).sin()).sum();
        mix(self.from, self.to, 0.5 + 0.25 * swing)
    }
}

/// A straight stroke of clutter.
struct Stroke {
    start: [f32; 2],
    end: [f32; 2],
    width: f32,
    colour: Colour,
}

impl Stroke {
    fn new(dice: &mut Dice) -> Self {
        let start = [dice.between(0.0, 1.0), dice.between(0.0, 1.0)];
        let length = dice.between(0.15, 0.5);
        let direction = dice.angle();
        Self {
            start,
            end: [start[0] + length * direction.cos(), start[1] + length * direction.sin()],
            width: dice.between(0.012, 0.03),
            colour: colour(dice),
        }
    }

    fn covers(&self, x: f32, y: f32) -> bool {
        let [dx, dy] = [self.end[0] - self.start[0], self.end[1] - self.start[1]];
        let along = ((x - self.start[0]) * dx + (y - self.start[1]) * dy) / (dx * dx + dy * dy);
        let along = along.clamp(0.0, 1.0);
        (x - self.start[0] - along * dx).hypot(y - self.start[1] - along * dy) < self.width
    }
}

/// A scene to render.
struct Scene {
    figure: Figure,
    background: Paint,
    foreground: Paint,
    /// Saturation and value of a rainbow.
    spectrum: [f32; 2],
    strokes: Vec<Stroke>,
    /// Light: level, and its slope along x and y.
    light: [f32; 3],
    noise: f32,
}

/// An image of `kind`.
pub fn draw(kind: Kind, dice: &mut Dice, size: u32) -> RgbImage {
    let scene = Scene::new(kind, dice);
    RgbImage::from_fn(size, size, |x, y| {
        let [red, green] = dice.normals();
        let [blue, grey] = dice.normals();
        let colour = scene.pixel(x, y, size);
        let noise = [red, green, blue].map(|value| scene.noise * 0.7 * (value + grey));
        Rgb([0, 1, 2].map(|i| ((colour[i] + noise[i]).clamp(0.0, 1.0) * 255.0).round() as u8))
    })
}

impl Scene {
    fn new(kind: Kind, dice: &mut Dice) -> Self {
        let figure = Figure::new(kind, dice);
        let back = colour(dice);
        let fore = contrasting(back, dice);
        let slope = dice.between(0.0, 0.5);
        let direction = dice.angle();
        let strokes = dice.below(3);
        Self {
            figure,
            background: Paint::new(back, 0.25, dice),
            foreground: Paint::new(fore, 0.2, dice),
            spectrum: [dice.between(0.45, 1.0), dice.between(0.65, 1.0)],
            strokes: (0..strokes).map(|_| Stroke::new(dice)).collect(),
            light: [dice.between(0.7, 1.1), slope * direction.cos(), slope * direction.sin()],
            noise: dice.between(0.005, 0.05),
        }
    }

    /// The mean over the samples of one pixel.
    fn pixel(&self, x: u32, y: u32, size: u32) -> Colour {
        let mut sum = [0.0; 3];
        for sample in 0..SAMPLES * SAMPLES {
            let place = |pixel: u32, part: u32| (pixel as f32 + (part as f32 + 0.5) / SAMPLES as f32) / size as f32;
            let colour = self.at(place(x, sample % SAMPLES), place(y, sample / SAMPLES));
            for (total, value) in sum.iter_mut().zip(colour) {
                *total += value;
            }
        }
        sum.map(|total| total / (SAMPLES * SAMPLES) as f32)
    }

    fn at(&self, x: f32, y: f32) -> Colour {
        let surface = match self.strokes.iter().find(|stroke| stroke.covers(x, y)) {
            Some(stroke) => stroke.colour,
            None => match self.figure.at(x, y) {
                Part::Background => self.background.at(x, y),
                Part::Foreground => self.foreground.at(x, y),
                Part::Spectrum(place) => hsv(0.8 * place, self.spectrum[0], self.spectrum[1]),
            },
        };
        let light = self.light[0] + self.light[1] * (x - 0.5) + self.light[2] * (y - 0.5);
        surface.map(|value| value * light)
    }
}

fn colour(dice: &mut Dice) -> Colour {
    hsv(dice.between(0.0, 1.0), dice.between(0.0, 1.0).sqrt(), dice.between(0.25, 1.0))
}

/// A colour distinguishable from `other`; it may differ in hue alone.
fn contrasting(other: Colour, dice: &mut Dice) -> Colour {
    for _ in 0..32 {
        let candidate = colour(dice);
        if distance(candidate, other) >= CONTRAST {
            return candidate;
        }
    }
    other.map(|value| if value < 0.5 { 1.0 } else { 0.0 })
}

fn distance(a: Colour, b: Colour) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
}

fn mix(from: Colour, to: Colour, share: f32) -> Colour {
    [0, 1, 2].map(|i| from[i] + (to[i] - from[i]) * share)
}

/// Hue (0 to 1 around the circle), saturation and value as red, green and blue.
fn hsv(hue: f32, saturation: f32, value: f32) -> Colour {
    [5.0, 3.0, 1.0].map(|offset: f32| {
        let k = (offset + hue * 6.0).rem_euclid(6.0);
        value - value * saturation * k.min(4.0 - k).clamp(0.0, 1.0)
    })
}

//! The ten classes: six shapes, three textures, and the rainbow, which differs from stripes in colour only.

use std::f32::consts::{PI, TAU};

use super::dice::Dice;

/// Class of an image. The names are in alphabetical order, as in the packed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A board of squares in two colours.
    Checks,
    /// A filled circle.
    Circle,
    /// Two bars crossing at right angles.
    Cross,
    /// A lattice of small discs.
    Dots,
    /// Bands in the order of the spectrum, straight or bent.
    Rainbow,
    /// A circle with a hole.
    Ring,
    /// A filled square.
    Square,
    /// A star with five points.
    Star,
    /// Parallel bands of two colours.
    Stripes,
    /// An equilateral triangle.
    Triangle,
}

impl Kind {
    /// All ten, in the order of their names.
    pub const ALL: [Self; 10] = [
        Self::Checks,
        Self::Circle,
        Self::Cross,
        Self::Dots,
        Self::Rainbow,
        Self::Ring,
        Self::Square,
        Self::Star,
        Self::Stripes,
        Self::Triangle,
    ];

    /// Name of the class and of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checks => "checks",
            Self::Circle => "circle",
            Self::Cross => "cross",
            Self::Dots => "dots",
            Self::Rainbow => "rainbow",
            Self::Ring => "ring",
            Self::Square => "square",
            Self::Star => "star",
            Self::Stripes => "stripes",
            Self::Triangle => "triangle",
        }
    }
}

/// A figure of one class, with random position and proportions.
pub struct Figure {
    kind: Kind,
    centre: [f32; 2],
    /// Cosine and sine of the rotation.
    turn: [f32; 2],
    /// Half the figure's extent, or the period of a texture, along its own two axes.
    radius: [f32; 2],
    /// A proportion whose meaning depends on the class: width of a bar, fraction of a period, ...
    detail: f32,
    /// The offset of every other row of dots; the bend of a rainbow.
    bend: f32,
}

/// Part of a figure at a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    Background,
    Foreground,
    /// A position in the spectrum, from 0 (red) to 1 (violet).
    Spectrum(f32),
}

impl Figure {
    /// A figure in the unit square, partly outside at worst.
    pub fn new(kind: Kind, dice: &mut Dice) -> Self {
        let (radius, spread) = match kind {
            Kind::Checks => (dice.between(0.13, 0.24), 0.5),
            Kind::Dots => (dice.between(0.20, 0.34), 0.5),
            Kind::Stripes => (dice.between(0.16, 0.40), 0.5),
            Kind::Rainbow => (dice.between(0.30, 0.60), 0.15),
            Kind::Star => (dice.between(0.34, 0.46), 0.12),
            _ => (dice.between(0.28, 0.42), 0.13),
        };
        let stretch = dice.between(0.93, 1.07);
        let turn = dice.angle();
        Self {
            kind,
            centre: [dice.between(0.5 - spread, 0.5 + spread), dice.between(0.5 - spread, 0.5 + spread)],
            turn: [turn.cos(), turn.sin()],
            radius: [radius * stretch, radius / stretch],
            detail: dice.between(0.0, 1.0),
            bend: dice.between(0.0, 1.0),
        }
    }

    /// The point that the figure is turned about.
    #[cfg(test)]
    pub fn centre(&self) -> [f32; 2] {
        self.centre
    }

    /// The part of the figure at a point of the unit square.
    pub fn at(&self, x: f32, y: f32) -> Part {
        let dx = x - self.centre[0];
        let dy = y - self.centre[1];
        let u = (dx * self.turn[0] + dy * self.turn[1]) / self.radius[0];
        let v = (dy * self.turn[0] - dx * self.turn[1]) / self.radius[1];
        if self.kind == Kind::Rainbow {
            return self.rainbow(u, v);
        }
        if self.covers(u, v) { Part::Foreground } else { Part::Background }
    }

    fn covers(&self, u: f32, v: f32) -> bool {
        let r = u.hypot(v);
        match self.kind {
            Kind::Circle => r < 1.0,
            Kind::Ring => r < 1.05 && r > 0.5 + 0.22 * self.detail,
            Kind::Square => u.abs().max(v.abs()) < 0.87,
            Kind::Triangle => in_triangle(u, v),
            Kind::Star => in_star(u, v, 0.38 + 0.08 * self.detail),
            Kind::Cross => {
                let thin = u.abs().min(v.abs());
                let long = u.abs().max(v.abs());
                thin < 0.24 + 0.12 * self.detail && long < 1.05
            }
            Kind::Stripes => u.rem_euclid(1.0) < 0.35 + 0.3 * self.detail,
            Kind::Checks => (u.floor() + v.floor()).rem_euclid(2.0) < 1.0,
            Kind::Dots => {
                let row = v.floor();
                let shift = if self.bend < 0.5 { 0.0 } else { 0.5 * row.rem_euclid(2.0) };
                let a = (u + shift).rem_euclid(1.0) - 0.5;
                let b = v - row - 0.5;
                a.hypot(b) < 0.23 + 0.10 * self.detail
            }
            Kind::Rainbow => false,
        }
    }

    /// A band across the image, as part of a circle whose centre is far away or near.
    fn rainbow(&self, u: f32, v: f32) -> Part {
        let far = 1.2 + 4.0 * self.bend;
        let place = u.hypot(v + far) - far + 0.5;
        if !(0.0..1.0).contains(&place) {
            Part::Background
        } else if self.detail < 0.5 {
            Part::Spectrum(place)
        } else {
            Part::Spectrum(1.0 - place)
        }
    }
}

/// An equilateral triangle whose corners are a little outside the unit circle.
fn in_triangle(u: f32, v: f32) -> bool {
    let half_width = 3.0_f32.sqrt() / 2.0;
    [v, -half_width * u - 0.5 * v, half_width * u - 0.5 * v].into_iter().all(|side| side < 0.6)
}

/// A star with five points on the unit circle and its notches at radius `inner`.
fn in_star(u: f32, v: f32, inner: f32) -> bool {
    // Folded into the half sector from a point (angle 0) to the notch beside it (angle 36 degrees).
    let sector = TAU / 5.0;
    let angle = ((v.atan2(u) + PI).rem_euclid(sector) - sector / 2.0).abs();
    let angle = sector / 2.0 - angle;
    let r = u.hypot(v);
    let x = r * angle.cos();
    let y = r * angle.sin();
    let notch = [inner * (sector / 2.0).cos(), inner * (sector / 2.0).sin()];
    // Inside the line from the point (1, 0) to the notch.
    (notch[0] - 1.0) * y - notch[1] * (x - 1.0) > 0.0
}

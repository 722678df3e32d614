//! Scan headers of a JPEG (ITU T.81, B.2.3), and what the scans bring of an image.

use super::frame::{COMPONENTS, Frame};
use super::tables::Tables;
use crate::error::BadImage;

/// The most blocks in a unit of an interleaved scan (B.2.3).
const MOST_BLOCKS: usize = 10;
/// The lowest bits that a scan may leave to later ones.
const MOST_LOW: u8 = 13;

/// One component's part in a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Which of the frame's.
    pub component: usize,
    /// Definitions of its Huffman tables, as far as there are any.
    pub dc: Option<&'a [u8]>,
    pub ac: Option<&'a [u8]>,
}

/// A scan's header.
#[derive(Clone, Debug)]
pub(super) struct Scan<'a> {
    /// In the frame's order.
    pub parts: Vec<Part<'a>>,
    /// The coefficients that it holds, in the order of frequencies: all of them if it is sequential.
    pub first: usize,
    pub last: usize,
    /// The bits that were there before, from this one up; 0: none.
    pub high: u8,
    /// Its own bits, from this one up.
    pub low: u8,
    /// Units between restarts; 0: none.
    pub restart: usize,
    /// Where its data begin.
    pub at: usize,
}

impl<'a> Scan<'a> {
    pub fn parse(body: &[u8], frame: &Frame, tables: &Tables<'a>, restart: usize, at: usize) -> Result<Self, BadImage> {
        let wrong = || BadImage::Damaged("a scan header that does not fit the frame".into());
        let count = usize::from(*body.first().ok_or_else(wrong)?);
        if !(1..=COMPONENTS).contains(&count) || body.len() != 4 + 2 * count {
            return Err(wrong());
        }
        let mut parts = Vec::with_capacity(count);
        // Components come in the frame's order; of those with the same number, the next one is meant.
        let mut next = 0;
        for named in body[1..=2 * count].chunks_exact(2) {
            let found = frame.components[next..].iter().position(|c| c.id == named[0]).ok_or_else(wrong)?;
            let component = next + found;
            parts.push(Part { component, dc: tables.dc(named[1] >> 4), ac: tables.ac(named[1] & 15) });
            next = component + 1;
        }
        check_unit(frame, &parts)?;
        let mut scan = Self { parts, first: 0, last: 63, high: 0, low: 0, restart, at };
        // A sequential scan holds all coefficients in full, whatever its header says.
        if frame.is_progressive {
            scan.read_progression(&body[1 + 2 * count..])?;
        }
        Ok(scan)
    }

    fn read_progression(&mut self, bytes: &[u8]) -> Result<(), BadImage> {
        let high = bytes[2] >> 4;
        let low = bytes[2] & 15;
        self.first = usize::from(bytes[0]);
        self.last = usize::from(bytes[1]);
        self.high = high;
        self.low = low;
        let is_band = match self.first {
            0 => self.last == 0,
            first => first <= self.last && self.last <= 63 && self.parts.len() == 1,
        };
        if !is_band || (high > 0 && low + 1 != high) || low > MOST_LOW {
            let Self { first, last, .. } = self;
            let what = format!("a progressive scan of coefficients {first} to {last}, bits {high} to {low}");
            return Err(BadImage::Damaged(what));
        }
        Ok(())
    }
}

fn check_unit(frame: &Frame, parts: &[Part<'_>]) -> Result<(), BadImage> {
    let blocks = |part: &Part<'_>| frame.components[part.component].across * frame.components[part.component].down;
    match parts.iter().map(blocks).sum() {
        0..=MOST_BLOCKS => Ok(()),
        _ if parts.len() == 1 => Ok(()),
        n => {
            Err(BadImage::Damaged(format!("an interleaved scan of {n} blocks a unit, expected at most {MOST_BLOCKS}")))
        }
    }
}

/// What the scans so far have brought of each component.
#[derive(Debug)]
pub(super) struct Progress {
    /// By component and coefficient: bits that are still to come, -1 before the first scan that holds it.
    missing: [[i8; 64]; COMPONENTS],
}

impl Progress {
    pub fn new() -> Self {
        Self { missing: [[-1; 64]; COMPONENTS] }
    }

    /// Counts a scan in.
    pub fn add(&mut self, scan: &Scan<'_>, frame: &Frame) -> Result<(), BadImage> {
        for part in &scan.parts {
            let missing = &mut self.missing[part.component][scan.first..=scan.last];
            if !frame.is_progressive && missing[0] == 0 {
                return Err(BadImage::Damaged("two scans of one colour".into()));
            }
            missing.fill(scan.low as i8);
        }
        Ok(())
    }

    /// Refuses a file whose scans do not bring every coefficient of every colour to its last bit: it was cut between
    /// scans, and perhaps its end marker put back. The standard would allow it, for previews; no encoder of
    /// photographs does it.
    pub fn check_complete(&self, frame: &Frame) -> Result<(), BadImage> {
        let components = frame.components.len();
        let lacking = |lacks: fn(i8) -> bool| {
            self.missing[..components].iter().filter(|missing| missing.iter().any(|&bits| lacks(bits))).count()
        };
        match [lacking(|bits| bits < 0), lacking(|bits| bits > 0)] {
            [0, 0] => Ok(()),
            [0, n] => Err(BadImage::CutShort(format!("scans that refine {n} of {components} colours are missing"))),
            [n, _] => Err(BadImage::CutShort(format!("scans of {n} of {components} colours are missing"))),
        }
    }
}

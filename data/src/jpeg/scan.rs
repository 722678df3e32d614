//! Scan headers of a JPEG (ITU T.81, B.2.3), and which coefficients the scans cover.

use super::frame::{COMPONENTS, Frame};
use super::tables::TableDefinitions;
use crate::error::BadImage;

/// Maximum number of blocks in an MCU of an interleaved scan (B.2.3).
const MAX_MCU_BLOCKS: usize = 10;
/// Maximum successive approximation position.
const MAX_LOW_BIT: u8 = 13;

/// A component of a scan.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScanComponent<'a> {
    /// Index in the frame.
    pub component: usize,
    /// Definitions of its Huffman tables, if any.
    pub dc: Option<&'a [u8]>,
    pub ac: Option<&'a [u8]>,
}

/// The header of a scan.
#[derive(Clone, Debug)]
pub(super) struct Scan<'a> {
    /// Components in the frame's order.
    pub components: Vec<ScanComponent<'a>>,
    /// First and last coefficient in zigzag order; 0 to 63 for a sequential scan.
    pub first: usize,
    pub last: usize,
    /// Lowest bit known before this scan, 0 if none.
    pub high: u8,
    /// Lowest bit after this scan.
    pub low: u8,
    /// MCUs per restart interval, 0 without restarts.
    pub restart_interval: usize,
    /// File offset of its data.
    pub offset: usize,
}

impl<'a> Scan<'a> {
    pub fn parse(
        body: &[u8],
        frame: &Frame,
        tables: &TableDefinitions<'a>,
        restart_interval: usize,
        offset: usize,
    ) -> Result<Self, BadImage> {
        let wrong = || BadImage::Damaged("a scan header that does not fit the frame".into());
        let count = usize::from(*body.first().ok_or_else(wrong)?);
        if !(1..=COMPONENTS).contains(&count) || body.len() != 4 + 2 * count {
            return Err(wrong());
        }
        let mut components = Vec::with_capacity(count);
        // Components come in the frame's order; among those with the same id, the next one is meant.
        let mut next = 0;
        for named in body[1..=2 * count].chunks_exact(2) {
            let found = frame.components[next..].iter().position(|c| c.id == named[0]).ok_or_else(wrong)?;
            let component = next + found;
            components.push(ScanComponent { component, dc: tables.dc(named[1] >> 4), ac: tables.ac(named[1] & 15) });
            next = component + 1;
        }
        check_mcu(frame, &components)?;
        let mut scan = Self { components, first: 0, last: 63, high: 0, low: 0, restart_interval, offset };
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
            first => first <= self.last && self.last <= 63 && self.components.len() == 1,
        };
        if !is_band || (high > 0 && low + 1 != high) || low > MAX_LOW_BIT {
            let Self { first, last, .. } = self;
            let what = format!("a progressive scan of coefficients {first} to {last}, bits {high} to {low}");
            return Err(BadImage::Damaged(what));
        }
        Ok(())
    }
}

fn check_mcu(frame: &Frame, components: &[ScanComponent<'_>]) -> Result<(), BadImage> {
    let blocks =
        |part: &ScanComponent<'_>| frame.components[part.component].across * frame.components[part.component].down;
    match components.iter().map(blocks).sum() {
        0..=MAX_MCU_BLOCKS => Ok(()),
        _ if components.len() == 1 => Ok(()),
        n => Err(BadImage::Damaged(format!(
            "an interleaved scan of {n} blocks a unit, expected at most {MAX_MCU_BLOCKS}"
        ))),
    }
}

/// Coefficient bits covered by the scans so far.
#[derive(Debug)]
pub(super) struct ScanCoverage {
    /// Missing bits by component and coefficient, -1 before the first scan of a coefficient.
    missing: [[i8; 64]; COMPONENTS],
}

impl ScanCoverage {
    pub fn new() -> Self {
        Self { missing: [[-1; 64]; COMPONENTS] }
    }

    /// Adds a scan.
    pub fn add(&mut self, scan: &Scan<'_>, frame: &Frame) -> Result<(), BadImage> {
        for part in &scan.components {
            let missing = &mut self.missing[part.component][scan.first..=scan.last];
            if !frame.is_progressive && missing[0] == 0 {
                return Err(BadImage::Damaged("two scans of one colour".into()));
            }
            missing.fill(scan.low as i8);
        }
        Ok(())
    }

    /// Rejects a file whose scans do not complete every coefficient: it was truncated between scans, perhaps with an
    /// end marker appended. The standard allows this for previews, but no encoder of photographs does it.
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

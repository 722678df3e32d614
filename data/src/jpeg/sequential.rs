//! Sequential scans: the blocks of one or more components, transformed where the region shows them.

use std::rc::Rc;

use super::bits::{BadCode, Bits, Unstuffed, unstuff};
use super::frame::{Component, Frame};
use super::huffman::{Cache, Kind, Table};
use super::idct::{Idct, Transform};
use super::planes::{Plane, Planes};
use super::scan::Scan;
use super::{Fault, Jpeg, Reading, Region};

/// One component's part in a unit.
#[derive(Debug)]
struct Coder {
    component: usize,
    /// Blocks in a unit.
    across: usize,
    down: usize,
    dc: Rc<Table>,
    ac: Rc<Table>,
    before: i32,
}

impl Coder {
    /// Of each component of a scan.
    fn all(scan: &Scan<'_>, frame: &Frame, tables: &mut Cache) -> Result<Vec<Self>, Fault> {
        let mut coders = Vec::with_capacity(scan.parts.len());
        for part in &scan.parts {
            let dc = tables.get(Kind::Dc, part.dc)?;
            let ac = tables.get(Kind::Ac, part.ac)?;
            let Component { across, down, .. } = frame.components[part.component];
            // A component that is alone comes block by block.
            let (across, down) = if scan.parts.len() == 1 { (1, 1) } else { (across, down) };
            coders.push(Self { component: part.component, across, down, dc, ac, before: 0 });
        }
        Ok(coders)
    }
}

/// Decodes the region of a sequential JPEG into `out`, `stride` bytes a row.
pub(super) fn decode(
    jpeg: &Jpeg<'_>,
    region: &Region,
    reading: Reading,
    planes: &mut Planes,
    out: &mut [u8],
    stride: usize,
) -> Result<(), Fault> {
    planes.fit(&jpeg.frame, region);
    for scan in &jpeg.scans {
        decode_scan(jpeg, scan, reading, planes)?;
    }
    if !region.rows.is_empty() && !region.columns.is_empty() {
        planes.write_rgb(jpeg.colour, region, out, stride);
    }
    Ok(())
}

/// Decodes the blocks of a scan that the planes have room for.
fn decode_scan(jpeg: &Jpeg<'_>, scan: &Scan<'_>, reading: Reading, planes: &mut Planes) -> Result<(), Fault> {
    let coders = Coder::all(scan, &jpeg.frame, &mut planes.tables)?;
    let found = unstuff(&jpeg.data[scan.at..], &mut planes.scan);
    let size = match scan.parts.as_slice() {
        [part] => jpeg.frame.blocks(part.component),
        _ => jpeg.frame.units(),
    };
    let is_wide = coders.iter().any(|coder| coder.dc.is_wide || coder.ac.is_wide);
    let mut units = Units {
        quantisers: &jpeg.quantisers,
        restart: scan.restart,
        size,
        reading,
        scan: &planes.scan,
        found,
        planes: &mut planes.planes,
        coders,
    };
    match Idct::new() {
        Idct::Plain(way) => units.decode_any(is_wide, way),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Idct::new` found AVX2 and BMI2.
        Idct::Avx2(way) => unsafe { units.decode_avx2(is_wide, way) },
    }
}

/// The units of a scan: one block, or so many of each component.
struct Units<'a> {
    quantisers: &'a [[i16; 64]],
    restart: usize,
    /// Units across and down.
    size: (usize, usize),
    reading: Reading,
    scan: &'a [u8],
    found: Unstuffed,
    planes: &'a mut [Plane],
    coders: Vec<Coder>,
}

impl Units<'_> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn decode_avx2(&mut self, is_wide: bool, way: impl Transform) -> Result<(), Fault> {
        self.decode_any(is_wide, way)
    }

    #[inline(always)]
    fn decode_any(&mut self, is_wide: bool, way: impl Transform) -> Result<(), Fault> {
        if is_wide { self.decode_wide(way) } else { self.decode::<false>(way) }
    }

    /// Apart, so that the usual way stays small.
    #[cold]
    #[inline(never)]
    fn decode_wide(&mut self, way: impl Transform) -> Result<(), Fault> {
        self.decode::<true>(way)
    }

    #[inline(always)]
    fn decode<const WIDE: bool>(&mut self, way: impl Transform) -> Result<(), Fault> {
        let (across, down) = self.size;
        let shown = self.coders.iter().map(|coder| self.planes[coder.component].rows.end.div_ceil(coder.down));
        let last = if self.reading == Reading::Whole { down } else { shown.max().unwrap_or(0) };
        let mut bits = Bits::new(self.scan);
        // The part between restarts, and where it begins; units until it ends.
        let mut part = 0;
        let mut start = 0;
        let mut left = self.restart;
        for row in 0..last {
            for column in 0..across {
                if self.restart > 0 {
                    if left == 0 {
                        start = self.found.next_part(part, start + bits.taken())?;
                        self.coders.iter_mut().for_each(|coder| coder.before = 0);
                        bits = Bits::new(&self.scan[start..]);
                        (part, left) = (part + 1, self.restart);
                    }
                    left -= 1;
                }
                self.unit::<WIDE>(row, column, &mut bits, way)
                    .map_err(|code| self.found.reason(code, part, start + bits.taken()))?;
            }
            self.found.check(part, start + bits.taken())?;
        }
        Ok(())
    }

    #[inline(always)]
    fn unit<const WIDE: bool>(
        &mut self,
        row: usize,
        column: usize,
        bits: &mut Bits<'_>,
        way: impl Transform,
    ) -> Result<(), BadCode> {
        for coder in &mut self.coders {
            let &mut Coder { component, across, down, .. } = coder;
            let plane = &mut self.planes[component];
            let stride = plane.stride();
            for y in row * down..(row + 1) * down {
                for x in column * across..(column + 1) * across {
                    let Some(at) = plane.place(x, y) else {
                        bits.skip_block::<WIDE>(&coder.dc, &coder.ac, &mut coder.before)?;
                        continue;
                    };
                    let mut block = [0; 64];
                    let last = bits.block::<WIDE>(&coder.dc, &coder.ac, &mut coder.before, &mut block)?;
                    way.apply(&block, &self.quantisers[component], last, &mut plane.values[at..], stride);
                }
            }
        }
        Ok(())
    }
}

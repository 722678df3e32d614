//! The blocks of a scan, transformed where they are shown.

use std::ops::Range;
use std::rc::Rc;

use super::header::{Component, Header};
use super::huffman::{self, Bits, Kind, Table, Unstuffed, unstuff};
use super::idct::{Idct, Transform};
use super::upsample::{Axis, Rows, Source};
use super::{BLOCK, Failure, Reading, Region, colour};

/// Bytes of each buffer that a thread keeps from one picture to the next.
const KEPT: usize = 8 << 20;

/// What one picture needs, kept for the next one.
#[derive(Debug, Default)]
pub(super) struct Planes {
    /// The scan without its stuffed bytes, and some zeros.
    scan: Vec<u8>,
    planes: [Plane; 3],
    /// Those in use.
    count: usize,
    tables: huffman::Cache,
    rows: [Rows; 3],
}

/// The part of a component that the region needs, in whole blocks.
#[derive(Debug, Default)]
struct Plane {
    values: Vec<u8>,
    /// Which blocks.
    rows: Range<usize>,
    columns: Range<usize>,
    /// How the component becomes as large as the picture.
    across: Axis,
    down: Axis,
}

/// One component's part in a unit.
#[derive(Debug)]
struct Coder {
    component: Component,
    dc: Rc<Table>,
    ac: Rc<Table>,
    before: i32,
}

impl Plane {
    /// Bytes a row.
    fn stride(&self) -> usize {
        self.columns.len() * BLOCK
    }

    /// Makes room for what `region` needs of a component that has `across` x `down` of each `unit`'s blocks.
    fn fit(&mut self, header: &Header, component: &Component, region: &Region) -> Result<(), Failure> {
        let (most_across, most_down) = header.unit();
        self.across = Axis::new(header.width, most_across / component.across);
        self.down = Axis::new(header.height, most_down / component.down);
        if self.across.is_tiny() {
            return Err(Failure::Other);
        }
        let blocks = |range: Range<usize>| range.start / BLOCK..range.end.div_ceil(BLOCK);
        self.columns = blocks(self.across.needed(&region.columns));
        self.rows = blocks(self.down.needed(&region.rows));
        // Whatever was there before: only what is transformed is used.
        self.values.resize(self.stride() * self.rows.len() * BLOCK, 0);
        Ok(())
    }

    /// The values of row `y` from the first column of blocks on.
    fn row(&self, y: usize) -> &[u8] {
        &self.values[(y - self.rows.start * BLOCK) * self.stride()..][..self.stride()]
    }
}

impl Planes {
    /// Decodes the blocks that the region shows.
    pub fn decode(&mut self, data: &[u8], header: &Header, region: &Region, reading: Reading) -> Result<(), Failure> {
        let found = unstuff(&data[header.scan..], &mut self.scan);
        if reading == Reading::Whole && !found.is_regular {
            return Err(Failure::Other);
        }
        self.count = header.components.len();
        let mut coders = Vec::with_capacity(3);
        for (component, plane) in header.components.iter().zip(&mut self.planes) {
            plane.fit(header, component, region)?;
            let dc = self.tables.get(Kind::Dc, data, header.dc[component.dc].as_ref())?;
            let ac = self.tables.get(Kind::Ac, data, header.ac[component.ac].as_ref())?;
            coders.push(Coder { component: *component, dc, ac, before: 0 });
        }
        let mut units = Units { header, reading, scan: &self.scan, found, planes: &mut self.planes, coders };
        match Idct::new() {
            Idct::Plain(way) => units.decode(way),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Idct::new` found AVX2 and BMI2.
            Idct::Avx2(way) => unsafe { units.decode_avx2(way) },
        }
    }

    /// The region's pixels in RGB.
    pub fn write_rgb(&mut self, region: &Region, out: &mut [u8], stride: usize) {
        let width = 3 * region.columns.len();
        for (y, out) in region.rows.clone().zip(out.chunks_mut(stride)) {
            for (plane, rows) in self.planes[..self.count].iter().zip(&mut self.rows) {
                let (near, far) = plane.down.rows(y);
                rows.fill(&Source {
                    near: plane.row(near),
                    far: far.map(|far| plane.row(far)),
                    y,
                    first: plane.columns.start * BLOCK,
                    axis: &plane.across,
                    columns: &region.columns,
                });
            }
            let [y, cb, cr] = self.rows.each_ref().map(Rows::values);
            match self.count {
                3 => colour::convert(y, cb, cr, &mut out[..width]),
                _ => out[..width].chunks_exact_mut(3).zip(y).for_each(|(pixel, &value)| pixel.fill(value)),
            }
        }
    }

    /// Gives back what a large picture took.
    pub fn shrink(&mut self) {
        for buffer in self.planes.iter_mut().map(|plane| &mut plane.values).chain([&mut self.scan]) {
            if buffer.capacity() > KEPT {
                *buffer = Vec::new();
            }
        }
    }
}

/// The units of a scan: one block, or so many of each component.
struct Units<'a> {
    header: &'a Header,
    reading: Reading,
    scan: &'a [u8],
    found: Unstuffed,
    planes: &'a mut [Plane; 3],
    coders: Vec<Coder>,
}

impl Units<'_> {
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
    fn decode_avx2(&mut self, way: impl Transform) -> Result<(), Failure> {
        self.decode(way)
    }

    #[inline(always)]
    fn decode(&mut self, way: impl Transform) -> Result<(), Failure> {
        let (most_across, most_down) = self.header.unit();
        let (across, down) =
            (self.header.width.div_ceil(BLOCK * most_across), self.header.height.div_ceil(BLOCK * most_down));
        let shown = self.planes.iter().zip(&self.coders);
        let shown = shown.map(|(plane, coder)| plane.rows.end.div_ceil(coder.component.down)).max().unwrap_or(0);
        let last = if self.reading == Reading::Whole { down } else { shown };
        let mut bits = Bits::new(self.scan);
        // The part between restarts, and where it begins; units until it ends.
        let (mut part, mut start, mut left) = (0, 0, self.header.restart);
        for row in 0..last {
            for column in 0..across {
                if self.header.restart > 0 {
                    if left == 0 {
                        start = self.end_part(part, start, &bits)?;
                        bits = Bits::new(&self.scan[start..]);
                        (part, left) = (part + 1, self.header.restart);
                    }
                    left -= 1;
                }
                self.unit(row, column, &mut bits, way)?;
            }
            if start + bits.taken() > self.found.ends[part] {
                return Err(Failure::Other);
            }
        }
        let is_all = part + 1 == self.found.ends.len() && start + bits.taken() == self.found.ends[part];
        if self.reading == Reading::Whole && !is_all { Err(Failure::Other) } else { Ok(()) }
    }

    /// Where the next part begins.
    fn end_part(&mut self, part: usize, start: usize, bits: &Bits<'_>) -> Result<usize, Failure> {
        let end = self.found.ends[part];
        let is_all = start + bits.taken() == end;
        if part + 1 == self.found.ends.len() || (self.reading == Reading::Whole && !is_all) {
            return Err(Failure::Other);
        }
        for coder in &mut self.coders {
            coder.before = 0;
        }
        Ok(end)
    }

    #[inline(always)]
    fn unit(&mut self, row: usize, column: usize, bits: &mut Bits<'_>, way: impl Transform) -> Result<(), Failure> {
        for (coder, plane) in self.coders.iter_mut().zip(self.planes.iter_mut()) {
            let Component { across, down, quantiser, .. } = coder.component;
            let stride = plane.stride();
            for y in row * down..(row + 1) * down {
                for x in column * across..(column + 1) * across {
                    if !plane.rows.contains(&y) || !plane.columns.contains(&x) {
                        bits.skip_block(&coder.dc, &coder.ac, &mut coder.before)?;
                        continue;
                    }
                    let mut block = [0; 64];
                    let last = bits.block(&coder.dc, &coder.ac, &mut coder.before, &mut block)?;
                    let at = ((y - plane.rows.start) * stride + x - plane.columns.start) * BLOCK;
                    way.apply(&block, &self.header.quantisers[quantiser], last, &mut plane.values[at..], stride);
                }
            }
        }
        Ok(())
    }
}

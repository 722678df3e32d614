//! Progressive scans (ITU T.81, annex G): coefficients that come in parts, all kept until the last of them is there.

use std::rc::Rc;

use super::bits::{BadCode, Bits, Unstuffed, unstuff};
use super::frame::{COMPONENTS, Frame};
use super::huffman::{Kind, Table};
use super::idct::{Idct, Transform};
use super::planes::{KEPT, Plane, Planes};
use super::scan::{Part, Scan};
use super::{Fault, Jpeg, Region, ZIGZAG};

/// Rows of the image that are transformed at once.
const BAND: usize = 128;

/// All coefficients of a component, by place in the block.
#[derive(Debug, Default)]
struct Blocks {
    values: Vec<i16>,
    /// By block: which of its coefficients are not zero, the k-th in the order of frequencies as bit k; not the first one.
    used: Vec<u64>,
    across: usize,
    down: usize,
}

impl Blocks {
    fn new(across: usize, down: usize) -> Self {
        Self { values: vec![0; 64 * across * down], used: vec![0; across * down], across, down }
    }

    /// A block; `None` beyond the last one across or down, where units reach.
    #[inline(always)]
    fn block(&mut self, x: usize, y: usize) -> Option<&mut [i16; 64]> {
        let is_within = x < self.across && y < self.down;
        let at = 64 * (y * self.across + x);
        is_within.then(|| self.values[at..].first_chunk_mut()).flatten()
    }

    /// Gives back the memory of all rows of blocks but the first `rows`, where it is much.
    fn keep_rows(&mut self, rows: usize) {
        if size_of_val(self.values.as_slice()) > KEPT {
            self.values.truncate(64 * rows * self.across);
            self.values.shrink_to_fit();
        }
    }
}

/// Decodes the region of a progressive JPEG into `out`, `stride` bytes a row.
pub(super) fn decode(
    jpeg: &Jpeg<'_>,
    region: &Region,
    planes: &mut Planes,
    out: &mut [u8],
    stride: usize,
) -> Result<(), Fault> {
    let mut blocks: [Blocks; COMPONENTS] = Default::default();
    let components = jpeg.frame.components.len();
    for (component, blocks) in blocks[..components].iter_mut().enumerate() {
        let (across, down) = jpeg.frame.blocks(component);
        *blocks = Blocks::new(across, down);
    }
    for scan in &jpeg.scans {
        read(jpeg, scan, planes, &mut blocks)?;
    }
    // From the last band up: the coefficients of a large image go while its pixels come.
    for (start, out) in region.rows.clone().step_by(BAND).zip(out.chunks_mut(stride * BAND)).rev() {
        let rows = start..region.rows.end.min(start + BAND);
        let band = Region { rows, columns: region.columns.clone() };
        planes.fit(&jpeg.frame, &band);
        let parts = planes.planes.iter_mut().zip(&mut blocks[..components]);
        for ((plane, blocks), quantiser) in parts.zip(&jpeg.quantisers) {
            match Idct::new() {
                Idct::Plain(way) => transform(plane, blocks, quantiser, way),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: `Idct::new` found AVX2 and BMI2.
                Idct::Avx2(way) => unsafe { transform_avx2(plane, blocks, quantiser, way) },
            }
            // The band above is interpolated with the first of these rows.
            blocks.keep_rows(plane.rows.start + 2);
        }
        planes.write_rgb(jpeg.colour, &band, out, stride);
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn transform_avx2(plane: &mut Plane, blocks: &Blocks, quantiser: &[i16; 64], way: impl Transform) {
    transform(plane, blocks, quantiser, way);
}

/// Fills a plane from its blocks.
#[inline(always)]
fn transform(plane: &mut Plane, blocks: &Blocks, quantiser: &[i16; 64], way: impl Transform) {
    let stride = plane.stride();
    for y in plane.rows.clone() {
        let first = y * blocks.across + plane.columns.start;
        let row = blocks.values[64 * first..].as_chunks::<64>().0.iter().zip(&blocks.used[first..]);
        for (x, (block, used)) in plane.columns.clone().zip(row) {
            let last = used.checked_ilog2().unwrap_or(0) as usize;
            if let Some(at) = plane.place(x, y) {
                way.apply(block, quantiser, last, &mut plane.values[at..], stride);
            }
        }
    }
}

/// Reads a scan into the blocks.
fn read(jpeg: &Jpeg<'_>, scan: &Scan<'_>, planes: &mut Planes, blocks: &mut [Blocks; COMPONENTS]) -> Result<(), Fault> {
    let found = unstuff(&jpeg.data[scan.at..], &mut planes.scan);
    let mut reader = Reader { bits: Bits::new(&planes.scan), data: &planes.scan, found, part: 0, start: 0, run: 0 };
    let band = Band { first: scan.first, last: scan.last, low: scan.low };
    match (scan.first, scan.parts.as_slice()) {
        (0, parts) => {
            let tables = |part: &Part<'_>| match scan.high {
                0 => planes.tables.get(Kind::Dc, part.dc).map(Some),
                _ => Ok(None),
            };
            let tables = parts.iter().map(tables).collect::<Result<Vec<_>, _>>()?;
            reader.read_dc(scan, &jpeg.frame, &tables, blocks)
        }
        (_, parts) => {
            let part = parts.first().ok_or(Fault::NoTable)?;
            let table = planes.tables.get(Kind::Band, part.ac)?;
            reader.read_band(scan, &band, &table, &mut blocks[part.component])
        }
    }
}

/// The coefficients of an AC scan.
struct Band {
    first: usize,
    last: usize,
    low: u8,
}

impl Band {
    /// Its coefficients from this one on, as bits.
    fn from(&self, k: usize) -> u64 {
        let beyond = u64::MAX.checked_shl(k as u32).unwrap_or(0);
        beyond & u64::MAX >> (63 - self.last)
    }
}

/// One block of a component's.
struct Block<'a> {
    values: &'a mut [i16; 64],
    used: &'a mut u64,
}

impl Block<'_> {
    #[inline(always)]
    fn value(&mut self, k: usize) -> &mut i16 {
        &mut self.values[usize::from(ZIGZAG[k & 63]) & 63]
    }

    /// Puts a first value into the k-th place.
    #[inline(always)]
    fn put(&mut self, k: usize, value: i16) {
        *self.value(k) = value;
        let bit = 1 << (k & 63);
        *self.used = if value == 0 { *self.used & !bit } else { *self.used | bit };
    }
}

/// A scan's bits, from restart to restart.
struct Reader<'a> {
    bits: Bits<'a>,
    data: &'a [u8],
    found: Unstuffed,
    /// The part between restarts, and where it begins.
    part: usize,
    start: usize,
    /// Blocks, this one included, that have no more values of their band.
    run: u32,
}

impl Reader<'_> {
    fn taken(&self) -> usize {
        self.start + self.bits.taken()
    }

    /// Goes on behind the next restart marker.
    fn restart(&mut self) -> Result<(), Fault> {
        self.start = self.found.next_part(self.part, self.taken())?;
        self.part += 1;
        self.bits = Bits::new(&self.data[self.start..]);
        self.run = 0;
        Ok(())
    }

    fn check(&self) -> Result<(), Fault> {
        self.found.check(self.part, self.taken())
    }

    fn wrong(&self, code: BadCode) -> Fault {
        self.found.reason(code, self.part, self.taken())
    }

    /// Reads the first coefficients, or one more bit of them where there are no tables.
    fn read_dc(
        &mut self,
        scan: &Scan<'_>,
        frame: &Frame,
        tables: &[Option<Rc<Table>>],
        blocks: &mut [Blocks; COMPONENTS],
    ) -> Result<(), Fault> {
        let mut before = [0; COMPONENTS];
        let (across, down) = match scan.parts.as_slice() {
            [part] => frame.blocks(part.component),
            _ => frame.units(),
        };
        for unit in 0..across * down {
            let row = unit / across;
            let column = unit % across;
            if scan.restart > 0 && unit > 0 && unit % scan.restart == 0 {
                self.restart()?;
                before = [0; COMPONENTS];
            }
            for ((part, table), before) in scan.parts.iter().zip(tables).zip(&mut before) {
                let component = frame.components[part.component];
                let (width, height) = if scan.parts.len() == 1 { (1, 1) } else { (component.across, component.down) };
                for block in 0..width * height {
                    let x = column * width + block % width;
                    let y = row * height + block / width;
                    let place = blocks[part.component].block(x, y).map(|block| &mut block[0]);
                    self.dc(table.as_deref(), scan.low, before, place)?;
                }
            }
            if column + 1 == across {
                self.check()?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn dc(&mut self, table: Option<&Table>, low: u8, before: &mut i32, place: Option<&mut i16>) -> Result<(), Fault> {
        let mut beyond = 0;
        let place = place.unwrap_or(&mut beyond);
        match table {
            Some(table) => {
                self.bits.dc(table, before).map_err(|code| self.wrong(code))?;
                *place = (*before << low) as i16;
            }
            None => {
                self.bits.fill();
                *place |= (self.bits.number(1) << low) as i16;
            }
        }
        Ok(())
    }

    /// Reads a band of one component's coefficients, or one more bit of each.
    fn read_band(&mut self, scan: &Scan<'_>, band: &Band, table: &Table, blocks: &mut Blocks) -> Result<(), Fault> {
        let across = blocks.across;
        let values = blocks.values.as_chunks_mut::<64>().0.iter_mut();
        for (place, (values, used)) in values.zip(&mut blocks.used).enumerate() {
            let mut block = Block { values, used };
            if scan.restart > 0 && place > 0 && place % scan.restart == 0 {
                self.restart()?;
            }
            let read = match scan.high {
                0 => self.first_values(band, table, &mut block),
                _ => self.more_bits(band, table, &mut block),
            };
            read.map_err(|code| self.wrong(code))?;
            if (place + 1) % across == 0 {
                self.check()?;
            }
        }
        Ok(())
    }

    /// Where a code ends its block's band, and those of more blocks: how many, this one included.
    #[inline(always)]
    fn blocks_of_run(&mut self, entry: u32) -> u32 {
        self.bits.skip(entry);
        let more = entry >> 24;
        (1 << more) + self.bits.number(more)
    }

    #[inline(always)]
    fn first_values(&mut self, band: &Band, table: &Table, block: &mut Block<'_>) -> Result<(), BadCode> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let mut k = band.first;
        while k <= band.last {
            self.bits.fill();
            let entry = self.bits.code(table);
            let zeros = entry >> 24;
            let size = entry >> 16 & 31;
            if entry == 0 {
                return Err(BadCode);
            }
            if size == 0 && zeros != 15 {
                self.run = self.blocks_of_run(entry) - 1;
                return Ok(());
            }
            k += zeros as usize;
            let value = self.bits.take(entry) << band.low;
            if k > band.last {
                return Err(BadCode);
            }
            if size > 0 {
                block.put(k, value as i16);
            }
            k += 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn more_bits(&mut self, band: &Band, table: &Table, block: &mut Block<'_>) -> Result<(), BadCode> {
        let bit = 1i16 << band.low;
        let mut k = band.first;
        while self.run == 0 && k <= band.last {
            self.bits.fill();
            let entry = self.bits.code(table);
            let zeros = entry >> 24;
            let size = entry >> 16 & 31;
            // A value that begins in this scan is of one bit, which says its sign.
            if entry == 0 || size > 1 {
                return Err(BadCode);
            }
            if size == 0 && zeros != 15 {
                self.run = self.blocks_of_run(entry);
                break;
            }
            let value = self.bits.take(entry) as i16 * bit;
            k = self.pass_zeros(band, k, zeros, bit, block);
            if k > band.last {
                return Err(BadCode);
            }
            if size > 0 {
                block.put(k, value);
            }
            k += 1;
        }
        if self.run > 0 {
            self.run -= 1;
            let mut used = *block.used & band.from(k);
            while used != 0 {
                self.one_more_bit(block.value(used.trailing_zeros() as usize), bit);
                used &= used - 1;
            }
        }
        Ok(())
    }

    /// Goes on from coefficient `k` to the first zero after `zeros` of them, giving a bit more to those that are none.
    #[inline(always)]
    fn pass_zeros(&mut self, band: &Band, mut k: usize, mut zeros: u32, bit: i16, block: &mut Block<'_>) -> usize {
        while k <= band.last {
            if *block.used >> k & 1 == 1 {
                self.one_more_bit(block.value(k), bit);
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
        k
    }

    /// Reads whether a value that is not zero goes on by `bit`.
    #[inline(always)]
    fn one_more_bit(&mut self, value: &mut i16, bit: i16) {
        self.bits.fill();
        if self.bits.number(1) == 1 && *value & bit == 0 {
            *value = value.wrapping_add(if *value >= 0 { bit } else { -bit });
        }
    }
}

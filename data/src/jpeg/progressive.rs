//! Progressive scans (ITU T.81, annex G): all coefficients are kept until the last scan is read.

use std::rc::Rc;

use super::bit_reader::{BitReader, InvalidCode, RestartIntervals, unstuff};
use super::coefficients::{CoefficientBlock, CoefficientPlane, SpectralBand};
use super::frame::{COMPONENTS, Frame};
use super::huffman::{HuffmanTable, TableKind};
use super::idct::{Idct, InverseDct};
use super::planes::{Plane, Planes};
use super::scan::{Scan, ScanComponent};
use super::{Jpeg, Region, ScanError};

/// Rows of the image transformed at a time.
const BAND_ROWS: usize = 128;

/// Decodes the region of a progressive JPEG to `out`, `stride` bytes per row.
pub(super) fn decode(
    jpeg: &Jpeg<'_>,
    region: &Region,
    planes: &mut Planes,
    out: &mut [u8],
    stride: usize,
) -> Result<(), ScanError> {
    let mut blocks: [CoefficientPlane; COMPONENTS] = Default::default();
    let components = jpeg.frame.components.len();
    for (component, blocks) in blocks[..components].iter_mut().enumerate() {
        let (across, down) = jpeg.frame.blocks(component);
        *blocks = CoefficientPlane::new(across, down);
    }
    for scan in &jpeg.scans {
        read(jpeg, scan, planes, &mut blocks)?;
    }
    // From the last band upwards, to free the coefficients of a large image while its pixels are made.
    for (start, out) in region.rows.clone().step_by(BAND_ROWS).zip(out.chunks_mut(stride * BAND_ROWS)).rev() {
        let rows = start..region.rows.end.min(start + BAND_ROWS);
        let band = Region { rows, columns: region.columns.clone() };
        planes.fit(&jpeg.frame, &band);
        let components = planes.planes.iter_mut().zip(&mut blocks[..components]);
        for ((plane, blocks), quantizer) in components.zip(&jpeg.quantizers) {
            match Idct::new() {
                Idct::Scalar(idct) => transform(plane, blocks, quantizer, idct),
                #[cfg(target_arch = "x86_64")]
                Idct::Avx2(idct) => idct.0.vectorize(
                    #[inline(always)]
                    || transform(plane, blocks, quantizer, idct),
                ),
            }
            // The band above is interpolated with the first of these rows.
            blocks.keep_rows(plane.rows.start + 2);
        }
        planes.write_rgb(jpeg.colour, &band, out, stride);
    }
    Ok(())
}

/// Transforms blocks to the samples of a plane.
#[inline(always)]
fn transform(plane: &mut Plane, blocks: &CoefficientPlane, quantizer: &[i16; 64], idct: impl InverseDct) {
    let stride = plane.stride();
    for y in plane.rows.clone() {
        let first = y * blocks.across + plane.columns.start;
        let row = blocks.values[64 * first..].as_chunks::<64>().0.iter().zip(&blocks.used[first..]);
        for (x, (block, used)) in plane.columns.clone().zip(row) {
            let last = used.checked_ilog2().unwrap_or(0) as usize;
            if let Some(at) = plane.offset_of_block(x, y) {
                idct.apply(block, quantizer, last, &mut plane.values[at..], stride);
            }
        }
    }
}

/// Reads a scan into the coefficients.
fn read(
    jpeg: &Jpeg<'_>,
    scan: &Scan<'_>,
    planes: &mut Planes,
    blocks: &mut [CoefficientPlane; COMPONENTS],
) -> Result<(), ScanError> {
    let intervals = unstuff(&jpeg.data[scan.offset..], &mut planes.scan);
    let mut reader = ProgressiveDecoder {
        bits: BitReader::new(&planes.scan),
        data: &planes.scan,
        intervals,
        interval: 0,
        start: 0,
        end_of_band_run: 0,
    };
    let band = SpectralBand { first: scan.first, last: scan.last, low: scan.low };
    match (scan.first, scan.components.as_slice()) {
        (0, components) => {
            let tables = |component: &ScanComponent<'_>| match scan.high {
                0 => planes.tables.get(TableKind::Dc, component.dc).map(Some),
                _ => Ok(None),
            };
            let tables = components.iter().map(tables).collect::<Result<Vec<_>, _>>()?;
            reader.read_dc(scan, &jpeg.frame, &tables, blocks)
        }
        (_, components) => {
            let component = components.first().ok_or(ScanError::MissingTable)?;
            let table = planes.tables.get(TableKind::ProgressiveAc, component.ac)?;
            reader.read_band(scan, &band, &table, &mut blocks[component.component])
        }
    }
}

/// Decoder of a scan, restart interval by restart interval.
struct ProgressiveDecoder<'a> {
    bits: BitReader<'a>,
    data: &'a [u8],
    intervals: RestartIntervals,
    /// Index of the restart interval, and its start.
    interval: usize,
    start: usize,
    /// Number of blocks, including this one, without further values in their band.
    end_of_band_run: u32,
}

impl ProgressiveDecoder<'_> {
    fn taken(&self) -> usize {
        self.start + self.bits.taken()
    }

    /// Continues after the next restart marker.
    fn restart(&mut self) -> Result<(), ScanError> {
        self.start = self.intervals.next_interval(self.interval, self.taken())?;
        self.interval += 1;
        self.bits = BitReader::new(&self.data[self.start..]);
        self.end_of_band_run = 0;
        Ok(())
    }

    fn check(&self) -> Result<(), ScanError> {
        self.intervals.check(self.interval, self.taken())
    }

    fn code_error(&self, code: InvalidCode) -> ScanError {
        self.intervals.error_at(code, self.interval, self.taken())
    }

    /// Reads DC coefficients, or one more bit of them if there are no tables.
    fn read_dc(
        &mut self,
        scan: &Scan<'_>,
        frame: &Frame,
        tables: &[Option<Rc<HuffmanTable>>],
        blocks: &mut [CoefficientPlane; COMPONENTS],
    ) -> Result<(), ScanError> {
        let mut previous = [0; COMPONENTS];
        let (across, down) = match scan.components.as_slice() {
            [component] => frame.blocks(component.component),
            _ => frame.mcus(),
        };
        let is_single = scan.components.len() == 1;
        for mcu in 0..across * down {
            let row = mcu / across;
            let column = mcu % across;
            if scan.restart_interval > 0 && mcu > 0 && mcu % scan.restart_interval == 0 {
                self.restart()?;
                previous = [0; COMPONENTS];
            }
            for ((part, table), previous) in scan.components.iter().zip(tables).zip(&mut previous) {
                let component = frame.components[part.component];
                let width = if is_single { 1 } else { component.across };
                let height = if is_single { 1 } else { component.down };
                for block in 0..width * height {
                    let x = column * width + block % width;
                    let y = row * height + block / width;
                    let coefficient = blocks[part.component].block(x, y).map(|block| &mut block[0]);
                    self.dc(table.as_deref(), scan.low, previous, coefficient)?;
                }
            }
            if column + 1 == across {
                self.check()?;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn dc(
        &mut self,
        table: Option<&HuffmanTable>,
        low: u8,
        previous: &mut i32,
        coefficient: Option<&mut i16>,
    ) -> Result<(), ScanError> {
        let mut ignored = 0;
        let coefficient = coefficient.unwrap_or(&mut ignored);
        match table {
            Some(table) => {
                self.bits.dc(table, previous).map_err(|code| self.code_error(code))?;
                *coefficient = (*previous << low) as i16;
            }
            None => {
                self.bits.fill();
                *coefficient |= (self.bits.number(1) << low) as i16;
            }
        }
        Ok(())
    }

    /// Reads a band of one component's coefficients, or one more bit of each.
    fn read_band(
        &mut self,
        scan: &Scan<'_>,
        band: &SpectralBand,
        table: &HuffmanTable,
        blocks: &mut CoefficientPlane,
    ) -> Result<(), ScanError> {
        let across = blocks.across;
        let values = blocks.values.as_chunks_mut::<64>().0.iter_mut();
        for (index, (values, used)) in values.zip(&mut blocks.used).enumerate() {
            let mut block = CoefficientBlock { values, used };
            if scan.restart_interval > 0 && index > 0 && index % scan.restart_interval == 0 {
                self.restart()?;
            }
            let read = match scan.high {
                0 => self.read_new_values(band, table, &mut block),
                _ => self.refine_values(band, table, &mut block),
            };
            read.map_err(|code| self.code_error(code))?;
            if (index + 1) % across == 0 {
                self.check()?;
            }
        }
        Ok(())
    }

    /// Length of an end-of-band run, including this block.
    #[inline(always)]
    fn read_run_length(&mut self, entry: u32) -> u32 {
        self.bits.skip(entry);
        let more = entry >> 24;
        (1 << more) + self.bits.number(more)
    }

    #[inline(always)]
    fn read_new_values(
        &mut self,
        band: &SpectralBand,
        table: &HuffmanTable,
        block: &mut CoefficientBlock<'_>,
    ) -> Result<(), InvalidCode> {
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            return Ok(());
        }
        let mut k = band.first;
        while k <= band.last {
            self.bits.fill();
            let entry = self.bits.code(table);
            let zeros = entry >> 24;
            let size = entry >> 16 & 31;
            if entry == 0 {
                return Err(InvalidCode);
            }
            if size == 0 && zeros != 15 {
                self.end_of_band_run = self.read_run_length(entry) - 1;
                return Ok(());
            }
            k += zeros as usize;
            let value = self.bits.take(entry) << band.low;
            if k > band.last {
                return Err(InvalidCode);
            }
            if size > 0 {
                block.set(k, value as i16);
            }
            k += 1;
        }
        Ok(())
    }

    #[inline(always)]
    fn refine_values(
        &mut self,
        band: &SpectralBand,
        table: &HuffmanTable,
        block: &mut CoefficientBlock<'_>,
    ) -> Result<(), InvalidCode> {
        let bit = 1i16 << band.low;
        let mut k = band.first;
        while self.end_of_band_run == 0 && k <= band.last {
            self.bits.fill();
            let entry = self.bits.code(table);
            let zeros = entry >> 24;
            let size = entry >> 16 & 31;
            // A value that starts in this scan is one bit, its sign.
            if entry == 0 || size > 1 {
                return Err(InvalidCode);
            }
            if size == 0 && zeros != 15 {
                self.end_of_band_run = self.read_run_length(entry);
                break;
            }
            let value = self.bits.take(entry) as i16 * bit;
            k = self.refine_until_zero(band, k, zeros, bit, block);
            if k > band.last {
                return Err(InvalidCode);
            }
            if size > 0 {
                block.set(k, value);
            }
            k += 1;
        }
        if self.end_of_band_run > 0 {
            self.end_of_band_run -= 1;
            let mut used = *block.used & band.from(k);
            while used != 0 {
                self.refine_value(block.value(used.trailing_zeros() as usize), bit);
                used &= used - 1;
            }
        }
        Ok(())
    }

    /// Skips from coefficient `k` to the first zero after `zeros` zeros, refining nonzero coefficients on the way.
    #[inline(always)]
    fn refine_until_zero(
        &mut self,
        band: &SpectralBand,
        mut k: usize,
        mut zeros: u32,
        bit: i16,
        block: &mut CoefficientBlock<'_>,
    ) -> usize {
        while k <= band.last {
            if *block.used >> k & 1 == 1 {
                self.refine_value(block.value(k), bit);
            } else if zeros == 0 {
                break;
            } else {
                zeros -= 1;
            }
            k += 1;
        }
        k
    }

    /// Reads one more bit of a nonzero value.
    #[inline(always)]
    fn refine_value(&mut self, value: &mut i16, bit: i16) {
        self.bits.fill();
        if self.bits.number(1) == 1 && *value & bit == 0 {
            *value = value.wrapping_add(if *value >= 0 { bit } else { -bit });
        }
    }
}

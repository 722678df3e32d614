//! Sequential scans: decodes blocks and transforms those visible in the region.

use std::rc::Rc;

use super::bit_reader::{BitReader, InvalidCode, RestartIntervals, unstuff};
use super::frame::{Component, Frame};
use super::huffman::{HuffmanTable, TableCache, TableKind};
use super::idct::{Idct, InverseDct};
use super::planes::{Plane, Planes};
use super::scan::Scan;
use super::{Jpeg, ReadExtent, Region, ScanError};

/// Decoder state of one component of a scan.
#[derive(Debug)]
struct ComponentDecoder {
    component: usize,
    /// Blocks across and down in an MCU.
    across: usize,
    down: usize,
    dc: Rc<HuffmanTable>,
    ac: Rc<HuffmanTable>,
    previous: i32,
}

impl ComponentDecoder {
    /// Creates a decoder for each component of a scan.
    fn all(scan: &Scan<'_>, frame: &Frame, tables: &mut TableCache) -> Result<Vec<Self>, ScanError> {
        let mut decoders = Vec::with_capacity(scan.components.len());
        for component in &scan.components {
            let dc = tables.get(TableKind::Dc, component.dc)?;
            let ac = tables.get(TableKind::Ac, component.ac)?;
            let Component { across, down, .. } = frame.components[component.component];
            // A single component is coded block by block.
            let is_single = scan.components.len() == 1;
            let across = if is_single { 1 } else { across };
            let down = if is_single { 1 } else { down };
            decoders.push(Self { component: component.component, across, down, dc, ac, previous: 0 });
        }
        Ok(decoders)
    }
}

/// Decodes the region of a sequential JPEG to `out`, `stride` bytes per row.
pub(super) fn decode(
    jpeg: &Jpeg<'_>,
    region: &Region,
    extent: ReadExtent,
    planes: &mut Planes,
    out: &mut [u8],
    stride: usize,
) -> Result<(), ScanError> {
    planes.fit(&jpeg.frame, region);
    for scan in &jpeg.scans {
        decode_scan(jpeg, scan, extent, planes)?;
    }
    if !region.rows.is_empty() && !region.columns.is_empty() {
        planes.write_rgb(jpeg.colour, region, out, stride);
    }
    Ok(())
}

/// Decodes the blocks of a scan that the planes have room for.
fn decode_scan(jpeg: &Jpeg<'_>, scan: &Scan<'_>, extent: ReadExtent, planes: &mut Planes) -> Result<(), ScanError> {
    let decoders = ComponentDecoder::all(scan, &jpeg.frame, &mut planes.tables)?;
    let intervals = unstuff(&jpeg.data[scan.offset..], &mut planes.scan);
    let size = match scan.components.as_slice() {
        [component] => jpeg.frame.blocks(component.component),
        _ => jpeg.frame.mcus(),
    };
    let is_wide = decoders.iter().any(|decoder| decoder.dc.is_wide || decoder.ac.is_wide);
    let mut mcu_decoder = McuDecoder {
        quantizers: &jpeg.quantizers,
        restart_interval: scan.restart_interval,
        size,
        extent,
        scan: &planes.scan,
        intervals,
        planes: &mut planes.planes,
        decoders,
    };
    match Idct::new() {
        Idct::Scalar(idct) => mcu_decoder.decode_any(is_wide, idct),
        #[cfg(target_arch = "x86_64")]
        Idct::Avx2(idct) => idct.0.vectorize(
            #[inline(always)]
            || mcu_decoder.decode_any(is_wide, idct),
        ),
    }
}

/// Decoder of the MCUs of a scan.
struct McuDecoder<'a> {
    quantizers: &'a [[i16; 64]],
    restart_interval: usize,
    /// MCUs across and down.
    size: (usize, usize),
    extent: ReadExtent,
    scan: &'a [u8],
    intervals: RestartIntervals,
    planes: &'a mut [Plane],
    decoders: Vec<ComponentDecoder>,
}

impl McuDecoder<'_> {
    #[inline(always)]
    fn decode_any(&mut self, is_wide: bool, idct: impl InverseDct) -> Result<(), ScanError> {
        if is_wide { self.decode_wide(idct) } else { self.decode::<false>(idct) }
    }

    /// Kept separate so that the common case stays small.
    #[cold]
    #[inline(never)]
    fn decode_wide(&mut self, idct: impl InverseDct) -> Result<(), ScanError> {
        self.decode::<true>(idct)
    }

    #[inline(always)]
    fn decode<const WIDE: bool>(&mut self, idct: impl InverseDct) -> Result<(), ScanError> {
        let (across, down) = self.size;
        let shown = self.decoders.iter().map(|decoder| self.planes[decoder.component].rows.end.div_ceil(decoder.down));
        let last = if self.extent == ReadExtent::WholeFile { down } else { shown.max().unwrap_or(0) };
        let mut bits = BitReader::new(self.scan);
        // The restart interval, its start, and the MCUs left in it.
        let mut interval = 0;
        let mut start = 0;
        let mut mcus_left = self.restart_interval;
        for row in 0..last {
            for column in 0..across {
                if self.restart_interval > 0 {
                    if mcus_left == 0 {
                        start = self.intervals.next_interval(interval, start + bits.taken())?;
                        self.decoders.iter_mut().for_each(|decoder| decoder.previous = 0);
                        bits = BitReader::new(&self.scan[start..]);
                        interval += 1;
                        mcus_left = self.restart_interval;
                    }
                    mcus_left -= 1;
                }
                self.decode_mcu::<WIDE>(row, column, &mut bits, idct)
                    .map_err(|code| self.intervals.error_at(code, interval, start + bits.taken()))?;
            }
            self.intervals.check(interval, start + bits.taken())?;
        }
        Ok(())
    }

    #[inline(always)]
    fn decode_mcu<const WIDE: bool>(
        &mut self,
        row: usize,
        column: usize,
        bits: &mut BitReader<'_>,
        idct: impl InverseDct,
    ) -> Result<(), InvalidCode> {
        for decoder in &mut self.decoders {
            let &mut ComponentDecoder { component, across, down, .. } = decoder;
            let plane = &mut self.planes[component];
            let stride = plane.stride();
            for y in row * down..(row + 1) * down {
                for x in column * across..(column + 1) * across {
                    let Some(at) = plane.offset_of_block(x, y) else {
                        bits.skip_block::<WIDE>(&decoder.dc, &decoder.ac, &mut decoder.previous)?;
                        continue;
                    };
                    let mut block = [0; 64];
                    let last = bits.block::<WIDE>(&decoder.dc, &decoder.ac, &mut decoder.previous, &mut block)?;
                    idct.apply(&block, &self.quantizers[component], last, &mut plane.values[at..], stride);
                }
            }
        }
        Ok(())
    }
}

//! BMP headers that the `image` crate does not take, put into the form that it does, and levels of 5 and 6 bits.

const FILE_HEADER: usize = 14;
/// Length of the header of Windows 3, with which that of OS/2 2 begins.
const WINDOWS: usize = 40;
const OS2: usize = 64;

/// What a header says, for those of Windows 3 and after.
struct Header {
    /// Where the pixels begin.
    pixels: u32,
    length: usize,
    height: i32,
    bits: u16,
    compression: u32,
    colours: u32,
}

impl Header {
    fn read(bmp: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bmp.get(at..at + 4)?.try_into().ok()?));
        let length = number(FILE_HEADER)? as usize;
        (length >= WINDOWS).then_some(())?;
        Some(Self {
            pixels: number(10)?,
            length,
            height: number(FILE_HEADER + 8)? as i32,
            bits: (number(FILE_HEADER + 12)? >> 16) as u16,
            compression: number(FILE_HEADER + 16)?,
            colours: number(FILE_HEADER + 32)?,
        })
    }

    /// Run lengths of rows from the top, which the format forbids and Pillow reads.
    fn has_runs_from_top(&self) -> bool {
        self.height < 0 && self.height > i32::MIN && matches!(self.compression, 1 | 2)
    }

    /// OS/2 has other meanings for compressions from 3 on.
    fn is_os2(&self) -> bool {
        self.length == OS2 && self.compression <= 2
    }

    /// Where the pixels begin: after the palette, also where the header forgets that.
    fn true_pixels(&self) -> u32 {
        let palette = if self.colours == 0 { 1 << self.bits.min(8) } else { self.colours };
        let forgotten = self.pixels as usize == FILE_HEADER + self.length && matches!(self.bits, 1..=8);
        if forgotten { self.pixels.saturating_add(palette.saturating_mul(4)) } else { self.pixels }
    }
}

/// The same image under a header that is known, and whether its rows are then upside down; `None` if nothing is to be
/// changed.
pub(super) fn known_header(bmp: &[u8]) -> Option<(Vec<u8>, bool)> {
    let header = Header::read(bmp)?;
    let from_top = header.has_runs_from_top();
    let mut pixels = header.true_pixels();
    if !header.is_os2() && !from_top && pixels == header.pixels {
        return None;
    }
    let mut known = bmp.to_vec();
    if from_top {
        let height = header.height.wrapping_neg().to_le_bytes();
        known.get_mut(FILE_HEADER + 8..FILE_HEADER + 12)?.copy_from_slice(&height);
    }
    if header.is_os2() && bmp.len() >= FILE_HEADER + OS2 {
        pixels = pixels.saturating_sub((OS2 - WINDOWS) as u32);
        known.get_mut(FILE_HEADER..FILE_HEADER + 4)?.copy_from_slice(&(WINDOWS as u32).to_le_bytes());
        known.drain(FILE_HEADER + WINDOWS..FILE_HEADER + OS2);
    }
    known.get_mut(10..14)?.copy_from_slice(&pixels.to_le_bytes());
    Some((known, from_top))
}

/// Bits of red, green and blue where a pixel has 16 in all: 5 or 6.
fn depths(bmp: &[u8]) -> Option<[u32; 3]> {
    let header = Header::read(bmp).filter(|header| header.bits == 16)?;
    match header.compression {
        0 => Some([5; 3]),
        3 => {
            let masks = bmp.get(FILE_HEADER + WINDOWS..FILE_HEADER + WINDOWS + 12)?;
            let ones = |at: usize| masks[at..at + 4].iter().map(|byte| byte.count_ones()).sum();
            Some([ones(0), ones(4), ones(8)]).filter(|depths| depths.iter().all(|depth| matches!(depth, 5 | 6)))
        }
        _ => None,
    }
}

/// Levels of 5 and 6 bits spread over 8, rounding down as Pillow does; the `image` crate rounds to the nearest.
pub(super) fn round_down(bmp: &[u8], rgb: &mut [u8]) {
    let Some(depths) = depths(bmp) else { return };
    for pixel in rgb.chunks_exact_mut(3) {
        for (value, depth) in pixel.iter_mut().zip(depths) {
            *value = (u32::from(*value >> (8 - depth)) * 255 / ((1 << depth) - 1)) as u8;
        }
    }
}

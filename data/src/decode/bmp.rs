//! BMP fixes: rewrites headers the `image` crate does not support, and rounds 5- and 6-bit levels as Pillow does.

const FILE_HEADER: usize = 14;
/// Length of the Windows 3 header, which the OS/2 2 header starts with.
const WINDOWS_HEADER: usize = 40;
const OS2_HEADER: usize = 64;

/// Fields of a Windows 3 or later header.
struct BmpHeader {
    /// File offset of the pixels.
    pixels: u32,
    length: usize,
    height: i32,
    bits: u16,
    compression: u32,
    colours: u32,
}

impl BmpHeader {
    fn read(bmp: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bmp.get(at..at + 4)?.try_into().ok()?));
        let length = number(FILE_HEADER)? as usize;
        (length >= WINDOWS_HEADER).then_some(())?;
        Some(Self {
            pixels: number(10)?,
            length,
            height: number(FILE_HEADER + 8)? as i32,
            bits: (number(FILE_HEADER + 12)? >> 16) as u16,
            compression: number(FILE_HEADER + 16)?,
            colours: number(FILE_HEADER + 32)?,
        })
    }

    /// Whether run-length encoded rows run top-down, which the format forbids and Pillow reads.
    fn is_top_down_rle(&self) -> bool {
        self.height < 0 && self.height > i32::MIN && matches!(self.compression, 1 | 2)
    }

    /// OS/2 defines compressions from 3 on differently.
    fn is_os2(&self) -> bool {
        self.length == OS2_HEADER && self.compression <= 2
    }

    /// Actual file offset of the pixels, after a palette that the header's offset may not include.
    fn actual_pixel_offset(&self) -> u32 {
        let palette = if self.colours == 0 { 1 << self.bits.min(8) } else { self.colours };
        let omits_palette = self.pixels as usize == FILE_HEADER + self.length && matches!(self.bits, 1..=8);
        if omits_palette { self.pixels.saturating_add(palette.saturating_mul(4)) } else { self.pixels }
    }
}

/// Rewrites the header to a supported one. Returns the file and whether its rows are then upside down; `None` if the
/// file is supported as is.
pub(super) fn with_supported_header(bmp: &[u8]) -> Option<(Vec<u8>, bool)> {
    let header = BmpHeader::read(bmp)?;
    let is_top_down = header.is_top_down_rle();
    let mut pixels = header.actual_pixel_offset();
    if !header.is_os2() && !is_top_down && pixels == header.pixels {
        return None;
    }
    let mut fixed = bmp.to_vec();
    if is_top_down {
        let height = header.height.wrapping_neg().to_le_bytes();
        fixed.get_mut(FILE_HEADER + 8..FILE_HEADER + 12)?.copy_from_slice(&height);
    }
    if header.is_os2() && bmp.len() >= FILE_HEADER + OS2_HEADER {
        pixels = pixels.saturating_sub((OS2_HEADER - WINDOWS_HEADER) as u32);
        fixed.get_mut(FILE_HEADER..FILE_HEADER + 4)?.copy_from_slice(&(WINDOWS_HEADER as u32).to_le_bytes());
        fixed.drain(FILE_HEADER + WINDOWS_HEADER..FILE_HEADER + OS2_HEADER);
    }
    fixed.get_mut(10..14)?.copy_from_slice(&pixels.to_le_bytes());
    Some((fixed, is_top_down))
}

/// Bits of red, green and blue in a 16-bit pixel: 5 or 6 each.
fn channel_depths(bmp: &[u8]) -> Option<[u32; 3]> {
    let header = BmpHeader::read(bmp).filter(|header| header.bits == 16)?;
    match header.compression {
        0 => Some([5; 3]),
        3 => {
            let masks = bmp.get(FILE_HEADER + WINDOWS_HEADER..FILE_HEADER + WINDOWS_HEADER + 12)?;
            let ones = |at: usize| masks[at..at + 4].iter().map(|byte| byte.count_ones()).sum();
            Some([ones(0), ones(4), ones(8)])
                .filter(|channel_depths| channel_depths.iter().all(|depth| matches!(depth, 5 | 6)))
        }
        _ => None,
    }
}

/// Expands 5- and 6-bit levels to 8 bits, rounding down as Pillow does; the `image` crate rounds to nearest.
pub(super) fn expand_rounding_down(bmp: &[u8], rgb: &mut [u8]) {
    let Some(channel_depths) = channel_depths(bmp) else { return };
    for pixel in rgb.chunks_exact_mut(3) {
        for (value, depth) in pixel.iter_mut().zip(channel_depths) {
            *value = (u32::from(*value >> (8 - depth)) * 255 / ((1 << depth) - 1)) as u8;
        }
    }
}

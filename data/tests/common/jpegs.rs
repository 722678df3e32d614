//! JPEGs written by libjpeg-turbo's `cjpeg` and Pillow in all subsamplings and scan scripts, with libjpeg-turbo's
//! pixels. Written by `benches/peers/jpeg_pixels.py --fixture data/tests/jpegs.bin.gz`.

use std::io::Read;
use std::sync::LazyLock;

use flate2::Crc;
use flate2::read::GzDecoder;

/// A file and the checksum of its pixels.
pub struct Sample {
    pub jpeg: Vec<u8>,
    pub width: usize,
    pub height: usize,
    /// CRC-32 of the RGB bytes.
    pub crc: u32,
}

pub static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    GzDecoder::new(&include_bytes!("../jpegs.bin.gz")[..]).read_to_end(&mut bytes).unwrap();
    let mut samples = Vec::new();
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let numbers: Vec<u32> = rest[..16].chunks(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect();
        let (jpeg, after) = rest[16..].split_at(numbers[0] as usize);
        let width = numbers[1] as usize;
        let height = numbers[2] as usize;
        samples.push(Sample { jpeg: jpeg.to_vec(), width, height, crc: numbers[3] });
        rest = after;
    }
    samples
});

pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Range of the first segment with this marker before the data of the first scan.
pub fn segment(jpeg: &[u8], marker: u8) -> Option<(usize, usize)> {
    let mut at = 2;
    loop {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        match jpeg[at + 1] {
            found if found == marker => return Some((at, end)),
            0xda => return None,
            _ => at = end,
        }
    }
}

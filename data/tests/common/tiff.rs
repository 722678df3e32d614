//! Writing of TIFF files.

const BYTE: u16 = 1;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const LONG8: u16 = 16;

/// The contents of a file with one image, in strips unless `tile` is set.
#[derive(Clone, Debug)]
pub struct Tiff {
    pub width: usize,
    pub height: usize,
    pub bits: u64,
    pub samples: u64,
    /// Photometric interpretation: 0 white is zero, 1 black is zero, 2 RGB, 3 palette, 5 CMYK, 6 YCbCr.
    pub colour: u64,
    pub compression: u64,
    /// Additional tags of 16-bit numbers.
    pub tags: Vec<(u16, Vec<u64>)>,
    /// JPEG tables.
    pub jpeg_tables: Vec<u8>,
    /// Width and height of tiles.
    pub tile: Option<(u64, u64)>,
    pub rows_per_strip: u64,
    /// Contents of strips or tiles.
    pub chunks: Vec<Vec<u8>>,
    pub big_endian: bool,
    /// Whether to write BigTIFF.
    pub big: bool,
}

impl Tiff {
    /// An uncompressed image in one strip.
    pub fn new(width: usize, height: usize, colour: u64, bits: u64, samples: u64, data: Vec<u8>) -> Self {
        Self {
            width,
            height,
            bits,
            samples,
            colour,
            compression: 1,
            tags: Vec::new(),
            jpeg_tables: Vec::new(),
            tile: None,
            rows_per_strip: height as u64,
            chunks: vec![data],
            big_endian: false,
            big: false,
        }
    }

    pub fn with(mut self, tag: u16, values: &[u64]) -> Self {
        self.tags.push((tag, values.to_vec()));
        self
    }

    fn number(&self, value: u64, size: usize) -> Vec<u8> {
        let bytes = if self.big_endian {
            value.to_be_bytes()[8 - size..].to_vec()
        } else {
            value.to_le_bytes()[..size].to_vec()
        };
        assert_eq!(bytes.len(), size);
        bytes
    }

    /// The file: header, chunks, values that do not fit into entries, directory.
    pub fn bytes(&self) -> Vec<u8> {
        let offset = if self.big { 8 } else { 4 };
        let mut file = if self.big_endian { b"MM".to_vec() } else { b"II".to_vec() };
        file.extend(self.number(if self.big { 43 } else { 42 }, 2));
        if self.big {
            file.extend([self.number(8, 2), self.number(0, 2)].concat());
        }
        let pointer = file.len();
        file.extend(vec![0; offset]);
        let mut offsets = Vec::new();
        for chunk in &self.chunks {
            offsets.push(file.len() as u64);
            file.extend(chunk);
        }
        let lengths: Vec<u64> = self.chunks.iter().map(|chunk| chunk.len() as u64).collect();
        let mut entries = vec![
            (256, LONG, vec![self.width as u64]),
            (257, LONG, vec![self.height as u64]),
            (258, SHORT, vec![self.bits; self.samples as usize]),
            (259, SHORT, vec![self.compression]),
            (262, SHORT, vec![self.colour]),
            (277, SHORT, vec![self.samples]),
        ];
        let long = if self.big { LONG8 } else { LONG };
        match self.tile {
            Some((width, height)) => entries.extend([
                (322, LONG, vec![width]),
                (323, LONG, vec![height]),
                (324, long, offsets),
                (325, long, lengths),
            ]),
            None => {
                entries.extend([(273, long, offsets), (278, LONG, vec![self.rows_per_strip]), (279, long, lengths)])
            }
        }
        if !self.jpeg_tables.is_empty() {
            entries.push((347, BYTE, self.jpeg_tables.iter().map(|&byte| byte.into()).collect()));
        }
        entries.extend(self.tags.iter().map(|(tag, values)| (*tag, SHORT, values.clone())));
        entries.sort_by_key(|(tag, ..)| *tag);
        let mut directory = self.number(entries.len() as u64, if self.big { 8 } else { 2 });
        for (tag, kind, values) in &entries {
            let size = [(BYTE, 1), (SHORT, 2), (LONG, 4), (LONG8, 8)].iter().find(|(k, _)| k == kind).unwrap().1;
            let mut stored: Vec<u8> = values.iter().flat_map(|&value| self.number(value, size)).collect();
            directory.extend([self.number((*tag).into(), 2), self.number((*kind).into(), 2)].concat());
            directory.extend(self.number(values.len() as u64, offset));
            if stored.len() <= offset {
                stored.resize(offset, 0);
                directory.extend(stored);
            } else {
                directory.extend(self.number(file.len() as u64, offset));
                file.extend(stored);
            }
        }
        directory.extend(vec![0; offset]);
        let start = self.number(file.len() as u64, offset);
        file[pointer..pointer + offset].copy_from_slice(&start);
        [file, directory].concat()
    }
}

//! What stands before the data of a JPEG's scan (ITU T.81, annex B).

use std::ops::Range;

use super::{Failure, ZIGZAG};

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Component {
    id: u8,
    /// Blocks across and down in each unit, 1 or 2.
    pub across: usize,
    pub down: usize,
    pub quantiser: usize,
    pub dc: usize,
    pub ac: usize,
}

#[derive(Debug)]
pub(super) struct Header {
    pub width: usize,
    pub height: usize,
    pub components: Vec<Component>,
    /// By place in the block, not by order.
    pub quantisers: [[i16; 64]; 4],
    /// Where the definitions of the Huffman tables stand: counts and symbols.
    pub dc: [Option<Range<usize>>; 4],
    pub ac: [Option<Range<usize>>; 4],
    /// Units between restarts; 0: none.
    pub restart: usize,
    /// Where the scan's data begin.
    pub scan: usize,
    /// Whether there is EXIF data, which may say that the picture is to be turned.
    pub has_exif: bool,
    /// Whether it says that it is a JFIF file: three components are YCbCr then, whatever their numbers.
    is_jfif: bool,
    /// What Adobe's marker says of the colours.
    transform: Option<u8>,
}

impl Header {
    /// Of a baseline JPEG of one scan, grey or YCbCr, each component of the full resolution or of half of it.
    pub fn parse(data: &[u8]) -> Result<Self, Failure> {
        let mut header = Self {
            width: 0,
            height: 0,
            components: Vec::new(),
            quantisers: [[0; 64]; 4],
            dc: [const { None }; 4],
            ac: [const { None }; 4],
            restart: 0,
            scan: 0,
            has_exif: false,
            is_jfif: false,
            transform: None,
        };
        let mut at = 2;
        if data.get(..2) != Some(&[0xff, 0xd8]) {
            return Err(Failure::Other);
        }
        loop {
            // Any number of these may stand before a marker.
            while data.get(at..at + 2) == Some(&[0xff, 0xff]) {
                at += 1;
            }
            let &[ff, marker, high, low] = data.get(at..at + 4).and_then(|b| b.first_chunk()).ok_or(Failure::Other)?;
            let length = usize::from(u16::from_be_bytes([high, low]));
            let body = data.get(at + 4..at + 2 + length).ok_or(Failure::Other)?;
            if ff != 0xff {
                return Err(Failure::Other);
            }
            match marker {
                0xdb => header.read_quantisers(body)?,
                // Baseline, or sequential with more tables: the same but for what it may define.
                0xc0 | 0xc1 => header.read_frame(body)?,
                0xc4 => header.read_tables(body, at + 4)?,
                0xdd => header.restart = usize::from(u16::from_be_bytes(*body.first_chunk().ok_or(Failure::Other)?)),
                0xda => {
                    header.read_scan(body)?;
                    header.scan = at + 2 + length;
                    return Ok(header);
                }
                0xee if body.starts_with(b"Adobe") && body.len() >= 12 => header.transform = Some(body[11]),
                0xe0 if body.starts_with(b"JFIF\0") => header.is_jfif = true,
                0xe1 if body.starts_with(b"Exif\0\0") => header.has_exif = true,
                0xe0..=0xef | 0xfe => {}
                _ => return Err(Failure::Other),
            }
            at += 2 + length;
        }
    }

    fn read_quantisers(&mut self, mut body: &[u8]) -> Result<(), Failure> {
        while let Some((&kind, rest)) = body.split_first() {
            let table = self.quantisers.get_mut(usize::from(kind)).ok_or(Failure::Other)?;
            let (values, rest) = rest.split_at_checked(64).ok_or(Failure::Other)?;
            for (&value, &place) in values.iter().zip(&ZIGZAG) {
                table[usize::from(place)] = i16::from(value);
            }
            body = rest;
        }
        Ok(())
    }

    fn read_frame(&mut self, body: &[u8]) -> Result<(), Failure> {
        let &[8, y1, y0, x1, x0, count] = body.first_chunk().ok_or(Failure::Other)? else {
            return Err(Failure::Other);
        };
        (self.width, self.height) =
            (usize::from(u16::from_be_bytes([x1, x0])), usize::from(u16::from_be_bytes([y1, y0])));
        let parts = body.get(6..).unwrap_or(&[]).chunks_exact(3);
        let fits = parts.len() == usize::from(count) && parts.remainder().is_empty();
        if !self.components.is_empty() || !fits || !matches!(count, 1 | 3) || self.width * self.height == 0 {
            return Err(Failure::Other);
        }
        for part in parts {
            let (across, down) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            if !(1..=2).contains(&across) || !(1..=2).contains(&down) || part[2] > 3 {
                return Err(Failure::Other);
            }
            // One component's blocks come one by one whatever its sampling.
            let (across, down) = if count == 1 { (1, 1) } else { (across, down) };
            if self.components.iter().any(|c| c.id == part[0]) {
                return Err(Failure::Other);
            }
            let quantiser = usize::from(part[2]);
            self.components.push(Component { id: part[0], across, down, quantiser, dc: 0, ac: 0 });
        }
        Ok(())
    }

    /// Whether three components are R, G and B, by libjpeg's rules.
    fn is_rgb(&self) -> bool {
        let named = || self.components.iter().map(|c| c.id).eq(*b"RGB");
        !self.is_jfif && self.transform.map_or_else(named, |transform| transform == 0)
    }

    /// Blocks across and down in each unit of the components that have most.
    pub fn unit(&self) -> (usize, usize) {
        let most = |of: fn(&Component) -> usize| self.components.iter().map(of).max().unwrap_or(1);
        (most(|c| c.across), most(|c| c.down))
    }

    fn read_tables(&mut self, body: &[u8], at: usize) -> Result<(), Failure> {
        let mut start = 0;
        while start < body.len() {
            let counts = body.get(start + 1..start + 17).ok_or(Failure::Other)?;
            let end = start + 17 + counts.iter().map(|&n| usize::from(n)).sum::<usize>();
            let (kind, number) = (body[start] >> 4, usize::from(body[start] & 15));
            if end > body.len() || kind > 1 || number > 3 {
                return Err(Failure::Other);
            }
            let tables = if kind == 0 { &mut self.dc } else { &mut self.ac };
            tables[number] = Some(at + start + 1..at + end);
            start = end;
        }
        Ok(())
    }

    fn read_scan(&mut self, body: &[u8]) -> Result<(), Failure> {
        let n = self.components.len();
        if n == 0
            || (n == 3 && self.is_rgb())
            || body.len() != 2 * n + 4
            || usize::from(body[0]) != n
            || body[2 * n + 1..] != [0, 63, 0]
        {
            return Err(Failure::Other);
        }
        for (component, part) in self.components.iter_mut().zip(body[1..].chunks_exact(2)) {
            let (dc, ac) = (usize::from(part[1] >> 4), usize::from(part[1] & 15));
            // A table that is missing is all zeros.
            let quantised = self.quantisers[component.quantiser].iter().all(|&value| value > 0);
            if part[0] != component.id || dc > 3 || ac > 3 || !quantised {
                return Err(Failure::Other);
            }
            (component.dc, component.ac) = (dc, ac);
        }
        Ok(())
    }
}

//! Records of TensorFlow's event files: length, checksum of the length, data, checksum of the data.

use std::io::{self, Write};

/// Writes a record: the length as 8 bytes and the masked CRC-32Cs as 4 each, little-endian (TensorFlow,
/// `lib/io/record_writer.cc`).
pub(super) fn write(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_crc(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked_crc(data).to_le_bytes())
}

/// The checksum of data that may itself hold checksums.
fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first record of files that TensorFlow writes, wall time 0.
    #[test]
    fn a_record_is_framed_as_tensorflow_does() {
        let mut out = Vec::new();
        write(&mut out, b"").unwrap();
        // The CRC of 8 zero bytes is 0x8c28b28a; of nothing, 0.
        assert_eq!(out[8..12], 0x8c28_b28a_u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes());
        assert_eq!(out[12..], 0xa282_ead8_u32.to_le_bytes());
    }
}

//! Transposes of 16 x 16 values of 32 bits, which are `f32` or pairs of `bf16`, in registers.

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_shuffle_i32x4, _mm512_storeu_si512, _mm512_unpackhi_epi32,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::tile::ROWS;

/// Rows of 16 values.
pub(super) type Square = [__m512i; ROWS];

/// Value j of row i becomes value i of row j.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) fn transpose(rows: Square) -> Square {
    let mut pairs = rows;
    for i in (0..ROWS).step_by(2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    // Vector 4 i + j holds values 4 l + j of rows 4 i to 4 i + 3, in its quarters l.
    let mut fours = pairs;
    for i in (0..ROWS).step_by(4) {
        fours[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    let mut columns = fours;
    for j in 0..4 {
        let low = _mm512_shuffle_i32x4::<0b10_00_10_00>(fours[j], fours[4 + j]);
        let high = _mm512_shuffle_i32x4::<0b11_01_11_01>(fours[j], fours[4 + j]);
        let low_rest = _mm512_shuffle_i32x4::<0b10_00_10_00>(fours[8 + j], fours[12 + j]);
        let high_rest = _mm512_shuffle_i32x4::<0b11_01_11_01>(fours[8 + j], fours[12 + j]);
        columns[j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(low, low_rest);
        columns[8 + j] = _mm512_shuffle_i32x4::<0b11_01_11_01>(low, low_rest);
        columns[4 + j] = _mm512_shuffle_i32x4::<0b10_00_10_00>(high, high_rest);
        columns[12 + j] = _mm512_shuffle_i32x4::<0b11_01_11_01>(high, high_rest);
    }
    columns
}

/// Transposes 16 rows of 16 values that lie `from_row` and `to_row` values apart.
///
/// # Safety
/// All are valid for reading and writing; the processor has AVX-512.
#[inline]
#[target_feature(enable = "avx512f")]
pub(super) unsafe fn transpose_memory(from: *const u32, from_row: usize, to: *mut u32, to_row: usize) {
    // SAFETY: the caller's promise.
    let rows = std::array::from_fn(|i| unsafe { _mm512_loadu_si512(from.wrapping_add(i * from_row).cast()) });
    for (i, row) in transpose(rows).into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.wrapping_add(i * to_row).cast(), row) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_columns() {
        if !is_x86_feature_detected!("avx512f") {
            return;
        }
        let from: Vec<u32> = (0..16 * 20).collect();
        let mut to = vec![0; 16 * 17];
        // SAFETY: the vectors hold 16 rows of that length.
        unsafe { transpose_memory(from.as_ptr(), 20, to.as_mut_ptr(), 17) };
        for i in 0..16 {
            for j in 0..16 {
                assert_eq!(to[j * 17 + i], from[i * 20 + j], "{i}, {j}");
            }
        }
    }
}

//! Values as tiles of operands a and b. All functions take addresses, since tiles gather rows that lie apart.

use std::arch::x86_64::{
    __m256bh, __m256i, __m512bh, __m512i, _mm256_loadu_si256, _mm256_maskz_loadu_epi16, _mm512_cvtepu16_epi32,
    _mm512_cvtne2ps_pbh, _mm512_cvtneps_pbh, _mm512_maskz_loadu_epi16, _mm512_maskz_loadu_ps, _mm512_or_si512,
    _mm512_slli_epi32, _mm512_storeu_si512,
};

use super::tile::{ROWS, TERMS, TILE};
use super::transpose::transpose;

/// The bits of the first `len` of 16 lanes.
#[inline]
fn lanes(len: usize) -> u16 {
    if len >= ROWS { u16::MAX } else { (1 << len) - 1 }
}

/// The bits of the first `len` of 32 lanes.
#[inline]
fn terms(len: usize) -> u32 {
    if len >= TERMS { u32::MAX } else { (1 << len) - 1 }
}

/// Pairs of values of two rows: the low and the high halves of 16 lanes.
#[inline]
#[target_feature(enable = "avx512f")]
fn interleave(low: __m256i, high: __m256i) -> __m512i {
    _mm512_or_si512(_mm512_cvtepu16_epi32(low), _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(high)))
}

/// A row of `f32` as one row of consecutive tiles of operand a, which starts at `to`: `len` terms, zeros after them.
/// Whole rows are read one after another, so that the processor fetches them ahead.
///
/// # Safety
/// The row is valid for reading, and 32 values for writing every [`TILE`] values from `to` on, for `tiles` tiles. The
/// processor has AVX512-BF16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
pub(super) unsafe fn a_row_of_f32(from: *const f32, len: usize, tiles: usize, to: *mut u16) {
    for i in 0..tiles {
        let at = from.wrapping_add(i * TERMS);
        let len = len.saturating_sub(i * TERMS);
        // SAFETY: the caller's promise; masked lanes are not read. Registers of a size, of any bits.
        unsafe {
            let low = _mm512_maskz_loadu_ps(lanes(len), at);
            let high = _mm512_maskz_loadu_ps(lanes(len.saturating_sub(ROWS)), at.wrapping_add(ROWS));
            let rounded = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
            _mm512_storeu_si512(to.wrapping_add(i * TILE).cast(), rounded);
        }
    }
}

/// Rows of `bf16` as one tile of operand a: `rows` rows of `len` terms, zeros for others.
///
/// # Safety
/// The promise of [`a_row_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn a_of_rows(from: *const u16, row: usize, rows: usize, len: usize, tile: *mut u16) {
    for i in 0..ROWS {
        let mask = if i < rows { terms(len) } else { 0 };
        // SAFETY: the caller's promise; masked lanes are not read.
        unsafe {
            let values = _mm512_maskz_loadu_epi16(mask, from.wrapping_add(i * row).cast());
            _mm512_storeu_si512(tile.wrapping_add(i * TERMS).cast(), values);
        }
    }
}

/// Columns of `bf16` as one tile of operand a: row i of the tile is column i of up to 32 rows of up to 16 columns.
///
/// # Safety
/// The promise of [`a_row_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn a_of_columns(from: *const u16, row: usize, rows: usize, columns: usize, tile: *mut u16) {
    let is_whole = rows >= TERMS && columns >= ROWS;
    let pairs = std::array::from_fn(|p| {
        // SAFETY: the caller's promise.
        unsafe { if is_whole { whole_pair(from, row, 2 * p) } else { pair(from, row, 2 * p, rows, columns) } }
    });
    for (i, terms) in transpose(pairs).into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(tile.wrapping_add(i * TERMS).cast(), terms) };
    }
}

/// Rows `i` and `i + 1` of `bf16` with whole columns, value by value.
///
/// # Safety
/// The promise of [`a_row_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512vl")]
unsafe fn whole_pair(from: *const u16, row: usize, i: usize) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        let low = _mm256_loadu_si256(from.wrapping_add(i * row).cast());
        let high = _mm256_loadu_si256(from.wrapping_add((i + 1) * row).cast());
        interleave(low, high)
    }
}

/// Rows `i` and `i + 1` of `bf16`, value by value; zeros for rows from `rows` on, and columns from `columns` on.
///
/// # Safety
/// The promise of [`a_row_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn pair(from: *const u16, row: usize, i: usize, rows: usize, columns: usize) -> __m512i {
    let mask = |i: usize| if i < rows { lanes(columns) } else { 0 };
    // SAFETY: the caller's promise; masked lanes are not read.
    unsafe {
        let low = _mm256_maskz_loadu_epi16(mask(i), from.wrapping_add(i * row).cast());
        let high = _mm256_maskz_loadu_epi16(mask(i + 1), from.wrapping_add((i + 1) * row).cast());
        interleave(low, high)
    }
}

/// Rows of `bf16` as rows of terms of operand b: `count` pairs of rows, of up to 16 columns. Row 2 i and 2 i + 1, of
/// `rows` in all, become the pair i.
///
/// # Safety
/// The promise of [`a_row_of_f32`], with room for `count` pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
pub(super) unsafe fn b_of_rows(from: *const u16, row: usize, rows: usize, columns: usize, count: usize, to: *mut u16) {
    let is_whole = rows >= 2 * count && columns >= ROWS;
    for i in 0..count {
        // SAFETY: the caller's promise.
        unsafe {
            let values = if is_whole { whole_pair(from, row, 2 * i) } else { pair(from, row, 2 * i, rows, columns) };
            _mm512_storeu_si512(to.wrapping_add(i * TERMS).cast(), values);
        }
    }
}

/// Two rows of `f32` as one row of terms of tiles of operand b, `tile` values apart: `columns` columns, zeros after them.
/// A row of `None` is zeros.
///
/// # Safety
/// The promise of [`a_row_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
pub(super) unsafe fn b_rows_of_f32(rows: [Option<*const f32>; 2], columns: usize, tile: usize, to: *mut u16) {
    for i in 0..columns.div_ceil(ROWS) {
        let mask = lanes(columns - i * ROWS);
        let rounded = |row: Option<*const f32>| {
            let at = row.map_or(std::ptr::null(), |row| row.wrapping_add(i * ROWS));
            // SAFETY: the caller's promise; masked lanes are not read. Registers of a size, of any bits.
            unsafe {
                let values = _mm512_maskz_loadu_ps(if row.is_some() { mask } else { 0 }, at);
                std::mem::transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(values))
            }
        };
        let [low, high] = rows;
        let values = interleave(rounded(low), rounded(high));
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.wrapping_add(i * tile).cast(), values) };
    }
}

/// Columns of `bf16` as one tile of operand b: column j of the tile is row j of up to 16 rows of up to 32 terms.
///
/// # Safety
/// The promise of [`a_row_of_f32`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) unsafe fn b_of_columns(from: *const u16, row: usize, rows: usize, len: usize, tile: *mut u16) {
    let values = std::array::from_fn(|i| {
        let mask = if i < rows { terms(len) } else { 0 };
        // SAFETY: the caller's promise; masked lanes are not read.
        unsafe { _mm512_maskz_loadu_epi16(mask, from.wrapping_add(i * row).cast()) }
    });
    for (i, pair) in transpose(values).into_iter().enumerate() {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(tile.wrapping_add(i * TERMS).cast(), pair) };
    }
}

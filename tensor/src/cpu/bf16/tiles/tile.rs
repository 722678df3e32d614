//! The product of two blocks of `bf16` values, the innermost loop of all products: up to 32 x 32 sums in `f32`, over
//! any number of steps of 32 terms.
//!
//! Operand a is made of tiles of 16 rows of 32 terms (64 bytes each), at any distance, so that the rows of an image can
//! be read where they are. Operand b is made of tiles of 16 rows of 64 bytes one after another: row p holds terms 2 p and
//! 2 p + 1 of 16 columns, pair after pair, as both units need them.
//!
//! With AMX, four tiles hold sums, two hold a and two b: each step loads four tiles (32 cycles from the L1 cache) for
//! four products (64 cycles). With vectors, 8 rows x 32 columns stay in registers.

use super::units::{Amx, Avx512, Unit};

/// Rows of a tile.
pub(super) const ROWS: usize = 16;
/// Terms in a row of a tile.
pub(super) const TERMS: usize = 32;
/// Bytes in a row of a tile, of operands and of sums.
pub(super) const ROW_BYTES: usize = 64;
/// Values of `bf16` in a tile.
pub(super) const TILE: usize = ROWS * TERMS;
/// Rows and columns of the largest block.
pub(super) const BLOCK: usize = 2 * ROWS;

/// The sums of a block, at the start of a cache line.
#[repr(align(64))]
#[derive(Default)]
pub(super) struct Sums(pub [[f32; BLOCK]; BLOCK]);

/// A product of blocks, c = a b or c += a b. Distances are in bytes.
///
/// The terms are those of `runs` runs of `run_steps` steps each; a run of a convolution is a row of its kernel.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(super) struct Product {
    /// Sums: `f32`.
    pub c: *mut f32,
    /// From a row of sums to the next.
    pub c_row: usize,
    /// 1 to add to the sums, 0 to replace them.
    pub accumulate: usize,
    /// From a row of a to the next.
    pub a_row: usize,
    /// Steps in a run, at least 1.
    pub run_steps: usize,
    /// From a step to the next within a run, for a and b.
    pub steps: [usize; 2],
    /// From the end of a run to the next one, for a and b.
    pub jumps: [isize; 2],
    /// Runs, at least 1.
    pub runs: usize,
    /// The first tiles of a: rows 0 to 15, and 16 to 31.
    pub a: [*const u16; 2],
    /// The first tiles of b: columns 0 to 15, and 16 to 31.
    pub b: [*const u16; 2],
    /// Tiles of rows, and of columns: 1 or 2 each. Second tiles of a or b are not read if they are 1.
    pub tiles: [usize; 2],
}

impl Product {
    /// Computes the sums.
    ///
    /// # Safety
    /// All tiles of a and b that the fields describe are valid for reading, and those of c for reading and writing and
    /// for no one else. On the same thread, [`prepare`] was called with the unit.
    #[inline]
    pub unsafe fn run(&self, unit: Unit) {
        match unit {
            // SAFETY: the caller's promise.
            Unit::Amx(amx) => unsafe { self.run_amx(amx) },
            // SAFETY: the caller's promise, and the unit proves the instructions.
            Unit::Avx512(avx512) => unsafe { self.run_avx512(avx512) },
        }
    }
}

/// Prepares this thread for products: sets the shapes of tiles to 16 rows of 64 bytes.
#[inline]
pub(super) fn prepare(unit: Unit) {
    match unit {
        Unit::Amx(amx) => configure(amx),
        Unit::Avx512(_) => {}
    }
}

/// Loads the configuration of tiles, once a thread.
fn configure(_: Amx) {
    use std::cell::Cell;

    /// Palette 1, then bytes in a row from byte 16 on (2 bytes each), and rows from byte 48 on.
    #[repr(C, align(64))]
    struct Configuration([u8; 64]);

    thread_local! {
        static IS_DONE: Cell<bool> = const { Cell::new(false) };
    }
    if IS_DONE.replace(true) {
        return;
    }
    let mut bytes = [0; 64];
    bytes[0] = 1;
    for tile in 0..8 {
        bytes[16 + 2 * tile] = ROW_BYTES as u8;
        bytes[48 + tile] = ROWS as u8;
    }
    let configuration = Configuration(bytes);
    // SAFETY: the token proves AMX; the instruction reads 64 bytes.
    unsafe { std::arch::asm!("ldtilecfg [{}]", in(reg) &configuration, options(nostack, readonly)) };
}

/// The loop over runs and steps. `$zero`, `$load` and `$store` are the instructions for the sums, `$step` those of a
/// step.
macro_rules! amx_loop {
    ($product:expr, [$($load:literal),*], [$($zero:literal),*], [$($step:literal),*], [$($store:literal),*]) => {
        std::arch::asm!(
            "mov {c}, [{p}]",
            "mov {r}, [{p} + 8]",
            "cmp qword ptr [{p} + 16], 0",
            "je 2f",
            $($load,)*
            "jmp 3f",
            "2:",
            $($zero,)*
            "3:",
            "mov {r}, [{p} + 24]",
            "4:",
            "mov {n}, [{p} + 32]",
            "5:",
            $($step,)*
            "add {a0}, [{p} + 40]",
            "add {a1}, [{p} + 40]",
            "add {b0}, [{p} + 48]",
            "add {b1}, [{p} + 48]",
            "dec {n}",
            "jnz 5b",
            "add {a0}, [{p} + 56]",
            "add {a1}, [{p} + 56]",
            "add {b0}, [{p} + 64]",
            "add {b1}, [{p} + 64]",
            "dec {runs}",
            "jnz 4b",
            "mov {r}, [{p} + 8]",
            $($store,)*
            p = in(reg) std::ptr::from_ref::<Product>($product),
            a0 = inout(reg) $product.a[0] => _,
            a1 = inout(reg) $product.a[1] => _,
            b0 = inout(reg) $product.b[0] => _,
            b1 = inout(reg) $product.b[1] => _,
            runs = inout(reg) $product.runs => _,
            row = in(reg) ROW_BYTES,
            c = out(reg) _,
            second = in(reg) $product.c.cast::<u8>().wrapping_add(ROWS * $product.c_row),
            r = out(reg) _,
            n = out(reg) _,
            options(nostack),
        )
    };
}

impl Product {
    /// # Safety
    /// The promise of [`run`](Self::run).
    #[inline]
    unsafe fn run_amx(&self, _: Amx) {
        // SAFETY: the token proves AMX, the configuration was loaded, and the caller promises that the tiles are valid.
        // The compiler does not use tile registers.
        unsafe {
            match self.tiles {
                [1, 1] => amx_loop!(
                    self,
                    ["tileloadd tmm0, [{c} + {r}*1]"],
                    ["tilezero tmm0"],
                    [
                        "tileloadd tmm4, [{a0} + {r}*1]",
                        "tileloadd tmm6, [{b0} + {row}*1]",
                        "tdpbf16ps tmm0, tmm4, tmm6"
                    ],
                    ["tilestored [{c} + {r}*1], tmm0", "/* {second} */"]
                ),
                [1, _] => amx_loop!(
                    self,
                    ["tileloadd tmm0, [{c} + {r}*1]", "tileloadd tmm1, [{c} + {r}*1 + 64]"],
                    ["tilezero tmm0", "tilezero tmm1"],
                    [
                        "tileloadd tmm4, [{a0} + {r}*1]",
                        "tileloadd tmm6, [{b0} + {row}*1]",
                        "tileloadd tmm7, [{b1} + {row}*1]",
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm1, tmm4, tmm7"
                    ],
                    ["tilestored [{c} + {r}*1], tmm0", "tilestored [{c} + {r}*1 + 64], tmm1", "/* {second} */"]
                ),
                [_, 1] => amx_loop!(
                    self,
                    ["tileloadd tmm0, [{c} + {r}*1]", "tileloadd tmm2, [{second} + {r}*1]"],
                    ["tilezero tmm0", "tilezero tmm2"],
                    [
                        "tileloadd tmm4, [{a0} + {r}*1]",
                        "tileloadd tmm6, [{b0} + {row}*1]",
                        "tileloadd tmm5, [{a1} + {r}*1]",
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tdpbf16ps tmm2, tmm5, tmm6"
                    ],
                    ["tilestored [{c} + {r}*1], tmm0", "tilestored [{second} + {r}*1], tmm2"]
                ),
                _ => amx_loop!(
                    self,
                    [
                        "tileloadd tmm0, [{c} + {r}*1]",
                        "tileloadd tmm1, [{c} + {r}*1 + 64]",
                        "tileloadd tmm2, [{second} + {r}*1]",
                        "tileloadd tmm3, [{second} + {r}*1 + 64]"
                    ],
                    ["tilezero tmm0", "tilezero tmm1", "tilezero tmm2", "tilezero tmm3"],
                    [
                        "tileloadd tmm4, [{a0} + {r}*1]",
                        "tileloadd tmm6, [{b0} + {row}*1]",
                        "tileloadd tmm7, [{b1} + {row}*1]",
                        "tdpbf16ps tmm0, tmm4, tmm6",
                        "tileloadd tmm5, [{a1} + {r}*1]",
                        "tdpbf16ps tmm1, tmm4, tmm7",
                        "tdpbf16ps tmm2, tmm5, tmm6",
                        "tdpbf16ps tmm3, tmm5, tmm7"
                    ],
                    [
                        "tilestored [{c} + {r}*1], tmm0",
                        "tilestored [{c} + {r}*1 + 64], tmm1",
                        "tilestored [{second} + {r}*1], tmm2",
                        "tilestored [{second} + {r}*1 + 64], tmm3"
                    ]
                ),
            }
        }
    }

    /// # Safety
    /// The promise of [`run`](Self::run).
    unsafe fn run_avx512(&self, _: Avx512) {
        for row in (0..self.tiles[0] * ROWS).step_by(VECTOR_ROWS) {
            // SAFETY: the token proves the instructions, and the caller's promise.
            unsafe {
                match self.tiles[1] {
                    1 => self.vector_rows::<1>(row),
                    _ => self.vector_rows::<2>(row),
                }
            }
        }
    }

    /// The sums of `VECTOR_ROWS` rows, and of 16 columns for each of `N` tiles.
    ///
    /// # Safety
    /// The promise of [`run`](Self::run), on a processor with AVX512-BF16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn vector_rows<const N: usize>(&self, row: usize) {
        use std::arch::x86_64::{
            __m512bh, _mm512_dpbf16_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_set1_epi32, _mm512_setzero_ps,
            _mm512_storeu_ps,
        };
        // SAFETY: a register of the same size, of any bits.
        let bf16 = |v| unsafe { std::mem::transmute::<std::arch::x86_64::__m512i, __m512bh>(v) };
        let c = |i: usize, j: usize| self.c.wrapping_byte_add((row + i) * self.c_row + j * ROW_BYTES);
        let mut sums = [[_mm512_setzero_ps(); N]; VECTOR_ROWS];
        if self.accumulate != 0 {
            for (i, sums) in sums.iter_mut().enumerate() {
                for (j, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: the caller's promise.
                    *sum = unsafe { _mm512_loadu_ps(c(i, j)) };
                }
            }
        }
        let mut a = self.a[row / ROWS].wrapping_byte_add(row % ROWS * self.a_row);
        let mut b = self.b;
        for _ in 0..self.runs {
            for _ in 0..self.run_steps {
                for pair in 0..TERMS / 2 {
                    let columns: [__m512bh; N] = std::array::from_fn(|j| {
                        // SAFETY: the caller's promise.
                        bf16(unsafe { _mm512_loadu_si512(b[j].wrapping_byte_add(pair * ROW_BYTES).cast()) })
                    });
                    for (i, sums) in sums.iter_mut().enumerate() {
                        let at = a.wrapping_byte_add(i * self.a_row).wrapping_add(2 * pair);
                        // SAFETY: the caller's promise.
                        let terms = bf16(_mm512_set1_epi32(unsafe { at.cast::<i32>().read_unaligned() }));
                        for (sum, &column) in sums.iter_mut().zip(&columns) {
                            *sum = _mm512_dpbf16_ps(*sum, terms, column);
                        }
                    }
                }
                a = a.wrapping_byte_add(self.steps[0]);
                b = b.map(|b| b.wrapping_byte_add(self.steps[1]));
            }
            a = a.wrapping_byte_offset(self.jumps[0]);
            b = b.map(|b| b.wrapping_byte_offset(self.jumps[1]));
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { _mm512_storeu_ps(c(i, j), sum) };
            }
        }
    }
}

/// Rows of sums that stay in vector registers: 8 x 2 of 32, so that additions do not wait for each other.
const VECTOR_ROWS: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cpu::bf16::{of_f32, to_f32};

    /// Small integers and halves: their sums of products are exact in `f32`.
    fn exact(values: usize) -> impl Strategy<Value = Vec<u16>> {
        prop::collection::vec((-8i8..=8).prop_map(|v| of_f32(f32::from(v) / 2.0)), values)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn products_of_exact_terms_are_exact(
            (tiles, run_steps, runs, accumulate) in ([1usize..=2, 1..=2], 1usize..4, 1usize..4, any::<bool>()),
            seed in exact(9000),
        ) {
            for unit in Unit::all() {
                let steps = runs * run_steps;
                let [m, n] = tiles.map(|t| t * ROWS);
                // Rows of a lie in one image of runs, 8 values apart from the end of one to the next.
                let row = run_steps * TERMS + 8;
                let a: Vec<u16> = seed.iter().cycle().take(m * runs * row).copied().collect();
                let b: Vec<u16> = seed.iter().rev().cycle().take(tiles[1] * steps * TILE).copied().collect();
                let mut c = vec![1.5f32; m * (n + 3)];
                prepare(unit);
                let product = Product {
                    c: c.as_mut_ptr(),
                    c_row: (n + 3) * 4,
                    accumulate: usize::from(accumulate),
                    a_row: runs * row * 2,
                    run_steps,
                    steps: [ROW_BYTES, tiles[1] * TILE * 2],
                    jumps: [16, 0],
                    runs,
                    a: [a.as_ptr(), a.as_ptr().wrapping_add(ROWS * runs * row)],
                    b: [b.as_ptr(), b.as_ptr().wrapping_add(TILE)],
                    tiles,
                };
                // SAFETY: the vectors have the lengths that the fields describe.
                unsafe { product.run(unit) };
                for i in 0..m {
                    for j in 0..n {
                        let mut sum = if accumulate { 1.5 } else { 0.0 };
                        for step in 0..steps {
                            for k in 0..TERMS {
                                let at = i * runs * row + step / run_steps * row + step % run_steps * TERMS + k;
                                let tile = (step * tiles[1] + j / ROWS) * TILE;
                                let of_b = b[tile + k / 2 * TERMS + j % ROWS * 2 + k % 2];
                                sum += f64::from(to_f32(a[at])) * f64::from(to_f32(of_b));
                            }
                        }
                        prop_assert_eq!(f64::from(c[i * (n + 3) + j]), sum, "{:?} at {}, {}", unit, i, j);
                    }
                    prop_assert_eq!(&c[i * (n + 3) + n..][..3], &[1.5f32; 3], "the sums' neighbours");
                }
            }
        }
    }
}

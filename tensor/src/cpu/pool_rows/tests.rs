use super::*;
use crate::cpu::simd::Level;
use crate::ops::pool::Pool2d;
use crate::ops::{Padding, PoolKind, RoundMode};
use crate::random::Stream;

/// Few different values, so that many are equal, and some NaN.
fn values(len: usize) -> Vec<f32> {
    let stream = Stream::new(3, 1, 0);
    let value = |v: u32| if v == 0 { f32::NAN } else { v as f32 - 20.0 };
    (0..len).map(|i| value(stream.below(i as u64, 40))).collect()
}

fn geometries() -> impl Iterator<Item = Geometry> {
    let sizes = [(3, 2), (2, 2), (3, 1), (4, 3), (1, 2), (2, 3)];
    sizes.into_iter().flat_map(|(kernel, stride)| {
        [(RoundMode::Floor, 0), (RoundMode::Ceil, 0), (RoundMode::Floor, 1)].into_iter().map(
            move |(round_mode, padding)| {
                let padding = Padding::all(padding.min(kernel - 1));
                let spec = Pool2d { round_mode, padding, ..Pool2d::new(PoolKind::Max, kernel, stride) };
                spec.geometry(&[1, 9, 8, 2 * LANES]).unwrap()
            },
        )
    })
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn every_level_equals_plain_loops() {
    for g in geometries() {
        let c = g.channels;
        let x = values(g.input[0] * g.input[1] * c);
        let row = g.output[1] * c;
        let mut positions = Vec::new();
        for oy in 0..g.output[0] {
            let mut expected = vec![0.0; row];
            let mut places = vec![0; row];
            for (ox, (y, at)) in expected.chunks_exact_mut(c).zip(places.chunks_exact_mut(c)).enumerate() {
                max_window(c, window(&g, oy, ox), 0, &x, |v| v, y, at);
            }
            for level in Level::all() {
                let mut y = vec![0.0; row];
                let mut at = vec![0; row];
                dispatch(level, MaxRow { g: &g, x: &x, oy, y: &mut y, places: &mut at });
                assert_eq!((bits(&y), &at), (bits(&expected), &places), "{level:?} {g:?}");
            }
            positions.extend(places);
        }
        let dy: Vec<f32> = (0..positions.len()).map(|i| (i % 37) as f32 - 18.0).collect();
        for y in 0..g.input[0] {
            let mut expected = vec![0.0; g.input[1] * c];
            for (at, (&position, &dy)) in positions.iter().zip(&dy).enumerate() {
                if position as usize / g.input[1] == y {
                    expected[position as usize % g.input[1] * c + at % c] += dy;
                }
            }
            for level in Level::all() {
                let mut dx = vec![f32::NAN; g.input[1] * c];
                dispatch(level, MaxRowDx { g: &g, positions: &positions, dy: &dy, y, dx: &mut dx });
                assert_eq!(dx, expected, "{level:?} {g:?}");
            }
        }
    }
}

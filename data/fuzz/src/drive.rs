//! Fuzz driver for any compiler: mutates seeds at random and feeds them to a target.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Xorshift generator: the same mutations in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % n.max(1)
    }
}

/// Runs `target` on mutated seeds. The first argument is the duration in seconds, the second the number of the run.
/// Inputs that cause a panic are written to files.
pub fn drive(name: &str, seeds: &[Vec<u8>], target: fn(&[u8])) {
    let mut arguments =
        std::env::args().skip(1).map(|a| a.parse::<u64>().expect("seconds, then the number of the run"));
    let seconds = arguments.next().unwrap_or(10);
    let number = arguments.next().unwrap_or(1);
    let begun = Instant::now();
    let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut runs = 0u64;
    let mut failed = 0;
    let mut slowest = Duration::ZERO;
    while begun.elapsed() < Duration::from_secs(seconds) {
        let data = change(seeds, &mut dice);
        let at = Instant::now();
        if catch_unwind(AssertUnwindSafe(|| target(&data))).is_err() {
            failed += 1;
            std::fs::write(format!("{name}-{number}-{runs}.bin"), &data).expect("a file can be written");
        }
        if at.elapsed() > slowest {
            slowest = at.elapsed();
            std::fs::write(format!("{name}-{number}-slowest.bin"), &data).expect("a file can be written");
        }
        runs += 1;
    }
    println!("{name}: {runs} runs in {seconds} s, {failed} failed, the slowest took {slowest:.2?}");
    std::process::exit(i32::from(failed > 0));
}

fn change(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut data = seeds[dice.below(seeds.len())].clone();
    for _ in 0..1 + dice.below(6) {
        let at = dice.below(data.len());
        match dice.below(9) {
            0 => data.truncate(at),
            1 if !data.is_empty() => data[at] ^= 1 << dice.below(8),
            2 if !data.is_empty() => data[at] = [0, 1, 0x7f, 0x80, 0xff][dice.below(5)],
            3 if !data.is_empty() => data[at] = dice.below(256) as u8,
            4 => data.insert(at, dice.below(256) as u8),
            5 => {
                let end = (at + dice.below(64)).min(data.len());
                data.drain(at..end);
            }
            6 => {
                let end = (at + dice.below(64)).min(data.len());
                let part = data[at..end].to_vec();
                let to = dice.below(data.len());
                data.splice(to..to, part);
            }
            7 => {
                let other = &seeds[dice.below(seeds.len())];
                data.truncate(at);
                data.extend(&other[dice.below(other.len())..]);
            }
            _ if data.len() > 4 => {
                let at = at.min(data.len() - 4);
                let value = [0u32, 1, 0xffff_ffff, 0x8000_0000, 0x7fff_ffff, 0xffff][dice.below(6)];
                data[at..at + 4].copy_from_slice(&value.to_le_bytes());
            }
            _ => {}
        }
    }
    data
}

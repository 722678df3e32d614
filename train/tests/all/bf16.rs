//! Runs with activations in `bf16` on the CPU.

use alexnet_train::log::{StepLine, ValidationLine, read, read_steps};
use tensor::{Cpu, Precision};

use crate::support::{World, bits, train_until};

fn cpu(threads: usize) -> Cpu<f32> {
    Cpu::new(threads).unwrap().with_precision(Precision::Bf16).unwrap()
}

#[test]
fn a_run_resumes_with_its_bits_on_any_number_of_threads() {
    let world = World::new();
    let mut trainer = world.start_on(&cpu(2), "whole", "");
    train_until(&mut trainer, u64::MAX).unwrap();
    let whole = bits(&trainer);
    let mut trainer = world.start_on(&cpu(1), "stopped", "");
    train_until(&mut trainer, 5).unwrap_err();
    drop(trainer);
    let mut trainer = world.resume_on(&cpu(3), "stopped");
    train_until(&mut trainer, u64::MAX).unwrap();
    assert!(bits(&trainer) == whole, "a resumed run differs");
}

/// Weights in `f32` keep the changes that `bf16` would lose: losses differ by rounding only.
#[test]
fn losses_are_those_of_f32_but_for_rounding() {
    let world = World::new();
    let mut single = world.start("single", "");
    train_until(&mut single, u64::MAX).unwrap();
    let mut half = world.start_on(&cpu(2), "half", "");
    train_until(&mut half, u64::MAX).unwrap();
    let [single, half] = ["single", "half"].map(|name| {
        let steps: Vec<StepLine> = read_steps(&world.path(name).join("log.jsonl")).unwrap();
        let validations: Vec<ValidationLine> = read(&world.path(name).join("validation.jsonl")).unwrap();
        let losses = steps.iter().map(|line| line.loss);
        losses.chain(validations.iter().map(|line| line.loss)).collect::<Vec<_>>()
    });
    assert_eq!(single.len(), half.len());
    assert_ne!(single, half, "bf16 was not used");
    for (single, half) in single.iter().zip(&half) {
        assert!((single - half).abs() < 0.03 * single, "{half} for {single}");
    }
}

//! Local response normalisation.

use alexnet_tensor::ops::{AlphaScaling, Lrn, Region};

use crate::compare::{activations, assert_near, exact, host};
use crate::devices::{Tested, full_size};
use crate::support::values;

const CHANNELS: [usize; 6] = [1, 3, 5, 6, 7, 96];

fn sized(size: usize) -> Lrn {
    Lrn { size, alpha: 0.3, k: 1.5, ..Lrn::paper() }
}

/// Compares forward and backward with the CPU. `slack` is a factor of the tolerance for powers by logarithms.
fn check<B: Tested>(device: &B, spec: &Lrn, shape: [usize; 4], slack: f64) {
    let len = shape.iter().product();
    let x = values(len as u64, len);
    let dy = values(spec.size as u64, len);
    let on_x = activations(device, &shape, &x);
    let on_dy = activations(device, &shape, &dy);
    let (y, base) = on_x.lrn(spec).expect("a launch");
    let dx = on_dy.lrn_dx(spec, &on_x, &base).expect("a launch");

    let x64 = exact(&shape, &x);
    let (y64, base64) = x64.lrn(spec).expect("the CPU");
    let dx64 = exact(&shape, &dy).lrn_dx(spec, &x64, &base64).expect("the CPU");
    let scales = scales(spec, shape, &x, &dy);
    // The rounding of x also affects the output through the base, which has two terms: a factor of 3.
    let tolerance = 3.0 * slack * device.value_tolerance();
    assert_near(&host(&base), &base64.to_vec().expect("values"), |i| scales[0][i], tolerance);
    assert_near(&host(&y), &y64.to_vec().expect("values"), |i| scales[1][i], tolerance);
    assert_near(&host(&dx), &dx64.to_vec().expect("values"), |i| scales[2][i], tolerance);
}

/// The sums of the absolute values of the terms of base, y and dx.
pub fn scales(spec: &Lrn, shape: [usize; 4], x: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
    let absolute = |v: &[f64]| exact(&shape, &v.iter().map(|v| v.abs()).collect::<Vec<_>>());
    let x = absolute(x);
    let dy = absolute(dy);
    let (y, base) = x.lrn(spec).expect("the CPU");
    let [y, base, x, dy, dx] =
        [&y, &base, &x, &dy, &dy.lrn_dx(spec, &x, &base).expect("the CPU")].map(|t| t.to_vec().expect("values"));
    let power = |i: usize| if x[i] > 0.0 { y[i] / x[i] } else { base[i].powf(-spec.beta) };
    // dx is the difference of two terms. The first is known, and so the second.
    let dx = (0..dx.len()).map(|i| dy[i] * power(i) + (dy[i] * power(i) - dx[i]).abs()).collect();
    [base, y, dx]
}

pub fn across_channels<B: Tested>(device: &B) {
    for c in CHANNELS {
        for size in 1..=9 {
            check(device, &sized(size), [2, 3, 2, c], 1.0);
        }
    }
    check(device, &Lrn::paper(), [1, 9, 31, 96], 1.0);
    check(device, &Lrn { alpha_scaling: AlphaScaling::Mean, ..sized(4) }, [3, 1, 1, 14], 1.0);
    if full_size() {
        check(device, &Lrn::paper(), [2, 55, 55, 96], 1.0);
        check(device, &Lrn::paper(), [2, 27, 27, 256], 1.0);
    }
}

pub fn within_channels<B: Tested>(device: &B) {
    for (size, c) in (1..=9).zip(CHANNELS.into_iter().cycle()) {
        let spec = Lrn { region: Region::WithinChannel, alpha_scaling: AlphaScaling::Mean, ..sized(size) };
        check(device, &spec, [2, 7, 5, c], 1.0);
        check(device, &spec, [1, 1, 3, c], 1.0);
    }
    if full_size() {
        let spec = Lrn { region: Region::WithinChannel, ..sized(5) };
        check(device, &spec, [2, 27, 27, 256], 1.0);
    }
}

/// Windows and rows longer than the registers, a block of threads or the channels.
pub fn long_windows_and_rows<B: Tested>(device: &B) {
    for (size, c) in [(17, 40), (40, 33), (1000, 7), (5, 257), (5, 1100), (16, 2052)] {
        check(device, &sized(size), [1, 2, 3, c], 1.0);
    }
}

pub fn any_power<B: Tested>(device: &B) {
    for (beta, region) in [(0.5, Region::AcrossChannels), (1.3, Region::WithinChannel), (-0.2, Region::AcrossChannels)]
    {
        check(device, &Lrn { beta, region, ..sized(3) }, [2, 3, 4, 12], 3.0);
    }
}

pub fn empty_tensors<B: Tested>(device: &B) {
    for region in [Region::AcrossChannels, Region::WithinChannel] {
        for shape in [[0, 2, 2, 3], [2, 2, 2, 0], [2, 0, 2, 3]] {
            check(device, &Lrn { region, ..Lrn::paper() }, shape, 1.0);
        }
    }
}

pub fn same_bits<B: Tested>(device: &B) {
    let shape = [2, 5, 7, 20];
    let len = shape.iter().product();
    for region in [Region::AcrossChannels, Region::WithinChannel] {
        let spec = Lrn { region, ..sized(5) };
        let run = || {
            let x = activations(device, &shape, &values(1, len));
            let (y, base) = x.lrn(&spec).expect("a launch");
            let dx = activations(device, &shape, &values(2, len)).lrn_dx(&spec, &x, &base).expect("a launch");
            [y, base, dx].map(|t| t.to_vec().expect("a download"))
        };
        assert_eq!(run(), run());
    }
}

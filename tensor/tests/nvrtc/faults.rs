//! Launches that must be refused.

use cubecl::Runtime;
use cubecl::future::block_on;
use cubecl::prelude::*;

use crate::nvrtc;
use crate::runtime::{CompileRuntime, NoDevice};
use crate::server::Launches;

#[cube(launch)]
fn reverse_kernel(x: &mut Array<f32>, #[comptime] shared: usize) {
    assert!(comptime!(shared > 0), "a kernel of nothing");
    let mut cache = SharedMemory::<f32>::new(shared);
    cache[UNIT_POS as usize] = x[ABSOLUTE_POS];
    sync_cube();
    x[ABSOLUTE_POS] = cache[shared - 1 - UNIT_POS as usize];
}

/// The outcome of one launch.
fn launch(device: u16, count: CubeCount, dim: CubeDim, shared: usize) -> Launches {
    let client = CompileRuntime::client(&NoDevice(device));
    let memory = client.empty(4096);
    // SAFETY: as long as it says; and nothing runs.
    let x = unsafe { ArrayArg::from_raw_parts(memory, 1024) };
    reverse_kernel::launch::<CompileRuntime>(&client, count, dim, x, shared);
    block_on(client.sync()).expect("the launch is done");
    std::mem::take(&mut *client.info().lock().expect("no panic"))
}

#[test]
fn launches_that_a_device_would_refuse_are_failures() {
    let one = || CubeCount::new_1d(1);
    let sound = launch(1, one(), CubeDim::new_1d(256), 256);
    assert!(sound.failures.is_empty(), "{:?}", sound.failures);
    let [source] = &sound.sources[..] else { panic!("one kernel, not {}", sound.sources.len()) };
    assert_eq!((source.units, source.shared), (256, 1024));
    assert!(nvrtc::compile(source).expect("a sound kernel").registers > 0);
    let again = launch(1, one(), CubeDim::new_1d(256), 256);
    assert!(again.sources.is_empty(), "a kernel counts once");

    let most = 227 * 1024 / 4;
    assert!(launch(1, one(), CubeDim::new_1d(256), most).failures.is_empty());
    let refused = [
        (launch(2, one(), CubeDim::new_1d(256), most + 1), "232452 bytes of shared memory"),
        (launch(3, one(), CubeDim::new_2d(32, 33), 256), "threads"),
        (launch(4, CubeCount::new_2d(1, 65_536), CubeDim::new_1d(256), 256), "1 x 65536 x 1 blocks"),
        (launch(5, CubeCount::new_1d(0), CubeDim::new_1d(256), 256), "0 x 1 x 1 blocks"),
        (launch(6, one(), CubeDim::new_1d(256), 0), "a kernel of nothing"),
    ];
    for (launches, what) in refused {
        let [failure] = &launches.failures[..] else { panic!("{what}: {:?}", launches.failures) };
        assert!(failure.contains("ReverseKernel") && failure.contains(what), "{failure}");
    }
}

#[test]
fn a_compilers_complaint_comes_with_the_source() {
    let mut launches = launch(7, CubeCount::new_1d(1), CubeDim::new_1d(64), 64);
    let source = &mut launches.sources[0];
    source.text = source.text.replace("__syncthreads()", "__syncthreds()");
    let complaint = nvrtc::compile(source).expect_err("a misspelt name");
    assert!(complaint.contains("identifier \"__syncthreds\" is undefined"), "{complaint}");
    assert!(complaint.contains("reverse_kernel"), "{complaint}");
}

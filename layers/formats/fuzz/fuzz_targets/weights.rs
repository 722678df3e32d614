#![cfg_attr(feature = "fuzzer", no_main)]

#[cfg(feature = "fuzzer")]
libfuzzer_sys::fuzz_target!(|data: &[u8]| alexnet_formats_fuzz::weights(data));

#[cfg(not(feature = "fuzzer"))]
fn main() {
    let seeds = alexnet_formats_fuzz::seeds::of(std::env::var("SEEDS").unwrap_or_default().as_str());
    alexnet_formats_fuzz::drive("weights", &seeds, alexnet_formats_fuzz::weights);
}

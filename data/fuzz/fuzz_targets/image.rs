#![cfg_attr(feature = "fuzzer", no_main)]

#[cfg(feature = "fuzzer")]
libfuzzer_sys::fuzz_target!(|data: &[u8]| alexnet_data_fuzz::image(data));

#[cfg(not(feature = "fuzzer"))]
fn main() {
    alexnet_data_fuzz::drive("image", &alexnet_data_fuzz::seeds::images(), alexnet_data_fuzz::image);
}

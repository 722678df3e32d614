//! Conversion of decoder panics to errors.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::{BadImage, panic_message};

thread_local! {
    static IN_DECODER: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder on untrusted bytes; a panic rejects the image.
pub(super) fn catch_decoder_panic<T>(decode: impl FnOnce() -> Result<T, BadImage>) -> Result<T, BadImage> {
    silence_guarded_panics();
    let was_in_decoder = IN_DECODER.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(decode));
    IN_DECODER.set(was_in_decoder);
    result.unwrap_or_else(|panic| Err(BadImage::DecoderPanic(panic_message(panic.as_ref()))))
}

/// Keeps the panic hook from printing a backtrace for what is only a bad image. The previous hook still handles all
/// other panics.
fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous_hook = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IN_DECODER.get() {
                previous_hook(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let result: Result<(), _> = catch_decoder_panic(|| panic!("index {} out of range", 7));
        assert_eq!(result.unwrap_err().to_string(), "the decoder failed: index 7 out of range");
        assert!(!IN_DECODER.get());
        assert_eq!(catch_decoder_panic(|| Ok(5)).unwrap(), 5);
    }
}

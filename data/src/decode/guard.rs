//! Panics of decoders as errors.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::error::BadImage;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs a decoder on bytes from outside; a panic in it refuses the image.
pub(super) fn guarded<T>(decode: impl FnOnce() -> Result<T, BadImage>) -> Result<T, BadImage> {
    silence_guarded_panics();
    let outer = QUIET.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(decode));
    QUIET.set(outer);
    result.unwrap_or_else(|panic| Err(BadImage::DecoderPanic(message(panic.as_ref()))))
}

/// The panic hook would print a backtrace for what is only a bad image. The hook in place before is asked about all
/// panics but those in `guarded`.
fn silence_guarded_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                before(info);
            }
        }));
    });
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_string(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a message".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let result: Result<(), _> = guarded(|| panic!("index {} out of range", 7));
        assert_eq!(result.unwrap_err().to_string(), "the decoder failed: index 7 out of range");
        assert!(!QUIET.get());
        assert_eq!(guarded(|| Ok(5)).unwrap(), 5);
    }
}

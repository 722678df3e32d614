//! A model's layers as text.

mod keras;
mod table;
mod window;

pub use keras::keras;
pub use table::table;

/// A whole number with commas between thousands.
fn with_commas(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

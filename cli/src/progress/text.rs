//! Lines about a training, as parts that may be broken between.

use std::time::Duration;

use train::log::{EpochLine, ValidationLine};

use super::view::RunView;
use crate::console::{count, percent};

/// A top-5 error says something of more classes than this only.
const CLASSES_OF_TOP_5: usize = 5;

/// The lines before the first step.
pub fn first_lines(view: &RunView, setup: Duration, images_per_s: Option<f64>) -> Vec<Vec<String>> {
    let first = format!("the first step begins after {:.2} s", setup.as_secs_f64());
    let left = view.total.saturating_sub(view.resumed_at);
    let of = if view.resumed_at > 0 { format!(" of {} are left", view.total) } else { String::new() };
    let mut parts = vec![first, format!("{}{of}, {} each", count(left, "step"), per_epoch(view))];
    if let Some(seconds) = images_per_s.map(|rate| view.images_of(left) / rate).filter(|seconds| *seconds >= 60.0) {
        parts.push(format!("roughly {}", duration(Duration::from_secs_f64(seconds))));
    }
    vec![parts]
}

fn per_epoch(view: &RunView) -> String {
    format!("{} of {}", count(view.epochs(), "epoch"), view.steps_per_epoch.min(view.total))
}

/// The line of an epoch.
pub fn epoch(view: &RunView, line: &EpochLine, validation: Option<&ValidationLine>) -> Vec<String> {
    let of = if view.epochs() >= line.epoch { format!("/{}", view.epochs()) } else { String::new() };
    let mut parts = vec![format!(
        "epoch {}{of}: loss {:.4}, top-1 error {}",
        line.epoch,
        line.train_loss,
        error(line.train_top1_error)
    )];
    if let Some(validation) = validation {
        let whose = validation.last_weights.as_ref().map_or("", |_| " of the weights' average:");
        let mut part =
            format!("validation{whose} loss {:.4}, top-1 error {}", validation.loss, error(validation.top1_error));
        if view.classes > CLASSES_OF_TOP_5 {
            part += &format!(", top-5 error {}", percent(validation.top5_error));
        }
        parts.push(part);
        if let Some(last) = &validation.last_weights {
            parts.push(format!("of the last weights: loss {:.4}, top-1 error {}", last.loss, percent(last.top1_error)));
        }
    }
    let mut rest = format!("lr {}, {} images/s", number(line.rate), speed(line.images_per_s));
    if let Some(left) = view.time_left().filter(|_| line.step < view.total) {
        rest += &format!(", {} left", duration(left));
    }
    parts.push(rest);
    parts
}

/// The line of progress within an epoch.
pub fn minute(view: &RunView, loss: f64, top1_error: f64) -> Vec<String> {
    let mut parts = vec![
        format!("epoch {}/{}, step {} of {}", view.epoch_under_way(), view.epochs(), view.step, view.total),
        format!("loss {loss:.4}, top-1 error {}", percent(top1_error)),
    ];
    if let Some(done) = view.validating {
        parts.push(format!("validating: {done} of {} images", view.validation_images));
    }
    parts.extend(pace(view));
    parts
}

/// Learning rate, speed and time left.
pub fn pace(view: &RunView) -> Option<String> {
    let line = view.last_step.as_ref()?;
    let left = view.time_left().map_or(String::new(), |left| format!(", {} left", duration(left)));
    Some(format!("lr {}, {} images/s{left}", number(line.rate), speed(line.images_per_s)))
}

/// The line at the end of a run.
pub fn summary(view: &RunView) -> Option<String> {
    let (best, epoch) = view.best?;
    Some(format!("best validation top-1 error: {} after epoch {epoch}", error(best)))
}

/// An error with the accuracy.
pub fn error(fraction: f64) -> String {
    format!("{} (accuracy {})", percent(fraction), percent(1.0 - fraction))
}

/// A number with three significant digits.
pub fn number(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let exponent = value.abs().log10().floor() as i32;
    if !(-4..6).contains(&exponent) {
        return format!("{value:.2e}");
    }
    let decimals = usize::try_from(2 - exponent).unwrap_or(0);
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// Images per second.
pub fn speed(images_per_s: f64) -> String {
    if images_per_s < 100.0 { format!("{images_per_s:.1}") } else { format!("{images_per_s:.0}") }
}

/// A time in its largest units.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => format!("{} min {} s", seconds / 60, seconds % 60),
        600..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The parts as lines of at most `width` columns, broken between parts if possible, else between words. Further lines are
/// indented.
pub fn wrap(parts: &[String], width: usize) -> String {
    const INDENT: usize = 4;
    let mut text = String::new();
    let mut column = 0;
    for (number, part) in parts.iter().enumerate() {
        let end = if number + 1 < parts.len() { ";" } else { "" };
        let len = part.chars().count() + end.len();
        let fits = column + 1 + len <= width;
        if number > 0 && !fits {
            text.push_str(&format!("\n{:INDENT$}", ""));
            column = INDENT;
        }
        for (place, word) in unbreakable(&format!("{part}{end}")).iter().enumerate() {
            let len = word.chars().count();
            let is_first = column == 0 || (place == 0 && number > 0 && !fits);
            if !is_first && column + 1 + len > width {
                text.push_str(&format!("\n{:INDENT$}", ""));
                column = INDENT;
            } else if !is_first {
                text.push(' ');
                column += 1;
            }
            text.push_str(word);
            column += len;
        }
    }
    text
}

/// The words of a text; a number and its unit are one.
fn unbreakable(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let is_number = |last: &str| last.trim_start_matches('(').parse::<f64>().is_ok();
        match words.last_mut() {
            Some(last) if is_number(last) => *last += &format!(" {word}"),
            _ => words.push(word.to_string()),
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_short() {
        let numbers = [0.01, 0.010000000000000002, 0.1, 1.0, 0.00025, 1e-7, 0.0, 12345.6, 3.25678];
        let texts: Vec<String> = numbers.map(number).to_vec();
        assert_eq!(texts, ["0.01", "0.01", "0.1", "1", "0.00025", "1.00e-7", "0", "12346", "3.26"]);
        let times = [0.4, 59.4, 61.0, 3599.0, 3600.0, 90_000.0].map(|s| duration(Duration::from_secs_f64(s)));
        assert_eq!(times, ["0 s", "59 s", "1 min 1 s", "59 min", "1 h 0 min", "1 d 1 h"]);
        assert_eq!([speed(84.25), speed(4712.4)], ["84.2", "4712"]);
    }

    #[test]
    fn lines_break_between_parts() {
        let parts = ["a".repeat(20), "b".repeat(20), "c".repeat(30)];
        assert_eq!(wrap(&parts, 200), format!("{}; {}; {}", parts[0], parts[1], parts[2]));
        let lines = wrap(&parts, 60);
        assert_eq!(lines, format!("{}; {};\n    {}", parts[0], parts[1], parts[2]));
        let long = wrap(&["one two three four five six".to_string(), "seven".to_string()], 16);
        assert_eq!(long, "one two three\n    four five\n    six; seven");
        // A number stays with its unit.
        let parts = ["error 10.6 % (89.4 % right), 12 min 5 s left".to_string()];
        for width in 10..60 {
            let text = wrap(&parts, width);
            for whole in ["10.6 %", "(89.4 %", "12 min", "5 s"] {
                assert!(text.contains(whole), "{width}: {text}");
            }
        }
        assert_eq!(wrap(&parts, 12), "error 10.6 %\n    (89.4 %\n    right),\n    12 min\n    5 s left");
    }
}

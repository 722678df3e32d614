//! The table of a model's layers, with work and memory.

use std::fmt::Write;

use super::window::window;
use super::with_commas;
use crate::model::{LayerKind, LayerShape, Model, ParameterSpec};
use crate::{Error, Result};

/// Bytes of one value; networks are trained in f32.
const BYTES: u64 = 4;

/// Layers with windows (kernel / stride, padding, groups), output shapes, parameters, multiply-accumulates and memory for `batch` images, and totals.
///
/// ```
/// let model = alexnet_layers::Model::preset("paper")?;
/// assert!(alexnet_layers::summary::table(&model, 128)?.contains("60,965,224"));
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
///
/// # Errors
/// [`Error::Model`] if the layers do not fit each other, or for a batch of 0 or above 2^20.
pub fn table(model: &Model, batch: usize) -> Result<String> {
    if batch == 0 || batch > 1 << 20 {
        let what = format!("the batch must be from 1 to {} images, got {batch}", 1 << 20);
        return Err(Error::Model { origin: model.name.clone(), layer: None, what });
    }
    let shapes = model.shapes()?;
    let mut text = String::new();
    let _ = writeln!(text, "{}: {}\n", model.name, model.about);
    let cells: Vec<[String; 7]> = std::iter::once(header(batch))
        .chain(std::iter::once(input(model, batch)))
        .chain(model.layers.iter().zip(&shapes).map(|(layer, shape)| cells(&layer.kind, shape, batch)))
        .collect();
    write_columns(&mut text, &cells);
    text.push('\n');
    write_totals(&mut text, model, &shapes, batch);
    Ok(text)
}

fn header(batch: usize) -> [String; 7] {
    let outputs = if batch == 1 { "activations".into() } else { format!("activations x {batch}") };
    ["layer".into(), "kind".into(), "window".into(), "output".into(), "parameters".into(), "MACs".into(), outputs]
}

fn input(model: &Model, batch: usize) -> [String; 7] {
    let crop = model.input.crop;
    let values = 3 * (crop * crop) as u64;
    [
        "input".into(),
        String::new(),
        String::new(),
        axes(&[crop, crop, 3]),
        String::new(),
        String::new(),
        outputs(values, batch),
    ]
}

fn cells(kind: &LayerKind, shape: &LayerShape, batch: usize) -> [String; 7] {
    let unless_0 = |n: u64, text: String| if n == 0 { String::new() } else { text };
    let count = shape.parameter_count();
    [
        shape.name.clone(),
        shape.kind.into(),
        window(kind, &shape.input),
        axes(&shape.output),
        unless_0(count, with_commas(count)),
        unless_0(shape.macs, millions(shape.macs)),
        outputs(shape.output_len() as u64, batch),
    ]
}

fn axes(shape: &[usize]) -> String {
    shape.iter().map(usize::to_string).collect::<Vec<_>>().join(" x ")
}

fn outputs(values: u64, batch: usize) -> String {
    bytes(values.saturating_mul(batch as u64).saturating_mul(BYTES))
}

/// The first four columns to the left, numbers to the right.
fn write_columns(text: &mut String, cells: &[[String; 7]]) {
    let mut widths = [0; 7];
    for row in cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.len());
        }
    }
    for row in cells {
        let mut line = String::new();
        for (i, (cell, width)) in row.iter().zip(widths).enumerate() {
            let _ = if i < 4 { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn write_totals(text: &mut String, model: &Model, shapes: &[LayerShape], batch: usize) {
    let sum = |f: &dyn Fn(&LayerShape) -> u64| shapes.iter().map(f).fold(0, u64::saturating_add);
    let parameters = sum(&LayerShape::parameter_count);
    let count_of = |is_counted: &dyn Fn(&ParameterSpec) -> bool| {
        sum(&|s| s.parameters.iter().filter(|p| is_counted(p)).map(|p| p.len() as u64).sum())
    };
    let fixed = count_of(&|p| !p.trained);
    let frozen = count_of(&|p| p.trained && !p.is_trainable());
    let macs = sum(&|s| s.macs);
    let input = 3 * (model.input.crop * model.input.crop) as u64;
    let values = sum(&|s| s.output_len() as u64).saturating_add(input);
    let activations = values.saturating_mul(batch as u64).saturating_mul(BYTES);
    let weights = parameters.saturating_mul(BYTES);
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<37} {value}");
    };
    line("parameters", with_commas(parameters));
    if fixed > 0 {
        line("  of these running statistics", with_commas(fixed));
    }
    if frozen > 0 {
        line("  of these frozen", with_commas(frozen));
    }
    line("multiply-accumulates an image", millions(macs));
    line("memory of the parameters (f32)", bytes(weights));
    line(&format!("memory of the activations, batch {batch}"), bytes(activations));
}

fn millions(n: u64) -> String {
    let hundreds_of_thousands = (n as f64 / 1e5).round() / 10.0;
    format!("{hundreds_of_thousands:.1} M")
}

fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{n} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

//! The table that Keras 2 prints as `model.summary()`.

use std::collections::HashMap;

use tensor::ops::{Activation, PoolKind};

use super::with_commas;
use crate::Result;
use crate::model::{LayerKind, LayerShape, Model, Pool};

const LINE: usize = 65;
/// Ends of the columns: 45 %, 85 % and 100 % of a line.
const COLUMNS: [usize; 3] = [29, 55, 65];
/// What Keras breaks a cell after.
const BREAKS: [&str; 4] = ["),", "},", "],", "',"];

/// The network as Keras 2.7 to 2.12 prints it, line by line, layers named as Keras names them. A ReLU, tanh, logistic or
/// softmax right after a convolution or a linear layer is that layer's `activation` there and has no row; a response
/// normalisation, which Keras lacks, is a `Lambda`.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) if the layers do not fit each other.
pub fn keras(model: &Model) -> Result<String> {
    let mut text = String::from("Model: \"sequential\"\n");
    rule(&mut text, '_');
    row(&mut text, ["Layer (type)".into(), "Output Shape".into(), "Param #".into()]);
    rule(&mut text, '=');
    let shapes = model.shapes()?;
    let mut names = HashMap::new();
    for (class, output, parameters) in rows(model, &shapes) {
        row(&mut text, [format!("{} ({class})", named(&mut names, class)), batched(&output), parameters.to_string()]);
        rule(&mut text, ' ');
    }
    rule(&mut text, '=');
    let count = |trained| {
        shapes.iter().flat_map(|s| &s.parameters).filter(|p| p.trained == trained).map(|p| p.len() as u64).sum()
    };
    let trained: u64 = count(true);
    let fixed: u64 = count(false);
    text.push_str(&format!("Total params: {}\n", with_commas(trained + fixed)));
    text.push_str(&format!("Trainable params: {}\n", with_commas(trained)));
    text.push_str(&format!("Non-trainable params: {}\n", with_commas(fixed)));
    rule(&mut text, '_');
    Ok(text)
}

/// Class, output shape without the batch and parameters of each of Keras' layers.
fn rows(model: &Model, shapes: &[LayerShape]) -> Vec<(&'static str, Vec<usize>, u64)> {
    let mut rows = Vec::new();
    let mut takes_activation = false;
    for (layer, shape) in model.layers.iter().zip(shapes) {
        let is_activation = matches!(layer.kind, LayerKind::Activation(_) | LayerKind::Softmax);
        if !(is_activation && takes_activation) {
            if matches!(layer.kind, LayerKind::Linear(_)) && shape.input.len() == 3 {
                rows.push(("Flatten", vec![shape.input.iter().product()], 0));
            }
            rows.push((class(&layer.kind), shape.output.clone(), shape.parameter_count()));
        }
        takes_activation = matches!(layer.kind, LayerKind::Conv(_) | LayerKind::Local(_) | LayerKind::Linear(_));
    }
    rows
}

fn class(kind: &LayerKind) -> &'static str {
    match kind {
        LayerKind::Conv(_) => "Conv2D",
        LayerKind::Local(_) => "LocallyConnected2D",
        LayerKind::Linear(_) => "Dense",
        LayerKind::Activation(Activation::Relu) => "ReLU",
        LayerKind::Activation(_) => "Activation",
        LayerKind::Lrn(_) => "Lambda",
        LayerKind::Pool(Pool { kind: PoolKind::Max, .. }) => "MaxPooling2D",
        LayerKind::Pool(_) => "AveragePooling2D",
        LayerKind::Dropout(_) => "Dropout",
        LayerKind::BatchNorm(_) => "BatchNormalization",
        LayerKind::Flatten => "Flatten",
        LayerKind::Softmax => "Softmax",
    }
}

/// The class in snake case, numbered from its second use on.
fn named(used: &mut HashMap<&'static str, usize>, class: &'static str) -> String {
    let name = match class {
        "AveragePooling2D" => "average_pooling2d".into(),
        "BatchNormalization" => "batch_normalization".into(),
        "LocallyConnected2D" => "locally_connected2d".into(),
        "MaxPooling2D" => "max_pooling2d".into(),
        "ReLU" => "re_lu".into(),
        other => other.to_lowercase(),
    };
    let count = used.entry(class).or_insert(0);
    *count += 1;
    if *count == 1 { name } else { format!("{name}_{}", *count - 1) }
}

fn batched(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("(None, {})", axes.join(", "))
}

fn rule(text: &mut String, c: char) {
    text.extend(std::iter::repeat_n(c, LINE));
    text.push('\n');
}

/// One row of cells, each broken over as many lines as it needs.
fn row(text: &mut String, cells: [String; 3]) {
    let mut left: [&str; 3] = [&cells[0], &cells[1], &cells[2]];
    while left.iter().any(|cell| !cell.is_empty()) {
        let mut line = String::from(" ");
        for (column, cell) in left.iter_mut().enumerate() {
            let start = if column == 0 { 0 } else { COLUMNS[column - 1] };
            let space = if column + 1 < COLUMNS.len() { 2 } else { 0 };
            let (fits, rest) = cell.split_at(cut(cell, COLUMNS[column] - start - space));
            line.push_str(fits);
            line.extend(std::iter::repeat_n(' ', space));
            *cell = rest;
            line.extend(std::iter::repeat_n(' ', COLUMNS[column].saturating_sub(line.len())));
        }
        text.push_str(&line);
        text.push('\n');
    }
}

/// Where to break a cell that has `room`; cells are ASCII.
fn cut(cell: &str, room: usize) -> usize {
    let fits = &cell[..room.min(cell.len())];
    BREAKS.iter().filter_map(|end| fits.find(end).map(|at| at + end.len())).min().unwrap_or(fits.len())
}

//! The table that Keras 2 prints as `model.summary()`.

use std::collections::HashMap;

use super::with_commas;
use crate::Result;
use crate::model::{KerasActivation, LayerShape, Model};

const LINE: usize = 65;
/// Ends of the columns: 45 %, 85 % and 100 % of a line.
const COLUMNS: [usize; 3] = [29, 55, 65];
/// Keras breaks a cell after these.
const BREAKS: [&str; 4] = ["),", "},", "],", "',"];

/// The network as Keras 2.7 to 2.12 prints it, line by line, layers named as Keras names them. A ReLU, tanh, logistic or
/// softmax right after a convolution or a linear layer is that layer's `activation` there and has no row; a response
/// normalisation, which Keras lacks, is a `Lambda`.
///
/// ```
/// let text = alexnet_layers::summary::keras(&alexnet_layers::Model::preset("keras")?)?;
/// assert!(text.starts_with("Model: \"sequential\""));
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) if the layers do not fit each other.
pub fn keras(model: &Model) -> Result<String> {
    let mut text = String::from("Model: \"sequential\"\n");
    write_rule(&mut text, '_');
    write_row(&mut text, ["Layer (type)".into(), "Output Shape".into(), "Param #".into()]);
    write_rule(&mut text, '=');
    let shapes = model.shapes()?;
    let mut uses = HashMap::new();
    for Row { class, output, parameters } in rows(model, &shapes) {
        let name = layer_name(&mut uses, class);
        write_row(&mut text, [format!("{name} ({class})"), batched(&output), parameters.to_string()]);
        write_rule(&mut text, ' ');
    }
    write_rule(&mut text, '=');
    let count = |trained| {
        shapes.iter().flat_map(|s| &s.parameters).filter(|p| p.is_trainable() == trained).map(|p| p.len() as u64).sum()
    };
    let trained: u64 = count(true);
    let fixed: u64 = count(false);
    text.push_str(&format!("Total params: {}\n", with_commas(trained + fixed)));
    text.push_str(&format!("Trainable params: {}\n", with_commas(trained)));
    text.push_str(&format!("Non-trainable params: {}\n", with_commas(fixed)));
    write_rule(&mut text, '_');
    Ok(text)
}

/// One row of the table.
struct Row {
    class: &'static str,
    /// The output's shape for one image.
    output: Vec<usize>,
    parameters: u64,
}

fn rows(model: &Model, shapes: &[LayerShape]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut previous = KerasActivation::None;
    for (layer, shape) in model.layers.iter().zip(shapes) {
        let keras = layer.kind.as_layer().keras();
        let is_argument = keras.activation == KerasActivation::Function && previous == KerasActivation::Argument;
        if !is_argument {
            if keras.flat_input && shape.input.len() == 3 {
                rows.push(Row { class: "Flatten", output: vec![shape.input.iter().product()], parameters: 0 });
            }
            let output = shape.output.clone();
            rows.push(Row { class: keras.class, output, parameters: shape.parameter_count() });
        }
        previous = keras.activation;
    }
    rows
}

/// Keras' name of the next layer of this class: the class in snake case, numbered from its second use on.
fn layer_name(uses: &mut HashMap<&'static str, usize>, class: &'static str) -> String {
    let number = uses.entry(class).or_insert(0);
    let name = match *number {
        0 => snake_case(class),
        n => format!("{}_{n}", snake_case(class)),
    };
    *number += 1;
    name
}

/// Keras' name in snake case: `max_pooling2d`, `re_lu`.
fn snake_case(class: &str) -> String {
    let mut name = String::new();
    let mut before = None;
    let mut letters = class.chars().peekable();
    while let Some(letter) = letters.next() {
        let ends_word = before.is_some_and(|c: char| c.is_ascii_lowercase());
        let begins_word = letters.peek().is_some_and(|c| !c.is_ascii_uppercase());
        if letter.is_ascii_uppercase() && before.is_some() && (ends_word || begins_word) {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
        before = Some(letter);
    }
    name
}

fn batched(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(usize::to_string).collect();
    format!("(None, {})", axes.join(", "))
}

fn write_rule(text: &mut String, c: char) {
    text.extend(std::iter::repeat_n(c, LINE));
    text.push('\n');
}

/// One row of cells, each broken over as many lines as it needs.
fn write_row(text: &mut String, cells: [String; 3]) {
    let mut rest: [&str; 3] = [&cells[0], &cells[1], &cells[2]];
    while rest.iter().any(|cell| !cell.is_empty()) {
        let mut line = String::from(" ");
        for (column, cell) in rest.iter_mut().enumerate() {
            let start = if column == 0 { 0 } else { COLUMNS[column - 1] };
            let space = if column + 1 < COLUMNS.len() { 2 } else { 0 };
            let (fits, remainder) = cell.split_at(cut(cell, COLUMNS[column] - start - space));
            line.push_str(fits);
            line.extend(std::iter::repeat_n(' ', space));
            *cell = remainder;
            line.extend(std::iter::repeat_n(' ', COLUMNS[column].saturating_sub(line.len())));
        }
        text.push_str(&line);
        text.push('\n');
    }
}

/// The position of a cell's first line break, in a column of width `room`; cells are ASCII.
fn cut(cell: &str, room: usize) -> usize {
    let fits = &cell[..room.min(cell.len())];
    BREAKS.iter().filter_map(|end| fits.find(end).map(|at| at + end.len())).min().unwrap_or(fits.len())
}

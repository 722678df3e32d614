//! Shape and Gather, with which exporters compute the shape of a Reshape.

use super::graph::Graph;
use super::node::Node;
use super::value::{Length, Value};

type Read<'a> = Result<Option<Value<'a>>, String>;

/// Lengths in a message: `[n, 3, 224, 224]`.
pub(super) fn shown(lengths: &[Length]) -> String {
    let one = |length: &Length| match length {
        Length::Number(number) => number.to_string(),
        Length::Batch => "n".to_string(),
    };
    format!("[{}]", lengths.iter().map(one).collect::<Vec<_>>().join(", "))
}

/// The lengths of a value, if it is that.
pub(super) fn of(value: Value<'_>) -> Option<Vec<Length>> {
    match value {
        Value::Lengths(lengths) => Some(lengths),
        _ => None,
    }
}

/// Shape, Gather, ReduceProd or Equal.
pub(super) fn read<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let value = graph.value(node, 0)?;
    let lengths = match node.0.op_type.as_str() {
        "Shape" => shape(graph, node, &value)?,
        "Gather" => {
            let lengths = of(value).ok_or("takes values out of something other than lengths")?;
            gather(&lengths, &graph.numbers(node, 1)?.ok_or("lacks its indices")?)?
        }
        "Equal" => {
            let first = of(value).ok_or("compares something other than lengths")?;
            let second = of(graph.value(node, 1)?).ok_or("compares something other than lengths")?;
            let (&[Length::Number(first)], &[Length::Number(second)]) = (first.as_slice(), second.as_slice()) else {
                return Err("compares several lengths, or the number of images".into());
            };
            vec![Length::Number((first == second).into())]
        }
        _ => {
            let lengths = of(value).ok_or("multiplies something other than lengths")?;
            vec![product(&lengths)?]
        }
    };
    Ok(Some(Value::Lengths(lengths)))
}

fn shape(graph: &Graph, node: Node, value: &Value) -> Result<Vec<Length>, String> {
    let number = |&axis: &usize| Length::Number(axis as i64);
    let with_images = |dims: &[usize]| {
        let first = graph.batch.map_or(Length::Batch, Length::Number);
        std::iter::once(first).chain(dims.iter().map(number)).collect::<Vec<_>>()
    };
    let all = match value {
        Value::Images(images) if images.pads.is_none() => with_images(&images.dims),
        Value::Squares(squares) if squares.pads.iter().all(|pads| *pads == [0, 0]) => with_images(&squares.dims),
        Value::Floats(floats) => floats.shape.iter().map(number).collect(),
        Value::Lengths(lengths) => vec![Length::Number(lengths.len() as i64)],
        _ => return Err("asks for the shape of a part of the channels".into()),
    };
    let len = all.len() as i64;
    let at = |n: i64| if n < 0 { n.saturating_add(len) } else { n }.clamp(0, len) as usize;
    let start = at(node.int("start", 0));
    let end = at(node.int("end", len));
    Ok(all[start..end.max(start)].to_vec())
}

/// Lengths in another view: rows of pairs are what torch turns around and transposes.
pub(super) fn view<'a>(graph: &Graph<'a>, node: Node<'a>, lengths: Vec<Length>) -> Read<'a> {
    if node.0.op_type == "Transpose" {
        return Ok(Some(Value::Lengths(lengths)));
    }
    let target = if node.0.op_type == "Reshape" { graph.numbers(node, 1)? } else { None };
    match target.as_deref() {
        Some(&[_, columns]) if columns > 0 && lengths.len() as i64 % columns == 0 => {
            let rows = lengths.chunks(columns as usize).map(<[Length]>::to_vec);
            Ok(Some(Value::Table(rows.collect())))
        }
        _ => Ok(Some(Value::Lengths(lengths))),
    }
}

/// A table in another view.
pub(super) fn table<'a>(node: Node<'a>, rows: &[Vec<Length>]) -> Read<'a> {
    match node.0.op_type.as_str() {
        "Transpose" => {
            let columns = rows.first().map_or(0, Vec::len);
            let column = |at: usize| rows.iter().map(|row| row[at]).collect::<Vec<_>>();
            Ok(Some(Value::Table((0..columns).map(column).collect())))
        }
        "Reshape" => Ok(Some(Value::Lengths(rows.concat()))),
        _ => Err("takes rows of lengths, which are only turned here".into()),
    }
}

fn gather(lengths: &[Length], indices: &[i64]) -> Result<Vec<Length>, String> {
    let len = lengths.len() as i64;
    let one = |&index: &i64| {
        let at = if index < 0 { index.checked_add(len)? } else { index };
        lengths.get(usize::try_from(at).ok()?).copied()
    };
    let chosen: Option<Vec<Length>> = indices.iter().map(one).collect();
    chosen.ok_or_else(|| format!("takes the lengths {indices:?} out of {len}"))
}

fn product(lengths: &[Length]) -> Result<Length, String> {
    let multiply = |product: i64, length: &Length| match length {
        Length::Number(number) => product.checked_mul(*number),
        Length::Batch => None,
    };
    let product = lengths.iter().try_fold(1, multiply);
    product.map(Length::Number).ok_or_else(|| "multiplies lengths that depend on the number of images".into())
}

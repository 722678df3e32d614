//! Shape and Gather, with which exporters compute the shape of a Reshape.

use super::graph::Graph;
use super::node::Node;
use super::value::{Length, Value};

type Read<'a> = Result<Option<Value<'a>>, String>;

/// The lengths of a value, if it is that.
pub(super) fn of(value: Value<'_>) -> Option<Vec<Length>> {
    match value {
        Value::Lengths(lengths) => Some(lengths),
        _ => None,
    }
}

/// Shape, Gather or ReduceProd.
pub(super) fn read<'a>(graph: &mut Graph<'a>, node: Node<'a>) -> Read<'a> {
    let value = graph.value(node, 0)?;
    let lengths = match node.0.op_type.as_str() {
        "Shape" => shape(graph, node, &value)?,
        "Gather" => {
            let lengths = of(value).ok_or("takes values out of something other than lengths")?;
            gather(&lengths, &graph.numbers(node, 1)?.ok_or("lacks its indices")?)?
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

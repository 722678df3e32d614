//! The window of a layer in a few words: kernel, stride, padding, groups.

use tensor::ops::{Padding, Region};

use crate::model::{Conv, LayerKind};

/// Kernel and, where they are not those of a plain layer, stride, padding and groups; the size of other layers' windows.
/// `input` is the shape for one image.
pub(super) fn window(kind: &LayerKind, input: &[usize]) -> String {
    let map = [input.first().copied().unwrap_or(1), input.get(1).copied().unwrap_or(1)];
    match kind {
        LayerKind::Conv(conv) => convolution(conv, map),
        LayerKind::Local(local) => convolution(&local.0, map),
        LayerKind::Pool(pool) => slid(pool.kernel, pool.stride, pool.operation(map).padding),
        LayerKind::AdaptiveAveragePool(pool) => format!("to {}", pair(pool.output)),
        LayerKind::Lrn(lrn) if lrn.region == Region::AcrossChannels => format!("{} channels", lrn.size),
        LayerKind::Lrn(lrn) => pair([lrn.size; 2]),
        LayerKind::Dropout(dropout) => format!("p {}", dropout.p),
        _ => String::new(),
    }
}

fn convolution(conv: &Conv, map: [usize; 2]) -> String {
    let mut text = slid(conv.kernel, conv.stride, conv.operation(map).padding);
    if conv.groups > 1 {
        text.push_str(&format!(", {} groups", conv.groups));
    }
    text
}

fn slid(kernel: [usize; 2], stride: [usize; 2], padding: Padding) -> String {
    let mut text = pair(kernel);
    match stride {
        [1, 1] => {}
        [down, across] if down == across => text.push_str(&format!(" / {down}")),
        other => text.push_str(&format!(" / {}", pair(other))),
    }
    let Padding { top, bottom, left, right } = padding;
    let side =
        |before: usize, after: usize| if before == after { before.to_string() } else { format!("{before}+{after}") };
    let vertical = side(top, bottom);
    let horizontal = side(left, right);
    if [top, bottom, left, right] != [0; 4] {
        text.push_str(", pad ");
        text.push_str(&if vertical == horizontal { vertical } else { format!("{vertical} x {horizontal}") });
    }
    text
}

fn pair([height, width]: [usize; 2]) -> String {
    format!("{height} x {width}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Model;

    fn windows(preset: &str, layers: &[&str]) -> Vec<String> {
        let model = Model::preset(preset).unwrap();
        let shapes = model.shapes().unwrap();
        let of = |name: &&str| {
            let number = model.find_layer(name).unwrap();
            window(&model.layers[number].kind, &shapes[number].input)
        };
        layers.iter().map(of).collect()
    }

    #[test]
    fn windows_of_the_paper() {
        let found = windows("paper", &["conv1", "norm1", "pool1", "conv2", "relu2", "conv3", "fc6", "drop6"]);
        let expected = [
            "11 x 11 / 4, pad 0+3",
            "5 channels",
            "3 x 3 / 2",
            "5 x 5, pad 2, 2 groups",
            "",
            "3 x 3, pad 1",
            "",
            "p 0.5",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn unequal_sides_are_told_apart() {
        let padding = Padding { top: 1, bottom: 2, left: 0, right: 0 };
        assert_eq!(slid([3, 5], [1, 2], padding), "3 x 5 / 1 x 2, pad 1+2 x 0");
    }
}

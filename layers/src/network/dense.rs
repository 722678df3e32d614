//! A network that slides over larger images, with its linear layers as convolutions.

use tensor::Backend;
use tensor::ops::{PoolKind, RoundMode};

use super::Network;
use crate::model::{Conv, LayerKind, LayerShape, LayerSpec, Linear, Model, Pad, Pool, Units};
use crate::{Parameter, Result};

impl<B: Backend> Network<B> {
    /// The same network for images of `size` x `size`: it computes, with shared work, the logits at all positions at which
    /// the pixels fit that it reads of a crop, as far apart as its strides make them. Linear layers become convolutions (Sermanet and others,
    /// "OverFeat", 2014, section 3.5); the parameters share the memory of this network's.
    /// [`predict`](Network::predict) then returns logits `[n, rows, columns, classes]`.
    ///
    /// At a border of a crop, its own padding is zeros, where this network sees the image: without padding the values are
    /// those of the crops.
    ///
    /// ```
    /// use alexnet_layers::tensor::{Cpu, Tensor};
    /// use alexnet_layers::{Model, Network};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let network = Network::new(&cpu, &Model::preset("cifar-18pct")?, 1)?.dense(48)?;
    /// let logits = network.predict(Tensor::zeros(&cpu, &[1, 48, 48, 3])?)?;
    /// assert_eq!(logits.shape(), [1, 3, 3, 10]);
    /// # Ok::<(), alexnet_layers::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Model`](crate::Error::Model) for images smaller than the crop, and for a layer that is bound to one size of
    /// map: a local layer, another crate's, or an adaptive pooling that does not divide its map.
    pub fn dense(&self, size: usize) -> Result<Self> {
        let model = self.model.dense(size)?;
        let specs = model.parameters()?;
        let mut parameters = Vec::with_capacity(specs.len());
        for (spec, parameter) in specs.into_iter().zip(&self.parameters) {
            let value = parameter.value.clone().reshape(&spec.shape)?;
            parameters.push(Parameter::new(spec, value));
        }
        Self::from_parts(&self.device, &model, parameters)
    }
}

impl Model {
    /// The model of [`Network::dense`], whose output is a map of logits. It cannot be written to a file.
    ///
    /// # Errors
    /// Those of [`Network::dense`].
    pub fn dense(&self, size: usize) -> Result<Self> {
        if size < self.input.crop {
            let what = format!("it takes crops of {}, images of {size} are smaller", self.input.crop);
            return Err(self.error(None, what));
        }
        let mut model = Self { layers: Vec::new(), ..self.clone() };
        model.input.crop = size;
        // The map that the row of values before a layer was flattened from.
        let mut flattened: Option<[usize; 3]> = None;
        for (layer, shape) in self.layers.iter().zip(self.shapes()?) {
            if let Ok(map) = <[usize; 3]>::try_from(shape.input.as_slice()) {
                flattened = Some(map);
            }
            let kind = slid(&layer.kind, &shape, flattened, self.classes)
                .map_err(|what| self.error(Some(&layer.name), what))?;
            if let Some(kind) = kind {
                model.layers.push(LayerSpec { kind, ..layer.clone() });
            }
            if matches!(layer.kind, LayerKind::Linear(_) | LayerKind::GlobalAveragePool) {
                flattened = Some([1, 1, shape.output_len()]);
            }
        }
        Ok(model)
    }
}

/// A layer as it slides over a larger map; None if nothing is left to compute. `map` is its input, before any flattening.
fn slid(
    kind: &LayerKind,
    shape: &LayerShape,
    map: Option<[usize; 3]>,
    classes: usize,
) -> std::result::Result<Option<LayerKind>, String> {
    let [height, width, _] = map.unwrap_or([1, 1, shape.input.iter().product()]);
    let average = |kernel: [usize; 2], stride: [usize; 2]| {
        let padding = Pad::default();
        LayerKind::Pool(Pool { kind: PoolKind::Average, kernel, stride, padding, round_mode: RoundMode::Floor })
    };
    let kind = match kind {
        LayerKind::Linear(Linear { units, parameters }) => {
            let filters = match units {
                Units::Classes => classes,
                Units::Number(n) => *n,
            };
            LayerKind::Conv(Conv { kernel: [height, width], parameters: *parameters, ..Conv::new(filters, 1) })
        }
        LayerKind::Flatten | LayerKind::Softmax => return Ok(None),
        LayerKind::AdaptiveAveragePool(pool) if pool.output == [height, width] => return Ok(None),
        LayerKind::AdaptiveAveragePool(pool) => {
            let [rows, columns] = pool.output;
            if height % rows != 0 || width % columns != 0 {
                return Err(format!(
                    "averages a {height} x {width} map to {rows} x {columns}: its windows differ in size"
                ));
            }
            let window = [height / rows, width / columns];
            average(window, window)
        }
        LayerKind::GlobalAveragePool => average([height, width], [1, 1]),
        LayerKind::Local(_) | LayerKind::Custom(_) => {
            return Err("is bound to one size of image: the network cannot be evaluated densely".into());
        }
        other => other.clone(),
    };
    Ok(Some(kind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tensor::{Cpu, Tensor};

    use super::*;
    use crate::ops::testing::draw;

    fn network(text: &str) -> Network<Cpu<f32>> {
        let cpu = Cpu::new(1).unwrap();
        Network::new(&cpu, &Model::parse(text, "test").unwrap(), 3).unwrap()
    }

    fn text(crop: usize, layers: &str) -> String {
        format!(
            "name = \"n\"\nabout = \"\"\nclasses = 4\n[input]\nsize = {crop}\ncrop = {crop}\nchannels = \"rgb\"\nscale = \
             1.0\nmean = \"none\"\n{layers}"
        )
    }

    const HEAD: &str = r#"
[[layer]]
name = "fc1"
kind = "linear"
units = 5
[[layer]]
name = "relu2"
kind = "relu"
[[layer]]
name = "fc2"
kind = "linear"
units = "classes"
[[layer]]
name = "softmax"
kind = "softmax"
"#;

    fn crop(images: &Tensor<Cpu<f32>>, top: usize, left: usize, crop: usize) -> Tensor<Cpu<f32>> {
        images.slice(&[0..images.shape()[0], top..top + crop, left..left + crop, 0..3]).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn each_position_is_the_crop_there(
            kernel in 1usize..4,
            stride in 1usize..3,
            middle in prop::sample::select(vec![
                "[[layer]]\nname = \"p\"\nkind = \"max-pool\"\nkernel = 3\nstride = 2\n",
                "[[layer]]\nname = \"p\"\nkind = \"global-average-pool\"\n",
                "[[layer]]\nname = \"p\"\nkind = \"flatten\"\n",
                "",
            ]),
            wider in 0usize..9,
        ) {
            let size = 13;
            let conv = format!(
                "[[layer]]\nname = \"c\"\nkind = \"conv\"\nfilters = 3\nkernel = {kernel}\nstride = {stride}\n\
                 [[layer]]\nname = \"r\"\nkind = \"relu\"\n"
            );
            let network = network(&text(size, &format!("{conv}{middle}{HEAD}")));
            let images = draw(&[2, size + wider, size + wider, 3], 5);
            let dense = network.dense(size + wider).unwrap().predict(images.clone()).unwrap();
            let step = if middle.contains("max-pool") { 2 * stride } else { stride };
            let [_, rows, columns, _] = <[usize; 4]>::try_from(dense.shape()).unwrap();
            // A pooling that leaves pixels of the crop unread fits once more.
            let last = wider / step;
            prop_assert!(rows == columns && (last + 1..=last + 2).contains(&rows), "{} for {}", rows, last + 1);
            for (row, column) in [(0, 0), (0, last), (last, last)] {
                let alone = network.predict(crop(&images, row * step, column * step, size)).unwrap().to_vec().unwrap();
                let here = dense.slice(&[0..2, row..row + 1, column..column + 1, 0..4]).unwrap().to_vec().unwrap();
                for (a, b) in alone.iter().zip(&here) {
                    prop_assert!((a - b).abs() < 1e-5, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn at_its_own_size_it_is_the_network() {
        for preset in ["cifar-18pct", "cifar-relu"] {
            let cpu = Cpu::<f32>::new(1).unwrap();
            let network = Network::new(&cpu, &Model::preset(preset).unwrap(), 1).unwrap();
            let crop = network.model().input.crop;
            let images = draw(&[2, crop, crop, 3], 1);
            let plain = network.predict(images.clone()).unwrap().to_vec().unwrap();
            let dense = network.dense(crop).unwrap().predict(images).unwrap();
            assert_eq!(dense.shape(), [2, 1, 1, 10]);
            for (a, b) in plain.iter().zip(&dense.to_vec().unwrap()) {
                assert!((a - b).abs() < 1e-5, "{preset}: {a} {b}");
            }
        }
    }

    #[test]
    fn networks_of_the_paper_slide_and_a_local_layer_does_not() {
        for (preset, positions) in [("paper", 2), ("one-weird-trick", 2), ("caffenet", 2)] {
            let shapes = Model::preset(preset).unwrap().dense(256).unwrap().shapes().unwrap();
            assert_eq!(shapes.last().unwrap().output, [positions, positions, 1000], "{preset}");
        }
        let error = Model::preset("paper").unwrap().dense(100).unwrap_err().to_string();
        assert!(error.contains("224"), "{error}");
        let error = Model::preset("cifar-11pct").unwrap().dense(32).unwrap_err().to_string();
        assert!(error.contains("local3"), "{error}");
    }
}

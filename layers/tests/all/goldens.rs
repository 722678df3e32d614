//! Files of expected values, made with other frameworks by the scripts in `tests/golden/`.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use tensor::ndarray::{ArrayD, IxDyn};
use tensor::{Cpu, Element, Tensor};

/// One tensor of a file.
pub struct Golden {
    /// Its values.
    pub array: ArrayD<f64>,
    /// The stored format: F32 if a framework has no higher precision.
    pub precision: Dtype,
}

/// A file's tensors by name.
pub struct Goldens(pub BTreeMap<String, Golden>);

impl Goldens {
    /// Reads `tests/golden/NAME`.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let file = SafeTensors::deserialize(&bytes).unwrap();
        Self(file.iter().map(|(name, view)| (name.to_string(), golden(&view))).collect())
    }

    /// The tensor of this name, which must be there.
    pub fn get(&self, name: &str) -> &Golden {
        self.0.get(name).unwrap_or_else(|| panic!("no {name} in the file"))
    }

    /// The same on a device.
    pub fn tensor<E: Element>(&self, device: &Cpu<E>, name: &str) -> Tensor<Cpu<E>> {
        Tensor::from_array(device, self.get(name).array.mapv(E::of)).unwrap()
    }
}

fn golden(view: &safetensors::tensor::TensorView) -> Golden {
    let values: Vec<f64> = match view.dtype() {
        Dtype::F64 => view.data().chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect(),
        Dtype::F32 => view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
        Dtype::U32 => view.data().chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap()).into()).collect(),
        other => panic!("the scripts write no {other:?}"),
    };
    Golden { array: ArrayD::from_shape_vec(IxDyn(view.shape()), values).unwrap(), precision: view.dtype() }
}

/// The largest difference of two arrays of one shape, as a share of the largest expected value.
pub fn relative_error<E: Element>(what: &str, got: &Tensor<Cpu<E>>, expected: &ArrayD<f64>) -> f64 {
    assert_eq!(got.shape(), expected.shape(), "{what}");
    let got = got.to_array().unwrap();
    let largest = expected.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    let difference = |(g, e): (&E, &f64)| if g.f64() == *e { 0.0 } else { (g.f64() - e).abs() / largest };
    // A NaN must not pass: f64::max would drop it.
    got.iter().zip(expected).map(difference).fold(0.0, |most, d| if d > most || d.is_nan() { d } else { most })
}

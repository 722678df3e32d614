//! The parts of a file that is written from where its tensors are.

use std::path::Path;

use ndarray::{ArrayD, CowArray, IxDyn};
use tensor::{Backend, Tensor};

use super::Extra;
use crate::Result;
use crate::weights::{Weights, check_parameters};

/// A tensor to write. Its values are read when they are written, and once more when the file is compared with them, so
/// that a file takes no more memory than its largest tensor on a device, and none on the CPU.
pub struct TensorSource<'a> {
    name: String,
    shape: Vec<usize>,
    read: Box<dyn Fn() -> Result<CowArray<'a, f32, IxDyn>> + 'a>,
}

impl<'a> TensorSource<'a> {
    /// The values of an array.
    pub fn of_array(name: impl Into<String>, values: &'a ArrayD<f32>) -> Self {
        let read = Box::new(|| Ok(values.view().into()));
        Self { name: name.into(), shape: values.shape().to_vec(), read }
    }

    /// The values of a tensor on a device.
    pub fn of_tensor<B: Backend<Scalar = f32>>(name: impl Into<String>, tensor: &'a Tensor<B>) -> Self {
        let read = Box::new(|| Ok(tensor.read()?));
        Self { name: name.into(), shape: tensor.shape().to_vec(), read }
    }

    /// The tensor's name; slashes are groups in the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The values.
    pub(super) fn read(&self) -> Result<CowArray<'a, f32, IxDyn>> {
        (self.read)()
    }
}

/// The parts of a file whose tensors are read one after another, as they are written.
///
/// ```
/// use alexnet_layers::weights::Weights;
/// use alexnet_layers::weights::hdf5_file::{Parts, TensorSource, save_parts};
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// # let folder = std::env::temp_dir().join(format!("alexnet-doc-parts-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("own.h5");
/// let cpu = Cpu::<f32>::new(1)?;
/// let values = Tensor::from_slice(&cpu, &[2], &[1.0, 2.0])?;
/// let parameters = vec![TensorSource::of_tensor("own.weight", &values)];
/// save_parts(&path, &Parts { description: &Weights::default(), parameters, training: None })?;
/// assert_eq!(Weights::load(&path)?.tensors[0].1.as_slice(), Some(&[1.0, 2.0][..]));
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
pub struct Parts<'a> {
    /// Network, classes and means. Its own tensors are not written.
    pub description: &'a Weights,
    /// The parameters.
    pub parameters: Vec<TensorSource<'a>>,
    /// The group `training`: its state as text, at most 60,000 bytes, and the optimizer's tensors.
    pub training: Option<(&'a str, Vec<TensorSource<'a>>)>,
}

impl<'a> Parts<'a> {
    /// The parts of weights.
    pub fn of_weights(weights: &'a Weights) -> Self {
        Self::of(weights, None)
    }

    /// The parts of weights, and of a checkpoint.
    pub(super) fn of(weights: &'a Weights, extra: Option<&'a Extra>) -> Self {
        let training = extra.map(|extra| (extra.state.as_str(), sources(&extra.tensors)));
        Self { description: weights, parameters: sources(&weights.tensors), training }
    }

    /// Checks that the parameters are those of the network, if there is one.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        let Some(model) = &self.description.model else { return Ok(()) };
        let found = self.parameters.iter().map(|source| (source.name.as_str(), source.shape.as_slice()));
        check_parameters(model, &path.display().to_string(), found)
    }
}

fn sources(tensors: &[(String, ArrayD<f32>)]) -> Vec<TensorSource<'_>> {
    tensors.iter().map(|(name, values)| TensorSource::of_array(name, values)).collect()
}

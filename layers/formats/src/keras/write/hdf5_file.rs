//! The HDF5 part, laid out as Keras 3's `save_weights` does.

use std::path::Path;

use hdf5::types::VarLenUnicode;
use hdf5::{File, Group};
use layers::ParameterSpec;
use layers::weights::{AxisOrder, Weights};
use ndarray::{ArrayD, ArrayViewD, IxDyn};

use crate::OptimizerState;
use crate::keras::settings::Text;
use crate::keras::{TRAINABLE, is_trained};

/// A layer and its parameters.
pub(super) struct LayerVariables<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its group: `conv2d_1`.
    pub key: String,
    /// Its parameters in Keras' order, which is this workspace's.
    pub parameters: Vec<ParameterSpec>,
}

impl LayerVariables<'_> {
    /// The parameters for which Keras' optimizer has slots: all that gradient descent could change, unless the layer is
    /// frozen as a whole.
    pub fn with_slots(&self) -> impl Iterator<Item = &ParameterSpec> {
        let is_trained = is_trained(&self.parameters);
        self.parameters.iter().filter(move |spec| is_trained && spec.trained)
    }
}

/// Writes a file.
pub(super) fn write_weights(
    path: &Path,
    weights: &Weights,
    optimizer: Option<&OptimizerState>,
    layers: &[LayerVariables],
) -> Text<()> {
    hdf5::silence_errors(true);
    fill(path, weights, optimizer, layers).map_err(|Failure(what)| what)
}

/// The message of an error.
struct Failure(String);

impl From<hdf5::Error> for Failure {
    fn from(error: hdf5::Error) -> Self {
        Self(error.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn fill(
    path: &Path,
    weights: &Weights,
    optimizer: Option<&OptimizerState>,
    layers: &[LayerVariables],
) -> Result<(), Failure> {
    let file = File::with_options()
        // Without the sieve buffer a failure is an error of the dataset that is written. HDF5's lock of a temporary file
        // would outlive the close while a child process holds its descriptor.
        .with_fapl(|access| access.sieve_buf_size(0).file_locking(false))
        .with_fcpl(|create| create.obj_track_times(false))
        .create(path)?;
    let network = weights.model.as_ref().map_or("network", |model| model.name.as_str());
    variables(&file, "", network)?;
    for layer in layers {
        let group = variables(&file, &format!("layers/{}/", layer.key), layer.name)?;
        if !is_trained(&layer.parameters) {
            attribute(&group, TRAINABLE, "false")?;
        }
        for (number, spec) in layer.parameters.iter().enumerate() {
            let missing = || Failure(format!("parameter {} is missing", spec.name));
            let values = weights.tensor(&spec.name).ok_or_else(missing)?;
            write(&group, number, spec, values.view())?;
        }
    }
    if let Some(state) = optimizer {
        write_optimizer(&file, weights, state, layers)?;
    }
    // Closing would write the structure too, but could not report a failure.
    file.flush()?;
    Ok(file.close()?)
}

/// The group of a layer's variables, with the layer's name.
fn variables(file: &File, parent: &str, name: &str) -> Result<Group, Failure> {
    let group = file.create_group(&format!("{parent}vars"))?;
    attribute(&group, "name", name)?;
    Ok(group)
}

fn attribute(group: &Group, key: &str, text: &str) -> Result<(), Failure> {
    let text: VarLenUnicode = text.parse().map_err(|_| Failure(format!("{text:?} cannot be stored")))?;
    Ok(group.new_attr::<VarLenUnicode>().create(key)?.write_scalar(&text)?)
}

/// Writes a tensor in Keras' axes.
fn write(group: &Group, number: usize, spec: &ParameterSpec, values: ArrayViewD<'_, f32>) -> Result<(), Failure> {
    let values = AxisOrder::Keras.from_own(spec, values).map_err(|error| Failure(error.to_string()))?;
    let builder = group.new_dataset_builder().obj_track_times(false).no_chunk();
    builder.with_data(values.view()).create(number.to_string().as_str())?;
    Ok(())
}

/// The iteration, the learning rate, then the slots of each variable together.
fn write_optimizer(
    file: &File,
    weights: &Weights,
    state: &OptimizerState,
    layers: &[LayerVariables],
) -> Result<(), Failure> {
    let group = variables(file, "optimizer/", &state.kind)?;
    let scalar = || group.new_dataset_builder().obj_track_times(false);
    let step = i64::try_from(state.step).unwrap_or(i64::MAX);
    scalar().empty::<i64>().create("0")?.write_scalar(&step)?;
    let rate = weights.model.as_ref().and_then(|model| model.train.get("optim")?.get("lr")?.as_float());
    scalar().empty::<f32>().create("1")?.write_scalar(&(rate.unwrap_or(0.001) as f32))?;
    let mut number = 2;
    for spec in layers.iter().flat_map(LayerVariables::with_slots) {
        for (_, tensors) in &state.slots {
            match tensors.iter().find(|tensor| tensor.name == spec.name) {
                Some(tensor) => write(&group, number, spec, tensor.values.view())?,
                // The state of a parameter before its first step.
                None => write(&group, number, spec, ArrayD::zeros(IxDyn(&spec.shape)).view())?,
            }
            number += 1;
        }
    }
    Ok(())
}

//! Parameters of modules in code, and plain maps of tensors, in files.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::ArrayD;
use tensor::Backend;

use super::{FileFormat, Weights, file_format, file_format_of_name, hdf5_file, safetensors_file};
use crate::model::ParameterSpec;
use crate::module::{set_values, values};
use crate::{Parameters, Result};

/// Saves a module's parameters under their names, as HDF5 (`.h5`, `.hdf5`) in this crate's layouts, or as safetensors
/// (`.safetensors`) in PyTorch's, so that a PyTorch module with the same names loads it.
///
/// ```
/// use alexnet_layers::nn::{Initializer, Linear};
/// use alexnet_layers::tensor::Cpu;
/// use alexnet_layers::weights::{load_module, save_module};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let [one, mut two] = [1, 2].map(|seed| Linear::new(&mut Initializer::new(&cpu, seed), &[3], 2).unwrap());
/// # let folder = std::env::temp_dir().join(format!("alexnet-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("linear.safetensors");
/// save_module(&path, &one)?;
/// load_module(&path, &mut two)?;
/// assert_eq!(two.weight.value.to_vec()?, one.weight.value.to_vec()?);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
///
/// # Errors
/// [`Error::Weights`](crate::Error::Weights) for another extension; [`Error::File`](crate::Error::File) if the file cannot
/// be written. An old file is then kept.
pub fn save_module<B: Backend>(path: &Path, module: &(impl Parameters<B> + ?Sized)) -> Result<()> {
    match file_format_of_name(path)? {
        FileFormat::Hdf5 => Weights::of(module)?.save(path),
        FileFormat::Safetensors => safetensors_file::save_parameters(path, &specs(module), &values(module)?),
    }
}

/// Sets a module's parameters from a file that [`save_module`] wrote, or safetensors of another program with the module's
/// names in PyTorch's layouts; the prefix `module.` of PyTorch's `DataParallel` is left out. The example is
/// [`save_module`]'s.
///
/// # Errors
/// [`Error::File`](crate::Error::File) if it cannot be read; [`Error::Weights`](crate::Error::Weights) if it has another
/// format, is truncated, damaged or too new; [`Error::Parameters`](crate::Error::Parameters) if its tensors are not the
/// module's. The module is then as before.
pub fn load_module<B: Backend>(path: &Path, module: &mut (impl Parameters<B> + ?Sized)) -> Result<()> {
    let tensors = match file_format(path)? {
        FileFormat::Hdf5 => hdf5_file::load_with(path)?.0.tensors,
        FileFormat::Safetensors => safetensors_file::load_parameters(path, &specs(module))?,
    };
    set_values(module, &path.display().to_string(), &tensors)
}

/// Saves tensors by name, as they are, as HDF5 (`.h5`, `.hdf5`) or safetensors (`.safetensors`), with checksums.
///
/// ```
/// use std::collections::BTreeMap;
/// use alexnet_layers::tensor::ndarray::arr1;
/// use alexnet_layers::weights::{load_tensors, save_tensors};
///
/// let tensors = BTreeMap::from([("mean".to_owned(), arr1(&[123.7f32, 116.3, 103.5]).into_dyn())]);
/// # let folder = std::env::temp_dir().join(format!("alexnet-doc-tensors-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder).unwrap();
/// # let path = folder.join("mean.safetensors");
/// save_tensors(&path, &tensors)?;
/// assert_eq!(load_tensors(&path)?, tensors);
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
///
/// # Errors
/// Those of [`save_module`].
pub fn save_tensors(path: &Path, tensors: &BTreeMap<String, ArrayD<f32>>) -> Result<()> {
    let tensors: Vec<_> = tensors.iter().map(|(name, values)| (name.clone(), values.clone())).collect();
    match file_format_of_name(path)? {
        FileFormat::Hdf5 => Weights { tensors, ..Weights::default() }.save(path),
        FileFormat::Safetensors => safetensors_file::save_tensors(path, &tensors),
    }
}

/// All tensors of a file by name, as they are: safetensors of any program, whose f64, f16 and bf16 become f32, or the
/// group `parameters` of an HDF5 file of this crate. The example is [`save_tensors`]'.
///
/// # Errors
/// [`Error::File`](crate::Error::File) if it cannot be read; [`Error::Weights`](crate::Error::Weights) if it has another
/// format, holds integers, is truncated, damaged or too new.
pub fn load_tensors(path: &Path) -> Result<BTreeMap<String, ArrayD<f32>>> {
    let tensors = match file_format(path)? {
        FileFormat::Hdf5 => hdf5_file::load_with(path)?.0.tensors,
        FileFormat::Safetensors => safetensors_file::load_tensors(path)?,
    };
    Ok(tensors.into_iter().collect())
}

impl Weights {
    /// The parameters of a module in code.
    ///
    /// # Errors
    /// Those of the device.
    pub fn of<B: Backend>(module: &(impl Parameters<B> + ?Sized)) -> Result<Self> {
        Ok(Self { tensors: values(module)?, ..Self::default() })
    }
}

/// The specifications of a module's parameters, with their names in the module.
fn specs<B: Backend>(module: &(impl Parameters<B> + ?Sized)) -> Vec<ParameterSpec> {
    let named = module.named_parameters().into_iter();
    named.map(|(name, parameter)| ParameterSpec { export: name.clone(), name, ..parameter.spec.clone() }).collect()
}

/// The types of the tensors of a safetensors file as it writes them, such as `F16`, by the tensors' names.
///
/// # Errors
/// Those of [`load_metadata`].
pub fn tensor_types(path: &Path) -> Result<BTreeMap<String, String>> {
    safetensors_file::tensor_types(path)
}

/// The metadata of a safetensors file: texts by key. Those of this crate have a key `alexnet.format`.
///
/// # Errors
/// [`Error::File`](crate::Error::File) if it cannot be read; [`Error::Weights`](crate::Error::Weights) if it is no
/// safetensors file, or a damaged one.
pub fn load_metadata(path: &Path) -> Result<BTreeMap<String, String>> {
    safetensors_file::load_metadata(path)
}

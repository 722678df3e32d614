//! Kinds of layers of other crates: registered once, then read, summarised, run and saved like those of this crate.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tensor::{Backend, Cpu, DryRun, Profiled};

use super::{ForwardContext, KerasLayer, Layer, LayerKind};
use crate::model::parameter::ParameterSpec;
use crate::model::reader::{Invalid, TableReader};
use crate::model::shape::{Activations, LayerContext, LayerOutput};
use crate::model::writer::TableWriter;
use crate::{Error, Parameter, Pass, Result, Var};

/// A kind of layer for model files, written outside this crate. [`register_layer`] adds it to the kinds.
///
/// The type holds the layer's settings: the keys of its table beside `name`, `kind` and `export`.
///
/// ```
/// use alexnet_layers::model::{CustomLayer, CustomShape, register_layer};
/// use alexnet_layers::tensor::{Backend, Cpu, Tensor};
/// use alexnet_layers::{Init, Model, Network, Parameter, ParameterSpec, Pass, Result, Var};
/// use serde::{Deserialize, Serialize};
///
/// /// Multiplies each value by its own factor.
/// #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
/// struct Gate {
///     factor: f64,
/// }
///
/// impl CustomLayer for Gate {
///     const KIND: &'static str = "gate";
///
///     fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String> {
///         let factor = ParameterSpec::new("factor", input).init(Init::Constant(self.factor));
///         Ok(CustomShape { parameters: vec![factor], ..CustomShape::new(input) })
///     }
///
///     fn forward<B: Backend>(&self, x: &Var<B>, parameters: &[Parameter<B>], pass: &mut Pass<B>) -> Result<Var<B>> {
///         let factor = pass.parameter(&parameters[0]);
///         pass.tape.multiply(x, &factor) // for one image
///     }
/// }
///
/// register_layer::<Gate>()?;
/// let text = r#"
///     classes = 12
///     input.crop = 2
///     layer = [{ name = "flat", kind = "flatten" }, { name = "gate", kind = "gate", factor = 3.0 }]
/// "#;
/// let model = Model::parse(text, "text")?;
/// let cpu = Cpu::<f32>::new(1)?;
/// let network = Network::new(&cpu, &model, 1)?;
/// assert_eq!(network.parameters()[0].spec.name, "gate.factor");
/// # let network = Network::new(&cpu, &Model::parse(&model.to_toml(), "again")?, 1)?;
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
pub trait CustomLayer: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync + 'static {
    /// The value of the key `kind`.
    const KIND: &'static str;

    /// The shape rule. `input` is the shape for one image: `[height, width, channels]` or `[values]`.
    ///
    /// # Errors
    /// A message for an input that it cannot take, and for settings out of range. Errors name the file and the layer too.
    fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String>;

    /// The output for `x`, whose first axis is the images'. `parameters` are those of [`shape`](Self::shape), in its
    /// order. Operations are methods of [`Pass::tape`].
    ///
    /// # Errors
    /// Those of the operations.
    fn forward<B: Backend>(&self, x: &Var<B>, parameters: &[Parameter<B>], pass: &mut Pass<B>) -> Result<Var<B>>;
}

/// The result of a [`CustomLayer`]'s shape rule.
#[derive(Clone, Debug, PartialEq)]
pub struct CustomShape {
    /// The output for one image: `[height, width, channels]` or `[values]`. A layer whose output has the shape of its
    /// input must keep the order of the values.
    pub output: Vec<usize>,
    /// Its parameters, named within the layer: `weight`.
    pub parameters: Vec<ParameterSpec>,
    /// Multiply-accumulates for one image, for summaries.
    pub macs: u64,
}

impl CustomShape {
    /// The shape of a layer without parameters whose work is not counted.
    pub fn new(output: &[usize]) -> Self {
        Self { output: output.to_vec(), parameters: Vec::new(), macs: 0 }
    }
}

/// Adds a kind of layer to those that model files may hold, in this process, on the CPU in both precisions. For other
/// backends see [`register_layer_for`]. A second call for the same type changes nothing.
///
/// # Errors
/// [`Error::Model`] if another layer has this kind.
pub fn register_layer<L: CustomLayer>() -> Result<()> {
    register_layer_for::<L, Cpu<f32>>()?;
    register_layer_for::<L, Cpu<f64>>()
}

/// Like [`register_layer`], on backend `B`, on which the layer can then be profiled and its memory predicted too.
///
/// # Errors
/// Those of [`register_layer`].
pub fn register_layer_for<L: CustomLayer, B: Backend>() -> Result<()> {
    let taken = |what: &str| {
        let what = format!("the kind {:?} cannot be registered: {what} has this name", L::KIND);
        Err(Error::Model { origin: std::any::type_name::<L>().into(), layer: None, what })
    };
    if LayerKind::NAMES.contains(&L::KIND) {
        return taken("a layer of this crate");
    }
    let mut kinds = KINDS.write().unwrap_or_else(PoisonError::into_inner);
    let kind = kinds.entry(L::KIND).or_insert_with(|| Kind {
        layer: TypeId::of::<L>(),
        read: read::<L>,
        forwards: HashMap::new(),
    });
    if kind.layer != TypeId::of::<L>() {
        return taken("another layer");
    }
    kind.add::<L, B>();
    kind.add::<L, Profiled<B>>();
    kind.add::<L, DryRun<B>>();
    Ok(())
}

/// A registered kind.
struct Kind {
    /// The type of its settings.
    layer: TypeId,
    read: fn(&mut TableReader) -> std::result::Result<Custom, Invalid>,
    /// A [`Forward`] of each backend, by the backend's type.
    forwards: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

/// The forward pass of a layer, whose type is erased, on a backend.
type Forward<B> = fn(&dyn Any, &Var<B>, &[Parameter<B>], &mut Pass<B>) -> Result<Var<B>>;

static KINDS: RwLock<BTreeMap<&'static str, Kind>> = RwLock::new(BTreeMap::new());

fn kinds() -> RwLockReadGuard<'static, BTreeMap<&'static str, Kind>> {
    KINDS.read().unwrap_or_else(PoisonError::into_inner)
}

impl Kind {
    fn add<L: CustomLayer, B: Backend>(&mut self) {
        let forward: Forward<B> = forward::<L, B>;
        self.forwards.insert(TypeId::of::<B>(), Box::new(forward));
    }
}

fn forward<L: CustomLayer, B: Backend>(
    layer: &dyn Any,
    x: &Var<B>,
    parameters: &[Parameter<B>],
    pass: &mut Pass<B>,
) -> Result<Var<B>> {
    let other = || Error::tape(L::KIND, "the layer is of another type than that registered");
    layer.downcast_ref::<L>().ok_or_else(other)?.forward(x, parameters, pass)
}

fn read<L: CustomLayer>(table: &mut TableReader) -> std::result::Result<Custom, Invalid> {
    let layer = table.read::<L>();
    table.finish()?;
    Ok(Custom(Arc::new(layer?)))
}

/// The names of the registered kinds.
pub(super) fn names() -> Vec<&'static str> {
    kinds().keys().copied().collect()
}

/// Reads a layer of a registered kind; None if there is none of this name.
pub(super) fn read_kind(kind: &str, table: &mut TableReader) -> Option<std::result::Result<Custom, Invalid>> {
    let read = kinds().get(kind)?.read;
    Some(read(table))
}

/// A layer of a kind that another crate registered.
///
/// ```
/// # use alexnet_layers::model::{Custom, CustomLayer, CustomShape};
/// # use alexnet_layers::{LayerKind, Parameter, Pass, Result, Var, tensor::Backend};
/// # #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
/// # struct Swish {}
/// # impl CustomLayer for Swish {
/// #     const KIND: &'static str = "swish";
/// #     fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String> { Ok(CustomShape::new(input)) }
/// #     fn forward<B: Backend>(&self, x: &Var<B>, _: &[Parameter<B>], _: &mut Pass<B>) -> Result<Var<B>> { Ok(x.clone()) }
/// # }
/// let kind = LayerKind::Custom(Custom::new(Swish {}));
/// assert_eq!(kind.name(), "swish");
/// ```
#[derive(Clone, Debug)]
pub struct Custom(Arc<dyn ErasedLayer>);

impl Custom {
    /// A layer with these settings.
    pub fn new(layer: impl CustomLayer) -> Self {
        Self(Arc::new(layer))
    }

    /// The settings, if they are of this type.
    pub fn downcast_ref<L: CustomLayer>(&self) -> Option<&L> {
        self.0.as_any().downcast_ref()
    }

    /// Checks that the kind is registered for this backend.
    ///
    /// # Errors
    /// A message.
    pub(super) fn check_backend<B: Backend>(&self) -> std::result::Result<(), String> {
        registered::<B>(self.0.kind()).map(|_| ())
    }
}

/// The forward pass of a kind on this backend.
fn registered<B: Backend>(kind: &str) -> std::result::Result<Forward<B>, String> {
    let kinds = kinds();
    let forward = kinds.get(kind).and_then(|kind| kind.forwards.get(&TypeId::of::<B>()));
    let forward = forward.and_then(|forward| forward.downcast_ref::<Forward<B>>()).copied();
    let backend = std::any::type_name::<B>();
    forward.ok_or_else(|| format!("the kind {kind:?} is not registered for {backend}; call register_layer_for first"))
}

impl PartialEq for Custom {
    fn eq(&self, other: &Self) -> bool {
        self.0.is_equal(other.0.as_any())
    }
}

/// A [`CustomLayer`] of any type.
trait ErasedLayer: Debug + Send + Sync {
    fn kind(&self) -> &'static str;
    fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String>;
    fn write(&self, table: &mut TableWriter);
    fn as_any(&self) -> &dyn Any;
    fn is_equal(&self, other: &dyn Any) -> bool;
}

impl<L: CustomLayer> ErasedLayer for L {
    fn kind(&self) -> &'static str {
        L::KIND
    }

    fn shape(&self, input: &[usize]) -> std::result::Result<CustomShape, String> {
        CustomLayer::shape(self, input)
    }

    fn write(&self, table: &mut TableWriter) {
        table.write(self);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_equal(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<L>() == Some(self)
    }
}

impl Layer for Custom {
    fn kind(&self) -> &'static str {
        self.0.kind()
    }

    fn shape(&self, input: &Activations, _: &LayerContext) -> std::result::Result<LayerOutput, String> {
        let CustomShape { output, parameters, macs } = self.0.shape(input.shape())?;
        if !matches!(output.len(), 1 | 3) || output.contains(&0) {
            return Err(format!("its output must be [height, width, channels] or [values], got {output:?}"));
        }
        let activations = if output == input.shape() { input.clone() } else { Activations::new(&output)? };
        Ok(LayerOutput { activations, parameters, macs })
    }

    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> Result<Var<B>> {
        let forward = registered::<B>(self.0.kind()).map_err(|what| Error::tape("network", what))?;
        forward(self.0.as_any(), x, context.parameters, context.pass)
    }

    fn write(&self, table: &mut TableWriter) {
        self.0.write(table);
    }

    /// Keras lacks it; a `Lambda` can compute it.
    fn keras(&self) -> KerasLayer {
        KerasLayer::plain("Lambda")
    }
}

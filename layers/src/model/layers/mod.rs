//! The kinds of layers. Each is one file, with its settings, its shape rule, its forward pass and its row in summaries,
//! and one line in the list of [`LayerKind`] below.
//!
//! To add a layer outside this crate, see [`CustomLayer`]. To add one here, write its file: a struct of its settings with `serde`'s derives, [`Layer`] and [`ReadLayer`]. Its
//! forward pass calls operations of the [`Tape`](crate::Tape), which give the gradients. Then add its line to the list.

mod activation;
mod adaptive_pool;
mod batch_norm;
mod conv;
mod custom;
mod dropout;
mod flatten;
mod forward;
mod global_pool;
mod linear;
mod local;
mod lrn;
mod pool;
mod softmax;
#[cfg(test)]
mod tests;

pub use adaptive_pool::AdaptiveAveragePool;
pub use batch_norm::BatchNorm;
pub use conv::Conv;
pub use custom::{Custom, CustomLayer, CustomShape, register_layer, register_layer_for};
pub use global_pool::GlobalAveragePool;
pub(crate) use linear::specs as linear_specs;
pub use linear::{Linear, Units};
pub use local::Local;
pub use pool::Pool;

pub(crate) use forward::{ForwardContext, LayerPosition};

use flatten::Flatten;
use softmax::Softmax;
use tensor::Backend;
use tensor::ops::{Activation, Dropout, Lrn};

use super::reader::{Invalid, TableReader};
use super::shape::{Activations, LayerContext, LayerOutput};
use super::spelling::suggestion;
use super::writer::TableWriter;
use crate::Var;
use crate::ops::Stage;

/// A kind of layer.
pub(crate) trait Layer {
    /// Its name in model files: the value of the key `kind`.
    fn kind(&self) -> &'static str;

    /// The shape rule: its output for one image, its parameters and its multiply-accumulates.
    ///
    /// # Errors
    /// A message for an input that it cannot take.
    fn shape(&self, input: &Activations, context: &LayerContext) -> Result<LayerOutput, String>;

    /// The layer as one stage: a computation that an operation before it may take into its epilogue. None if it is more
    /// than a stage, or passes its input on unchanged.
    fn stage(&self, _position: &LayerPosition) -> Option<Stage> {
        None
    }

    /// Whether `next` may be computed with this layer, after the `stages` that already are.
    fn takes(&self, _stages: &[Stage], _next: &Stage) -> bool {
        false
    }

    /// Computes the layer on the tape, and `context.stages` on its output. Layers that are a stage need not implement it.
    ///
    /// # Errors
    /// Those of the operations.
    fn forward<B: Backend>(&self, x: &Var<B>, context: &mut ForwardContext<'_, B>) -> crate::Result<Var<B>>
    where
        Self: Sized,
    {
        let own = self.stage(&context.position);
        let stages: Vec<Stage> = own.into_iter().chain(context.stages.iter().copied()).collect();
        if stages.is_empty() {
            return Ok(x.clone());
        }
        context.pass.tape.stages(x, &stages)
    }

    /// Writes its settings, all of them, under the keys that [`ReadLayer::read`] reads.
    fn write(&self, table: &mut TableWriter);

    /// Its row in Keras' summary.
    fn keras(&self) -> KerasLayer;
}

/// A kind of layer that model files can hold.
pub(crate) trait ReadLayer: Layer + Sized {
    /// Its names in model files: all values of [`Layer::kind`].
    const KINDS: &'static [&'static str];

    /// Reads its settings. `kind` is one of [`KINDS`](Self::KINDS).
    ///
    /// A layer that reads several structs reads all of them before it looks at the first error: keys that none of them
    /// has are then known to be misspelt.
    fn read(kind: &str, table: &mut TableReader) -> Result<Self, Invalid>;
}

/// A layer as Keras sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct KerasLayer {
    /// The class, for instance `Conv2D`.
    pub class: &'static str,
    /// Its part in writing a layer and its activation function as one row.
    pub activation: KerasActivation,
    /// Whether Keras needs a `Flatten` before it if its input is a map.
    pub flat_input: bool,
}

/// The part of a layer in Keras' habit of writing an activation function as an argument of the layer before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KerasActivation {
    /// The layer has an argument `activation`.
    Argument,
    /// The layer is an activation function, and has no row after a layer that takes it as an argument.
    Function,
    /// Neither.
    None,
}

impl KerasLayer {
    /// A class without an activation function.
    pub const fn plain(class: &'static str) -> Self {
        Self { class, activation: KerasActivation::None, flat_input: false }
    }

    /// A class with an argument `activation`.
    pub const fn with_activation(class: &'static str) -> Self {
        Self { class, activation: KerasActivation::Argument, flat_input: false }
    }

    /// The class of an activation function.
    pub const fn function(class: &'static str) -> Self {
        Self { class, activation: KerasActivation::Function, flat_input: false }
    }
}

/// Declares [`LayerKind`]: first the layers with settings, then those without.
macro_rules! layer_kinds {
    (
        $($(#[$doc:meta])* $kind:ident($settings:ty),)*
        ;
        $($(#[$plain_doc:meta])* $plain:ident,)*
    ) => {
        /// A layer's kind and its settings.
        #[derive(Clone, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum LayerKind {
            $($(#[$doc])* $kind($settings),)*
            $($(#[$plain_doc])* $plain,)*
            /// A kind that another crate registered.
            Custom(Custom),
        }

        const KINDS: &[&[&str]] =
            &[$(<$settings as ReadLayer>::KINDS,)* $(<$plain as ReadLayer>::KINDS,)*];

        impl LayerKind {
            /// The names in a model file of this crate's kinds; see [`names`](Self::names).
            pub const NAMES: &[&str] = &concat::<{ total_len(KINDS) }>(KINDS);

            pub(crate) fn as_layer(&self) -> &dyn Layer {
                match self {
                    $(Self::$kind(layer) => layer,)*
                    $(Self::$plain => &$plain,)*
                    Self::Custom(layer) => layer,
                }
            }

            /// [`Layer::forward`] of the layer.
            pub(crate) fn forward<B: Backend>(
                &self,
                x: &Var<B>,
                context: &mut ForwardContext<'_, B>,
            ) -> crate::Result<Var<B>> {
                match self {
                    $(Self::$kind(layer) => layer.forward(x, context),)*
                    $(Self::$plain => $plain.forward(x, context),)*
                    Self::Custom(layer) => layer.forward(x, context),
                }
            }

            /// Reads the settings of a layer of this kind; no other keys may be left in the table.
            pub(super) fn read(kind: &str, table: &mut TableReader) -> Result<Self, Invalid> {
                $(if <$settings as ReadLayer>::KINDS.contains(&kind) {
                    return read(kind, table).map(Self::$kind);
                })*
                $(if <$plain as ReadLayer>::KINDS.contains(&kind) {
                    return read(kind, table).map(|$plain| Self::$plain);
                })*
                if let Some(layer) = custom::read_kind(kind, table) {
                    return layer.map(Self::Custom);
                }
                let names = Self::names();
                let near = suggestion(kind, &names);
                let message = format!("unknown kind {kind:?}{near}; the kinds are {}", names.join(", "));
                Err(Invalid::Message(message))
            }
        }
    };
}

layer_kinds! {
    /// Convolution (paper, section 3.5).
    Conv(Conv),
    /// A convolution with separate kernels for each position (locally connected, unshared weights).
    Local(Local),
    /// Fully connected; a map is flattened first.
    Linear(Linear),
    /// ReLU (paper, section 3.1), tanh or the logistic function.
    Activation(Activation),
    /// Local response normalisation (paper, section 3.3).
    Lrn(Lrn),
    /// Max or average pooling (paper, section 3.4).
    Pool(Pool),
    /// Average pooling to a given height and width.
    AdaptiveAveragePool(AdaptiveAveragePool),
    /// Dropout (paper, section 4.2).
    Dropout(Dropout),
    /// Batch normalisation of each channel.
    BatchNorm(BatchNorm),
    ;
    /// The average of each channel of a map.
    GlobalAveragePool,
    /// A map as one row: height, width, channels, channels innermost.
    Flatten,
    /// Probabilities from logits; only at the end. A forward pass gives the logits.
    Softmax,
}

impl LayerKind {
    /// The kind's name in a model file.
    pub fn name(&self) -> &'static str {
        self.as_layer().kind()
    }

    /// The names of all kinds in a model file: this crate's, then those of [`register_layer`].
    ///
    /// ```
    /// assert!(alexnet_layers::LayerKind::names().contains(&"max-pool"));
    /// ```
    pub fn names() -> Vec<&'static str> {
        Self::NAMES.iter().copied().chain(custom::names()).collect()
    }

    /// Checks that the layer runs on this backend.
    ///
    /// # Errors
    /// A message.
    pub(crate) fn check_backend<B: Backend>(&self) -> Result<(), String> {
        match self {
            Self::Custom(layer) => layer.check_backend::<B>(),
            _ => Ok(()),
        }
    }
}

/// Reads a layer and refuses unknown keys. A misspelt key explains a missing one, so its error comes first.
fn read<L: ReadLayer>(kind: &str, table: &mut TableReader) -> Result<L, Invalid> {
    let layer = L::read(kind, table);
    table.finish()?;
    layer
}

const fn total_len(lists: &[&[&str]]) -> usize {
    let mut len = 0;
    let mut i = 0;
    while i < lists.len() {
        len += lists[i].len();
        i += 1;
    }
    len
}

/// One list of `N` names from several; iterators do not work in constants.
const fn concat<const N: usize>(lists: &[&[&'static str]]) -> [&'static str; N] {
    let mut names = [""; N];
    let mut n = 0;
    let mut i = 0;
    while i < lists.len() {
        let mut j = 0;
        while j < lists[i].len() {
            names[n] = lists[i][j];
            n += 1;
            j += 1;
        }
        i += 1;
    }
    names
}

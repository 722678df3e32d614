//! The tape: operations in the order of their computation, with the values that their gradients need.
//!
//! Each operation on a [`Tape`] computes its value at once and appends a record: the operation's saved values and the
//! indices of its inputs' records. [`Tape::backward`] walks the records in reverse and consumes each, so saved values
//! are freed on the way. Records point backwards only: there are no reference cycles.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tensor::{Backend, Tensor};

use crate::{Error, Result};

/// A value that was computed on a tape, or a constant. Cloning is cheap: the buffer is shared.
///
/// ```
/// use alexnet_layers::tensor::{Cpu, Tensor};
/// use alexnet_layers::{Tape, Var};
///
/// let ones = Tensor::full(&Cpu::<f32>::new(1)?, &[2], 1.0)?;
/// let mut tape = Tape::new();
/// let x = Var::constant(ones.clone());
/// let w = tape.parameter(ones);
/// assert!(!x.requires_grad() && tape.add(&x, &w)?.requires_grad());
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Var<B: Backend> {
    value: Tensor<B>,
    /// None if no gradient flows through this value.
    record: Option<RecordId>,
}

/// The index of a record of one tape.
#[derive(Clone, Copy, Debug)]
struct RecordId {
    tape: u64,
    index: usize,
}

impl<B: Backend> Var<B> {
    /// A value without a gradient: images, targets, frozen weights. It can be used on any tape.
    pub fn constant(value: Tensor<B>) -> Self {
        Self { value, record: None }
    }

    /// The value.
    pub fn value(&self) -> &Tensor<B> {
        &self.value
    }

    /// The value, without a copy.
    pub fn into_value(self) -> Tensor<B> {
        self.value
    }

    /// Lengths of the value's axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        self.value.shape()
    }

    /// Whether backward will compute a gradient for this value: it is a parameter or was computed from one.
    pub fn requires_grad(&self) -> bool {
        self.record.is_some()
    }
}

/// The values that an operation saved in its forward pass, and its backward pass.
///
/// ```
/// use alexnet_layers::gradient_check::GradientCheck;
/// use alexnet_layers::tensor::{Backend, Tensor, ndarray::arr1};
/// use alexnet_layers::{Backward, InputGrads, Result, Tape, Var};
///
/// /// y = x^2, whose gradient is 2 x dy.
/// struct Square<B: Backend> {
///     x: Tensor<B>,
/// }
///
/// fn square<B: Backend>(tape: &mut Tape<B>, x: &Var<B>) -> Result<Var<B>> {
///     let y = x.value().multiply(x.value())?;
///     tape.record("square", &[x], y, || Square { x: x.value().clone() })
/// }
///
/// impl<B: Backend> Backward<B> for Square<B> {
///     fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()> {
///         grads.add(0, || dy.multiply(&self.x)?.scale(2.0))
///     }
/// }
///
/// let x = arr1(&[0.5, -2.0, 3.0]).into_dyn();
/// let report = GradientCheck::default().run(&[("x", x)], |tape, p| {
///     let y = square(tape, &p[0])?;
///     tape.sum(&y)
/// })?;
/// report.within(1e-6)?;
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
pub trait Backward<B: Backend>: Send {
    /// Adds the gradients of the inputs to `grads`. `dy` is the gradient of the output and has its shape.
    ///
    /// # Errors
    /// Those of the kernels.
    fn backward(self: Box<Self>, dy: Tensor<B>, grads: &mut InputGrads<'_, B>) -> Result<()>;
}

/// The gradients of an operation's inputs, numbered as they were given to [`Tape::record`]. A backward pass adds to them,
/// as the example of [`Backward`] shows.
pub struct InputGrads<'a, B: Backend> {
    inputs: &'a [Option<usize>],
    gradients: &'a mut [Option<Tensor<B>>],
    at_loss: bool,
}

impl<B: Backend> InputGrads<'_, B> {
    /// Whether the gradient of this input is needed.
    pub fn requires_grad(&self, input: usize) -> bool {
        self.inputs.get(input).is_some_and(Option::is_some)
    }

    /// Adds to the gradient of an input. Calls `gradient` only if an input requires it.
    ///
    /// # Errors
    /// Those of `gradient`; [`tensor::Error::Shape`] if an earlier gradient of the same value has another shape.
    pub fn add(&mut self, input: usize, gradient: impl FnOnce() -> tensor::Result<Tensor<B>>) -> Result<()> {
        let Some(&Some(index)) = self.inputs.get(input) else { return Ok(()) };
        let gradient = gradient()?;
        match &mut self.gradients[index] {
            Some(sum) => sum.add_scaled(1.0, &gradient)?,
            empty => *empty = Some(gradient),
        }
        Ok(())
    }

    /// The value of a gradient of shape `[1]`. That of the loss itself is 1, which needs no wait for the device.
    ///
    /// # Errors
    /// [`tensor::Error::Shape`] for more values; those of the device.
    pub fn factor(&self, dy: &Tensor<B>) -> Result<f64> {
        if self.at_loss {
            return Ok(1.0);
        }
        Ok(dy.scalar()?)
    }
}

/// One operation or parameter of a tape. Parameters have no operation.
struct Record<B: Backend> {
    operation: Option<Box<dyn Backward<B>>>,
    inputs: Vec<Option<usize>>,
    scope: Arc<str>,
}

/// The record of a computation. The operations are methods, one file each in [`ops`](crate::ops). There is an example on
/// the [crate's page](crate).
pub struct Tape<B: Backend> {
    id: u64,
    recording: bool,
    records: Vec<Record<B>>,
    /// The layer of the operations that follow.
    scope: Arc<str>,
}

impl<B: Backend> Default for Tape<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Backend> Tape<B> {
    /// An empty tape.
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), recording: true, records: Vec::new(), scope: "".into() }
    }

    /// A tape that records nothing. Intermediate values are freed as soon as the caller drops them, and
    /// [`backward`](Self::backward) is an error.
    pub fn inference() -> Self {
        Self { recording: false, ..Self::new() }
    }

    /// Whether operations are recorded.
    pub fn is_recording(&self) -> bool {
        self.recording
    }

    /// The number of records: parameters and operations through which a gradient flows.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Labels the operations that follow with a layer's name, or with nothing, on the tape and on `device`
    /// ([`tensor::Device::set_scope`]). Their backward has the same label, and its errors name the layer.
    pub fn set_scope(&mut self, device: &B, layer: &str) {
        device.set_scope(layer);
        self.scope = layer.into();
    }

    /// A value that gets a gradient: a leaf of the computation.
    pub fn parameter(&mut self, value: Tensor<B>) -> Var<B> {
        if !self.recording {
            return Var::constant(value);
        }
        self.push(None, Vec::new(), value)
    }

    /// Appends an operation that computed `value` from `inputs`. `saved` returns its backward pass and the values that this
    /// needs. Call it to add an operation of your own.
    ///
    /// Nothing is recorded, and `saved` is not called, if no input requires a gradient.
    ///
    /// # Errors
    /// [`Error::Tape`] for an input that was computed on another tape.
    pub fn record<S: Backward<B> + 'static>(
        &mut self,
        op: &'static str,
        inputs: &[&Var<B>],
        value: Tensor<B>,
        saved: impl FnOnce() -> S,
    ) -> Result<Var<B>> {
        let inputs: Vec<Option<usize>> = inputs.iter().map(|var| self.index(op, var)).collect::<Result<_>>()?;
        if !self.recording || inputs.iter().all(Option::is_none) {
            return Ok(Var::constant(value));
        }
        Ok(self.push(Some(Box::new(saved())), inputs, value))
    }

    /// The gradients of `loss`, a single value, for all parameters that it depends on.
    ///
    /// The tape is consumed, and its saved values are freed on the way. Gradients that lead to no parameter, such as that
    /// of the images, are not computed.
    ///
    /// # Errors
    /// [`Error::Tape`] for a loss of more than one value, one from another tape, or one that depends on no parameter;
    /// those of the kernels.
    pub fn backward(self, loss: &Var<B>) -> Result<Gradients<B>> {
        let tape = self.id;
        let leaves = self.walk(loss, |_, _| Ok::<_, Error>(()))?;
        Ok(Gradients { tape, leaves })
    }

    /// Like [`backward`](Self::backward), but passes each parameter's gradient to `take` as soon as it is complete, with
    /// the parameter's index in `parameters`. The gradients of the last layers come first, and only those that `take` keeps
    /// are held. By then the tape holds no parameter's value, so `take` may update it in place.
    ///
    /// # Errors
    /// Those of [`backward`](Self::backward) and of `take`. Some gradients have been passed to `take` by then.
    pub fn backward_each<E: From<Error>>(
        self,
        loss: Var<B>,
        parameters: Vec<Option<Var<B>>>,
        mut take: impl FnMut(usize, Tensor<B>) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let mut complete = self.completed_at(&parameters)?;
        drop(parameters);
        self.walk(&loss, |index, gradients| {
            for (leaf, parameter) in complete.remove(&index).unwrap_or_default() {
                if let Some(gradient) = gradients[leaf].take() {
                    take(parameter, gradient)?;
                }
            }
            Ok(())
        })
        .map(|_| ())
    }

    /// By record: the parameters (their records, and their indices in `parameters`) that no earlier record uses. Their
    /// gradients are complete after this record's backward.
    fn completed_at(&self, parameters: &[Option<Var<B>>]) -> Result<HashMap<usize, Vec<(usize, usize)>>> {
        let mut places = HashMap::new();
        for (place, var) in parameters.iter().enumerate() {
            if let Some(leaf) = var.as_ref().map(|var| self.index("backward", var)).transpose()?.flatten() {
                places.insert(leaf, place);
            }
        }
        let mut complete: HashMap<usize, Vec<(usize, usize)>> = HashMap::new();
        for (index, record) in self.records.iter().enumerate() {
            let used = record.inputs.iter().flatten();
            let first = used.filter_map(|leaf| places.remove(leaf).map(|place| (*leaf, place)));
            complete.entry(index).or_default().extend(first);
        }
        Ok(complete)
    }

    /// Runs every record's backward, the last first, and then `after` with the record's index. Returns the gradients that
    /// are left, by record.
    fn walk<E: From<Error>>(
        mut self,
        loss: &Var<B>,
        mut after: impl FnMut(usize, &mut [Option<Tensor<B>>]) -> std::result::Result<(), E>,
    ) -> std::result::Result<Vec<Option<Tensor<B>>>, E> {
        if loss.value.len() != 1 {
            let what = format!("the loss must be one value, got shape {:?}; take its sum or mean", loss.shape());
            return Err(Error::tape("backward", what).into());
        }
        let last = self.loss_index(loss)?;
        let mut gradients: Vec<Option<Tensor<B>>> = vec![None; self.records.len()];
        let one = Tensor::full(loss.value.device(), loss.shape(), 1.0).map_err(Error::from)?;
        gradients[last] = Some(one);
        while let Some(record) = self.records.pop() {
            let index = self.records.len();
            if let Some(operation) = record.operation
                && let Some(dy) = gradients[index].take()
            {
                let device = dy.device().clone();
                device.set_scope(&record.scope);
                let at_loss = index == last;
                let mut grads = InputGrads { inputs: &record.inputs, gradients: &mut gradients[..index], at_loss };
                let done = operation.backward(dy, &mut grads);
                device.set_scope("");
                done.map_err(|e| with_layer(&record.scope, e))?;
            }
            after(index, &mut gradients)?;
        }
        Ok(gradients)
    }

    fn loss_index(&self, loss: &Var<B>) -> Result<usize> {
        if !self.recording {
            return Err(Error::tape("backward", "this tape is for inference and recorded nothing; use Tape::new()"));
        }
        let none = "the loss depends on no parameter of this tape; make one with Tape::parameter";
        self.index("backward", loss)?.ok_or_else(|| Error::tape("backward", none))
    }

    /// The index of the record of `var`; None for a constant.
    fn index(&self, op: &'static str, var: &Var<B>) -> Result<Option<usize>> {
        match var.record {
            None => Ok(None),
            Some(id) if id.tape == self.id => Ok(Some(id.index)),
            Some(_) => Err(Error::tape(
                op,
                format!(
                    "a value of shape {:?} was computed on another tape; give its value with Var::constant, or \
                     compute everything on one tape",
                    var.shape()
                ),
            )),
        }
    }

    fn push(
        &mut self,
        operation: Option<Box<dyn Backward<B>>>,
        inputs: Vec<Option<usize>>,
        value: Tensor<B>,
    ) -> Var<B> {
        let id = RecordId { tape: self.id, index: self.records.len() };
        self.records.push(Record { operation, inputs, scope: Arc::clone(&self.scope) });
        Var { value, record: Some(id) }
    }
}

/// Adds the layer to an error, where it is known.
fn with_layer(layer: &str, error: Error) -> Error {
    if layer.is_empty() { error } else { Error::Layer { layer: layer.into(), source: Box::new(error) } }
}

/// The gradients of a tape's parameters, from [`Tape::backward`].
///
/// ```
/// use alexnet_layers::Tape;
/// use alexnet_layers::tensor::{Cpu, Tensor};
///
/// let mut tape = Tape::new();
/// let x = tape.parameter(Tensor::full(&Cpu::<f32>::new(1)?, &[2], 5.0)?);
/// let loss = tape.mean(&x)?;
/// let mut gradients = tape.backward(&loss)?;
/// assert_eq!(gradients.take(&x).unwrap().to_vec()?, [0.5, 0.5]);
/// assert!(gradients.get(&x).is_none());
/// # Ok::<(), alexnet_layers::Error>(())
/// ```
#[derive(Debug)]
pub struct Gradients<B: Backend> {
    tape: u64,
    leaves: Vec<Option<Tensor<B>>>,
}

impl<B: Backend> Gradients<B> {
    /// The gradient of a parameter, in its shape. None for a parameter that the loss does not depend on, for a value that
    /// is no parameter, and for values of other tapes.
    pub fn get(&self, parameter: &Var<B>) -> Option<&Tensor<B>> {
        let id = parameter.record.filter(|id| id.tape == self.tape)?;
        self.leaves.get(id.index)?.as_ref()
    }

    /// Like [`get`](Self::get), but moves the gradient out: a second call returns None.
    pub fn take(&mut self, parameter: &Var<B>) -> Option<Tensor<B>> {
        let id = parameter.record.filter(|id| id.tape == self.tape)?;
        self.leaves.get_mut(id.index)?.take()
    }
}

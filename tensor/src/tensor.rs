//! Tensors: shapes over buffers of a device.

use std::borrow::Cow;

use ndarray::{ArrayBase, ArrayD, ArrayRef, ArrayViewD, CowArray, Data, Dimension, IxDyn};

use crate::{Backend, Error, Result};

/// An array of numbers on a device, in row-major order. Clones share the buffer; writing in place copies a shared buffer
/// first.
///
/// ```
/// use alexnet_tensor::{Cpu, Tensor};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let x = Tensor::from_slice(&cpu, &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])?;
/// let y = x.scale(0.5)?.reshape(&[3, 2])?;
/// assert_eq!(y.to_vec()?, [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]);
/// assert_eq!(y.to_string(), "[[0.5, 1],\n [1.5, 2],\n [2.5, 3]]");
/// # Ok::<(), alexnet_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct Tensor<B: Backend> {
    device: B,
    shape: Vec<usize>,
    pub(crate) data: B::FloatBuffer,
}

impl<B: Backend> Tensor<B> {
    /// A tensor with the shape and values of an array, or a view, of any rank.
    ///
    /// ```
    /// use alexnet_tensor::ndarray::{Array4, s};
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let images = Array4::<f32>::zeros((8, 32, 32, 3));
    /// assert_eq!(Tensor::from_array(&cpu, &images)?.shape(), [8, 32, 32, 3]);
    /// assert_eq!(Tensor::from_array(&cpu, images.slice(s![0, .., .., 1]))?.shape(), [32, 32]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the device, for want of memory.
    pub fn from_array(device: &B, array: impl AsArrayView<B::Scalar>) -> Result<Self> {
        let array = array.as_array_view();
        let contiguous = array.as_standard_layout();
        let values = contiguous.as_slice().expect("standard layout is contiguous");
        Self::from_slice(device, array.shape(), values)
    }

    /// A tensor of `shape` with `values` in row-major order.
    ///
    /// # Errors
    /// [`Error::Shape`] if `shape` holds another number of values.
    pub fn from_slice(device: &B, shape: &[usize], values: &[B::Scalar]) -> Result<Self> {
        if element_count("tensor", shape)? != values.len() {
            return Err(Error::shape("tensor", format!("a shape of {} values", values.len()), shape));
        }
        Ok(Self::from_parts(device.clone(), shape.to_vec(), device.upload(values)?))
    }

    /// A tensor of `shape` filled with `value`.
    pub fn full(device: &B, shape: &[usize], value: f64) -> Result<Self> {
        let data = device.full(element_count("tensor", shape)?, crate::Element::of(value))?;
        Ok(Self::from_parts(device.clone(), shape.to_vec(), data))
    }

    /// A tensor of `shape` filled with zeros.
    pub fn zeros(device: &B, shape: &[usize]) -> Result<Self> {
        Self::full(device, shape, 0.0)
    }

    /// A tensor of `shape` over a buffer of `device`, without a copy: the result of a kernel of your own.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Device, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let buffer = cpu.upload(&[1.0, 2.0, 3.0, 4.0])?;
    /// let x = Tensor::from_buffer(&cpu, &[2, 2], buffer)?;
    /// let mut buffer = x.into_buffer();
    /// buffer.make_mut()?[0] = 7.0;
    /// assert_eq!(Tensor::from_buffer(&cpu, &[4], buffer)?.to_vec()?, [7.0, 2.0, 3.0, 4.0]);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] if `shape` holds another number of values.
    pub fn from_buffer(device: &B, shape: &[usize], buffer: B::FloatBuffer) -> Result<Self> {
        let len = device.buffer_len(&buffer);
        if element_count("from_buffer", shape)? != len {
            return Err(Error::shape("from_buffer", format!("a shape of {len} values"), shape));
        }
        Ok(Self::from_parts(device.clone(), shape.to_vec(), buffer))
    }

    /// The buffer of the values, which clones of this tensor share.
    pub fn buffer(&self) -> &B::FloatBuffer {
        &self.data
    }

    /// The buffer of the values. Where no clone shares it, a kernel can write to it without a copy.
    pub fn into_buffer(self) -> B::FloatBuffer {
        self.data
    }

    pub(crate) fn from_parts(device: B, shape: Vec<usize>, data: B::FloatBuffer) -> Self {
        Self { device, shape, data }
    }

    /// A tensor of the same device and shape over another buffer.
    pub(crate) fn with_data(&self, data: B::FloatBuffer) -> Self {
        Self::from_parts(self.device.clone(), self.shape.clone(), data)
    }

    /// The device that holds the values.
    pub fn device(&self) -> &B {
        &self.device
    }

    /// Lengths of the axes, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same values with another shape, without a copy.
    ///
    /// # Errors
    /// [`Error::Shape`] if the new shape holds another number of values.
    pub fn reshape(mut self, shape: &[usize]) -> Result<Self> {
        if element_count("reshape", shape)? != self.len() {
            return Err(Error::shape("reshape", format!("a shape of {} values", self.len()), shape));
        }
        self.shape = shape.to_vec();
        Ok(self)
    }

    /// Converts to the type of activations on this device: `bf16` on a GPU with that precision, otherwise no change.
    pub fn to_activation_dtype(&self) -> Result<Self> {
        Ok(self.with_data(self.device.to_activation_dtype(&self.data)?))
    }

    /// Rounds weights `[out, in]` of a fully connected layer, for prediction, to the type in which the device stores them:
    /// on a CPU of [`Precision::Int8`](crate::Precision::Int8) to 8 bits with a scale per output, otherwise no change.
    /// Writing to them makes them `f32` again.
    ///
    /// ```
    /// use alexnet_tensor::{Cpu, Precision, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?.with_precision(Precision::Int8)?;
    /// let w = Tensor::from_slice(&cpu, &[2, 2], &[1.27, 0.504, -127.0, 0.4])?.to_weight_dtype()?;
    /// let rounded = Tensor::from_slice(&cpu, &[2, 2], &[1.27, 0.5, -127.0, 0.0])?;
    /// for (value, expected) in w.to_vec()?.iter().zip(rounded.to_vec()?) {
    ///     assert!((value - expected).abs() < 1e-6);
    /// }
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Shape`] unless it is a matrix; those of the device.
    pub fn to_weight_dtype(&self) -> Result<Self> {
        let &[rows, _] = self.shape.as_slice() else {
            return Err(Error::shape("to_weight_dtype", "a matrix", &self.shape));
        };
        Ok(self.with_data(self.device.to_weight_dtype(&self.data, rows)?))
    }

    /// Downloads the values in row-major order.
    pub fn to_vec(&self) -> Result<Vec<B::Scalar>> {
        self.device.download(&self.data)
    }

    /// Downloads the values as an array.
    ///
    /// ```
    /// use alexnet_tensor::ndarray::{Ix2, array};
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let x = Tensor::from_array(&cpu, &array![[1.0, 2.0], [3.0, 4.0]])?;
    /// let matrix = x.to_array()?.into_dimensionality::<Ix2>().expect("two axes");
    /// assert_eq!(matrix[[1, 0]], 3.0);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the device.
    pub fn to_array(&self) -> Result<ArrayD<B::Scalar>> {
        let values = self.to_vec()?;
        ArrayD::from_shape_vec(IxDyn(&self.shape), values)
            .map_err(|_| Error::shape("to_array", "a buffer as long as the shape says", &self.shape))
    }

    /// The values as an array: where they are, if that is the host's memory, else downloaded.
    ///
    /// ```
    /// use alexnet_tensor::ndarray::array;
    /// use alexnet_tensor::{Cpu, Tensor};
    ///
    /// let cpu = Cpu::<f32>::new(1)?;
    /// let x = Tensor::from_array(&cpu, &array![[1.0, 2.0], [3.0, 4.0]])?;
    /// assert!(x.read()?.is_view(), "the CPU copies nothing");
    /// assert_eq!(x.read()?[[1, 0]], 3.0);
    /// # Ok::<(), alexnet_tensor::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the device.
    pub fn read(&self) -> Result<CowArray<'_, B::Scalar, IxDyn>> {
        let shape = IxDyn(&self.shape);
        let wrong = |_| Error::shape("read", "a buffer as long as the shape says", &self.shape);
        match self.device.read(&self.data)? {
            Cow::Borrowed(values) => Ok(ArrayViewD::from_shape(shape, values).map_err(wrong)?.into()),
            Cow::Owned(values) => Ok(ArrayD::from_shape_vec(shape, values).map_err(wrong)?.into()),
        }
    }

    /// Downloads the value of a tensor that has only one.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of values.
    pub fn scalar(&self) -> Result<f64> {
        match self.to_vec()?.as_slice() {
            [value] => Ok(crate::Element::f64(*value)),
            _ => Err(Error::shape("scalar", "one value", &self.shape)),
        }
    }

    /// The lengths of four axes, or an error that names the operation.
    pub(crate) fn dims4(&self, op: &'static str) -> Result<[usize; 4]> {
        self.shape.as_slice().try_into().map_err(|_| Error::shape(op, "4 axes (NHWC)", &self.shape))
    }

    /// The lengths of two axes, or an error that names the operation.
    pub(crate) fn dims2(&self, op: &'static str) -> Result<[usize; 2]> {
        self.shape.as_slice().try_into().map_err(|_| Error::shape(op, "2 axes", &self.shape))
    }

    /// Fails unless `other` has this tensor's shape.
    pub(crate) fn same_shape(&self, op: &'static str, other: &Self) -> Result<()> {
        if self.shape == other.shape {
            return Ok(());
        }
        Err(Error::shape(op, format!("shape {:?}", self.shape), &other.shape))
    }
}

/// A list of integers on a device: labels, positions of maxima, counts.
///
/// ```
/// use alexnet_tensor::{Cpu, IntTensor};
///
/// let labels = IntTensor::from_slice(&Cpu::<f32>::new(1)?, &[3, 0, 2])?;
/// assert_eq!(labels.to_vec()?, [3, 0, 2]);
/// # Ok::<(), alexnet_tensor::Error>(())
/// ```
#[derive(Clone)]
pub struct IntTensor<B: Backend> {
    device: B,
    len: usize,
    pub(crate) data: B::IntBuffer,
}

impl<B: Backend> IntTensor<B> {
    /// Uploads `values`.
    pub fn from_slice(device: &B, values: &[u32]) -> Result<Self> {
        Ok(Self { device: device.clone(), len: values.len(), data: device.upload_ints(values)? })
    }

    /// The integers of a buffer of `device`, without a copy.
    pub fn from_buffer(device: &B, buffer: B::IntBuffer) -> Self {
        Self { device: device.clone(), len: device.int_buffer_len(&buffer), data: buffer }
    }

    /// The buffer of the values, which clones share.
    pub fn buffer(&self) -> &B::IntBuffer {
        &self.data
    }

    /// The buffer of the values.
    pub fn into_buffer(self) -> B::IntBuffer {
        self.data
    }

    pub(crate) fn from_parts(device: B, len: usize, data: B::IntBuffer) -> Self {
        Self { device, len, data }
    }

    /// The device that holds the values.
    pub fn device(&self) -> &B {
        &self.device
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Downloads the values.
    pub fn to_vec(&self) -> Result<Vec<u32>> {
        self.device.download_ints(&self.data)
    }
}

/// An array of numbers of type `A` and any rank, or a view of one: the argument of [`Tensor::from_array`].
pub trait AsArrayView<A> {
    /// A view of the values.
    fn as_array_view(&self) -> ArrayViewD<'_, A>;
}

impl<A, S: Data<Elem = A>, D: Dimension> AsArrayView<A> for ArrayBase<S, D> {
    fn as_array_view(&self) -> ArrayViewD<'_, A> {
        self.view().into_dyn()
    }
}

impl<A, D: Dimension> AsArrayView<A> for ArrayRef<A, D> {
    fn as_array_view(&self) -> ArrayViewD<'_, A> {
        self.view().into_dyn()
    }
}

impl<A, T: AsArrayView<A> + ?Sized> AsArrayView<A> for &T {
    fn as_array_view(&self) -> ArrayViewD<'_, A> {
        T::as_array_view(self)
    }
}

/// Downloads the values of several tensors of one device, and waits for the device once.
///
/// ```
/// use alexnet_tensor::{Cpu, IntTensor, Tensor, read_all};
///
/// let cpu = Cpu::<f32>::new(1)?;
/// let loss = Tensor::full(&cpu, &[], 0.5)?;
/// let labels = IntTensor::from_slice(&cpu, &[1, 2])?;
/// let (floats, ints) = read_all(&[&loss], &[&labels])?;
/// assert_eq!(floats, [[0.5]]);
/// assert_eq!(ints, [[1, 2]]);
/// # Ok::<(), alexnet_tensor::Error>(())
/// ```
///
/// # Errors
/// Those of the device.
#[allow(clippy::type_complexity)]
pub fn read_all<B: Backend>(
    floats: &[&Tensor<B>],
    ints: &[&IntTensor<B>],
) -> Result<(Vec<Vec<B::Scalar>>, Vec<Vec<u32>>)> {
    let Some(device) = floats.first().map(|t| t.device()).or(ints.first().map(|i| i.device())) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let floats: Vec<&B::FloatBuffer> = floats.iter().map(|tensor| &tensor.data).collect();
    let ints: Vec<&B::IntBuffer> = ints.iter().map(|tensor| &tensor.data).collect();
    device.download_all(&floats, &ints)
}

/// The product of the axes, checked, because a shape from a file may be arbitrarily large.
pub(crate) fn element_count(op: &'static str, shape: &[usize]) -> Result<usize> {
    shape
        .iter()
        .try_fold(1usize, |n, &axis| n.checked_mul(axis))
        .filter(|&n| n <= isize::MAX as usize / 8)
        .ok_or_else(|| Error::shape(op, "a number of values that fits in memory", shape))
}

"""Makes layers.safetensors: every layer's forward and backward as PyTorch and TensorFlow compute them.

Run:       python make.py        (in any folder; the file is written next to this one)
Needs:     torch 2.15, tensorflow 2.21, numpy, safetensors 0.8 (the versions used are in the file's metadata)
Read by:   ../golden.rs

Each case is a group of tensors `case/name`: the inputs x (and w, b, gamma, beta where the layer has them), the gradient
dy that comes back from above, the output y, and the gradients dx, dw, db, ... of sum(y * dy). Inputs are float32, what
follows from them float64 (float32 where TensorFlow has no float64 kernel: its LRN). Layouts are this project's: NHWC;
convolution weights [out, kh, kw, in / groups]; linear weights [out, in]; locally connected weights
[oh * ow, out, kh, kw, in / groups] with a bias [oh, ow, out].
"""

import os
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file

torch.set_num_threads(1)
random = np.random.default_rng(2012)
tensors = {}


def draw(*shape, scale=1.0, shift=0.0):
    """Normal values, rounded to float32 so that every precision starts from the same numbers."""
    return (random.standard_normal(shape) * scale + shift).astype(np.float32)


def put(case, **arrays):
    for name, array in arrays.items():
        assert np.isfinite(array).all(), (case, name)
        assert f"{case}/{name}" not in tensors, case
        tensors[f"{case}/{name}"] = np.ascontiguousarray(array)


def with_torch(case, function, **inputs):
    """Differentiates `function(inputs in this project's layouts)` in float64."""
    leaves = {name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in inputs.items()}
    y = function(**leaves)
    dy = draw(*y.shape)
    (y * torch.tensor(dy, dtype=torch.float64)).sum().backward()
    gradients = {f"d{name}": leaf.grad.numpy() for name, leaf in leaves.items()}
    put(case, **inputs, dy=dy, y=y.detach().numpy(), **gradients)


def with_tensorflow(case, function, dtype=tf.float64, **inputs):
    leaves = {name: tf.Variable(value, dtype=dtype) for name, value in inputs.items()}
    with tf.GradientTape() as tape:
        y = function(**leaves)
        dy = draw(*y.shape)
        loss = tf.reduce_sum(y * tf.constant(dy, dtype))
    gradients = tape.gradient(loss, list(leaves.values()))
    gradients = {f"d{name}": gradient.numpy() for name, gradient in zip(leaves, gradients)}
    put(case, **inputs, dy=dy, y=y.numpy(), **gradients)


def channels_first(x):
    """NHWC to NCHW; also [out, kh, kw, in] to [out, in, kh, kw]."""
    return x.permute(0, 3, 1, 2)


def channels_last(x):
    return x.permute(0, 2, 3, 1)


def clear_of_zero(y):
    """A ReLU's input must not be so near 0 that rounding decides its sign."""
    assert y.abs().min() > 1e-4, y.abs().min()
    return y


# Convolution -------------------------------------------------------------------------------------------------------


def convolution(case, x, w, bias=True, relu=False, pad=(0, 0, 0, 0), **settings):
    """`pad` is top, bottom, left, right."""

    def forward(x, w, b=None):
        top, bottom, left, right = pad
        padded = F.pad(channels_first(x), (left, right, top, bottom))
        y = channels_last(F.conv2d(padded, channels_first(w), b, **settings))
        return clear_of_zero(y).relu() if relu else y

    b = {"b": draw(w[0])} if bias else {}
    with_torch(case, forward, x=draw(*x), w=draw(*w), **b)


convolution("conv2d", (2, 7, 6, 3), (4, 3, 3, 3))
convolution("conv2d-no-bias", (2, 5, 6, 2), (3, 3, 2, 2), bias=False, pad=(1, 1, 1, 1))
convolution("conv2d-groups", (2, 6, 5, 6), (4, 3, 3, 3), pad=(1, 1, 1, 1), groups=2)
convolution("conv2d-depthwise", (2, 6, 6, 4), (8, 3, 3, 1), pad=(1, 1, 1, 1), groups=4)
convolution("conv2d-stride", (2, 9, 11, 4), (6, 4, 3, 2), stride=(2, 3), groups=2)
convolution("conv2d-stride-over-kernel", (2, 7, 7, 3), (4, 1, 1, 3), stride=3)
convolution("conv2d-asymmetric", (1, 8, 7, 2), (3, 4, 3, 2), pad=(1, 2, 0, 2), stride=2)
# The first layer of the paper's network in small: 11 x 11, stride 4, three zeros on the right and below.
convolution("conv2d-paper-conv1", (2, 20, 20, 3), (8, 11, 11, 3), pad=(0, 3, 0, 3), stride=4)
convolution("conv2d-relu", (2, 6, 6, 4), (6, 3, 3, 2), relu=True, pad=(1, 1, 1, 1), groups=2)


def same_convolution(case, x, w, stride):
    def forward(x, w, b):
        return tf.nn.conv2d(x, tf.transpose(w, [1, 2, 3, 0]), stride, "SAME") + b

    with_tensorflow(case, forward, x=draw(*x), w=draw(*w), b=draw(w[0]))


same_convolution("conv2d-same", (2, 6, 5, 3), (4, 5, 5, 3), 1)
same_convolution("conv2d-same-even", (2, 8, 7, 3), (4, 4, 3, 3), 2)
# The first layer of the seed's network in small: 224 leaves 7 zeros to share out, and so does 24.
same_convolution("conv2d-same-keras-conv1", (2, 24, 24, 3), (4, 11, 11, 3), 4)

# Locally connected -------------------------------------------------------------------------------------------------


def local(case, x, out, kernel, groups=1, pad=(0, 0, 0, 0), stride=1):
    n, h, width, c = x
    top, bottom, left, right = pad
    oh = (h + top + bottom - kernel[0]) // stride + 1
    ow = (width + left + right - kernel[1]) // stride + 1
    kh, kw = kernel

    def forward(x, w, b):
        padded = F.pad(channels_first(x), (left, right, top, bottom))
        patches = F.unfold(padded, kernel, stride=stride)  # [n, c * kh * kw, oh * ow]
        patches = patches.reshape(n, groups, c // groups, kh, kw, oh * ow)
        w = w.reshape(oh * ow, groups, out // groups, kh, kw, c // groups)
        return torch.einsum("ngchwp,pgohwc->npgo", patches, w).reshape(n, oh, ow, out) + b

    w = draw(oh * ow, out, kh, kw, c // groups)
    with_torch(case, forward, x=draw(*x), w=w, b=draw(oh, ow, out))


local("local2d", (2, 5, 4, 3), 4, (3, 2))
local("local2d-groups", (2, 5, 5, 4), 6, (3, 3), groups=2, pad=(1, 1, 1, 1), stride=2)
local("local2d-asymmetric", (3, 4, 4, 2), 2, (3, 3), pad=(0, 1, 1, 0))

# Pooling -----------------------------------------------------------------------------------------------------------


def pool(case, function, x, kernel, stride, shift=0.0, **settings):
    def forward(x):
        return channels_last(function(channels_first(x), kernel, stride, **settings))

    with_torch(case, forward, x=draw(*x, shift=shift))


# Inputs around -5 where there is padding: a zero taken for a value would win.
pool("max-pool-floor", F.max_pool2d, (2, 8, 7, 3), 3, 2)
pool("max-pool-ceil", F.max_pool2d, (2, 8, 6, 3), 3, 2, ceil_mode=True)
pool("max-pool-padded", F.max_pool2d, (2, 7, 6, 2), (3, 2), (2, 1), shift=-5.0, padding=1)
pool("max-pool-padded-ceil", F.max_pool2d, (2, 6, 8, 2), 3, 2, shift=-5.0, padding=1, ceil_mode=True)
pool("max-pool-gaps", F.max_pool2d, (2, 9, 8, 2), 2, 3)
pool("average-pool", F.avg_pool2d, (2, 7, 8, 3), 3, 2)
pool("average-pool-ceil", F.avg_pool2d, (2, 8, 6, 3), 3, 2, ceil_mode=True, count_include_pad=False)
pool("average-pool-padded", F.avg_pool2d, (2, 6, 7, 2), 3, 2, padding=1, count_include_pad=False)
pool("average-pool-padding-counts", F.avg_pool2d, (2, 6, 7, 2), 3, 2, padding=1)
pool("average-pool-padding-counts-ceil", F.avg_pool2d, (2, 6, 8, 2), 3, 2, padding=1, ceil_mode=True)
pool("average-pool-global", F.avg_pool2d, (2, 3, 4, 5), (3, 4), (3, 4))
# Few different values: of equal ones, the first in row order takes the gradient.
ties = random.integers(0, 3, (2, 7, 7, 2)).astype(np.float32)
with_torch("max-pool-ties", lambda x: channels_last(F.max_pool2d(channels_first(x), 3, 2)), x=ties)
with_tensorflow("max-pool-same", lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"), x=draw(2, 8, 7, 3, shift=-5.0))
with_tensorflow("average-pool-same", lambda x: tf.nn.avg_pool2d(x, 3, 2, "SAME"), x=draw(2, 8, 7, 3))

# Normalisation -----------------------------------------------------------------------------------------------------


def torch_lrn(case, x, scale, size, **constants):
    """PyTorch divides alpha by the size."""

    def forward(x):
        return channels_last(F.local_response_norm(channels_first(x), size, **constants))

    with_torch(case, forward, x=draw(*x, scale=scale))


# Values around 100, so that the paper's alpha of 1e-4 (5e-4 here) matters.
torch_lrn("lrn-paper", (2, 2, 3, 9), 100.0, 5, alpha=5e-4, beta=0.75, k=2.0)
torch_lrn("lrn-even", (2, 3, 2, 7), 1.0, 4, alpha=0.3, beta=0.5, k=1.0)
torch_lrn("lrn-few-channels", (2, 2, 2, 3), 1.0, 9, alpha=2.0, beta=0.75, k=1.0)


def tensorflow_lrn(case, x, scale, radius, **constants):
    """TensorFlow does not."""
    forward = lambda x: tf.nn.local_response_normalization(x, radius, **constants)
    with_tensorflow(case, forward, dtype=tf.float32, x=draw(*x, scale=scale))


tensorflow_lrn("lrn-tensorflow-paper", (2, 2, 3, 9), 100.0, 2, bias=2.0, alpha=1e-4, beta=0.75)
tensorflow_lrn("lrn-tensorflow", (2, 3, 2, 6), 1.0, 1, bias=1.0, alpha=0.3, beta=0.5)


def lrn_within_map(x):
    """cuda-convnet's and Caffe's norm within a map, size 5, scale 1, power 0.75: not a function of PyTorch's, but its
    own local_response_norm is written like this."""
    means = F.avg_pool2d(channels_first(x) ** 2, 5, stride=1, padding=2, count_include_pad=True)
    return x / (1.0 + channels_last(means)) ** 0.75


with_torch("lrn-within-map", lrn_within_map, x=draw(2, 7, 6, 3))


def batch_norm(case, *shape):
    """Channels are the last axis. The statistics in the file divide by the count, the running variance of PyTorch by
    the count less one."""
    x, c = draw(*shape, scale=3.0, shift=1.0), shape[-1]
    mean, variance = draw(c), np.abs(draw(c)) + np.float32(0.5)
    gamma, beta = draw(c), draw(c)
    last_to_second = (0, len(shape) - 1, *range(1, len(shape) - 1))
    back = np.argsort(last_to_second).tolist()

    def forward(x, gamma, beta, mean=None, variance=None):
        y = F.batch_norm(x.permute(last_to_second), mean, variance, gamma, beta, training=mean is None, eps=1e-3)
        return y.permute(back)

    with_torch(case, forward, x=x, gamma=gamma, beta=beta)
    rows = x.reshape(-1, c).astype(np.float64)
    put(case, mean=rows.mean(0), variance=rows.var(0))
    running = {"mean": torch.tensor(mean).double(), "variance": torch.tensor(variance).double()}
    with_torch(f"{case}-eval", lambda **inputs: forward(**inputs, **running), x=x, gamma=gamma, beta=beta)
    put(f"{case}-eval", mean=mean, variance=variance)


batch_norm("batch-norm", 3, 2, 4, 5)
batch_norm("batch-norm-rows", 6, 4)

# The rest ----------------------------------------------------------------------------------------------------------

with_torch("linear", lambda x, w, b: F.linear(x, w, b), x=draw(4, 6), w=draw(5, 6), b=draw(5))
with_torch("linear-no-bias", lambda x, w: F.linear(x, w), x=draw(3, 6), w=draw(4, 6))
relu_linear = lambda x, w, b: clear_of_zero(F.linear(x, w, b)).relu()
with_torch("linear-relu", relu_linear, x=draw(4, 6), w=draw(5, 6), b=draw(5))
# The flatten of an image is in the order of its layout, here height, width, channels.
flatten_linear = lambda x, w: F.linear(x.flatten(1), w)
with_torch("flatten-linear", flatten_linear, x=draw(2, 2, 3, 4), w=draw(3, 24))

with_torch("relu", torch.relu, x=np.concatenate([draw(2, 3, 4), np.zeros((2, 3, 1), np.float32)], 2))
with_torch("tanh", torch.tanh, x=draw(2, 3, 5, scale=2.0))
with_torch("logistic", torch.sigmoid, x=draw(2, 3, 5, scale=3.0))

put("softmax", x=(x := draw(4, 7, scale=4.0)), y=torch.tensor(x).double().softmax(1).numpy())
# Large logits: e^x alone would overflow.
put("softmax-large", x=(x := draw(3, 5, scale=200.0)), y=torch.tensor(x).double().softmax(1).numpy())


def cross_entropy(case, rows, classes, scale):
    x, labels = draw(rows, classes, scale=scale), random.integers(0, classes, rows).astype(np.uint32)
    leaf = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    loss = F.cross_entropy(leaf, torch.tensor(labels.astype(np.int64)))
    loss.backward()
    put(case, x=x, labels=labels, loss=loss.detach().numpy().reshape(1), dx=leaf.grad.numpy())


cross_entropy("cross-entropy", 5, 7, 2.0)
cross_entropy("cross-entropy-large", 4, 6, 200.0)

# A whole network: dropout at test, a batch norm's running statistics, the flatten. Masks of dropout differ by library, so
# in training only the statistics, which are taken before it, are comparable.


def network(x):
    norm, fc = torch.nn.BatchNorm2d(3, eps=1e-3, momentum=0.2), torch.nn.Linear(12, 5)
    for value in (norm.weight, norm.bias, norm.running_mean, fc.weight, fc.bias):
        value.data = torch.tensor(draw(*value.shape))
    norm.running_var.data = torch.tensor(np.abs(draw(3)) + np.float32(0.5))
    before = {f"norm.{name}": value.numpy().copy() for name, value in norm.state_dict().items()}
    before.pop("norm.num_batches_tracked")
    norm, fc, x = norm.double(), fc.double(), torch.tensor(x).double()

    def forward(factor):
        rows = norm(channels_first(x)).permute(0, 2, 3, 1).flatten(1)
        return fc(factor * F.dropout(rows, 0.4, training=False)).detach().numpy()

    norm.eval()
    # The paper's dropout keeps values as they are in training, and scales them at test.
    outputs = {"y": forward(1.0), "y_at_test": forward(0.6)}
    norm.train()
    forward(1.0)
    after = {"running_mean": norm.running_mean.numpy(), "running_var": norm.running_var.numpy()}
    parameters = {"fc.weight": fc.weight.detach().float().numpy(), "fc.bias": fc.bias.detach().float().numpy()}
    put("network", x=x.float().numpy(), **before, **parameters, **outputs, **after)


network(draw(4, 2, 2, 3, scale=2.0, shift=1.0))

versions = f"PyTorch {torch.__version__.split('+')[0]}, TensorFlow {tf.__version__}, NumPy {np.__version__}"
target = Path(__file__).with_name("layers.safetensors")
save_file(tensors, target, {"made_with": f"{versions}, by layers/tests/golden/make.py"})
print(f"{len({name.split('/')[0] for name in tensors})} cases, {target.stat().st_size} bytes, {versions}")

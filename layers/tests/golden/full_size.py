"""Makes full_size.safetensors: logits of whole networks, as other frameworks compute them from the same weights.

Run:       python full_size.py   (in any folder; needs 3 GB of memory; the file is written next to this one)
Needs:     torch 2.15, torchvision 0.29, keras 3.15 on tensorflow 2.21, numpy, safetensors 0.8 (the versions used are in
           the file's metadata)
Read by:   ../full_size.rs

Weights and images are not in the file: both sides draw them from the same counter-based generator (philox.py,
tensor::random), in this project's layouts, and they are the same to the bit. Parameter i of a network, in the order
conv1.weight, conv1.bias, conv2.weight, ..., is uniform within +-2 / 2^(log2(inputs of an output) div 2) if a weight
and within +-1/16 if a bias; images are uniform within +-1 or, where pixels are not scaled, +-128. Logits are computed
in float64.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from philox import USER, uniform
from safetensors.numpy import save_file

import keras  # after torchvision: the other way round, LLVM's options are registered twice and the process aborts

IMAGES = 2
SEED = 2012
logits = {}


def images(bound, side=224):
    return uniform((IMAGES, side, side, 3), bound, SEED, USER)


class Weights:
    """Draws the parameters one after the other."""

    def __init__(self):
        self.drawn = 0

    def weight(self, *shape):
        """`shape` is outputs, then the axes that are summed over."""
        fan_in = int(np.prod(shape[1:]))
        return self.draw(shape, 2.0 / 2 ** ((fan_in.bit_length() - 1) // 2))

    def bias(self, n):
        return self.draw((n,), 0.0625)

    def draw(self, shape, bound):
        self.drawn += 1
        return torch.from_numpy(uniform(shape, bound, SEED, USER + self.drawn)).double()

    def conv(self, layer):
        out, cg, kh, kw = layer.weight.shape
        layer.weight.data = self.weight(out, kh, kw, cg).permute(0, 3, 1, 2)
        layer.bias.data = self.bias(out)

    def linear(self, layer, map=None):
        """After a flatten of `map`, channels x height x width, the weights must be in PyTorch's order of it."""
        out, inputs = layer.weight.shape
        weight = self.weight(out, inputs)
        if map:
            channels, height, width = map
            weight = weight.reshape(out, height, width, channels).permute(0, 3, 1, 2).reshape(out, inputs)
        layer.weight.data = weight
        layer.bias.data = self.bias(out)

    def network(self, module, map):
        for layer in module.modules():
            if isinstance(layer, torch.nn.Conv2d):
                self.conv(layer)
            if isinstance(layer, torch.nn.Linear):
                self.linear(layer, map)
                map = None


class Paper(torch.nn.Module):
    """The network of section 3 of the paper, written down from its text and Fig. 2."""

    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 96, 11, 4)
        self.conv2 = torch.nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = torch.nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = torch.nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = torch.nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = torch.nn.Linear(256 * 6 * 6, 4096)
        self.fc7 = torch.nn.Linear(4096, 4096)
        self.fc8 = torch.nn.Linear(4096, 1000)

    def forward(self, x):
        # The paper's alpha multiplies the sum over 5 channels, PyTorch's the mean.
        norm = lambda x: F.local_response_norm(x, 5, alpha=5 * 1e-4, beta=0.75, k=2.0)
        pool = lambda x: F.max_pool2d(x, 3, 2)
        x = pool(norm(self.conv1(F.pad(x, (0, 3, 0, 3))).relu()))
        x = pool(norm(self.conv2(x).relu()))
        x = self.conv3(x).relu()
        x = self.conv4(x).relu()
        x = pool(self.conv5(x).relu()).flatten(1)
        # Dropout at test: the outputs of fc6 and fc7 times 0.5.
        x = 0.5 * self.fc6(x).relu()
        x = 0.5 * self.fc7(x).relu()
        return self.fc8(x)


class Caffe(Paper):
    """Caffe's bvlc_alexnet (models/bvlc_alexnet/deploy.prototxt): 227 x 227 pixels, k = 1, alpha on the mean, pooling
    that rounds up, dropout that does nothing at test."""

    def forward(self, x):
        norm = lambda x: F.local_response_norm(x, 5, alpha=1e-4, beta=0.75, k=1.0)
        pool = lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True)
        x = pool(norm(self.conv1(x).relu()))
        x = pool(norm(self.conv2(x).relu()))
        x = self.conv3(x).relu()
        x = self.conv4(x).relu()
        x = pool(self.conv5(x).relu()).flatten(1)
        return self.fc8(self.fc7(self.fc6(x).relu()).relu())


def seed_network():
    """The network of the Keras notebook that this project grew from, up to the logits."""
    layers = keras.layers
    conv = lambda filters, size, stride=1: layers.Conv2D(filters, size, stride, padding="same", activation="relu")
    return keras.Sequential([
        keras.Input((224, 224, 3)),
        conv(96, 11, 4),
        layers.MaxPooling2D(3, 2),
        conv(256, 5),
        layers.MaxPooling2D(3, 2),
        conv(384, 3),
        conv(384, 3),
        conv(256, 3),
        layers.MaxPooling2D(3, 2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(4096, activation="relu"),
        layers.Dropout(0.5),
        layers.Dense(4096, activation="relu"),
        layers.Dense(1000),
    ])


def from_torch(name, network, bound, side=224):
    network = network.double().eval()
    Weights().network(network, (256, 6, 6))
    with torch.no_grad():
        put(name, network(torch.from_numpy(images(bound, side)).double().permute(0, 3, 1, 2)).numpy())


def from_keras(name, network, bound):
    weights = Weights()
    for layer in network.layers:
        if not layer.weights:
            continue
        shape = layer.kernel.shape
        if len(shape) == 4:
            kh, kw, inputs, out = shape
            kernel = weights.weight(out, kh, kw, inputs).permute(1, 2, 3, 0)
        else:
            kernel = weights.weight(shape[1], shape[0]).T
        layer.set_weights([kernel.numpy(), weights.bias(shape[-1]).numpy()])
    put(name, network(images(bound).astype(np.float64), training=False).numpy())


def put(name, values):
    assert values.shape == (IMAGES, 1000)
    print(f"{name}: largest logit {np.abs(values).max():.2f}, images differ by {np.ptp(values, 0).max():.2f}")
    logits[name] = values.astype(np.float32)


torch.set_num_threads(2)
keras.config.set_floatx("float64")
from_torch("one-weird-trick", torchvision.models.alexnet(), 1.0)
from_torch("paper", Paper(), 128.0)
from_torch("caffe", Caffe(), 128.0, side=227)
from_keras("keras", seed_network(), 1.0)

versions = (
    f"PyTorch {torch.__version__.split('+')[0]}, torchvision {torchvision.__version__.split('+')[0]}, "
    f"Keras {keras.__version__}, TensorFlow {sys.modules['tensorflow'].__version__}, NumPy {np.__version__}"
)
target = Path(__file__).with_name("full_size.safetensors")
save_file(logits, target, {"made_with": f"{versions}, by layers/tests/golden/full_size.py"})
print(f"{target.stat().st_size} bytes, {versions}")

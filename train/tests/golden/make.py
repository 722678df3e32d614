"""Makes training.safetensors: ten training steps of two small networks, as PyTorch and Keras take them.

Run:       python make.py        (in any folder; the file is written next to this one)
Needs:     torch 2.15, keras 3.15 on tensorflow 2.21, numpy, safetensors 0.8 (the versions used are in the file's
           metadata)
Read by:   ../golden.rs, with the networks of paper.toml and keras.toml

Twenty images in batches of four, in order, twice. `paper` is trained as section 5 of the paper writes it, with the
rate divided by ten after step 5; `keras` with Keras' own fit and Adam. All is float64; images and first weights are
rounded to float32 before. For each network the file holds `loss` (of each batch, before its step), `rate` and
`STEP/PARAMETER`: all weights before step 1 (STEP 0) and after each, in this project's layouts (NHWC images,
convolution weights [out, kh, kw, in / groups], linear weights [out, in] after a flatten in the order height, width,
channels).
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import torch
import torch.nn.functional as F
import torch._dynamo  # torch.optim loads it, and after Keras LLVM's options are registered twice: abort
from safetensors.numpy import save_file

import keras

STEPS, BATCH, IMAGES, CLASSES = 10, 4, 20, 10
random = np.random.default_rng(2012)
images = random.standard_normal((IMAGES, 20, 20, 3)).astype(np.float32)
labels = random.integers(0, CLASSES, IMAGES)
tensors = {"pictures": images, "labels": labels.astype(np.uint32)}


def first(*shape, deviation):
    return (random.standard_normal(shape) * deviation).astype(np.float32)


def constant(n, value):
    return np.full(n, value, np.float32)


def put(network, step, weights):
    for name, value in weights.items():
        tensors[f"{network}/{step}/{name}"] = np.array(value, order="C")


def batch(step):
    start = step * BATCH % IMAGES
    return slice(start, start + BATCH)


# A small network as the paper's -----------------------------------------------------------------------------------

MOMENTUM, DECAY = 0.9, 0.0005
rates = [0.02] * 5 + [0.002] * 5


def paper_forward(w, x):
    x = F.pad(x.permute(0, 3, 1, 2), (0, 3, 0, 3))
    x = F.conv2d(x, w["conv1.weight"].permute(0, 3, 1, 2), w["conv1.bias"], stride=2).relu()
    # PyTorch divides alpha by the size; the paper does not. A larger one than the paper's 1e-4, so that it matters.
    norm = lambda x: F.local_response_norm(x, 5, alpha=5 * 0.05, beta=0.75, k=2.0)
    x = F.max_pool2d(norm(x), 3, 2)
    x = F.conv2d(x, w["conv2.weight"].permute(0, 3, 1, 2), w["conv2.bias"], padding=1, groups=2).relu()
    x = norm(x).permute(0, 2, 3, 1).flatten(1)
    x = F.linear(x, w["fc3.weight"], w["fc3.bias"]).relu()
    return F.linear(x, w["fc4.weight"], w["fc4.bias"])


def paper_loss(weights, step):
    x = torch.tensor(images[batch(step)], dtype=torch.float64)
    return F.cross_entropy(paper_forward(weights, x), torch.tensor(labels[batch(step)]))


def leaves(weights):
    return {name: torch.tensor(w, dtype=torch.float64, requires_grad=True) for name, w in weights.items()}


def train_as_the_paper(start):
    w = leaves(start)
    v = {name: torch.zeros_like(value) for name, value in w.items()}
    losses, path = [], [snapshot(w)]
    for step, epsilon in enumerate(rates):
        loss = paper_loss(w, step)
        g = dict(zip(w, torch.autograd.grad(loss, list(w.values()))))
        with torch.no_grad():
            for name in w:
                v[name] = MOMENTUM * v[name] - DECAY * epsilon * w[name] - epsilon * g[name]
                w[name] += v[name]
        losses.append(loss.item())
        path.append(snapshot(w))
    return losses, path


def train_with_torch(start, rescale):
    """torch.optim.SGD keeps the rate outside its velocity. As long as the rate stays the same that is the paper's step;
    when it changes, it is once the velocity is scaled by old rate / new rate."""
    w = leaves(start)
    optimizer = torch.optim.SGD(w.values(), lr=rates[0], momentum=MOMENTUM, weight_decay=DECAY)
    path = [snapshot(w)]
    for step, rate in enumerate(rates):
        group = optimizer.param_groups[0]
        if rescale and rate != group["lr"]:
            for state in optimizer.state.values():
                state["momentum_buffer"] *= group["lr"] / rate
        group["lr"] = rate
        optimizer.zero_grad()
        paper_loss(w, step).backward()
        optimizer.step()
        path.append(snapshot(w))
    return path


def snapshot(weights):
    return {name: value.detach().numpy().copy() for name, value in weights.items()}


def distance(a, b):
    return max(np.abs(a[name] - b[name]).max() for name in a)


start = {
    "conv1.weight": first(8, 5, 5, 3, deviation=0.1),
    "conv1.bias": constant(8, 0),
    "conv2.weight": first(8, 3, 3, 4, deviation=0.1),
    "conv2.bias": constant(8, 1),
    "fc3.weight": first(8, 4 * 4 * 8, deviation=0.1),
    "fc3.bias": constant(8, 1),
    "fc4.weight": first(CLASSES, 8, deviation=0.1),
    "fc4.bias": constant(CLASSES, 0),
}
losses, path = train_as_the_paper(start)
tensors["paper/loss"], tensors["paper/rate"] = np.array(losses), np.array(rates)
for step, weights in enumerate(path):
    put("paper", step, weights)

plain, rescaled = train_with_torch(start, rescale=False), train_with_torch(start, rescale=True)
assert max(distance(a, b) for a, b in zip(path[:6], plain[:6])) < 1e-14, "equal while the rate is"
assert max(distance(a, b) for a, b in zip(path, rescaled)) < 1e-14, "equal once the velocity is rescaled"
assert distance(path[-1], plain[-1]) > 1e-4, "not equal without"
print("paper: losses", " ".join(f"{loss:.4f}" for loss in losses))
print(f"       torch.optim.SGD differs by {distance(path[5], plain[5]):.0e} before the rate drops, "
      f"{distance(path[-1], plain[-1]):.0e} at the end, {distance(path[-1], rescaled[-1]):.0e} with its velocity rescaled")

# A small network as the seed's ------------------------------------------------------------------------------------

keras.config.set_floatx("float64")
RATE = 0.002
network = keras.Sequential([
    keras.Input((20, 20, 3)),
    keras.layers.Conv2D(6, 5, 2, padding="same", activation="relu", name="conv1"),
    keras.layers.MaxPooling2D(3, 2, padding="valid"),
    keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv2"),
    keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="conv3"),
    keras.layers.MaxPooling2D(2, 2),
    keras.layers.Flatten(),
    keras.layers.Dense(16, activation="relu", name="fc4"),
    keras.layers.Dense(CLASSES, activation="softmax", name="fc5"),
])
for layer in network.layers:
    if layer.weights:
        kernel = first(*layer.kernel.shape, deviation=np.sqrt(2 / np.prod(layer.kernel.shape[:-1])))
        layer.set_weights([kernel, constant(kernel.shape[-1], 0)])


def keras_weights():
    weights = {}
    for layer in network.layers:
        if layer.weights:
            kernel, bias = layer.get_weights()
            # [kh, kw, in, out] and [in, out]: the last axis becomes the first.
            weights[f"{layer.name}.weight"], weights[f"{layer.name}.bias"] = np.moveaxis(kernel, -1, 0), bias
    return weights


class Record(keras.callbacks.Callback):
    """The loss before and the weights after each step."""

    def __init__(self):
        super().__init__()
        self.losses, self.path, self.means = [], [keras_weights()], []

    def on_train_batch_begin(self, index, logs=None):
        now = batch(len(self.losses))
        probabilities = network(images[now].astype(np.float64), training=True).numpy()
        self.losses.append(-np.log(probabilities[np.arange(BATCH), labels[now]]).mean())

    def on_train_batch_end(self, index, logs=None):
        self.path.append(keras_weights())
        self.means.append(logs["loss"])


record = Record()
# Keras' defaults. Given as Python's floats, its bias correction would round them to float32 first, whatever the
# precision of the weights: 1 - 0.999 is then off by 1e-5, and the first step by 7e-6.
betas = {"beta_1": np.float64(0.9), "beta_2": np.float64(0.999)}
adam = keras.optimizers.Adam(RATE, **betas)
network.compile(adam, "categorical_crossentropy", metrics=["accuracy"], jit_compile=False)
targets = np.eye(CLASSES)[labels]
network.fit(images.astype(np.float64), targets, BATCH, 2, verbose=0, shuffle=False, callbacks=[record])
assert len(record.path) == STEPS + 1 and len(record.losses) == STEPS
# Keras logs the mean of an epoch's losses so far.
assert np.allclose(record.means[4], np.mean(record.losses[:5]), rtol=1e-6), (record.means, record.losses)
assert np.allclose(record.means[9], np.mean(record.losses[5:]), rtol=1e-6), (record.means, record.losses)
tensors["keras/loss"], tensors["keras/rate"] = np.array(record.losses), np.full(STEPS, RATE)
for step, weights in enumerate(record.path):
    assert all(w.dtype == np.float64 for w in weights.values())
    put("keras", step, weights)
print("keras: losses", " ".join(f"{loss:.4f}" for loss in record.losses))
# Adam's state must be float64 too, or the last digits are not.
assert all(str(v.dtype) in ("float64", "int64") for v in network.optimizer.variables), network.optimizer.variables

versions = (
    f"PyTorch {torch.__version__.split('+')[0]}, Keras {keras.__version__}, "
    f"TensorFlow {sys.modules['tensorflow'].__version__}, NumPy {np.__version__}"
)
target = Path(__file__).with_name("training.safetensors")
save_file(tensors, target, {"made_with": f"{versions}, by train/tests/golden/make.py"})
print(f"{target.stat().st_size} bytes, {versions}")

"""Compares this crate with ONNX' checker, ONNX Runtime and, for Caffe, with a network in numpy.

Requirements: onnx==1.20.0 onnxruntime==1.32.0 numpy==2.4.6 protobuf==7.36.2; for part 3 also torch==2.15.0
torchvision==0.29.2 onnxscript==0.7.2
Run: python onnx_caffe.py path/to/examples/logits [FOLDER] [--full] [--part=N]

1. Every preset and an odd network are written as ONNX: valid by onnx.checker, logits of ONNX Runtime within 1e-4 of ours;
   read again, the weights are the same bit for bit. With --full all have 1000 classes.
2. Graphs made with onnx.helper: our logits are ONNX Runtime's within 1e-4.
3. If torch is there: networks through both of its exporters, with fixed and open axes.
4. A .caffemodel in both kinds of messages: our logits are numpy's within 1e-4, and a preset is recognised.
Exits with 1 on the first difference.
"""

import pathlib
import subprocess
import sys
import tempfile

# This file's folder holds a torch.py and a keras.py, which are not the modules.
HERE = pathlib.Path(__file__).resolve().parent
sys.path = [path for path in sys.path if pathlib.Path(path or ".").resolve() != HERE]

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

FULL = "--full" in sys.argv
PARTS = [int(argument[-1]) for argument in sys.argv if argument.startswith("--part=")] or [1, 2, 3, 4]
ARGUMENTS = [argument for argument in sys.argv[1:] if not argument.startswith("--")]
LOGITS = pathlib.Path(ARGUMENTS[0] if ARGUMENTS else "logits").resolve()
TOLERANCE = 1e-4
CROPS = {
    "paper": 224, "source": 224, "caffe": 227, "caffenet": 227, "one-weird-trick": 224, "keras": 224, "cifar-18pct": 32,
    "cifar-relu": 32, "cifar-tanh": 32, "linear": 32,
}  # fmt: skip
RANDOM = np.random.default_rng(1)


def ours(folder, source, images, *saved):
    """The logits of the example for images [n, 3, height, width], and its notes."""
    np.ascontiguousarray(images.transpose(0, 2, 3, 1), dtype="<f4").tofile(folder / "images.f32")
    command = [LOGITS, str(source), folder / "images.f32", folder / "logits.f32", *saved]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, f"{source}: {done.stderr}"
    return np.fromfile(folder / "logits.f32", "<f4").reshape(len(images), -1), done.stderr


def runtime(path, images):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: images.astype("f4")})
    return output.reshape(len(images), -1)


def compare(name, theirs, found):
    assert theirs.shape == found.shape, f"{name}: {theirs.shape} and {found.shape}"
    assert np.isfinite(found).all() and found.std() > 0, f"{name}: no logits"
    error = np.abs(theirs - found).max() / np.abs(theirs).max()
    print(f"{name}: largest difference {error:.1e} of the largest logit")
    assert error < TOLERANCE, f"{name}: {error}"


def pixels(count, size, scale=1.0):
    return (RANDOM.random((count, 3, size, size), dtype="f4") - 0.5) * scale


def initializers(path):
    graph = onnx.load(path).graph
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def written(folder):
    """Part 1."""
    for preset, crop in CROPS.items():
        classes = 1000 if FULL else 7
        path = folder / f"{preset}.onnx"
        again = folder / "again.onnx"
        # Pixels of 0 to 255 less a mean, so that normalisations do something.
        images = pixels(3, crop, 255.0)
        found, _ = ours(folder, f"preset:{preset}:{classes}", images, path)
        onnx.checker.check_model(path, full_check=True)
        compare(f"{preset}.onnx", runtime(path, images), found)
        same, notes = ours(folder, path, images, again)
        assert notes == "", notes
        assert np.array_equal(same, found), f"{preset}: other logits from its own ONNX"
        assert path.read_bytes() == again.read_bytes(), f"{preset}: other bytes the second time"
        strip_metadata(path, again)
        same, _ = ours(folder, again, images)
        assert np.abs(same - found).max() <= 1e-5 * np.abs(found).max(), f"{preset}: other logits without metadata"
        for unused in (path, again):
            unused.unlink()


def strip_metadata(path, to):
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, to)


class Graph:
    """A chain of nodes on images."""

    def __init__(self, size, channels_last=False):
        shape = ["n", size, size, 3] if channels_last else ["n", 3, size, size]
        self.input = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        self.nodes, self.weights, self.last = [], [], "input"

    def weight(self, name, *shape, values=None):
        if values is None:
            values = RANDOM.standard_normal(shape) * (2 / max(np.prod(shape[1:]), 1)) ** 0.5
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype="f4"), name))
        return name

    def ints(self, name, *values):
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype="i8"), name))
        return name

    def node(self, operator, *others, first=None, output=None, **attributes):
        output = output or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [first or self.last, *others], [output], **attributes))
        self.last = output
        return output

    def save(self, path, opset=17, ir_version=8):
        output = helper.make_tensor_value_info(self.last, TensorProto.FLOAT, ["n", "classes"])
        graph = helper.make_graph(self.nodes, "graph", [self.input], [output], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def conv_and_norm():
    g = Graph(23)
    g.node("Conv", g.weight("w1", 8, 3, 5, 5), g.weight("b1", 8), strides=[2, 2], auto_pad="SAME_UPPER")
    g.node("Relu")
    g.node("LRN", size=5, alpha=0.01, beta=0.75, bias=2.0)
    g.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    g.node("Conv", g.weight("w2", 6, 4, 3, 3), group=2, pads=[1, 1, 1, 1])
    g.node("BatchNormalization", *(g.weight(n, 6) for n in ("g", "b", "m")), g.weight("v", 6, values=np.full(6, 0.7)))
    g.node("Tanh")
    g.node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1)
    g.node("Flatten")
    g.node("Gemm", g.weight("w3", 9, 54), g.weight("b3", 9), transB=1, alpha=0.5, beta=2.0)
    g.node("Sigmoid")
    g.node("MatMul", g.weight("w4", 9, 5))
    g.node("Add", g.weight("b4", 5))
    return g


def channels_last():
    g = Graph(6, channels_last=True)
    g.node("Transpose", perm=[0, 3, 1, 2])
    g.node("Pad", g.ints("pads", 0, 0, 2, 1, 0, 0, 2, 1))
    g.node("Conv", g.weight("w1", 8, 3, 5, 3))
    g.node("Add", g.weight("b1", 1, 8, 1, 1))
    g.node("Relu")
    g.node("Transpose", perm=[0, 2, 3, 1])
    shape = g.node("Shape", output="shape")
    g.node("Slice", g.ints("zero", 0), g.ints("one", 1), first=shape, output="batch")
    g.node("Concat", g.ints("rest", -1), first="batch", output="target", axis=0)
    g.node("Reshape", "target", first="v5")
    g.node("MatMul", g.weight("w2", 6 * 6 * 8, 5))
    g.node("Add", g.weight("b2", 5))
    return g


def parts():
    g = Graph(9)
    g.node("Conv", g.weight("w0", 6, 3, 1, 1))
    g.nodes.append(helper.make_node("Split", ["v0", g.ints("sizes", 3, 3)], ["a", "b"], axis=1))
    for part in "ab":
        g.node("Conv", g.weight(f"w{part}", 4, 3, 3, 3), g.weight(f"b{part}", 4), first=part, output=f"c{part}")
    g.node("Concat", "cb", first="ca", axis=1)
    squares = g.node("Mul", "v4", first="v4")
    g.node("Unsqueeze", g.ints("axis", 1), first=squares)
    g.node("AveragePool", kernel_shape=[4, 1, 1], pads=[2, 0, 0, 1, 0, 0], count_include_pad=1)
    g.node("Squeeze", "axis")
    g.node("Mul", g.weight("alpha", values=0.1))
    g.node("Add", g.weight("k", values=1.5))
    divisor = g.node("Pow", g.weight("beta", values=0.6))
    g.node("Div", divisor, first="v4")
    g.node("ReduceMean", axes=[2, 3], keepdims=0)
    g.node("Gemm", g.weight("w2", 8, 5))
    return g


def outside_pool():
    g = Graph(10)
    g.node("Conv", g.weight("w0", 6, 3, 1, 1))
    g.node("Pad", g.ints("pads", 0, 0, 1, 1, 0, 0, 1, 1))
    g.node("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])
    g.node("Relu")
    g.node("Pad", "pads")
    g.node("MaxPool", kernel_shape=[3, 3], strides=[2, 2])
    g.node("Mul", g.weight("half", values=0.5))
    g.node("GlobalAveragePool")
    g.node("Flatten")
    g.node("Gemm", g.weight("w2", 6, 5))
    return g


BY_HAND = (conv_and_norm, channels_last, parts, outside_pool)


def made_by_hand(folder):
    """Part 2."""
    for make in BY_HAND:
        g = make()
        path = folder / f"{make.__name__}.onnx"
        g.save(path)
        size = g.input.type.tensor_type.shape.dim[2].dim_value
        images = pixels(4, size, 3.0)
        given = images.transpose(0, 2, 3, 1) if make is channels_last else images
        compare(make.__name__, runtime(path, given), ours(folder, path, images)[0])
    for opset in (11, 13, 15, 18, 21, 22):
        g = conv_and_norm()
        path = folder / f"operators-{opset}.onnx"
        g.save(path, opset, 10)
        images = pixels(4, 23, 3.0)
        compare(path.name, runtime(path, images), ours(folder, path, images)[0])


def exported(folder):
    """Part 3."""
    try:
        import torch
        import torchvision
    except ImportError:
        print("torch is not there: its exporters are not tried")
        return
    from torch import nn

    torch.manual_seed(1)
    normalised = nn.Sequential(
        nn.Conv2d(3, 12, 5, 2, 2), nn.ReLU(), nn.LocalResponseNorm(5, 1e-2, 0.75, 2.0), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(12, 16, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(16), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Dropout(), nn.Linear(16 * 4 * 4, 20), nn.Sigmoid(), nn.Linear(20, 6),
    )  # fmt: skip
    pooled = nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 6), nn.Softmax(1)
    )
    alexnet = torchvision.models.alexnet(num_classes=1000 if FULL else 7)
    for name, network, size in (("normalised", normalised, 33), ("pooled", pooled, 16), ("alexnet", alexnet, 224)):
        network.eval()
        images = pixels(2, size, 3.0)
        with torch.no_grad():
            logits = network[:-1] if name == "pooled" else network
            theirs = logits(torch.from_numpy(images)).numpy()
        for dynamo in (False, True):
            for open_axes in (False, True):
                path = folder / f"{name}-{dynamo}-{open_axes}.onnx"
                how = {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
                how = how if open_axes else {}
                example = (torch.from_numpy(images),)
                torch.onnx.export(network, example, path, input_names=["x"], dynamo=dynamo, verbose=False, **how)
                found, notes = ours(folder, path, images)
                compare(path.name, theirs, found)
                if name == "alexnet":
                    assert notes == "", f"{path.name} is not recognised: {notes}"


def blob(caffe, name, values, old):
    message = caffe.BlobProto(data=values.ravel().tolist())
    if old:
        axes = [1] * (4 - values.ndim) + list(values.shape)
        message.num, message.channels, message.height, message.width = axes
    else:
        message.shape.dim.extend(values.shape)
    return message


def caffe_messages():
    """Classes for the messages in caffe.proto, which is read here as the text that it is."""
    import re

    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    text = re.sub(r"//.*", "", (HERE / "../../src/caffe/caffe.proto").read_text())
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto
    kinds = {"int64": 3, "int32": 5, "uint32": 13, "float": 2, "double": 1, "bool": 8, "string": 9}
    for name, body in re.findall(r"message (\w+) \{(.*?)\}", text, re.S):
        message = file.message_type.add(name=name)
        for label, kind, named, number, options in re.findall(r"(\w+) (\w+) (\w+) = (\d+)(.*?);", body):
            entry = message.field.add(name=named, number=int(number))
            entry.label = field.LABEL_REPEATED if label == "repeated" else field.LABEL_OPTIONAL
            if kind in kinds:
                entry.type = kinds[kind]
            else:
                entry.type, entry.type_name = field.TYPE_MESSAGE, f".caffe.{kind}"
            if "packed" in options:
                entry.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = [message.name for message in file.message_type]
    classes = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in names}
    return type("caffe", (), classes)


KINDS_OF_2014 = {"Convolution": 4, "Data": 5, "Dropout": 6, "InnerProduct": 14, "LRN": 15, "Pooling": 17, "ReLU": 18,
                 "SoftmaxWithLoss": 21}  # fmt: skip


def convolve(x, weight, bias, stride, pad, groups):
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    kernel = weight.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride]
    parts = []
    for group, kernels in enumerate(np.split(weight, groups)):
        depth = weight.shape[1]
        part = windows[:, group * depth : (group + 1) * depth]
        parts.append(np.tensordot(part, kernels, ([1, 4, 5], [1, 2, 3])).transpose(0, 3, 1, 2))
    return np.concatenate(parts, 1) + bias[None, :, None, None]


def max_pool(x, kernel, stride):
    """Caffe's, which rounds the number of windows up."""
    count = -(-(x.shape[2] - kernel) // stride) + 1
    beyond = (count - 1) * stride + kernel - x.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (0, beyond), (0, beyond)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))[:, :, ::stride, ::stride].max((4, 5))


def response_norm(x, size, alpha, beta):
    squares = np.pad(x * x, ((0, 0), (size // 2, size // 2), (0, 0), (0, 0)))
    sums = sum(squares[:, i : i + x.shape[1]] for i in range(size))
    return x / (1 + alpha / size * sums) ** beta


class CaffeNet:
    """A network in Caffe's messages, and what it computes."""

    def __init__(self, caffe, name, crop, old):
        self.caffe, self.old = caffe, old
        self.net = caffe.NetParameter(name=name)
        self.last, self.steps, self.crop = "data", [], crop
        transform = caffe.TransformationParameter(crop_size=crop, mean_file="mean.binaryproto")
        self.add("data", "Data", [], transform_param=transform)

    def add(self, name, kind, blobs, in_place=False, **settings):
        blobs = [blob(self.caffe, name, values, self.old) for values in blobs]
        bottom, top = ([], ["data", "label"]) if kind == "Data" else ([self.last], [self.last if in_place else name])
        if self.old:
            kind = KINDS_OF_2014[kind]
            layer = self.net.layers.add(name=name, bottom=bottom, top=top, type=kind, blobs_lr=[1, 2], weight_decay=[1, 0])
        else:
            layer = self.net.layer.add(name=name, bottom=bottom, top=top, type=kind)
        layer.blobs.extend(blobs)
        for key, value in settings.items():
            getattr(layer, key).CopyFrom(value)
        self.last = top[0]

    def conv(self, name, channels, filters, kernel, stride=1, pad=0, groups=1):
        shape = (filters, channels // groups, kernel, kernel)
        weight = (RANDOM.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5).astype("f4")
        bias = RANDOM.standard_normal(filters).astype("f4")
        numbers = dict(num_output=filters, kernel_size=[kernel], stride=[stride], pad=[pad], group=groups)
        self.add(name, "Convolution", [weight, bias], convolution_param=self.caffe.ConvolutionParameter(**numbers))
        self.steps.append(lambda x: convolve(x, weight, bias, stride, pad, groups))

    def linear(self, name, inputs, units):
        weight = (RANDOM.standard_normal((units, inputs)) * (2 / inputs) ** 0.5).astype("f4")
        bias = RANDOM.standard_normal(units).astype("f4")
        settings = self.caffe.InnerProductParameter(num_output=units)
        self.add(name, "InnerProduct", [weight, bias], inner_product_param=settings)
        self.steps.append(lambda x: x.reshape(len(x), -1) @ weight.T + bias)

    def relu(self, name):
        self.add(name, "ReLU", [], in_place=True)
        self.steps.append(lambda x: np.maximum(x, 0))

    def norm(self, name, alpha=1e-4):
        self.add(name, "LRN", [], lrn_param=self.caffe.LRNParameter(local_size=5, alpha=alpha, beta=0.75))
        self.steps.append(lambda x: response_norm(x, 5, alpha, 0.75))

    def pool(self, name):
        self.add(name, "Pooling", [], pooling_param=self.caffe.PoolingParameter(pool=0, kernel_size=3, stride=2))
        self.steps.append(lambda x: max_pool(x, 3, 2))

    def dropout(self, name):
        self.add(name, "Dropout", [], in_place=True, dropout_param=self.caffe.DropoutParameter(dropout_ratio=0.5))

    def save(self, path):
        self.add("loss", "SoftmaxWithLoss", [])
        path.write_bytes(self.net.SerializeToString())

    def __call__(self, x):
        for step in self.steps:
            x = step(x)
        return x


def alexnet(caffe, pool_first, old):
    net = CaffeNet(caffe, "CaffeNet" if pool_first else "AlexNet", 227, old)

    def norm_and_pool(n):
        for layer in (net.pool, net.norm) if pool_first else (net.norm, net.pool):
            layer(f"{'pool' if layer == net.pool else 'norm'}{n}")

    net.conv("conv1", 3, 96, 11, stride=4)
    net.relu("relu1")
    norm_and_pool(1)
    net.conv("conv2", 96, 256, 5, pad=2, groups=2)
    net.relu("relu2")
    norm_and_pool(2)
    net.conv("conv3", 256, 384, 3, pad=1)
    net.relu("relu3")
    net.conv("conv4", 384, 384, 3, pad=1, groups=2)
    net.relu("relu4")
    net.conv("conv5", 384, 256, 3, pad=1, groups=2)
    net.relu("relu5")
    net.pool("pool5")
    for name, inputs in (("6", 9216), ("7", 4096)):
        net.linear(f"fc{name}", inputs, 4096)
        net.relu(f"relu{name}")
        net.dropout(f"drop{name}")
    net.linear("fc8", 4096, 1000 if FULL else 7)
    return net


def small(caffe, old):
    net = CaffeNet(caffe, "small", 24, old)
    net.conv("first", 3, 8, 5, stride=2, pad=1)
    net.relu("relu_first")
    net.norm("norm", alpha=0.05)
    net.pool("pool")
    net.conv("second", 8, 6, 3, groups=2)
    net.linear("out", 6 * 3 * 3, 5)
    return net


def caffe(folder):
    """Part 4."""
    messages = caffe_messages()
    for old in (False, True):
        nets = {"small": small(messages, old), "caffe": alexnet(messages, False, old)}
        nets["caffenet"] = alexnet(messages, True, old)
        for preset, net in nets.items():
            path = folder / f"{preset}.caffemodel"
            net.save(path)
            images = pixels(2, net.crop, 255.0)
            saved = folder / "converted.onnx"
            found, _ = ours(folder, path, images, saved)
            compare(f"{path.name} ({'layers' if old else 'layer'})", net(images), found)
            model = dict((entry.key, entry.value) for entry in onnx.load(saved).metadata_props)["alexnet.model"]
            expected = f'name = "{preset}"'
            assert model.startswith(expected), f"{path.name}: {model[:60]}, expected {expected}"
            path.unlink()


def main():
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(ARGUMENTS[1] if len(ARGUMENTS) > 1 else temporary)
        folder.mkdir(exist_ok=True)
        for part in PARTS:
            [written, made_by_hand, exported, caffe][part - 1](folder)
    print("all the same")


if __name__ == "__main__":
    main()

"""Makes the files of this folder and of ../caffe, and logits.json: what ONNX Runtime, torch and numpy compute with them.

Requirements: onnx==1.20.0 onnxruntime==1.32.0 numpy==2.4.6 protobuf==7.36.2 torch==2.15.0 onnxscript==0.7.2
Run: python make.py

The image of each is ((7 c + 5 y + 3 x) mod 11 - 5) / 4 at channel c, row y, column x.
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "frameworks"))

import onnx_caffe as frameworks

import numpy as np
import onnx
import torch
from torch import nn


def image(size):
    c, y, x = np.ogrid[:3, :size, :size]
    return (((7 * c + 5 * y + 3 * x) % 11 - 5) / 4).astype("f4")[None]


def without_traces(path):
    """Leaves out where the exporter was called from."""
    model = onnx.load(path)
    for part in (model, *model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    onnx.save(model, path)


def main():
    logits = {}

    def keep(name, values):
        logits[name] = [float(value) for value in values.ravel()]

    for make in frameworks.BY_HAND:
        g = make()
        path = HERE / f"{make.__name__}.onnx"
        g.save(path)
        given = image(g.input.type.tensor_type.shape.dim[2].dim_value)
        given = given.transpose(0, 2, 3, 1) if make is frameworks.channels_last else given
        keep(path.name, frameworks.runtime(path, given))
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Conv2d(3, 6, 5, 2, 2), nn.ReLU(), nn.LocalResponseNorm(5, 1e-2, 0.75, 2.0), nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(6, 4, 3, padding=1, groups=2, bias=False), nn.BatchNorm2d(4), nn.Tanh(), nn.AvgPool2d(2),
        nn.Flatten(), nn.Dropout(), nn.Linear(16, 5),
    ).eval()  # fmt: skip
    for name, dynamo in (("torchscript", False), ("dynamo", True)):
        path = HERE / f"{name}.onnx"
        how = {"dynamic_shapes": ({0: torch.export.Dim("n")},)} if dynamo else {"dynamic_axes": {"x": {0: "n"}}}
        example = (torch.from_numpy(np.repeat(image(17), 2, 0)),)
        torch.onnx.export(
            network, example, path, input_names=["x"], dynamo=dynamo, external_data=False, verbose=False, **how
        )
        without_traces(path)
        with torch.no_grad():
            keep(path.name, network(torch.from_numpy(image(17))).numpy())
    messages = frameworks.caffe_messages()
    for old in (False, True):
        net = frameworks.small(messages, old)
        path = HERE.parent / "caffe" / f"{'layers' if old else 'layer'}.caffemodel"
        net.save(path)
        keep(path.name, net(image(net.crop)))
    values = np.arange(3 * 4 * 4, dtype="f4") * 5
    mean = messages.BlobProto(num=1, channels=3, height=4, width=4, data=values.tolist())
    (HERE.parent / "caffe" / "mean.binaryproto").write_bytes(mean.SerializeToString())
    np.save(HERE.parent / "caffe" / "mean.npy", values.reshape(3, 4, 4).astype("f8"))
    (HERE / "logits.json").write_text(json.dumps(logits, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Images a second of one network in PyTorch: torch_speed.py MODEL train|predict BATCH THREADS SECONDS [PRECISION].

The counterpart of `alexnet bench`: the same work, channels_last, one line of JSON. PRECISION is f32, bf16 by
autocast, or int8: dynamic quantization of the fully connected layers, for prediction.
"""
import contextlib
import sys

import torch
from torch import nn

import networks
import timing


def main():
    name, work, batch, threads, seconds, *precision = sys.argv[1:]
    batch, threads, seconds = int(batch), int(threads), float(seconds)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    net = networks.build(name).to(memory_format=torch.channels_last)
    x = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
    labels = torch.arange(batch) % 1000
    sgd = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    net.train(work == "train")
    in_precision = contextlib.nullcontext
    if precision == ["int8"]:
        if work != "predict":
            sys.exit("int8 is for prediction")
        net = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    if precision == ["bf16"]:
        in_precision = lambda: torch.autocast("cpu", torch.bfloat16)

    def step():
        if work != "train":
            with torch.inference_mode(), in_precision():
                return net(x)
        sgd.zero_grad()
        with in_precision():
            loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        sgd.step()
        return loss.item()

    timing.report(step, batch, seconds)


if __name__ == "__main__":
    main()

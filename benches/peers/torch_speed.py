"""Pictures a second of one network in PyTorch: torch_speed.py MODEL train|predict BATCH THREADS SECONDS.

The counterpart of `alexnet bench`: the same work, channels_last, one line of JSON.
"""
import json
import resource
import sys
import time

import torch
from torch import nn

import networks


def main():
    name, work, batch, threads, seconds = sys.argv[1:]
    batch, threads, seconds = int(batch), int(threads), float(seconds)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    net = networks.build(name).to(memory_format=torch.channels_last)
    x = torch.randn(batch, 3, 224, 224).to(memory_format=torch.channels_last)
    labels = torch.arange(batch) % 1000
    sgd = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9, weight_decay=5e-4)
    net.train(work == "train")

    def step():
        if work != "train":
            with torch.inference_mode():
                return net(x)
        sgd.zero_grad()
        loss = nn.functional.cross_entropy(net(x), labels)
        loss.backward()
        sgd.step()
        return loss.item()

    times, begun = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        step()
        times.append(time.perf_counter() - at)
    steady = sorted(times[2:])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"images_per_s": round(batch / steady[len(steady) // 2], 2), "peak_mib": peak}))


if __name__ == "__main__":
    main()

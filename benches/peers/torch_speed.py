"""Pictures a second of one network in PyTorch: torch_speed.py MODEL train|predict BATCH THREADS SECONDS.

The counterpart of ../examples/speed.rs: the same work, channels_last, one line of JSON. Needs torch and torchvision.
"""
import json
import resource
import sys
import time

import torch
import torchvision
from torch import nn


class Paper(nn.Module):
    """The paper's network; alpha is times 5 because PyTorch divides it by the size."""

    def __init__(self):
        super().__init__()
        norm = lambda: nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
        pool = lambda: nn.MaxPool2d(3, 2)
        relu = lambda: nn.ReLU(inplace=True)
        self.features = nn.Sequential(
            nn.ZeroPad2d((0, 3, 0, 3)), nn.Conv2d(3, 96, 11, 4), relu(), norm(), pool(),
            nn.Conv2d(96, 256, 5, padding=2, groups=2), relu(), norm(), pool(),
            nn.Conv2d(256, 384, 3, padding=1), relu(),
            nn.Conv2d(384, 384, 3, padding=1, groups=2), relu(),
            nn.Conv2d(384, 256, 3, padding=1, groups=2), relu(), pool())
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Linear(9216, 4096), relu(), nn.Dropout(), nn.Linear(4096, 4096), relu(), nn.Dropout(),
            nn.Linear(4096, 1000))

    def forward(self, x):
        return self.classifier(self.features(x))


def main():
    name, work, batch, threads, seconds = sys.argv[1:]
    batch, threads, seconds = int(batch), int(threads), float(seconds)
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    net = {"paper": Paper, "one-weird-trick": torchvision.models.alexnet}[name]()
    net = net.to(memory_format=torch.channels_last)
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

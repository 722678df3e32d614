"""PyTorch as gpu.py's peer: a server that answers each line of JSON on standard input with one on standard output.

    {"ask": "versions"}
    {"ask": "ceilings", "precision": "bf16"}
    {"ask": "train", "model": "paper", "precision": "bf16", "way": "graphs nhwc", "batch": 256, "seconds": 1}

A way is how the step is run (eager; compile: torch.compile; graphs: the whole step as one CUDA graph; compile graphs:
both) and how images are laid out (nchw, or nhwc, which PyTorch calls channels_last). f32 runs with TF32 off, tf32 with it
on, bf16 under autocast with weights and optimizer in f32. What fails is answered with {"error": ...}.
"""
import argparse
import json
import statistics
import sys
import time

import torch
from torch import nn

import networks


def precision(name):
    """Sets how products are computed; the context to run forward in."""
    allow = name == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = allow
    torch.backends.cudnn.allow_tf32 = allow
    # Under a CUDA graph autocast must not keep casts of weights from one step for the next.
    return torch.autocast(DEVICE.type, dtype=torch.bfloat16, enabled=name == "bf16", cache_enabled=False)


def synchronize():
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def stretches(call, seconds, queued=64):
    """Seconds a call: the median of stretches of calls, waited for at their ends only."""
    for _ in range(3):
        call()
    synchronize()
    at = time.perf_counter()
    call()
    synchronize()
    once = max(time.perf_counter() - at, 1e-6)
    length = max(1, min(queued, int(seconds / 8 / once)))
    times, begun = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        for _ in range(length):
            call()
        synchronize()
        times.append((time.perf_counter() - at) / length)
    return statistics.median(times)


def optimizer(name, parameters, graphs):
    fused = DEVICE.type == "cuda"
    if name == "keras":
        return torch.optim.Adam(parameters, lr=1e-6, eps=1e-7, fused=fused, capturable=graphs)
    decay = 1e-4 if name == "one-weird-trick" else 5e-4
    return torch.optim.SGD(parameters, lr=1e-6, momentum=0.9, weight_decay=decay, fused=fused)


def captured(step):
    """The step as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def train(model, precision_name, way, batch, seconds):
    """Images a second of forward, loss, backward and update, on noise that stays on the device."""
    *modes, layout = way.split()
    graphs = "graphs" in modes
    if graphs and DEVICE.type != "cuda":
        raise RuntimeError("CUDA graphs need a CUDA device")
    layout = torch.channels_last if layout == "nhwc" else torch.contiguous_format
    torch.manual_seed(1)
    autocast = precision(precision_name)
    network = networks.build(model).to(DEVICE, memory_format=layout).train()
    x = torch.randn(batch, 3, 224, 224, device=DEVICE).to(memory_format=layout)
    labels = torch.arange(batch, device=DEVICE) % 1000
    update = optimizer(model, network.parameters(), graphs)
    forward = torch.compile(network) if "compile" in modes else network

    def step():
        update.zero_grad(set_to_none=True)
        with autocast:
            loss = nn.functional.cross_entropy(forward(x), labels)
        loss.backward()
        update.step()

    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step_s = stretches(captured(step) if graphs else step, seconds)
    peak = torch.cuda.max_memory_reserved() >> 20 if DEVICE.type == "cuda" else None
    return {"images_per_s": batch / step_s, "step_s": step_s, "device_mib": peak}


def ceilings(precision_name):
    """A large product in the precision, and a large elementwise pass in f32."""
    precision(precision_name)
    rows, length = (8192, 1 << 26) if DEVICE.type == "cuda" else (1024, 1 << 22)
    dtype = torch.bfloat16 if precision_name == "bf16" else torch.float32
    a, b = (torch.randn(rows, rows, device=DEVICE, dtype=dtype) for _ in range(2))
    product = stretches(lambda: torch.mm(a, b.t()), 0.3)
    x = torch.randn(length, device=DEVICE)
    y = torch.empty_like(x)
    copy = stretches(lambda: torch.mul(x, 1.5, out=y), 0.3)
    return {"matrix_flops_per_s": 2 * rows**3 / product, "copy_bytes_per_s": 8 * length / copy}


def versions():
    if DEVICE.type != "cuda":
        return {"torch": torch.__version__, "device": "CPU"}
    return {
        "torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(),
        "device": torch.cuda.get_device_name(), "memory_mib": torch.cuda.get_device_properties(0).total_memory >> 20,
    }


def answer(ask, **settings):
    if ask == "versions":
        return versions()
    if ask == "ceilings":
        return ceilings(settings["precision"])
    return train(settings["model"], settings["precision"], settings["way"], settings["batch"], settings["seconds"])


def main():
    for line in sys.stdin:
        try:
            result = answer(**json.loads(line))
        except Exception as error:
            text = str(error).strip().splitlines() or [""]
            result = {"error": f"{type(error).__name__}: {text[0][:200]}"}
        # Free the device's memory for the next measurement.
        torch._dynamo.reset()
        if DEVICE.type == "cuda":
            torch.cuda.empty_cache()
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cuda")
    DEVICE = torch.device(parser.parse_args().device)
    torch.backends.cudnn.benchmark = True
    main()

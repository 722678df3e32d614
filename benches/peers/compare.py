"""Runs ours and PyTorch alternately on the same work and prints a table of medians: compare.py [ROUNDS] [SECONDS].

PyTorch runs with malloc told to keep its memory, so that fresh activations do not cost it page faults.
Build ours first: cargo build --release
"""
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
OURS = TARGET / "release" / "alexnet"
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}
WORK = [
    ("paper", "train", 128), ("paper", "train", 32), ("one-weird-trick", "train", 128),
    ("paper", "predict", 1), ("paper", "predict", 32), ("paper", "predict", 128),
    ("one-weird-trick", "predict", 1), ("one-weird-trick", "predict", 32), ("one-weird-trick", "predict", 128),
]
THREADS = len(os.sched_getaffinity(0))


def measure(command, **env):
    done = subprocess.run([*map(str, command)], env={**os.environ, **env}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def ours(model, work, batch, seconds):
    flags = ["--batch", batch, "--threads", THREADS, "--seconds", seconds, "--device", "cpu", "--json"]
    return measure([OURS, "bench", work, model, *flags])[0]


def theirs(model, work, batch, seconds):
    return measure([sys.executable, HERE / "torch_speed.py", model, work, batch, THREADS, seconds], **KEEP_MEMORY)


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 10
    import torch

    print(f"{datetime.date.today()}, {cpu()}, {THREADS} threads, f32, PyTorch {torch.__version__}, {rounds} rounds\n")
    print("| work | batch | ours, images/s | PyTorch, images/s | ratio | ours, MiB | PyTorch, MiB |")
    print("|---|---|---|---|---|---|---|")
    for model, work, batch in WORK:
        both = [(ours(model, work, batch, seconds), theirs(model, work, batch, seconds)) for _ in range(rounds)]
        a, b = (statistics.median(r["images_per_s"] for r in runs) for runs in zip(*both))
        m, n = (max(r["peak_mib"] for r in runs) for runs in zip(*both))
        print(f"| {work}, `{model}` | {batch} | {a:.1f} | {b:.1f} | {a / b:.2f} | {m} | {n} |", flush=True)


if __name__ == "__main__":
    main()

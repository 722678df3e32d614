"""Runs ours and other frameworks alternately on the same work, prints a table of medians and puts it into ../RESULTS.md.

PyTorch runs with malloc told to keep its memory, so that fresh activations do not cost it page faults; Keras likewise.
Build ours first: cargo build --release
"""
import argparse
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
RESULTS = HERE.parent / "RESULTS.md"
# What the table in RESULTS is between.
BEGIN, END = "<!-- compare.py: begin -->\n", "<!-- compare.py: end -->\n"
OURS = TARGET / "release" / "alexnet"
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}
PACKAGES = {"torch": "torch", "keras": "keras", "tensorflow": "tensorflow-cpu", "onnx": "onnxruntime"}
NAMES = {"torch": "PyTorch", "keras": "Keras", "onnx": "ONNX Runtime"}
ALL = len(os.sched_getaffinity(0))
# Peer, network, work, batch, threads.
WORK = [
    ("torch", "paper", "train", 128, ALL), ("torch", "paper", "train", 32, ALL),
    ("torch", "one-weird-trick", "train", 128, ALL), ("torch", "one-weird-trick", "train", 32, ALL),
    ("keras", "keras", "train", 128, ALL), ("torch", "paper", "train", 128, 1),
    *[("torch", model, "predict", batch, ALL) for model in ("paper", "one-weird-trick") for batch in (1, 32, 128)],
    *[("keras", "keras", "predict", batch, ALL) for batch in (1, 32, 128)],
    *[("onnx", model, "predict", 1, threads) for model in ("paper", "one-weird-trick", "keras") for threads in (ALL, 1)],
]


def arguments():
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("seconds", nargs="?", type=float, default=10, help="seconds a measurement")
    parser.add_argument("--only", default="", help="rows that hold all of these words, e.g. 'torch train'; they are only printed")
    return parser.parse_args()


def measure(command, **env):
    done = subprocess.run([*map(str, command)], env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def ours(model, work, batch, threads, seconds):
    flags = ["--batch", batch, "--threads", threads, "--seconds", seconds, "--device", "cpu", "--json"]
    return measure([OURS, "bench", work, model, *flags])[0]


def theirs(peer, model, work, batch, threads, seconds):
    script = HERE / f"{peer}_speed.py"
    return measure([sys.executable, script, model, work, batch, threads, seconds], **KEEP_MEMORY)


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions():
    for name, package in PACKAGES.items():
        try:
            yield f"{name} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} missing"


def put_into_results(text):
    """Replaces what is between the marks, or fails and leaves the file as it is."""
    before, begin, rest = RESULTS.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        sys.exit(f"{RESULTS} lacks the line {(END if begin else BEGIN).strip()}, between which and its pair the table goes: put both back")
    if text is not None:
        new = RESULTS.with_suffix(".new")
        new.write_text(before + begin + text + end + after)
        new.replace(RESULTS)


def main():
    args = arguments()
    lines = []

    def tell(line):
        lines.append(line)
        print(line, flush=True)

    if not args.only:
        put_into_results(None)  # Before an hour of measuring.
    tell(f"{datetime.date.today()}, {cpu()}, f32, {', '.join(versions())},\n{args.rounds} rounds of {args.seconds:g} s:\n")
    tell("| work | batch | threads | beside | ours, images/s | theirs, images/s | ratio | ours, MiB | theirs, MiB |")
    tell("|---|---|---|---|---|---|---|---|---|")
    for peer, *row in WORK:
        model, work, batch, threads = row
        if not all(word in (peer, *map(str, row)) for word in args.only.split()):
            continue
        both = [(ours(*row, args.seconds), theirs(peer, *row, args.seconds)) for _ in range(args.rounds)]
        a, b = (statistics.median(r["images_per_s"] for r in runs) for runs in zip(*both))
        m, n = (max(r["peak_mib"] for r in runs) for runs in zip(*both))
        tell(f"| {work}, `{model}` | {batch} | {threads} | {NAMES[peer]} | {a:.1f} | {b:.1f} | {a / b:.2f} | {m} | {n} |")
    if not args.only:
        put_into_results("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

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
# The marks around the table of a precision in RESULTS.
MARKS = {
    "f32": ("<!-- compare.py: begin -->\n", "<!-- compare.py: end -->\n"),
    "bf16": ("<!-- compare.py bf16: begin -->\n", "<!-- compare.py bf16: end -->\n"),
    "int8": ("<!-- compare.py int8: begin -->\n", "<!-- compare.py int8: end -->\n"),
}
OURS = TARGET / "release" / "alexnet"
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "67108864",
}
PACKAGES = {
    "torch": "torch", "keras": "keras", "tensorflow": "tensorflow-cpu", "onnx": "onnxruntime", "openvino": "openvino",
    "nncf": "nncf",
}
NAMES = {"torch": "PyTorch", "keras": "Keras", "onnx": "ONNX Runtime", "openvino": "OpenVINO"}
ALL = len(os.sched_getaffinity(0))
# Peer, its precision, network, work, batch, threads, by our precision.
WORK = {
    "f32": [
        ("torch", "f32", "paper", "train", 128, ALL), ("torch", "f32", "paper", "train", 32, ALL),
        ("torch", "f32", "one-weird-trick", "train", 128, ALL), ("torch", "f32", "one-weird-trick", "train", 32, ALL),
        ("keras", "f32", "keras", "train", 128, ALL), ("torch", "f32", "paper", "train", 128, 1),
        *[("torch", "f32", model, "predict", batch, ALL) for model in ("paper", "one-weird-trick") for batch in (1, 32, 128)],
        *[("keras", "f32", "keras", "predict", batch, ALL) for batch in (1, 32, 128)],
        *[("onnx", "f32", model, "predict", 1, threads) for model in ("paper", "one-weird-trick", "keras") for threads in (ALL, 1)],
    ],
    "bf16": [
        *[("torch", "bf16", model, "train", batch, ALL) for model in ("paper", "one-weird-trick", "keras") for batch in (128, 32)],
        ("keras", "bf16", "keras", "train", 128, ALL),
        *[("torch", "bf16", model, "predict", batch, ALL) for model in ("paper", "one-weird-trick", "keras") for batch in (128, 32)],
        ("keras", "bf16", "keras", "predict", 128, ALL),
        *[(*peer, model, "predict", 1, ALL) for model in ("paper", "one-weird-trick", "keras") for peer in (
            ("torch", "f32"), ("torch", "bf16"), ("onnx", "f32"), ("openvino", "f32"), ("openvino", "bf16"))],
    ],
    # OpenVINO takes bf16 where the processor has it: elsewhere its rows in bf16 are those of f32.
    "int8": [
        (*peer, model, "predict", 1, ALL) for model in ("paper", "one-weird-trick", "keras") for peer in (
            ("torch", "f32"), ("torch", "int8"), ("onnx", "f32"), ("onnx", "int8"), ("openvino", "f32"),
            ("openvino", "bf16"), ("openvino", "int8"))
    ],
}


def arguments():
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__)
    parser.add_argument("rounds", nargs="?", type=int, default=3)
    parser.add_argument("seconds", nargs="?", type=float, default=10, help="seconds a measurement")
    parser.add_argument("--precision", choices=WORK, default="f32", help="ours")
    parser.add_argument("--only", default="", help="rows that hold all of these words, e.g. 'torch train'; they are only printed")
    return parser.parse_args()


def measure(command, **env):
    done = subprocess.run([*map(str, command)], env={**os.environ, **env}, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def ours(precision, model, work, batch, threads, seconds):
    flags = ["--batch", batch, "--threads", threads, "--seconds", seconds, "--device", "cpu", "--json"]
    flags += ["--precision", precision]
    return measure([OURS, "bench", work, model, *flags])[0]


def theirs(peer, precision, model, work, batch, threads, seconds):
    script = HERE / f"{peer}_speed.py"
    return measure([sys.executable, script, model, work, batch, threads, seconds, precision], **KEEP_MEMORY)


def cpu():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions():
    for name, package in PACKAGES.items():
        try:
            yield f"{name} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            yield f"{name} missing"


def put_into_results(marks, text):
    """Replaces what is between the marks, or fails and leaves the file as it is."""
    first, last = marks
    before, begin, rest = RESULTS.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        sys.exit(f"{RESULTS} lacks the line {(last if begin else first).strip()}, between which and its pair the table goes: put both back")
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

    marks = MARKS[args.precision]
    if not args.only:
        put_into_results(marks, None)  # Before an hour of measuring.
    tell(f"{datetime.date.today()}, {cpu()}, {args.precision}, {args.rounds} rounds of {args.seconds:g} s,")
    tell(f"{', '.join(versions())}:\n")
    tell("| work | batch | threads | beside | ours, images/s | theirs, images/s | ratio | ours, MiB | theirs, MiB |")
    tell("|---|---|---|---|---|---|---|---|---|")
    for peer, precision, *row in WORK[args.precision]:
        model, work, batch, threads = row
        if not all(word in (peer, precision, *map(str, row)) for word in args.only.split()):
            continue
        both = [
            (ours(args.precision, *row, args.seconds), theirs(peer, precision, *row, args.seconds))
            for _ in range(args.rounds)
        ]
        a, b = (statistics.median(r["images_per_s"] for r in runs) for runs in zip(*both))
        m, n = (max(r["peak_mib"] for r in runs) for runs in zip(*both))
        tell(f"| {work}, `{model}` | {batch} | {threads} | {NAMES[peer]}{'' if precision == 'f32' else f', {precision}'} | {a:.1f} | {b:.1f} | {a / b:.2f} | {m} | {n} |")
    if not args.only:
        put_into_results(marks, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

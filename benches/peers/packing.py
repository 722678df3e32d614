"""Preparing photographs once, ours beside Pillow, on one core each, alternately: packing.py SOURCE [ROUNDS].

SOURCE is a folder of class folders. The work is the same: decode, shorter side to 256 (antialiased bilinear), centre 256 x 256, pixels
to a file. Build ours first: cargo build --release
"""
import datetime
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
OURS = TARGET / "release" / "alexnet"
SIZE = 256


def ours(source, out, cores):
    """Seconds of `alexnet pack`, the start of the program and all it computes beside (statistics, checksums) included."""
    shutil.rmtree(out, ignore_errors=True)
    command = [OURS, "pack", source, out, "--jobs", str(len(cores))]
    begun = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    return time.perf_counter() - begun


def square(path):
    from PIL import Image

    image = Image.open(path).convert("RGB")
    width, height = image.size
    short = min(width, height)
    width, height = SIZE * width // short, SIZE * height // short
    image = image.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
    return image.crop((left, top, left + SIZE, top + SIZE)).tobytes()


def theirs(files, out):
    """Seconds of a loop in this process, which is running already."""
    begun = time.perf_counter()
    with open(out, "wb") as file:
        for path in files:
            file.write(square(path))
        file.flush()
        os.fsync(file.fileno())
    return time.perf_counter() - begun


def main():
    from PIL import Image, features

    source, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    files = sorted(path for path in pathlib.Path(source).rglob("*") if path.is_file())
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores[:1])
    times = {"ours, 1 core": [], "Pillow, 1 core": [], "ours, 2 cores": []}
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for _ in range(rounds + 1):
            times["ours, 1 core"].append(ours(source, folder / "one.pack", cores[:1]))
            times["Pillow, 1 core"].append(theirs(files, folder / "pillow"))
            times["ours, 2 cores"].append(ours(source, folder / "two.pack", cores))
    # The first round warms the page cache.
    rates = {name: len(files) / statistics.median(seconds[1:]) for name, seconds in times.items()}
    jpeg = features.version("libjpeg_turbo") or features.version("jpg")
    print(f"{datetime.date.today()}, {len(files)} files, Pillow {Image.__version__} (libjpeg-turbo {jpeg}), {rounds} rounds\n")
    print("| | images/s | ratio to Pillow |\n|---|---|---|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:.0f} | {rate / rates['Pillow, 1 core']:.2f} |")


if __name__ == "__main__":
    main()

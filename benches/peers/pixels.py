"""Pixels beside Pillow's: pixels.py DECODE FOLDER... [--details FILE] [--jobs N].

DECODE is the example of that name (`cargo build --release -p alexnet-benches --example decode`). Every file under the folders that
begins as a JPEG, PNG, GIF, BMP, TIFF, WebP or PNM does is decoded by it, one process a file, and by Pillow's `convert("RGB")`, of 16 bits
the high byte. Prints a table with a line for each folder. Fails if an accepted file differs by more than 2 levels anywhere or 0.1 on
average, if a decoder's panic, more than 5 s of the processor or 500 MB is seen, unless the file is in `pixels.tsv` (a pattern of its path, a tab, the
reason). `--details` writes what was found of each file.
"""
import argparse
import collections
import concurrent.futures
import fnmatch
import hashlib
import os
import pathlib
import resource
import subprocess
import tempfile
import warnings

import numpy as np
from PIL import Image, features

MARKS = [b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]
MARKS += [b"P%d" % kind for kind in range(1, 8)]
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]
MOST_SECONDS, MOST_MB = 5.0, 500
Found = collections.namedtuple("Found", "path verdict worst mean seconds mb words")


def is_image(path):
    with path.open("rb") as file:
        start = file.read(12)
    return any(map(start.startswith, MARKS)) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def ours(decode, path, folder):
    """Pixels or none, the reason, seconds of the processor and MB."""
    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    child = subprocess.Popen([decode, "--out", folder, path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, preexec_fn=limit)
    out = child.stdout.read().decode(errors="replace").rstrip("\n").split("\t")
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = status
    seconds, mb = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    if status != 0 or len(out) < 3:
        return None, f"the process ended with {status}", seconds, mb
    if out[1] != "ok":
        return None, out[2], seconds, mb
    pixels = np.fromfile(out[4], np.uint8).reshape(int(out[3]), int(out[2]), 3)
    os.remove(out[4])
    return pixels, "", seconds, mb


def theirs(path):
    """Pixels or none, and the reason."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                image.load()
                if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
                    high = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
                    return np.repeat(high[..., None], 3, 2), ""
                if image.mode in ("I", "F"):
                    return None, f"values of mode {image.mode}, which have no levels"
                return np.asarray(image.convert("RGB")), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}".replace("\n", " ").replace("\t", " ")


def compare(decode, path):
    with tempfile.TemporaryDirectory() as folder:
        pixels, reason, seconds, mb = ours(decode, path, folder)
    expected, words = theirs(path)
    found = lambda verdict, worst=0, mean=0.0, words="": Found(path, verdict, worst, mean, seconds, mb, words)
    if pixels is None and expected is None:
        return found("both", words=f"{reason} | {words}")
    if pixels is None:
        return found("refused", words=reason)
    if expected is None:
        return found("alone", words=words)
    if pixels.shape != expected.shape:
        return found("different", 255, 255.0, f"{pixels.shape[1]} x {pixels.shape[0]}, Pillow {expected.shape[1]} x {expected.shape[0]}")
    apart = np.abs(pixels.astype(np.int16) - expected)
    worst, mean = int(apart.max()), float(apart.mean())
    verdict = "equal" if worst == 0 else "near" if worst <= 2 and mean <= 0.1 else "different"
    return found(verdict, worst, mean)


def known():
    """Patterns and reasons."""
    table = pathlib.Path(__file__).with_suffix(".tsv")
    lines = [line.split("\t") for line in table.read_text().splitlines()[1:]] if table.exists() else []
    return [(pattern, reason) for pattern, reason in lines]


def is_wrong(found):
    panicked = "the decoder failed" in found.words or "the process ended" in found.words
    return found.verdict == "different" or panicked or found.seconds > MOST_SECONDS or found.mb > MOST_MB


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("decode")
    parser.add_argument("folders", nargs="+", type=pathlib.Path)
    parser.add_argument("--details", type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    args = parser.parse_args()
    Image.init()
    # Pillow refuses twice as many: 64 million, as ours.
    Image.MAX_IMAGE_PIXELS = 32_000_000
    exceptions, seen, details, left = known(), set(), [], []
    names = ["equal", "near", "different", "refused", "both", "alone"]
    versions = f"Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}, libtiff {features.version('libtiff')}"
    print(f"{versions}, libwebp {features.version('webp')}\n")
    print("| suite | files | equal | within 2 | different | only ours refuses | both refuse | only ours reads | slowest, s | MB |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    # libtiff says what it thinks of a file on its own.
    silence = lambda: os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    with concurrent.futures.ProcessPoolExecutor(args.jobs, initializer=silence) as pool:
        for folder in args.folders:
            paths = []
            for path in sorted(p for p in folder.rglob("*") if p.is_file() and is_image(p)):
                digest = hashlib.sha256(path.read_bytes()).digest()
                if digest not in seen:
                    seen.add(digest)
                    paths.append(path)
            found = list(pool.map(compare, [args.decode] * len(paths), paths, chunksize=8))
            counts = collections.Counter(one.verdict for one in found)
            slowest, peak = max((f.seconds for f in found), default=0), max((f.mb for f in found), default=0)
            cells = [folder.name, len(found), *(counts[name] for name in names), f"{slowest:.1f}", f"{peak:.0f}"]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
            details += found
    for one in filter(is_wrong, details):
        if not any(fnmatch.fnmatch(str(one.path), f"*{pattern}") for pattern, _ in exceptions):
            left.append(one)
    if args.details:
        rows = ("\t".join(map(str, one._replace(mean=round(one.mean, 3), seconds=round(one.seconds, 2), mb=round(one.mb)))) for one in details)
        args.details.write_text("\t".join(Found._fields) + "\n" + "\n".join(rows) + "\n")
    for one in left:
        print(f"{one.path}: {one.verdict}, worst {one.worst}, mean {one.mean:.2f}, {one.seconds:.1f} s, {one.mb:.0f} MB {one.words}")
    raise SystemExit(f"{len(left)} files are not as they should be and not listed" if left else 0)


if __name__ == "__main__":
    main()

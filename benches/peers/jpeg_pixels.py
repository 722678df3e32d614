"""JPEGs of all subsamplings, scan scripts, restart intervals and small sizes: our pixels beside Pillow's (libjpeg-turbo's),
which must be the same: jpeg_pixels.py [FILES [SEED]], or jpeg_pixels.py --fixture FILE to write those that the tests hold.

Needs cjpeg (libjpeg-turbo) and Pillow. Build ours first: cargo build --release -p alexnet-benches --example decode
"""
import argparse
import collections
import gzip
import io
import itertools
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import zlib

from PIL import Image, ImageFile

HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent.parent / "target"))
PROGRAM = TARGET / "release" / "examples" / "decode"

# Of the three components, across x down. Some are more than an interleaved scan holds.
SAMPLINGS = [
    "1x1,1x1,1x1", "2x1,1x1,1x1", "1x2,1x1,1x1", "2x2,1x1,1x1", "4x1,1x1,1x1", "1x4,1x1,1x1", "4x2,1x1,1x1",
    "2x4,1x1,1x1", "4x4,1x1,1x1", "3x1,1x1,1x1", "1x3,1x1,1x1", "3x2,1x1,1x1", "2x3,1x1,1x1", "3x3,1x1,1x1",
    "2x2,2x1,1x2", "2x2,1x2,2x1", "2x1,1x1,2x1", "1x1,2x2,1x1", "2x2,2x2,1x1", "1x1,1x1,2x2", "4x2,2x2,2x1",
    "2x2,2x2,2x2", "4x2,2x1,1x1", "1x2,1x1,1x2", "4x4,2x2,1x4", "4x1,2x1,1x1", "2x4,2x2,1x2", "4x1,4x1,2x1",
]
# Scripts of cjpeg. None: one scan, if a scan can hold that many blocks.
SEQUENTIAL = [None, "0;1;2;", "0,1;2;", "0;1,2;", "2;1;0;", "1;2;0;", "1,2;0;", "0,2;1;"]
PROGRESSIVE = [
    "default",
    "0,1,2:0-0,0,0;0:1-63,0,0;1:1-63,0,0;2:1-63,0,0;",
    "0:0-0,0,0;1:0-0,0,0;2:0-0,0,0;2:1-63,0,0;1:1-63,0,0;0:1-5,0,0;0:6-63,0,0;",
    "0,1,2:0-0,0,2;0:1-63,0,3;1:1-63,0,1;2:1-63,0,2;0,1,2:0-0,2,1;0:1-63,3,2;0:1-63,2,1;1:1-63,1,0;"
    "2:1-63,2,1;0,1:0-0,1,0;2:0-0,1,0;0:1-63,1,0;2:1-63,1,0;",
    "1:0-0,0,1;0,2:0-0,0,1;2:1-8,0,2;2:9-63,0,2;1:1-63,0,0;0:1-63,0,1;0:1-63,1,0;2:1-63,2,1;0,1,2:0-0,1,0;2:1-63,1,0;",
]
RESTARTS = [None, "1B", "3B", "7B", "1"]
# Each with the components that `cjpeg` makes of it.
COLOURS = ["ycc", "ycc", "ycc", "ycc", "rgb", "grey", "cmyk", "ycck", "bare cmyk"]


def drawn(rng, width, height, mode):
    """Slopes, edges and noise, some of it beyond what a byte holds."""
    channels = len(mode)
    noise, slope = rng.choice([0, 10, 60, 255]), [rng.uniform(-9, 9) for _ in range(2 * channels)]
    base, edge = [rng.randrange(256) for _ in range(channels)], rng.randrange(2, 12)
    values = bytearray()
    for y, x, c in itertools.product(range(height), range(width), range(channels)):
        value = base[c] + slope[2 * c] * x + slope[2 * c + 1] * y + rng.randint(-noise, noise)
        value += 90 if (x // edge + y // edge) % 3 == 0 else 0
        values.append(int(min(max(value, 0), 255)))
    return Image.frombytes({"L": "L", "RGB": "RGB", "CMYK": "CMYK"}[mode], (width, height), bytes(values))


def segment(data, marker):
    """Where a segment begins and ends."""
    at = 2
    while data[at + 1] != marker:
        at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
    return at, at + 2 + int.from_bytes(data[at + 2:at + 4], "big")


def of_ink(rng, image, colour):
    """Four components, as Pillow writes them, the same read as YCCK, or without the marker that says so."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=rng.choice([30, 75, 95]), progressive=rng.random() < 0.3)
    data = bytearray(out.getvalue())
    start, end = segment(data, 0xee)
    if colour == "ycck":
        data[start + 15] = 2
    if colour == "bare cmyk":
        del data[start:end]
    return bytes(data)


def encoded(rng, folder, width, height, colour, sampling, script, restart):
    """A JPEG, or None where cjpeg says that there is none of the kind."""
    if colour in ("cmyk", "ycck", "bare cmyk"):
        return of_ink(rng, drawn(rng, width, height, "CMYK"), colour)
    image = drawn(rng, width, height, "L" if colour == "grey" else "RGB")
    pixels, scans = folder / "pixels.ppm", folder / "scans.txt"
    image.save(pixels)
    command = ["cjpeg", "-quality", str(rng.choice([1, 20, 50, 75, 90, 100])), "-dct", "int"]
    command += ["-rgb"] if colour == "rgb" else []
    command += ["-restart", restart] if restart else []
    if colour == "grey":
        command += ["-progressive"] if script in PROGRESSIVE else []
        sampling = rng.choice(["1x1", "2x2", "3x1"])
    elif script == "default":
        command += ["-progressive"]
    elif script:
        scans.write_text(script.replace(";", ";\n"))
        command += ["-scans", scans]
    command += ["-sample", sampling, pixels]
    made = subprocess.run([str(word) for word in command], capture_output=True)
    return made.stdout if made.returncode == 0 else None


def cases(rng, count, folder):
    """JPEGs with their names, drawn at random."""
    scripts = SEQUENTIAL + PROGRESSIVE
    while count > 0:
        width, height = rng.randint(1, 40), rng.randint(1, 40)
        choice = [rng.choice(of) for of in (COLOURS, SAMPLINGS, scripts, RESTARTS)]
        data = encoded(rng, folder, width, height, *choice)
        if data is not None:
            count -= 1
            yield f"{width} x {height} {choice}", data


def matrix(rng, folder):
    """JPEGs of each subsampling with each scan script, sizes and restarts in turns, and those of other colours."""
    sizes = list(itertools.islice(itertools.cycle(range(1, 41)), 100_000))
    rng.shuffle(sizes)
    kinds = [("ycc", s, script) for s in SAMPLINGS for script in SEQUENTIAL + PROGRESSIVE]
    kinds += [(colour, s, script) for colour in ("rgb", "grey") for s in SAMPLINGS[:4] for script in (None, "0;1;2;", "default")]
    kinds += [(colour, None, None) for colour in ("cmyk", "ycck", "bare cmyk") for _ in range(4)]
    kinds += [("ycc", s, None) for s in SAMPLINGS[:4] for _ in range(10)]
    for number, (colour, sampling, script) in enumerate(kinds):
        width, height = sizes.pop(), sizes.pop()
        # Rows of one or two values are not interpolated.
        width = 1 + width % 6 if number % 5 == 0 else width
        restart = RESTARTS[number % len(RESTARTS)]
        data = encoded(rng, folder, width, height, colour, sampling, script, restart)
        if data is not None:
            yield f"{width} x {height} {[colour, sampling, script, restart]}", data


def pillow(data):
    """The image in RGB, or None if Pillow refuses it."""
    try:
        return Image.open(io.BytesIO(data)).convert("RGB")
    except (OSError, SyntaxError):
        return None


def write_fixture(path):
    """Each JPEG: bytes in all, width, height, CRC-32 of its RGB (little-endian, 4 bytes each), then the JPEG. Compressed by gzip."""
    out, count = bytearray(), 0
    with tempfile.TemporaryDirectory() as folder:
        for name, data in matrix(random.Random(1), pathlib.Path(folder)):
            image = pillow(data)
            assert image is not None, name
            out += struct.pack("<4I", len(data), *image.size, zlib.crc32(image.tobytes())) + data
            count += 1
    pathlib.Path(path).write_bytes(gzip.compress(bytes(out), 9, mtime=0))
    print(f"{count} JPEGs, {len(out)} bytes, compressed {pathlib.Path(path).stat().st_size}")


def ours(paths, out):
    """For each path its size and RGB, or why it was refused."""
    listed = "".join(f"{path}\n" for path in paths)
    done = subprocess.run([PROGRAM, "--out", out, "-"], input=listed, capture_output=True, text=True, check=True)
    for line in done.stdout.splitlines():
        _, state, *rest = line.split("\t")
        yield ((int(rest[0]), int(rest[1])), pathlib.Path(rest[2]).read_bytes()) if state == "ok" else (None, rest[0])


def compare(count, seed):
    tally, rng = collections.Counter(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "out").mkdir()
        made = list(cases(rng, count, folder))
        paths = [folder / f"{number}.jpg" for number in range(count)]
        for path, (_, data) in zip(paths, made):
            path.write_bytes(data)
        for (name, data), (size, found) in zip(made, ours(paths, folder / "out"), strict=True):
            image = pillow(data)
            if image is None or size is None:
                what = "refused by both" if image is None and size is None else "refused by one"
                outcome = f"{found if size is None else 'read'}; Pillow: {'refused' if image is None else 'read'}"
            else:
                expected = image.tobytes()
                same = size == image.size and found == expected
                what = "equal" if same else "DIFFERENT"
                outcome = f"most {max(map(abs, (a - b for a, b in zip(found, expected))), default=0)}"
            tally[what] += 1
            if what != "equal":
                print(f"{what}: {name}: {outcome}")
    print(f"seed {seed}: {dict(tally)}")
    return tally["DIFFERENT"] + tally["refused by one"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="?", type=int, default=3000)
    parser.add_argument("seed", nargs="?", type=int, default=1)
    parser.add_argument("--fixture")
    args = parser.parse_args()
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    if args.fixture:
        write_fixture(args.fixture)
        return 0
    return 1 if compare(args.files, args.seed) else 0


if __name__ == "__main__":
    sys.exit(main())

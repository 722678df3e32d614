"""One peer of loaders.py on one piece of work; prints JSON: loader_peer.py WORK PEER ORIGINALS RAW JPEG THREADS SECONDS.

All make batches of 128 float crops of 224 x 224 with a random place (originals: the shorter side resized to 256, then the same),
mirrored half of the time, less the mean colour; from raw images with PCA colour too, as ours do.
"""
import json
import pathlib
import sys
import time

import h5py
import numpy as np

WORK, PEER = sys.argv[1:3]
ORIGINALS, RAW, JPEG = map(pathlib.Path, sys.argv[3:6])
THREADS, SECONDS = int(sys.argv[6]), float(sys.argv[7])
BATCH, SIZE, CROP = 128, 256, 224
WORKERS = 2 if "workers" in PEER else 0
MEAN = np.array([127.3, 119.7, 104.9], np.float32)


def shards(pack):
    return sorted(pack.glob("shard-*.h5"))


def raw_images():
    """The images as they lie in the files, mapped."""
    maps = []
    for path in shards(RAW):
        with h5py.File(path) as file:
            images = file["images"]
            maps.append(np.memmap(path, np.uint8, "r", images.id.get_offset(), images.shape))
    with h5py.File(RAW / "pack.h5") as file:
        values, vectors = file.attrs["eigenvalues"], np.reshape(file.attrs["eigenvectors"], (3, 3))
    return maps, values, vectors


def encoded():
    """Bytes of JPEGs."""
    if WORK.startswith("originals"):
        return [np.fromfile(path, np.uint8) for path in sorted(ORIGINALS.glob("*/*"))]
    found = []
    for path in shards(JPEG):
        with h5py.File(path) as file:
            data, offsets = file["images"][:], file["offsets"][:].astype(int)
            found += [data[a:b] for a, b in zip(offsets, offsets[1:])]
    return found


def crop(random, image):
    """A crop of HWC bytes to floats."""
    top, left = random.integers(0, image.shape[0] - CROP + 1), random.integers(0, image.shape[1] - CROP + 1)
    part = image[top:top + CROP, left:left + CROP]
    return part[:, ::-1] if random.random() < 0.5 else part


class Raw:
    def __init__(self):
        self.maps, self.values, self.vectors = raw_images()
        self.places = [(m, i) for m in range(len(self.maps)) for i in range(len(self.maps[m]))]
        self.random = np.random.default_rng(1)

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        m, i = self.places[index]
        noise = (self.random.normal(0, 0.1, 3) * np.sqrt(self.values)) @ self.vectors
        return crop(self.random, self.maps[m][i]).astype(np.float32) - (MEAN - noise.astype(np.float32))


class Encoded:
    def __init__(self):
        self.data, self.random = encoded(), np.random.default_rng(1)

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return crop(self.random, self.decode(self.data[index])).astype(np.float32) - MEAN


class Pillow(Encoded):
    def decode(self, data):
        import io

        from PIL import Image

        image = Image.open(io.BytesIO(data)).convert("RGB")
        if WORK.startswith("originals"):
            scale = SIZE / min(image.size)
            image = image.resize([max(SIZE, int(side * scale)) for side in image.size], Image.BILINEAR)
        return np.asarray(image)


class Torchvision(Encoded):
    def decode(self, data):
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg
        from torchvision.transforms.v2.functional import resize

        image = decode_jpeg(torch.from_numpy(data), ImageReadMode.RGB)
        if WORK.startswith("originals"):
            image = resize(image, [SIZE], antialias=True)
        return image.permute(1, 2, 0).numpy()


def torch_batches(data):
    import torch

    torch.set_num_threads(1 if WORKERS else THREADS)
    loader = torch.utils.data.DataLoader(data, BATCH, shuffle=True, num_workers=WORKERS, drop_last=True, persistent_workers=WORKERS > 0)
    while True:
        yield from loader


def dali_batches():
    import nvidia.dali.fn as fn
    import nvidia.dali.types as types
    from nvidia.dali import pipeline_def

    data = encoded()

    def source():
        at = 0
        while True:
            yield [data[(at + i) % len(data)] for i in range(BATCH)]
            at += BATCH

    @pipeline_def(batch_size=BATCH, num_threads=THREADS, device_id=None, prefetch_queue_depth=2)
    def pipeline():
        files = fn.external_source(source=source(), dtype=types.UINT8)
        x, y = (fn.random.uniform(range=(0.0, 1.0)) for _ in range(2))
        place = {"crop_pos_x": x, "crop_pos_y": y}
        if not WORK.startswith("originals"):
            # The decoder's own crop: no more is decoded than is shown.
            images = fn.decoders.image_crop(files, device="cpu", crop=(CROP, CROP), **place)
            place = {}
        elif "fused" in PEER:
            # A random part of 3/4 to all of the area, about what a crop of 224 of 256 shows.
            images = fn.decoders.image_random_crop(files, device="cpu", random_area=[0.7, 0.8], random_aspect_ratio=[0.95, 1.05])
            images, place = fn.resize(images, size=(CROP, CROP), antialias=True), {}
        else:
            images = fn.resize(fn.decoders.image(files, device="cpu"), resize_shorter=SIZE, antialias=True)
        return fn.crop_mirror_normalize(
            images, crop=(CROP, CROP), mirror=fn.random.coin_flip(), mean=[float(m) for m in MEAN], std=[1.0] * 3,
            dtype=types.FLOAT, output_layout="HWC", **place)

    made = pipeline()
    made.build()
    while True:
        yield made.run()


def main():
    kinds = {"numpy": Raw, "Pillow": Pillow, "torchvision.io": Torchvision}
    name = PEER.split(",")[0].split(" ")[0]
    batches = dali_batches() if name == "DALI" else torch_batches(kinds[name]())
    for _ in range(6):
        next(batches)
    images, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS:
        next(batches)
        images += BATCH
    print(json.dumps({"images_per_s": images / (time.perf_counter() - begun)}), flush=True)
    import os

    # Workers that still make batches need not be waited for.
    os._exit(0)


if __name__ == "__main__":
    main()

"""Images of ten kinds of stripes with noise, for a pack where no real images are at hand."""
import math
import os
import random

SIDE = 64
KINDS = 10
DISTINCT = 400


def image(kind, draw):
    """A PPM of SIDE x SIDE: stripes whose direction, width and colour are the kind's, about."""
    angle = kind * math.pi / KINDS + draw.gauss(0, 0.15)
    width = 4 + kind % 3 * 3 + draw.random() * 2
    shift = draw.random() * 100
    colours = [[draw.randrange(256) for _ in range(3)] for _ in range(2)]
    across, down = math.cos(angle), math.sin(angle)
    noise = draw.randbytes(SIDE * SIDE)
    pixels = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            colour = colours[int((x * across + y * down + shift) / width) % 2]
            grain = (noise[y * SIDE + x] - 128) // 2
            pixels.extend(min(255, max(0, c + grain)) for c in colour)
    return b"P6 %d %d 255\n" % (SIDE, SIDE) + bytes(pixels)


def draw(folder, count):
    """Class folders of `count` images in all; beyond DISTINCT they are the same files under more names."""
    dice = random.Random(1)
    folder.mkdir(parents=True)
    for kind in range(KINDS):
        (folder / f"kind{kind}").mkdir()
    for i in range(count):
        place = folder / f"kind{i % KINDS}" / f"{i:06}.ppm"
        if i < DISTINCT:
            place.write_bytes(image(i % KINDS, dice))
        else:
            os.link(folder / f"kind{i % KINDS}" / f"{i % DISTINCT:06}.ppm", place)

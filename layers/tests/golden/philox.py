"""The counter-based generator of tensor::random, Philox 4x32-10 (Salmon et al., SC 2011), for whole arrays."""

import numpy as np

USER = 0x8000_0000
LOW = np.uint64(0xFFFF_FFFF)
HALF = np.uint64(32)


def philox(counter, key):
    """Four arrays of random words (as uint64) from four arrays of counter words under two key words."""
    a, b, c, d = (np.asarray(word, np.uint64) for word in counter)
    k0, k1 = key
    for _ in range(10):
        p, q = a * np.uint64(0xD251_1F53), c * np.uint64(0xCD9E_8D57)
        a, b = (q >> HALF) ^ b ^ np.uint64(k0), q & LOW
        c, d = (p >> HALF) ^ d ^ np.uint64(k1), p & LOW
        k0, k1 = (k0 + 0x9E37_79B9) & 0xFFFF_FFFF, (k1 + 0xBB67_AE85) & 0xFFFF_FFFF
    return a, b, c, d


def uniform(shape, bound, seed, purpose, step=0):
    """What Tensor::uniform draws in [-bound, bound). With a power of two as bound every value is exact in float32."""
    n = int(np.prod(shape))
    blocks = np.arange((n + 3) // 4, dtype=np.uint64)
    counter = blocks, purpose, step & 0xFFFF_FFFF, step >> 32
    words = np.stack(philox(counter, (seed & 0xFFFF_FFFF, seed >> 32)), 1).reshape(-1)[:n]
    unit = (words >> np.uint64(8)).astype(np.float64) / 2**24
    return (2 * bound * unit - bound).astype(np.float32).reshape(shape)


# Known answers of the authors' Random123 library.
assert [int(w) for w in philox((0, 0, 0, 0), (0, 0))] == [0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8]
assert [int(w) for w in philox((0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344), (0xA409_3822, 0x299F_31D0))] == [
    0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1
]

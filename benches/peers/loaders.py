"""Our loader and others on the same images and cores, in turns; prints a table of medians.

    loaders.py ORIGINALS RAW.pack JPEG.pack [ROUNDS] [SECONDS]

ORIGINALS is a folder of class folders of photographs; the packs are made of it with `alexnet pack` (a few thousand images, so
that no cache holds them). Build ours first: cargo build --release --examples -p alexnet-benches -p alexnet-cli
Peers that are not installed are left out and named. Needs numpy, h5py and torch; knows torchvision, Pillow and NVIDIA DALI
(nvidia-dali-cuda120 and nvidia-nvimgcodec-cu12, of which nothing but the CPU's pipeline is used).
"""
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys

from compare import OURS, cpu

HERE = pathlib.Path(__file__).resolve().parent
THREADS = len(os.sched_getaffinity(0))
WORK = {
    "raw 256 x 256 to floats": ["numpy memmap, 1 process", "numpy memmap, DataLoader of 2 workers"],
    "JPEG 256 x 256 to floats": ["Pillow, DataLoader of 2 workers", "torchvision.io, DataLoader of 2 workers", "DALI"],
    "originals to floats": [
        "Pillow, DataLoader of 2 workers", "torchvision.io, DataLoader of 2 workers", "DALI", "DALI, fused decode and crop"],
}


def run(command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        return None, (done.stderr.strip().splitlines() or ["failed"])[-1]
    # Peers may print before it; ours is all of it.
    text = done.stdout[done.stdout.index("{"):]
    return json.loads(text), None


def ours(work, places, threads, seconds):
    originals, raw, jpeg = places
    if work.startswith("originals"):
        found, error = run([OURS.parent / "examples" / "originals", originals, threads, seconds])
    else:
        pack = raw if work.startswith("raw") else jpeg
        flags = ["--threads", threads, "--seconds", seconds, "--output", "floats", "--set", "data.colour=alexnet-code"]
        found, error = run([OURS, "bench", "data", pack, *flags, "--json"])
    if error:
        sys.exit(f"ours: {error}")
    # The loader by itself: as the peers, whose batches are dropped too.
    stages = {s["stage"]: s["images_per_s"] for s in found.get("stages", [])}
    return {"images_per_s": stages.get("augment", found["images_per_s"]), **{k: found.get(k) for k in ("bytes_per_s", "share_of_copy")}}


def theirs(work, peer, places, seconds):
    return run([sys.executable, HERE / "loader_peer.py", work, peer, *places, THREADS, seconds])


def versions():
    import importlib.metadata as m

    names = ["torch", "torchvision", "numpy", "pillow", "nvidia-dali-cuda120"]
    found = []
    for name in names:
        try:
            found.append(f"{name} {m.version(name)}")
        except m.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def main():
    places = [pathlib.Path(p).resolve() for p in sys.argv[1:4]]
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 3
    seconds = float(sys.argv[5]) if len(sys.argv) > 5 else 3
    if len(places) != 3:
        sys.exit(__doc__)
    rates, missing = {}, {}
    for _ in range(rounds):
        for work, peers in WORK.items():
            rates.setdefault((work, "ours"), []).append(ours(work, places, THREADS, seconds))
            for peer in peers:
                if (work, peer) in missing:
                    continue
                found, error = theirs(work, peer, places, seconds)
                if error:
                    missing[work, peer] = error
                else:
                    rates.setdefault((work, peer), []).append(found)
        for work in WORK:
            rates.setdefault((work, "ours, 1 thread"), []).append(ours(work, places, 1, seconds))
    median = {key: statistics.median(r["images_per_s"] for r in runs) for key, runs in rates.items()}
    print(f"{datetime.date.today()}, {cpu()}, {THREADS} threads unless said, {rounds} rounds of {seconds:g} s, {versions()}\n")
    print("| work | by | images/s | ours are times as many | of copying |")
    print("|---|---|---|---|---|")
    for (work, who), rate in sorted(median.items(), key=lambda item: (item[0][0], not item[0][1].startswith("ours"))):
        ratio = "" if who.startswith("ours") else f"{median[work, 'ours'] / rate:.2f}"
        shares = [r["share_of_copy"] for r in rates[work, who] if r.get("share_of_copy")]
        share = f"{100 * statistics.median(shares):.0f} %" if shares else ""
        print(f"| {work} | {who} | {rate:,.0f} | {ratio} | {share} |")
    for (work, peer), why in missing.items():
        print(f"\nLeft out: {peer}, {work}: {why}")


if __name__ == "__main__":
    main()

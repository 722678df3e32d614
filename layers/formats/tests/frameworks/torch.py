"""Compares the command with PyTorch: torchvision's AlexNet with random weights, saved in every way, in and out.

Requirements: torch==2.15.0 torchvision==0.29.2 safetensors==0.8.0 numpy==2.4.6 pillow==13.0.0
Run: python torch.py path/to/alexnet [FOLDER]   (FOLDER holds some gigabytes; a temporary one by default)

For each file: the converted weights are PyTorch's bit for bit (rounded from f16 and bf16), and load with strict=True; the
probabilities of an image are PyTorch's within 1e-4. Exits with 1 on the first difference.
"""

import json
import math
import pathlib
import subprocess
import sys
import tempfile

# This file's folder holds a torch.py, which is not the module.
sys.path = [path for path in sys.path if pathlib.Path(path or ".").resolve() != pathlib.Path(__file__).resolve().parent]

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

ALEXNET = pathlib.Path(sys.argv[1]).resolve()
TOLERANCE = 1e-4


def run(*arguments, fails=False):
    done = subprocess.run([ALEXNET, *map(str, arguments)], capture_output=True, text=True)
    if fails:
        assert done.returncode != 0, f"{arguments}: expected a refusal"
        return done.stderr
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def network():
    """torchvision's AlexNet with weights of which no two layers are alike, and large enough logits."""
    torch.manual_seed(1)
    alexnet = torchvision.models.alexnet(weights=None).eval()
    with torch.no_grad():
        for parameter in alexnet.parameters():
            scale = math.sqrt(2 / parameter[0].numel()) if parameter.dim() > 1 else 0.1
            parameter.normal_(0, scale)
    return alexnet


def same(name, theirs, ours):
    assert list(theirs) == list(ours) or set(theirs) == set(ours), f"{name}: other names: {set(theirs) ^ set(ours)}"
    for key, tensor in theirs.items():
        assert torch.equal(tensor.float(), ours[key]), f"{name}: {key} differs"


def probabilities(alexnet, image):
    """torchvision's preprocessing of an image of 256 x 256 pixels: its centre."""
    pixels = torch.from_numpy(np.asarray(image)[16:240, 16:240].copy()).permute(2, 0, 1)[None] / 255
    mean = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]
    with torch.no_grad():
        return alexnet((pixels - mean) / deviation).softmax(1)[0].double()


def check(name, path, state, image_path, expected, *flags):
    converted = path.parent / "converted"
    run("convert", path, converted.with_suffix(".safetensors"), *flags)
    same(name, state, load_file(converted.with_suffix(".safetensors")))
    run("convert", path, converted.with_suffix(".pt"), *flags)
    ours = torch.load(converted.with_suffix(".pt"), weights_only=True)
    same(name, state, ours)
    torchvision.models.alexnet(weights=None).load_state_dict(ours, strict=True)
    mapped = torch.load(converted.with_suffix(".pt"), weights_only=True, mmap=True)
    same(name, state, mapped)
    top = json.loads(run("predict", "--weights", path, "--json", "--top", "1000", image_path, *flags))[0]["top"]
    worst = max(abs(one["probability"] - expected[one["class"]].item()) / expected.max().item() for one in top)
    assert worst < TOLERANCE, f"{name}: probabilities differ by {worst}"
    assert top[0]["class"] == expected.argmax().item(), f"{name}: another class"
    print(f"{name}: the same weights; probabilities within {worst:.1e}, first {top[0]['name']}")


def main(folder):
    alexnet = network()
    state = alexnet.state_dict()
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (256, 256, 3), dtype=np.uint8))
    image_path = folder / "image.png"
    image.save(image_path)
    expected = probabilities(alexnet, image)
    path = folder / "file.pth"

    torch.save(state, path)
    check("state dict", path, state, image_path, expected)
    fits = json.loads(run("info", path, "--json"))["fits"]
    assert fits == [{"network": "one-weird-trick", "classes": 1000, "by_names": True}], fits
    torch.save(state, path, _use_new_zipfile_serialization=False)
    check("legacy form", path, state, image_path, expected)
    torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)
    check("DataParallel", path, state, image_path, expected)
    optimizer = torch.optim.SGD(alexnet.parameters(), 0.1, momentum=0.9)
    lightning = {"state_dict": {f"model.{k}": v for k, v in state.items()}, "hyper_parameters": {"lr": 0.1}}
    torch.save({**lightning, "optimizer_states": [optimizer.state_dict()], "epoch": 1}, path)
    check("Lightning", path, state, image_path, expected)
    renamed = {name.replace("features", "trunk").replace("classifier", "head"): t for name, t in state.items()}
    torch.save(renamed, path)
    check("other names", path, state, image_path, expected)
    torch.save(alexnet.to(memory_format=torch.channels_last).state_dict(), path)
    check("channels last", path, state, image_path, expected)
    for dtype in [torch.float16, torch.bfloat16]:
        cast = {name: tensor.to(dtype) for name, tensor in state.items()}
        rounded = network()
        rounded.load_state_dict({name: tensor.float() for name, tensor in cast.items()})
        torch.save(cast, path)
        check(str(dtype), path, cast, image_path, probabilities(rounded, image))

    save_file(state, folder / "file.safetensors")
    check("safetensors", folder / "file.safetensors", state, image_path, expected)
    names = list(state)
    shards = {"a.safetensors": names[:7], "b.safetensors": names[7:]}
    for shard, part in shards.items():
        save_file({name: state[name] for name in part}, folder / shard)
    index = {"metadata": {}, "weight_map": {name: shard for shard, part in shards.items() for name in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    check("shards", folder / "model.safetensors.index.json", state, image_path, expected)

    ten = torchvision.models.alexnet(weights=None, num_classes=10)
    torch.save(ten.state_dict(), path)
    run("convert", path, folder / "ten.pt")
    ten.load_state_dict(torch.load(folder / "ten.pt", weights_only=True), strict=True)
    print("ten classes: loads with strict=True")
    torch.save(alexnet, path)
    message = run("convert", path, folder / "out.pt", fails=True)
    assert "torch.save(torch.load(FILE, weights_only=False).state_dict()" in message, message
    torch.jit.script(alexnet).save(path)
    assert "torch.jit.load" in run("info", path, fails=True)
    print("whole modules: refused with the remedy")
    batch_norm(folder)


def batch_norm(folder):
    """A network of one's own, whose batch norm counts its batches: what is written loads with strict=True."""
    toml = folder / "own.toml"
    toml.write_text(
        'name = "own"\nabout = "A small network."\nclasses = 3\n[input]\ncrop = 8\nmean = "pack-image"\n'
        '[[layer]]\nname = "conv"\nkind = "conv"\nfilters = 4\nkernel = 3\n[[layer]]\nname = "bn"\nkind = "batch-norm"\n'
        '[[layer]]\nname = "fc"\nkind = "linear"\nunits = "classes"\n'
    )

    def own():
        module = nn.Module()
        module.conv = nn.Conv2d(3, 4, 3)
        module.bn = nn.BatchNorm2d(4)
        module.fc = nn.Linear(144, 3)
        return module

    first = own()
    torch.save(first.state_dict(), folder / "own.pth")
    for suffix, read in [(".pt", lambda p: torch.load(p, weights_only=True)), (".safetensors", load_file)]:
        out = (folder / "own_out").with_suffix(suffix)
        run("convert", folder / "own.pth", out, "--model", toml)
        second = own()
        second.load_state_dict(read(out), strict=True)
        for (name, a), (_, b) in zip(first.state_dict().items(), second.state_dict().items()):
            assert torch.equal(a, b), name
    print("batch norm: loads with strict=True")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        main(pathlib.Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(pathlib.Path(temporary))

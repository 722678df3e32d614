"""Trains the network of one of our runs in PyTorch, by the settings of that run and on its packs of raw images.

same_recipe.py RUN [--seed N] [--threads N] [--epochs N] [--steps N] [--out FILE.csv]

The network is read from RUN/model.toml and the settings from RUN/run.toml: initial distributions, crops, mirror images, the
paper's colour noise, optimizer, schedule, dropout. Random draws differ from ours, so final errors agree within the spread of seeds.
The columns of the CSV are those of RUN/metrics.csv; packs with relative paths lie beside RUN. It stops at what it does not know, such as another kind of layer.
"""
import argparse
import math
import pathlib
import sys
import time
import tomllib

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn import functional

COLUMNS = "epoch,step,train_loss,train_top1_error,validation_loss,validation_top1_error,learning_rate,images_per_s,seconds"


class AtTestDropout(nn.Module):
    """The paper's dropout: values are dropped in training, and multiplied by 1 - p in the test."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        return x * (torch.rand_like(x) >= self.p) if self.training else x * (1 - self.p)


def padded(size, layer):
    """The zeros of a layer with windows as (left, right, top, bottom)."""
    padding = layer.get("padding", 0)
    if padding == "same":
        kernel, stride = layer["kernel"], layer.get("stride", 1)
        zeros = max(0, (math.ceil(size / stride) - 1) * stride + kernel - size)
        return (zeros // 2, zeros - zeros // 2) * 2
    if isinstance(padding, list):
        top, bottom, left, right = padding
        return left, right, top, bottom
    return (padding,) * 4


def module(layer, shape, classes):
    """One layer, and the shape [channels, side] or [units] of its output."""
    kind = layer["kind"]
    if kind in ("conv", "max-pool", "average-pool"):
        channels, side = shape
        zeros = padded(side, layer)
        stride = layer.get("stride", 1 if kind == "conv" else layer["kernel"])
        if layer.get("edge", "floor") != "floor" or (kind != "conv" and any(zeros)):
            sys.exit(f"{layer['name']}: pools with zeros or whole edges are not known here")
        side = (side + zeros[0] + zeros[1] - layer["kernel"]) // stride + 1
        if kind == "conv":
            bias = layer.get("bias", 0.0) is not False
            conv = nn.Conv2d(channels, layer["filters"], layer["kernel"], stride, groups=layer.get("groups", 1), bias=bias)
            return nn.Sequential(nn.ZeroPad2d(zeros), conv), (layer["filters"], side)
        pool = nn.MaxPool2d if kind == "max-pool" else nn.AvgPool2d
        return pool(layer["kernel"], stride), (channels, side)
    if kind == "lrn":
        if layer.get("region", "across-channels") != "across-channels":
            sys.exit(f"{layer['name']}: normalisation within maps is not known here")
        # PyTorch divides alpha by the size.
        size = layer["size"]
        alpha = layer["alpha"] * (size if layer.get("alpha_rule", "sum") == "sum" else 1)
        return nn.LocalResponseNorm(size, alpha, layer["beta"], layer["k"]), shape
    if kind == "batch-norm":
        norm = nn.BatchNorm2d if len(shape) == 2 else nn.BatchNorm1d
        return norm(shape[0], layer.get("epsilon", 1e-5), layer.get("momentum", 0.1)), shape
    if kind == "linear":
        units = classes if layer["units"] == "classes" else layer["units"]
        flat = [nn.Flatten()] if len(shape) == 2 else []
        inputs = shape[0] * shape[1] ** 2 if flat else shape[0]
        return nn.Sequential(*flat, nn.Linear(inputs, units, bias=layer.get("bias", 0.0) is not False)), (units,)
    if kind == "dropout":
        p = layer["p"]
        return (AtTestDropout(p) if layer.get("scale") == "at-test" else nn.Dropout(p)), shape
    if kind == "flatten":
        return nn.Flatten(), ((shape[0] * shape[1] ** 2,) if len(shape) == 2 else shape)
    simple = {"relu": nn.ReLU, "tanh": nn.Tanh, "softmax": nn.Identity}
    if kind not in simple:
        sys.exit(f"{layer['name']}: layers of the kind {kind} are not known here")
    return simple[kind](), shape


def draw(init, tensor, fans):
    """Values of an initial distribution; a number is a constant."""
    if isinstance(init, (int, float)):
        return nn.init.constant_(tensor, init)
    kind, (inputs, outputs) = init["kind"], fans
    if kind == "normal":
        return nn.init.normal_(tensor, 0, init["std"])
    if kind == "he-normal":
        return nn.init.normal_(tensor, 0, math.sqrt(2 / inputs))
    bounds = {"glorot-uniform": math.sqrt(6 / (inputs + outputs)), "torch-default": 1 / math.sqrt(inputs)}
    if kind not in bounds:
        sys.exit(f"the initial distribution {kind} is not known here")
    return nn.init.uniform_(tensor, -bounds[kind], bounds[kind])


def build(model, rate, decay):
    """The network with drawn parameters, and its parameters with their rates and decays."""
    layers, groups, shape = [], [], (3, model["input"]["crop"])
    for layer in model["layer"]:
        made, shape = module(layer, shape, model["classes"])
        layers.append(made)
        for part in made.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                area = part.kernel_size[0] ** 2 if isinstance(part, nn.Conv2d) else 1
                # Fan-out of a group is that of all its outputs, as Keras has it for one group.
                fans = (part.weight[0].numel(), part.weight.shape[0] * area)
                draw(layer["init"], part.weight.data, fans)
                groups.append((part.weight, layer.get("weight_rate", 1.0), layer.get("weight_decay", 1.0)))
                if part.bias is not None:
                    draw(layer.get("bias", 0.0), part.bias.data, fans)
                    groups.append((part.bias, layer.get("bias_rate", 1.0), layer.get("bias_decay", 1.0)))
            elif isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
                groups += [(p, layer.get("rate", 1.0), layer.get("decay", 1.0)) for p in part.parameters()]
    groups = [
        {"params": [p], "lr": rate * times, "times": times, "weight_decay": decay * part} for p, times, part in groups]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last), groups


class Pack:
    """A pack of raw images, mapped."""

    def __init__(self, path):
        with h5py.File(path / "pack.h5") as file:
            self.mean_image, self.mean_rgb = file["mean_image"][:], file.attrs["mean_rgb"]
            self.values, self.vectors = file.attrs["eigenvalues"], np.reshape(file.attrs["eigenvectors"], (3, 3))
        maps, labels = [], []
        for shard in sorted(path.glob("shard-*.h5")):
            with h5py.File(shard) as file:
                images = file["images"]
                if images.ndim != 4 or images.id.get_offset() is None:
                    sys.exit(f"{path}: its images are not raw; pack without --storage jpeg")
                maps.append(np.memmap(shard, np.uint8, "r", images.id.get_offset(), images.shape))
                labels.append(file["labels"][:])
        self.maps, self.labels = maps, torch.from_numpy(np.concatenate(labels).astype(np.int64))
        self.starts = np.cumsum([0, *map(len, maps)])

    def __len__(self):
        return len(self.labels)

    def image(self, index):
        shard = int(np.searchsorted(self.starts, index, "right")) - 1
        return self.maps[shard][index - self.starts[shard]].astype(np.float32)


class Input:
    """From stored images to the network's input."""

    def __init__(self, settings, data, training, random):
        if settings.get("channels", "rgb") != "rgb":
            sys.exit("only networks of RGB images are known here")
        self.crop, self.scale = settings["crop"], settings["scale"]
        self.deviation = np.array(settings.get("deviation", [1, 1, 1]), np.float32)
        means = {"none": 0, "pack-rgb": training.mean_rgb * self.scale, "pack-image": training.mean_image * self.scale}
        mean = settings.get("mean", "none")
        self.mean = np.array(means[mean] if isinstance(mean, str) else mean, np.float32)
        self.data, self.random, self.training = data, random, training

    def __call__(self, pack, indices, augment):
        batch = [self.one(pack.image(index), augment) for index in indices]
        images = torch.from_numpy(np.stack(batch)).permute(0, 3, 1, 2)
        return images.contiguous(memory_format=torch.channels_last), pack.labels[indices]

    def one(self, image, augment):
        room = image.shape[0] - self.crop
        top, left = self.random.integers(0, room + 1, 2) if augment else (room // 2, room // 2)
        if augment and self.data["colour"] == "paper":
            noise = self.random.normal(0, self.data["colour_deviation"], 3) * np.sqrt(self.training.values)
            image = image + noise @ self.training.vectors
        image = (image * self.scale - self.mean) / self.deviation
        image = image[top:top + self.crop, left:left + self.crop]
        if augment and self.data["mirror"] and self.random.random() < 0.5:
            image = image[:, ::-1]
        return np.ascontiguousarray(image, np.float32)


class Schedule:
    """The learning rate over the run, as a factor of the base rate."""

    def __init__(self, settings):
        self.settings, self.best, self.stale, self.drops = settings, math.inf, 0, 0

    def factor(self, epoch):
        s = self.settings
        warmup = 1.0
        if s["warmup_epochs"] > 0:
            start = s["warmup_factor"]
            warmup = min(1.0, start + (1 - start) * epoch / s["warmup_epochs"])
        half = lambda first, last, part: last + (first - last) * (1 + math.cos(math.pi * min(1.0, part))) / 2
        match s["schedule"]:
            case "constant":
                return warmup
            case "steps":
                return warmup * s["factor"] ** sum(drop <= epoch for drop in s["drop_epochs"])
            case "cosine":
                return warmup * half(1, s["end_factor"], epoch / s["decay_epochs"])
            case "one-cycle":
                part = epoch / s["decay_epochs"]
                if part < s["rise"]:
                    return warmup * half(s["start_factor"], 1, part / s["rise"])
                return warmup * half(1, s["end_factor"], (part - s["rise"]) / (1 - s["rise"]))
            case "plateau":
                return warmup * s["factor"] ** self.drops
        sys.exit(f"the schedule {s['schedule']} is not known here")

    def observe(self, error):
        if error < self.best - self.settings["threshold"]:
            self.best, self.stale = error, 0
        else:
            self.stale += 1
            if self.stale >= self.settings["patience"] and self.drops < self.settings["max_drops"]:
                self.drops, self.stale = self.drops + 1, 0


def optimizer(groups, settings):
    if settings["kind"] == "sgd":
        return torch.optim.SGD(groups, lr=0, momentum=settings["momentum"], nesterov=settings["nesterov"])
    if settings["kind"] in ("adam", "adamw"):
        make = torch.optim.Adam if settings["kind"] == "adam" else torch.optim.AdamW
        return make(groups, lr=0, betas=(settings["beta1"], settings["beta2"]), eps=settings["epsilon"])
    sys.exit(f"the optimizer {settings['kind']} is not known here")


def test(network, prepare, pack, batch):
    network.eval()
    loss, wrong = 0.0, 0
    with torch.inference_mode():
        for start in range(0, len(pack), batch):
            images, labels = prepare(pack, np.arange(start, min(start + batch, len(pack))), False)
            logits = network(images)
            loss += functional.cross_entropy(logits, labels, reduction="sum").item()
            wrong += (logits.argmax(1) != labels).sum().item()
    return loss / len(pack), wrong / len(pack)


def main():
    parser = argparse.ArgumentParser(prog="same_recipe.py", description=__doc__)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--epochs", type=int, help="fewer, for a trial")
    parser.add_argument("--steps", type=int, help="of an epoch, for a trial")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("pytorch.csv"))
    args = parser.parse_args()
    model, config = (tomllib.loads((args.run / name).read_text()) for name in ("model.toml", "run.toml"))
    data, optim, run = config["data"], config["optim"], config["run"]
    known = {"mixup": 0, "cutmix": 0, "random_erasing": 0, "brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    known |= {"class_weights": "none", "sampling": "natural", "crop": "random"}
    for key, value in known.items():
        if data.get(key, value) != value and data["augment"]:
            sys.exit(f"data.{key} = {data[key]} is not known here")
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    random = np.random.default_rng(args.seed)
    training, validation = (Pack(args.run.parent / data[key]) for key in ("train", "val"))
    prepare = Input(model["input"], data, training, random)
    network, groups = build(model, optim["lr"], optim["weight_decay"])
    step, schedule = optimizer(groups, optim), Schedule(optim)
    batch, epochs = run["batch"], args.epochs or run["epochs"]
    steps = args.steps or len(training) // batch
    begun = time.perf_counter()
    with args.out.open("w") as out:
        print(COLUMNS, file=out)
        for epoch in range(epochs):
            network.train()
            order, loss_sum, wrong, at = random.permutation(len(training)), 0.0, 0, time.perf_counter()
            for i in range(steps):
                images, labels = prepare(training, np.sort(order[i * batch:(i + 1) * batch]), data["augment"])
                for group in step.param_groups:
                    group["lr"] = optim["lr"] * group["times"] * schedule.factor(epoch + i / steps)
                step.zero_grad()
                logits = network(images)
                loss = functional.cross_entropy(logits, labels, label_smoothing=data["label_smoothing"])
                loss.backward()
                step.step()
                loss_sum += loss.item()
                wrong += (logits.argmax(1) != labels).sum().item()
            speed = steps * batch / (time.perf_counter() - at)
            loss, error = test(network, prepare, validation, batch)
            schedule.observe(error)
            rate = optim["lr"] * schedule.factor(epoch + 1)
            row = [epoch + 1, (epoch + 1) * steps, loss_sum / steps, wrong / (steps * batch), loss, error, rate, speed]
            row.append(time.perf_counter() - begun)
            line = ",".join(str(value) if isinstance(value, int) else f"{value:.6g}" for value in row)
            print(line, file=out, flush=True)
            print(line, flush=True)


if __name__ == "__main__":
    main()

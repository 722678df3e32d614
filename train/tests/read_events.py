"""Compares the event files of a run, as TensorBoard reads them, with the run's logs.

    python read_events.py RUN
"""

import csv
import json
import math
import sys
from pathlib import Path

from tensorboard.backend.event_processing import event_accumulator as events

run = Path(sys.argv[1])
read = events.EventAccumulator(str(run / "tensorboard"), size_guidance={events.TENSORS: 0, events.IMAGES: 0,
                                                                        events.HISTOGRAMS: 0, events.SCALARS: 0})
read.Reload()
tags = read.Tags()
steps = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
epochs = list(csv.DictReader((run / "metrics.csv").open()))


def same(tag, expected):
    """Scalars have the values of a log, each step once."""
    found = [(event.step, event.value) for event in read.Scalars(tag)]
    assert len(found) == len(expected), (tag, found, expected)
    for (step, value), (at, other) in zip(found, expected):
        assert step == at and math.isclose(value, other, rel_tol=1e-6, abs_tol=1e-9), (tag, step, value, at, other)


same("step/loss", [(line["step"], line["loss"]) for line in steps])
same("step/top1_error", [(line["step"], line["top1_error"]) for line in steps])
same("step/learning_rate", [(line["step"], line["rate"]) for line in steps])
for tag, column in [
    ("loss/train", "train_loss"),
    ("top1_error/train", "train_top1_error"),
    ("loss/validation", "validation_loss"),
    ("top1_error/validation", "validation_top1_error"),
    ("top5_error/validation", "validation_top5_error"),
]:
    same(tag, [(int(row["step"]), float(row[column])) for row in epochs])
parameters = list(csv.DictReader((run / "parameters.csv").open()))
for name in {row["parameter"] for row in parameters}:
    rows = [row for row in parameters if row["parameter"] == name]
    same(f"mean_abs_value/{name}", [(int(row["step"]), float(row["mean_abs_value"])) for row in rows])
    same(f"mean_abs_update/{name}", [(int(row["step"]), float(row["mean_abs_update"])) for row in rows])
    histograms = read.Histograms(f"values/{name}")
    assert [event.step for event in histograms] == [int(row["step"]) for row in rows], name
    assert all(math.isclose(sum(event.histogram_value.bucket), event.histogram_value.num) for event in histograms)
    assert f"updates/{name}" in tags["histograms"]
for tag in ["settings", "network"]:
    tensors = read.Tensors(tag if tag in tags["tensors"] else f"{tag}/text_summary")
    assert b"=" in tensors[0].tensor_proto.string_val[0], tag
for tag in tags["images"]:
    assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in read.Images(tag))
print(f"{len(tags['scalars'])} scalars, {len(tags['histograms'])} histograms, {len(tags['images'])} images")

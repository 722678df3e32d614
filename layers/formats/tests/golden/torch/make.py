"""Writes the golden files of this folder, as PyTorch saves a small network in each of its ways.

Requirements: torch==2.15.0 numpy==2.4.6
Run in this folder: python make.py

Every tensor counts: its values are 1, 2, 3 and so on, divided by 8 (exact in all types), over all tensors in the network's
order, modulo 200.
"""

import argparse
import os
import zipfile
from collections import OrderedDict

import torch
from torch import nn

network = nn.Sequential(
    OrderedDict(
        features=nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()),
        bn1=nn.BatchNorm2d(4),
        conv2=nn.Conv2d(4, 4, (1, 2), groups=2),
        fc6=nn.Linear(48, 5),
        fc8=nn.Linear(5, 3),
    )
)
count = 0
with torch.no_grad():
    for name, tensor in network.state_dict().items():
        if tensor.dtype == torch.float32:
            values = torch.arange(count, count + tensor.numel()) % 200 + 1
            tensor.copy_(values.reshape(tensor.shape) / 8)
            count += tensor.numel()
state = network.state_dict()


def cast(dtype):
    return {name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in state.items()}


torch.save(state, "state.pt")
torch.save(state, "protocol_4.pt", pickle_protocol=4)
torch.save(state, "legacy.pt", _use_new_zipfile_serialization=False)
torch.save(cast(torch.float16), "half.pt")
torch.save(cast(torch.bfloat16), "bfloat16.pt")
torch.save(cast(torch.float64), "double_legacy.pt", _use_new_zipfile_serialization=False)
torch.save(OrderedDict(network.named_parameters()) | dict(network.named_buffers()), "parameters.pt")
torch.serialization.set_crc32_options(False)
torch.save(state, "no_checksums.pt")
torch.serialization.set_crc32_options(True)
torch.save(nn.DataParallel(network).state_dict(), "data_parallel.pt")
# As torchvision's references save it.
optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
for parameter in network.parameters():
    parameter.grad = torch.zeros_like(parameter)
optimizer.step()
average = torch.optim.swa_utils.AveragedModel(network)
checkpoint = {
    "model": state,
    "optimizer": optimizer.state_dict(),
    "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 1).state_dict(),
    "epoch": 3,
    "args": argparse.Namespace(lr=0.1, device="cpu"),
    "model_ema": average.state_dict(),
}
torch.save(checkpoint, "torchvision_checkpoint.pth")
# As Lightning saves it.
lightning = {
    "epoch": 1,
    "global_step": 10,
    "pytorch-lightning_version": "2.5.0",
    "state_dict": {f"model.{name}": tensor for name, tensor in state.items()},
    "loops": {"fit_loop": {"state_dict": {}}},
    "callbacks": {},
    "optimizer_states": [optimizer.state_dict()],
    "hyper_parameters": {"lr": 0.1},
}
torch.save(lightning, "lightning.ckpt")
# Views: transposed, and all in one storage.
flat = torch.cat([tensor.flatten() for tensor in state.values() if tensor.is_floating_point()])
views = {}
at = 0
for name, tensor in state.items():
    if tensor.is_floating_point():
        view = flat[at : at + tensor.numel()].view(tensor.shape)
        views[name] = view.clone().t().contiguous().t() if tensor.dim() == 2 else view
        at += tensor.numel()
torch.save(views, "views.pt")
torch.save(network.to(memory_format=torch.channels_last).state_dict(), "channels_last.pt")
torch.save({name: tensor.numpy() for name, tensor in state.items()}, "numpy.pt")
torch.save(network, "whole_module.pt")
torch.jit.script(network.features).save("whole_script.pt")
# Without the records that hold paths of this machine.
with zipfile.ZipFile("whole_script.pt") as whole, zipfile.ZipFile("script.pt", "w") as script:
    for name in whole.namelist():
        if not name.endswith(".debug_pkl"):
            script.writestr(zipfile.ZipInfo(name), whole.read(name))
os.remove("whole_script.pt")

"""Writes tests/model/data/small_vectors.safetensors: a small network's training step, computed by PyTorch in float64.

usage: python3 tests/model/make_small_vectors.py        (needs PyTorch and numpy; written with PyTorch 1.13)

The paper's full network cannot serve for this: its millions of ReLUs turn rounding errors of 1e-7 into gradients that
differ by 5e-3 between two float32 runs of PyTorch itself. Here hardly any pre-activation is near zero.
"""
import json
import os
import struct
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../bench/peers"))
from torch_hourglass import HeatmapNet  # noqa: E402


def main():
    torch.manual_seed(4)
    net = HeatmapNet(heatmaps=3, width=16, depth=1)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.75, 1.25)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    vectors = {"weights." + k: v.clone() for k, v in net.state_dict().items() if v.dtype.is_floating_point}
    vectors["input"] = torch.rand(2, 3, 32, 32)
    vectors["target"] = torch.rand(2, 3, 8, 8)
    x, target = vectors["input"].double(), vectors["target"].double()
    net.double().eval()
    with torch.no_grad():
        vectors["heatmaps_eval"] = net(x)
    net.train()
    y = net(x)
    loss = ((y - target) ** 2).mean()
    loss.backward()
    vectors["heatmaps_train"], vectors["loss"] = y, loss.reshape(1)
    for name, parameter in net.named_parameters():
        vectors["grad." + name] = parameter.grad
    for name, buffer in net.named_buffers():
        if buffer.dtype.is_floating_point:
            vectors["running." + name] = buffer
    header, blobs, offset = {}, [], 0
    for name, tensor in vectors.items():
        blob = tensor.detach().numpy().astype(np.float32).tobytes()
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, offset + len(blob)]}
        blobs.append(blob)
        offset += len(blob)
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    path = os.path.join(os.path.dirname(__file__), "data", "small_vectors.safetensors")
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(head)) + head + b"".join(blobs))
    print("loss", float(loss), "bytes", os.path.getsize(path))


if __name__ == "__main__":
    main()

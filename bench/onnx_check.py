#!/usr/bin/env python3
"""Sandglass's ONNX files in onnxruntime, and PyTorch's in Sandglass.

usage: python3 bench/onnx_check.py [--build build/cpu] [WEIGHTS ...]
Needs the packages numpy, onnx, onnxruntime and torch. For the paper's network and a small one, with either head, or for the networks
given: writes the network by `sandglass convert`, with batch norm folded and kept, and compares what onnxruntime makes of noise
pictures, one and three at a time, with what `sandglass infer` makes of them. Then PyTorch's own export of the two networks, which
`sandglass convert` must read: the heatmaps must be the same to the last bit. Prints the largest differences; ends with 1 if one is above
1e-4, or that part of the largest value where it is above 1: random weights amplify rounding, and PyTorch's own float32 differs from
its float64 by 1.2e-4 where heatmaps go up to 5.
"""
import argparse
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy
import onnx
import onnxruntime
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "peers"))
from torch_hourglass import HeatmapNet

LIMIT = 1e-4
NETWORKS = [{"width": 256, "depth": 4, "size": 256}, {"width": 16, "depth": 2, "size": 64}]
PICTURES = 3


def write_png(path, rgb):
    height, width, _ = rgb.shape
    rows = b"".join(b"\0" + row.tobytes() for row in rgb)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def read_heatmaps(path):
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    tensor = json.loads(content[8:end])["heatmaps"]
    begin, finish = (end + offset for offset in tensor["data_offsets"])
    return numpy.frombuffer(content[begin:finish], numpy.float32).reshape(tensor["shape"])


def random_network(width, depth, pictures):
    """Untrained, but with batch norm's statistics and heatmaps of the size that a trained network has."""
    torch.manual_seed(1)
    net = HeatmapNet(5, width, depth)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.1)
    with torch.no_grad():
        net.train()(pictures)
        largest = net.eval()(pictures).abs().max()
        net.l0.weight *= 5 / largest
        net.l0.bias *= 5 / largest
    return net


class Check:
    def __init__(self, program, folder):
        self.program, self.folder, self.bad = program, folder, False

    def sandglass(self, *arguments):
        finished = subprocess.run([self.program, *map(str, arguments)], capture_output=True, text=True)
        if finished.returncode:
            sys.exit(f"onnx_check: error: sandglass {arguments[0]}: {finished.stderr.strip()}")

    def infer(self, weights, pictures, head, aus=()):
        """The heatmaps, or the intensities that the network states, of registered faces."""
        out = self.folder / "result"
        self.sandglass("infer", "--quiet", "--force", "--registered", "--device", "cpu", "--weights", weights, *pictures,
                       "--heatmaps" if head == "heatmap" else "--json", out)
        if head == "heatmap":
            return read_heatmaps(out)
        faces = [each["faces"][0] for each in json.loads(out.read_text())["inputs"]]
        return numpy.array([[face["aus"][au]["intensity"] for au in aus] for face in faces], numpy.float32)

    def compare(self, what, got, expected, limit):
        difference = numpy.abs(got - expected).max() if got.shape == expected.shape else numpy.inf
        largest = numpy.abs(expected).max()
        good = difference <= limit * max(largest, 1)
        self.bad = self.bad or not good
        print(f"  {what:48}{difference:9.1e}  (largest value {largest:.2g}){'' if good else '   too much'}", flush=True)

    def noise(self, size):
        """Pictures as files, and as the network's input."""
        pixels = numpy.random.default_rng(2).integers(0, 256, (PICTURES, size, size, 3), numpy.uint8)
        files = [self.folder / f"{i}.png" for i in range(PICTURES)]
        for file, picture in zip(files, pixels):
            write_png(file, picture)
        return files, numpy.ascontiguousarray(pixels.transpose(0, 3, 1, 2), numpy.float32) / 255

    def check_weights(self, weights):
        for batch_norm in ("folded", "kept"):
            file = self.folder / "net.onnx"
            self.sandglass("convert", "--force", weights, file, *(["--keep-batch-norm"] if batch_norm == "kept" else []))
            onnx.checker.check_model(str(file), full_check=True)
            session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
            metadata = session.get_modelmeta().custom_metadata_map
            head = metadata["head"]
            files, inputs = self.noise(int(metadata["input_size"]))
            expected = self.infer(weights, files, head, metadata["aus"].split(","))
            for batch in (1, PICTURES):
                result, = session.run(None, {"picture": inputs[:batch]})
                if head == "regression":
                    result = result.clip(0, 5)  # as `infer` does
                self.compare(f"{head} head, batch norm {batch_norm}, batch {batch}", result, expected[:batch], LIMIT)

    def check_random(self, width, depth, size):
        files, inputs = self.noise(size)
        inputs = torch.from_numpy(inputs)
        net = random_network(width, depth, inputs)
        checkpoint, exported, converted = (self.folder / name for name in ("net.pth", "torch.onnx", "torch.safetensors"))
        for head in ("regression", "heatmap"):
            torch.save({"state_dict": net.state_dict(), "head": head, "input_size": size}, checkpoint)
            self.check_weights(checkpoint)
        torch.onnx.export(net, (inputs,), str(exported), dynamo=False, do_constant_folding=False,
                          training=torch.onnx.TrainingMode.PRESERVE)
        self.sandglass("convert", "--force", exported, converted)
        self.compare("PyTorch's export in Sandglass", self.infer(converted, files, "heatmap"),
                     self.infer(checkpoint, files, "heatmap"), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("weights", nargs="*")
    options = parser.parse_args()
    program = os.path.join(options.build, "sandglass")
    if not os.path.isfile(program):
        sys.exit(f"onnx_check: error: {program} is not there; build it, or say by --build where it is")
    print(f"onnxruntime {onnxruntime.__version__}, PyTorch {torch.__version__}: largest difference of any value")
    with tempfile.TemporaryDirectory() as folder:
        check = Check(program, pathlib.Path(folder))
        for weights in options.weights:
            print(weights)
            check.check_weights(weights)
        for network in [] if options.weights else NETWORKS:
            print(f"random weights, width {network['width']}, depth {network['depth']}")
            check.check_random(**network)
    sys.exit(1 if check.bad else 0)


if __name__ == "__main__":
    main()

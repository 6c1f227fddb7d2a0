#!/usr/bin/env python3
"""Sandglass's ONNX files in onnxruntime, and PyTorch's in Sandglass.

usage: python3 bench/onnx_check.py [--build build/cpu]
Needs the packages numpy, onnx, onnxruntime and torch. For the paper's network and a small one, with either head: writes the
network by `sandglass convert`, with batch norm folded and kept, and compares what onnxruntime makes of noise pictures, one and three
at a time, with what `sandglass infer` makes of them. Then PyTorch's own export of the same network, which `sandglass convert` must
read: the heatmaps must be the same to the last bit. Prints the largest differences; ends with 1 if one is above the limit.
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
AUS = ("AU06", "AU10", "AU12", "AU14", "AU17")
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
    net = HeatmapNet(len(AUS), width, depth)
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

    def infer(self, weights, pictures, head):
        """The heatmaps, or the intensities that the network states, of registered faces."""
        out = self.folder / "result"
        self.sandglass("infer", "--quiet", "--registered", "--device", "cpu", "--weights", weights, *pictures,
                       "--heatmaps" if head == "heatmap" else "--json", out)
        if head == "heatmap":
            return read_heatmaps(out)
        faces = [each["faces"][0] for each in json.loads(out.read_text())["inputs"]]
        return numpy.array([[face["aus"][au]["intensity"] for au in AUS] for face in faces], numpy.float32)

    def compare(self, what, got, expected, limit):
        difference = numpy.abs(got - expected).max() if got.shape == expected.shape else numpy.inf
        good = difference <= limit
        self.bad = self.bad or not good
        print(f"{what:64}{difference:10.1e}{'' if good else f'   above {limit}'}", flush=True)

    def check(self, width, depth, size):
        pixels = numpy.random.default_rng(2).integers(0, 256, (PICTURES, size, size, 3), numpy.uint8)
        files = [self.folder / f"{i}.png" for i in range(PICTURES)]
        for file, picture in zip(files, pixels):
            write_png(file, picture)
        inputs = numpy.ascontiguousarray(pixels.transpose(0, 3, 1, 2), numpy.float32) / 255
        net = random_network(width, depth, torch.from_numpy(inputs))
        checkpoint = self.folder / "net.pth"
        for head in ("heatmap", "regression"):
            torch.save({"state_dict": net.state_dict(), "head": head, "input_size": size}, checkpoint)
            expected = self.infer(checkpoint, files, head)
            for batch_norm in ("folded", "kept"):
                file = self.folder / "net.onnx"
                self.sandglass("convert", checkpoint, file, *(["--keep-batch-norm"] if batch_norm == "kept" else []))
                onnx.checker.check_model(str(file), full_check=True)
                session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
                for batch in (1, PICTURES):
                    result, = session.run(None, {"picture": inputs[:batch]})
                    if head == "regression":
                        result = result.clip(0, 5)  # as `infer` does
                    self.compare(f"width {width}, {head} head, batch norm {batch_norm}, batch {batch}", result,
                                 expected[:batch], LIMIT)
        torch.save({"state_dict": net.state_dict(), "input_size": size}, checkpoint)
        exported, converted = self.folder / "torch.onnx", self.folder / "torch.safetensors"
        torch.onnx.export(net, (torch.from_numpy(inputs),), str(exported), dynamo=False, do_constant_folding=False,
                          training=torch.onnx.TrainingMode.PRESERVE)
        self.sandglass("convert", exported, converted)
        self.compare(f"width {width}, PyTorch's export in Sandglass", self.infer(converted, files, "heatmap"),
                     self.infer(checkpoint, files, "heatmap"), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/cpu")
    program = os.path.join(parser.parse_args().build, "sandglass")
    if not os.path.isfile(program):
        sys.exit(f"onnx_check: error: {program} is not there; build it, or say by --build where it is")
    print(f"onnxruntime {onnxruntime.__version__}, PyTorch {torch.__version__}: largest difference of any value")
    bad = False
    for network in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            check = Check(program, pathlib.Path(folder))
            check.check(**network)
            bad = bad or check.bad
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

"""The Hourglass heatmap network in PyTorch: the peer that Sandglass is compared with.

usage: python3 bench/peers/torch_hourglass.py [--mode infer|train] [--batch N] [--threads T] [--iterations K]
Prints one JSON line with the median and least time of a run in milliseconds, for every way PyTorch offers here:
infer: eager, and torch.jit.freeze + optimize_for_inference; train: eager (forward, loss, backward, RMSprop step).
Parameter names are those of the authors' released checkpoint, so that its weights load.
"""
import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, c_in, c_out):
        super().__init__()
        middle = c_out // 2
        self.conv1 = nn.Conv2d(c_in, middle, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(middle)
        self.conv2 = nn.Conv2d(middle, middle, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(middle)
        self.conv3 = nn.Conv2d(middle, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = None
        if c_in != c_out:
            self.downsample = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        z = F.relu(self.bn1(self.conv1(x)))
        z = F.relu(self.bn2(self.conv2(z)))
        z = self.bn3(self.conv3(z))
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(z + shortcut)


class Level(nn.Module):
    """All hourglass levels share one module, as the checkpoint's names have it."""

    def __init__(self, depth, width):
        super().__init__()
        self.depth = depth
        for level in range(depth, 0, -1):
            for name in ("b1", "b2", "b3"):
                setattr(self, f"{name}_{level}", Bottleneck(width, width))
        self.b2_plus_1 = Bottleneck(width, width)

    def run(self, level: int, x):
        low = getattr(self, f"b2_{level}")(F.max_pool2d(x, 2))
        low = self.run(level - 1, low) if level > 1 else self.b2_plus_1(low)
        low = getattr(self, f"b3_{level}")(low)
        return getattr(self, f"b1_{level}")(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")

    def forward(self, x):
        return self.run(self.depth, x)


class HeatmapNet(nn.Module):
    def __init__(self, heatmaps=5, width=256, depth=4):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 4, 7, stride=2, padding=3)
        self.bn1 = nn.BatchNorm2d(width // 4)
        self.conv2 = Bottleneck(width // 4, width // 2)
        self.conv3 = Bottleneck(width // 2, width // 2)
        self.conv4 = Bottleneck(width // 2, width)
        self.m0 = Level(depth, width)
        self.top_m_0 = Bottleneck(width, width)
        self.conv_last0 = nn.Conv2d(width, width, 1)
        self.bn_end0 = nn.BatchNorm2d(width)
        self.l0 = nn.Conv2d(width, heatmaps, 1)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.conv4(self.conv3(F.max_pool2d(self.conv2(x), 2)))
        x = self.top_m_0(self.m0(x))
        return self.l0(F.relu(self.bn_end0(self.conv_last0(x))))


def measure(run, iterations):
    for _ in range(2):
        run()
    times = []
    for _ in range(iterations):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return {"median_ms": statistics.median(times), "min_ms": min(times)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["infer", "train"], default="infer")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2, help="PyTorch defaults to one here")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--only", choices=["eager", "frozen"], help="infer: one way only")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    net = HeatmapNet(width=options.width)
    x = torch.rand(options.batch, 3, 256, 256)
    result = {"peer": f"PyTorch {torch.__version__}", "mode": options.mode, "batch": options.batch,
              "threads": torch.get_num_threads()}
    if options.mode == "infer":
        net.eval()
        with torch.no_grad():
            if options.only != "frozen":
                result["eager"] = measure(lambda: net(x), options.iterations)
            if options.only != "eager":
                frozen = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x)))
                result["frozen"] = measure(lambda: frozen(x), options.iterations)
    else:
        net.train()
        target = torch.rand(options.batch, 5, 64, 64)
        optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-4)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = F.mse_loss(net(x), target)
            loss.backward()
            optimizer.step()

        result["eager"] = measure(step, options.iterations)
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

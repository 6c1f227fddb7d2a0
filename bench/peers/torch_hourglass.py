"""The Hourglass heatmap network in PyTorch: the peer that Sandglass is compared with.

usage: python3 bench/peers/torch_hourglass.py [--mode infer|train] [--batch N ...] [--iterations K] [--compile]
       [--threads T] | [--device cuda [--precision fp32|tf32|bf16 ...]]
Prints one JSON line for each batch and precision with the median and least time of a run in milliseconds, for every way
PyTorch offers. On the CPU: eager, eager in channels_last, for inference torch.jit.freeze + optimize_for_inference, and
with --compile torch.compile in channels_last. On a GPU, in channels_last with cudnn.benchmark and by the device's clock:
eager, the same as a captured CUDA graph, and with --compile torch.compile.
A training step is forward, loss, backward and RMSprop; bf16 is autocast there, and a bfloat16 network for inference. The
input is on the device already.
Parameter names are those of the authors' released checkpoint, so that its weights load.
"""
import argparse
import contextlib
import json
import resource
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


def registered_places(size):
    """Where landmarks 8, 36 and 45 lie in a registered face of size x size pixels, 3 x 2."""
    of_256 = [[127.6475, 227.8161], [79.1608, 87.0376], [176.8392, 87.0376]]
    return [[(value + 0.5) * size / 256 - 0.5 for value in place] for place in of_256]


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


def statistics_of(times):
    return {"median_ms": statistics.median(times), "min_ms": min(times)}


def measure(run, iterations):
    for _ in range(2):
        run()
    times = []
    for _ in range(iterations):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics_of(times)


def measure_on_gpu(run, iterations):
    for _ in range(5):
        run()
    times = []
    for _ in range(iterations):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return statistics_of(times)


def capture(run):
    """The run as a CUDA graph; warmed up on a stream of its own, as PyTorch asks for."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def train_step(net, x, target, autocast, capturable):
    optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-4, **({"capturable": True} if capturable else {}))

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16, enabled=autocast) if capturable else contextlib.nullcontext():
            loss = F.mse_loss(net(x).float(), target)
        loss.backward()
        optimizer.step()

    return step


def measure_ways(options, ways, measure_run):
    """{way: figures} for each of `ways`, {name: function that makes the run}; for one that fails its error."""
    result = {}
    for way, run in ways.items():
        if options.only and way != options.only:
            continue
        try:
            with torch.set_grad_enabled(options.mode == "train"):
                result[way] = measure_run(run(), options.iterations)
        except (RuntimeError, AttributeError, NotImplementedError) as error:  # must not hide the other ways
            result[way + "_error"] = str(error).splitlines()[0]
    return result


def on_cpu(options, batch):
    def make(channels_last):
        net, x = HeatmapNet(width=options.width), torch.rand(batch, 3, 256, 256)
        if channels_last:
            net, x = net.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
        return (net.train() if options.mode == "train" else net.eval()), x

    def run_of(net, x):
        if options.mode == "infer":
            return lambda: net(x)
        return train_step(net, x, torch.rand(batch, 5, 64, 64), False, False)

    def frozen():
        net, x = make(False)
        return run_of(torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(net, x))), x)

    def compiled():
        net, x = make(True)
        return run_of(torch.compile(net), x)

    ways = {"eager": lambda: run_of(*make(False)), "channels_last": lambda: run_of(*make(True))}
    if options.mode == "infer":
        ways["frozen"] = frozen
    if options.compile:
        ways["compile"] = compiled
    return {"threads": torch.get_num_threads()} | measure_ways(options, ways, measure)


def on_gpu(options, batch, precision):
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"

    def make():
        net = HeatmapNet(width=options.width).cuda().to(memory_format=torch.channels_last)
        x = torch.rand(batch, 3, 256, 256, device="cuda").to(memory_format=torch.channels_last)
        if options.mode == "train":
            return net.train(), x
        if precision == "bf16":
            net, x = net.bfloat16(), x.bfloat16()
        return net.eval(), x

    def run_of(net, x):
        if options.mode == "infer":
            return lambda: net(x)
        return train_step(net, x, torch.rand(batch, 5, 64, 64, device="cuda"), precision == "bf16", True)

    def compiled():
        net, x = make()
        return capture(run_of(torch.compile(net), x))

    ways = {"eager": lambda: run_of(*make()), "graph": lambda: capture(run_of(*make()))}
    if options.compile:
        ways["compile"] = compiled
    return {"gpu": torch.cuda.get_device_name()} | measure_ways(options, ways, measure_on_gpu)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["infer", "train"], default="infer")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--threads", type=int, default=2, help="PyTorch defaults to one here")
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--only", metavar="WAY", help="one way only: eager, channels_last, frozen, graph or compile")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "tf32", "bf16"], nargs="+", default=["fp32"])
    parser.add_argument("--compile", action="store_true", help="torch.compile, too")
    options = parser.parse_args()
    if options.device == "cpu" and options.precision != ["fp32"]:
        parser.error("on the CPU there is fp32 only")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("this PyTorch sees no GPU")
    torch.set_num_threads(options.threads)
    for precision in options.precision:
        for batch in options.batch:
            torch.manual_seed(1)
            result = {"peer": f"PyTorch {torch.__version__}", "mode": options.mode, "device": options.device,
                      "precision": precision, "batch": batch}
            result |= on_cpu(options, batch) if options.device == "cpu" else on_gpu(options, batch, precision)
            result["peak_resident_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

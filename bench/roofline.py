#!/usr/bin/env python3
"""What each operation of the network must move and do, and the time that implies on a GPU: the roofline on paper.

Every step of a training pass and of an inference pass is listed with the bytes that it must read and write once and the
operations that it must do, from the network's shapes alone (model/network.h, model/hourglass.cpp). A step takes the larger
of bytes / bandwidth and operations / rate: its roofline. Beside it stands the time that the kernel's design should reach,
an estimate until it is measured. Steps of one kind and shape share a line. Markdown on standard output:

    bench/roofline.py [--batch 32] [--bandwidth 3.0e12] [--rate 798e12]

Maps and operands are bfloat16, heatmaps and gradients of weights float. Weights count once for each convolution. Caches
are taken to keep nothing from one step to the next one: maps that fit into the L2 cache (50 MB on an H100) may be faster.
"""
import argparse
from collections import OrderedDict

WIDTH, DEPTH, HEATMAPS, INPUT = 256, 4, 5, 256
MAP = 2       # bytes of an element of a feature map, of an operand
FLOAT = 4     # of a heatmap, of a weight's gradient and of an optimiser's state
POINTS = 2    # of a map

# The part of the roofline's speed that a design should reach. A pass over maps: the goal of 90 % of a copy's bandwidth,
# a little less where threads add in double and leave partial sums. A convolution: what is left after the pipeline's start
# and end in each tile, and, of backward weights, after the sum over slices.
REACH = {"conv forward": 0.75, "conv backward data": 0.75, "conv backward weights": 0.65,
         "batch norm backward reduce": 0.85, "residual backward": 0.85, "residual backward, two batch norms": 0.85}
PASS = 0.9
LAUNCH = 2e-6  # seconds: no step of a captured graph takes less


class Steps:
    """Steps in groups of one kind and shape: [how many, bytes, operations, roofline, time to reach]."""

    def __init__(self, batch, bandwidth=1, rate=1):
        self.batch, self.bandwidth, self.rate = batch, bandwidth, rate
        self.groups = OrderedDict()

    def add(self, kind, shape, moved, operations=0):
        roofline = max(moved / self.bandwidth, operations / self.rate)
        reached = max(roofline / REACH.get(kind, PASS), LAUNCH)
        group = self.groups.setdefault((kind, shape), [0, 0, 0, 0, 0])
        for i, value in enumerate((1, moved, operations, roofline, reached)):
            group[i] += value

    def pixels(self, size):
        return self.batch * size * size

    def conv(self, c, k, r, size, stride=1, masked=False, accumulated=False, residual=False, backward=True,
             data_gradient=True, out_bytes=MAP, stored_c=None):
        """`size`: of the output. `masked`: the input is raw, so that backward data reads z and masks."""
        x = self.pixels(size * stride) * (stored_c or c) * MAP
        y = self.pixels(size) * k * out_bytes
        dy = self.pixels(size) * k * MAP
        weights = k * r * r * c
        operations = 2 * self.pixels(size) * weights
        shape = f"{r}x{r} {c} -> {k}, {size}x{size}" + (f" / {stride}" if stride > 1 else "")
        self.add("conv forward", shape, x + weights * MAP + y + (y if residual else 0), operations)
        if not backward:
            return
        if data_gradient:
            extra = (x if masked else 0) + (x if accumulated else 0)
            self.add("conv backward data", shape, dy + weights * MAP + x + extra, operations)
        self.add("conv backward weights", shape, x + dy + weights * FLOAT, operations)

    def maps(self, kind, c, size, reads_and_writes, operations_per_element=0, more_bytes=0):
        """A pass over maps of this size: how many of them it reads and writes."""
        elements = self.pixels(size) * c
        self.add(kind, f"{c}, {size}x{size}", elements * MAP * reads_and_writes + more_bytes,
                 elements * operations_per_element)


def batch_norm(steps, c, size):
    """What every batch norm of a training step needs of its own: the per-channel numbers and dz = a g + b z + c."""
    steps.add("batch norm finalize", f"{c}", c * (2 * 8 + 10 * FLOAT))
    steps.add("batch norm backward finalize", f"{c}", c * (2 * 8 + 8 * FLOAT))
    steps.maps("batch norm backward apply", c, size, 3, 4)


def bottleneck(steps, c_in, c_out, size, training):
    m, down = c_out // 2, c_in != c_out
    if down:
        steps.conv(c_in, c_out, 1, size, backward=training)
    steps.conv(c_in, m, 1, size, accumulated=True, backward=training)
    steps.conv(m, m, 3, size, masked=True, backward=training)
    steps.conv(m, c_out, 1, size, masked=True, residual=not training, backward=training)
    if not training:
        return
    steps.maps("residual forward" + (", two batch norms" if down else ""), c_out, size, 3, 6 if down else 4)
    steps.maps("residual backward" + (", two batch norms" if down else ""), c_out, size, 5 if down else 4,
               6 if down else 4)
    for channels in [c_out] * (2 if down else 1) + [m, m]:
        batch_norm(steps, channels, size)


def max_pool(steps, c, size, training):
    """`size`: of the large map; the small one is a quarter of it, with a byte an element for the place."""
    places = steps.pixels(size // 2) * c if training else 0
    steps.maps("max pool forward", c, size, 1.25, 0.75, places)
    if training:
        # Within the hourglass the gradient is added to that of the skip branch, which is read as well.
        steps.maps("max pool backward", c, size, 1.25 if size == INPUT // 2 else 2.25, 1, places)


def hourglass(steps, level, w, size, training):
    bottleneck(steps, w, w, size, training)
    max_pool(steps, w, size, training)
    bottleneck(steps, w, w, size // 2, training)
    if level > 1:
        hourglass(steps, level - 1, w, size // 2, training)
    else:
        bottleneck(steps, w, w, size // 2, training)
    bottleneck(steps, w, w, size // 2, training)
    steps.maps("upsample and add", w, size, 2.25, 1)
    if training:
        steps.maps("upsample backward", w, size, 1.25, 0.75)


def network(steps, training):
    batch = steps.batch
    w, half, map_size = WIDTH, INPUT // 2, INPUT // 4
    heatmaps = batch * map_size * map_size * HEATMAPS
    if training:
        # Source pixels as many as the picture has, three bytes each; four channels of a picture are stored.
        steps.add("warp", f"3, {INPUT}x{INPUT}", steps.pixels(INPUT) * (3 + 4 * MAP), steps.pixels(INPUT) * 60)
    steps.conv(3, w // 4, 7, half, stride=2, backward=training, data_gradient=False, stored_c=4)
    if training:
        steps.maps("batch norm apply", w // 4, half, 2, 3)
        steps.maps("batch norm backward reduce", w // 4, half, 3, 5)
        batch_norm(steps, w // 4, half)
    bottleneck(steps, w // 4, w // 2, half, training)
    max_pool(steps, w // 2, half, training)
    bottleneck(steps, w // 2, w // 2, map_size, training)
    bottleneck(steps, w // 2, w, map_size, training)
    hourglass(steps, DEPTH, w, map_size, training)
    bottleneck(steps, w, w, map_size, training)
    steps.conv(w, w, 1, map_size, backward=training)
    if training:
        batch_norm(steps, w, map_size)
    steps.conv(w, HEATMAPS, 1, map_size, masked=True, backward=training, out_bytes=FLOAT)
    if training:
        labels = batch * HEATMAPS * (1 + 2 * POINTS) * FLOAT
        steps.add("heatmap loss", f"{HEATMAPS}, {map_size}x{map_size}", heatmaps * (FLOAT + MAP) + labels,
                  heatmaps * (3 + 8 * POINTS))
        weights, others = parameters()
        steps.add("gradient norm", f"{weights + others} parameters", (weights + others) * FLOAT, 2 * (weights + others))
        steps.add("optimizer (RMSprop)", f"{weights + others} parameters",
                  (weights + others) * 5 * FLOAT + weights * MAP, 10 * (weights + others))
    else:
        steps.add("peak", f"{HEATMAPS}, {map_size}x{map_size}", heatmaps * FLOAT, heatmaps)
    return steps


def parameters():
    """Convolution weights, and all others (batch norm, biases)."""
    counts = [0, 0]

    def conv(c, k, r, norm=True, bias=False):
        counts[0] += k * c * r * r
        counts[1] += (2 * k if norm else 0) + (k if bias else 0)

    def block(c_in, c_out):
        m = c_out // 2
        conv(c_in, m, 1), conv(m, m, 3), conv(m, c_out, 1)
        if c_in != c_out:
            conv(c_in, c_out, 1)

    w = WIDTH
    conv(3, w // 4, 7, bias=True)
    block(w // 4, w // 2), block(w // 2, w // 2), block(w // 2, w)
    for _ in range(3 * DEPTH + 2):  # the hourglass, its innermost bottleneck, top_m_0
        block(w, w)
    conv(w, w, 1, bias=True), conv(w, HEATMAPS, 1, norm=False, bias=True)
    return counts


def table(steps, per_shape):
    rows = OrderedDict()
    total = [0, 0, 0, 0, 0]
    for (kind, shape), group in steps.groups.items():
        row = rows.setdefault((kind, shape) if per_shape else (kind,), [0, 0, 0, 0, 0])
        for i, value in enumerate(group):
            row[i] += value
            total[i] += value
    rows[("**all**", "") if per_shape else ("**all**",)] = total
    print("| operation |" + (" channels, map |" if per_shape else "")
          + " times | MB | GFLOP | memory, us | arithmetic, us | roofline, us | should reach, us |")
    print("|---|" + ("---|" if per_shape else "") + "---:|" * 7)
    for key, (count, moved, operations, roofline, reached) in rows.items():
        print(f"| {' | '.join(key)} | {count} | {moved / 1e6:.1f} | {operations / 1e9:.2f} "
              f"| {moved / steps.bandwidth * 1e6:.1f} | {operations / steps.rate * 1e6:.1f} | {roofline * 1e6:.1f} "
              f"| {reached * 1e6:.1f} |")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--bandwidth", type=float, default=3.0e12, help="bytes a second of a copy, read plus written")
    parser.add_argument("--rate", type=float, default=798e12, help="bfloat16 operations a second")
    options = parser.parse_args()

    def steps(batch, training):
        return network(Steps(batch, options.bandwidth, options.rate), training)

    face = steps(1, training=False)
    macs = sum(group[2] for (kind, _), group in face.groups.items() if kind == "conv forward") / 2
    print(f"A face's forward convolutions are {macs / 1e9:.3f} GMAC; the network has {sum(parameters()):,} parameters.")
    print(f"Bandwidth {options.bandwidth / 1e12:g} TB/s, rate {options.rate / 1e12:g} TFLOP/s.\n")
    for title, batch, training in (("Training step", options.batch, True), ("Inference", options.batch, False),
                                   ("Inference", 1, False)):
        print(f"#### {title}, batch {batch}\n")
        table(steps(batch, training), per_shape=False)
    print(f"#### Training step, batch {options.batch}, by shape\n")
    table(steps(options.batch, training=True), per_shape=True)


if __name__ == "__main__":
    main()

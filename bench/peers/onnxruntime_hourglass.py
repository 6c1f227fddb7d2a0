"""The Hourglass heatmap network in onnxruntime: a peer of inference on the CPU.

usage: python3 bench/peers/onnxruntime_hourglass.py [--batch N ...] [--iterations K] [--threads T] [--width W]
Needs the packages onnx, which describes the network, and onnxruntime, which runs it. Prints one JSON line for each batch
with the median and least time of a run in milliseconds. Batch norm is folded into the convolutions; weights are random.
"""
import argparse
import json
import resource
import statistics
import time

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 9  # what onnxruntime has read since 2023


class Network:
    """The nodes and weights of the ONNX graph, appended layer by layer; maps go by their names."""

    def __init__(self):
        self.nodes, self.weights, self.random = [], [], numpy.random.default_rng(1)
        self.constant("scales", numpy.array([1, 1, 2, 2], numpy.float32))

    def constant(self, name, values):
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def node(self, kind, inputs, **attributes):
        output = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(self, x, c, k, size=1, stride=1, relu=False):
        name = f"conv_{len(self.nodes)}"
        deviation = (2 / (c * size * size)) ** 0.5
        weights = self.random.normal(0, deviation, (k, c, size, size)).astype(numpy.float32)
        y = self.node("Conv", [x, self.constant(name + ".weight", weights),
                               self.constant(name + ".bias", numpy.zeros(k, numpy.float32))],
                      kernel_shape=[size, size], strides=[stride, stride], pads=[size // 2] * 4)
        return self.node("Relu", [y]) if relu else y

    def bottleneck(self, x, c_in, c_out):
        middle = c_out // 2
        z = self.conv(x, c_in, middle, relu=True)
        z = self.conv(z, middle, middle, size=3, relu=True)
        z = self.conv(z, middle, c_out)
        shortcut = x if c_in == c_out else self.conv(x, c_in, c_out)
        return self.node("Relu", [self.node("Add", [z, shortcut])])

    def pool(self, x):
        return self.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    def level(self, x, depth, width):
        low = self.bottleneck(self.pool(x), width, width)
        low = self.level(low, depth - 1, width) if depth > 1 else self.bottleneck(low, width, width)
        low = self.bottleneck(low, width, width)
        large = self.node("Resize", [low, "", "scales"], mode="nearest", nearest_mode="floor",
                          coordinate_transformation_mode="asymmetric")
        return self.node("Add", [self.bottleneck(x, width, width), large])


def heatmap_net(heatmaps=5, width=256, depth=4):
    n = Network()
    x = n.conv("picture", 3, width // 4, size=7, stride=2, relu=True)
    x = n.pool(n.bottleneck(x, width // 4, width // 2))
    x = n.bottleneck(n.bottleneck(x, width // 2, width // 2), width // 2, width)
    x = n.bottleneck(n.level(x, depth, width), width, width)
    x = n.conv(x, width, width, relu=True)
    n.nodes.append(helper.make_node("Identity", [n.conv(x, width, heatmaps)], ["heatmaps"]))
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, 256, 256])
    maps = helper.make_tensor_value_info("heatmaps", TensorProto.FLOAT, ["n", heatmaps, 64, 64])
    model = helper.make_model(helper.make_graph(n.nodes, "hourglass", [picture], [maps], n.weights),
                              opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=["infer"], default="infer")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=int, default=256)
    options = parser.parse_args()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = onnxruntime.InferenceSession(heatmap_net(width=options.width).SerializeToString(), settings,
                                           providers=["CPUExecutionProvider"])
    for batch in options.batch:
        x = numpy.random.default_rng(2).random((batch, 3, 256, 256), numpy.float32)
        times = []
        for i in range(2 + options.iterations):
            start = time.perf_counter()
            session.run(None, {"picture": x})
            times.append((time.perf_counter() - start) * 1e3)
        times = times[2:]
        print(json.dumps({"peer": f"onnxruntime {onnxruntime.__version__}", "mode": "infer", "device": "cpu",
                          "precision": "fp32", "batch": batch, "threads": options.threads,
                          "session": {"median_ms": statistics.median(times), "min_ms": min(times)},
                          "peak_resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)


if __name__ == "__main__":
    main()

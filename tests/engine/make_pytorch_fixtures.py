"""Writes the PyTorch checkpoints in data/ that pytorch_file_test.cpp reads.

usage: python3 make_pytorch_fixtures.py OUT_DIR      (needs PyTorch 1.13 with numpy: Debian's python3-torch)

What each file holds is said where it is written; the test knows the values independently. Where PyTorch can read a file
back, this script checks that it does.
"""
import argparse
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict

import numpy
import torch


def kinds():
    """One tensor of every type and of every memory layout, with entries around them that are no tensors."""
    i = torch.arange(6).reshape(2, 3)
    shared = torch.arange(8, dtype=torch.float32)
    attributed = torch.tensor([3.0, 4.0])
    attributed.note = "an attribute makes PyTorch save it by _rebuild_from_type_v2"
    return OrderedDict([
        ("f32", (i - 3).float() / 2),
        ("f64", (i - 3).double() / 2),
        ("f16", (i - 3).half() / 2),
        ("bf16", (i - 3).bfloat16() / 2),
        ("i64", i - 3),
        ("i32", (i - 3).int()),
        ("i16", (i - 3).short()),
        ("i8", (i - 3).char()),
        ("u8", (i + 250).byte()),
        ("bool", i % 2 == 1),
        ("scalar", torch.tensor(-(2 ** 40))),
        ("empty", torch.zeros(0, 4)),
        ("text", "not a tensor"),
        ("transposed", torch.arange(6, dtype=torch.float32).reshape(2, 3).t()),
        ("window", torch.arange(24, dtype=torch.float32).reshape(4, 6)[1:, 1::2]),
        ("repeated", torch.tensor([[1.0], [2.0]]).expand(2, 3)),
        ("channels_last", torch.arange(16, dtype=torch.float32).reshape(1, 2, 2, 4).to(memory_format=torch.channels_last)),
        ("shared", shared),
        ("shared_tail", shared[5:]),
        ("parameter", torch.nn.Parameter(torch.tensor([0.5, -0.5]))),
        ("attributed", attributed),
        ("nothing", None),
    ])


def training():
    """A training script's checkpoint: names with "module.", an optimiser's state, and objects of all sorts."""
    torch.manual_seed(0)
    net = torch.nn.DataParallel(torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3)))
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.arange(parameter.numel()).reshape(parameter.shape) / 4)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(2, 2)).sum().backward()
    optimizer.step()
    state = net.state_dict()
    assert hasattr(state, "_metadata")
    for tensor in state.values():
        tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape) / 4)
    return {
        "epoch": 12, "arch": "FAN", "best": 0.75, "done": False, "steps": 2 ** 40, "negative": -3, "huge": 2 ** 100,
        "state_dict": state, "optimizer": optimizer.state_dict(), "args": argparse.Namespace(lr=0.1, names=["a", "b"]),
        "history": [1.0, 0.5, (1, 2, 3, 4)], "seen": {1, 2}, "frozen": frozenset([3]), "score": numpy.float64(0.5),
        "array": numpy.arange(3), "bytes": b"\x00\xff", "size": torch.Size([2, 3]), "dtype": torch.float32,
        "device": torch.device("cpu"), "function": torch.nn.functional.relu, 7: "a key that is no text",
    }


def python2_stream():
    """As PyTorch 0.3 under Python 2 wrote: byte strings, OrderedDict([[key, value], ...]), _rebuild_tensor, CUDA storages,
    and the second tensor's storage a view of the first's."""
    text = lambda s: b"U" + bytes([len(s)]) + s.encode()
    integer = lambda i: b"K" + bytes([i])
    tuple_of = lambda *items: b"(" + b"".join(items) + b"t"
    list_of = lambda *items: b"](" + b"".join(items) + b"e"
    storage = lambda view: tuple_of(text("storage"), b"ctorch.cuda\nFloatStorage\n", text("94031"), text("cuda:0"), integer(6),
                                    view) + b"Q"
    tensor = lambda view, offset, size, stride: (b"ctorch._utils\n_rebuild_tensor\n" + tuple_of(
        storage(view), integer(offset), tuple_of(*map(integer, size)), tuple_of(*map(integer, stride))) + b"R")
    whole = tensor(b"N", 0, [2, 3], [3, 1])
    tail = tensor(tuple_of(text("94032"), integer(2), integer(4)), 1, [3], [1])
    state = b"ccollections\nOrderedDict\n" + tuple_of(list_of(list_of(text("weight"), whole), list_of(text("bias"), tail))) + b"R"
    saved = b"}(" + text("epoch") + b"\x8a\x01\x05" + text("state_dict") + state + b"u"
    out = b"".join(pickle.dumps(x, 2) for x in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}))
    out += b"\x80\x02" + saved + b"." + b"\x80\x02" + list_of(text("94031")) + b"."
    return out + struct.pack("<q6f", 6, *(x / 2 for x in range(6)))


def main(out):
    torch.save(kinds(), f"{out}/kinds.pth")
    torch.save(kinds(), f"{out}/kinds_protocol4.pth", pickle_protocol=4)
    torch.save(kinds(), f"{out}/kinds_stream.pth", _use_new_zipfile_serialization=False)
    torch.save(kinds(), f"{out}/kinds_stream_protocol4.pth", _use_new_zipfile_serialization=False, pickle_protocol=4)
    torch.save(training(), f"{out}/training.pth")
    torch.save(training(), f"{out}/training.pth.tar", _use_new_zipfile_serialization=False)

    # With the additional entries of PyTorch 2.
    with zipfile.ZipFile(f"{out}/kinds.pth") as original, zipfile.ZipFile(f"{out}/kinds_pytorch2.pth", "w") as copy:
        for entry in original.namelist():
            copy.writestr(entry, original.read(entry))
        for entry, text in (".format_version", "1"), (".storage_alignment", "64"), ("byteorder", "little"), (
                ".data/serialization_id", "0636457737946401051300000027264370494161"):
            copy.writestr("kinds/" + entry, text)

    with open(f"{out}/python2.pth.tar", "wb") as file:
        file.write(python2_stream())
    read_back = torch.load(f"{out}/python2.pth.tar", map_location="cpu")
    assert read_back["epoch"] == 5
    assert read_back["state_dict"]["weight"].tolist() == [[0.0, 0.5, 1.0], [1.5, 2.0, 2.5]]
    assert read_back["state_dict"]["bias"].tolist() == [1.5, 2.0, 2.5]

    # Files to be refused.
    torch.save(torch.nn.Linear(1, 1), f"{out}/whole_module.pth")
    torch.save([torch.zeros(1)], f"{out}/list.pth")
    complex_state = {"fine": torch.zeros(1), "wave": torch.zeros(2, dtype=torch.complex64)}
    torch.save(complex_state, f"{out}/complex.pth")
    torch.save(complex_state, f"{out}/complex_stream.pth", _use_new_zipfile_serialization=False)
    torch.save({"q.weight": torch.quantize_per_tensor(torch.ones(2), 0.5, 0, torch.qint8)}, f"{out}/quantized.pth")
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), f"{out}/script.pt")
    with zipfile.ZipFile(f"{out}/list.pth") as original, zipfile.ZipFile(f"{out}/big_endian.pth", "w") as copy:
        for entry in original.namelist():
            copy.writestr(entry, original.read(entry))
        copy.writestr("list/byteorder", "big")
    with zipfile.ZipFile(f"{out}/kinds.pth") as original, zipfile.ZipFile(
            f"{out}/compressed.pth", "w", zipfile.ZIP_DEFLATED) as copy:
        for entry in original.namelist():
            copy.writestr(entry, original.read(entry))
    with zipfile.ZipFile(f"{out}/other.zip", "w") as other:
        other.writestr("readme.txt", "no checkpoint")


if __name__ == "__main__":
    main(sys.argv[1])

"""Prints what TensorBoard reads from the event files of a folder (needs `pip install tensorboard`):

    python3 tests/train/read_events.py RUN_DIR
"""
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

accumulator = EventAccumulator(sys.argv[1], size_guidance={"images": 0, "scalars": 0, "tensors": 0})
accumulator.Reload()
tags = accumulator.Tags()
for tag in tags["scalars"]:
    events = accumulator.Scalars(tag)
    print(f"{tag}: {len(events)} values, step {events[0].step} {events[0].value:.6g} ... step {events[-1].step} {events[-1].value:.6g}")
for tag in tags["images"]:
    events = accumulator.Images(tag)
    print(f"{tag}: {len(events)} pictures of {events[-1].width} x {events[-1].height}, {len(events[-1].encoded_image_string)} bytes")
for tag in tags["tensors"]:
    print(f"{tag}: {accumulator.Tensors(tag)[-1].tensor_proto.string_val[0][:60]}...")

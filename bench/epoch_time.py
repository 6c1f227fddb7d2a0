#!/usr/bin/env python3
"""Time of an epoch, by turns with PyTorch (bench/peers/torch_training.py): the same faces, network (configs/small.toml) and
batch, no augmentation, two threads.

usage: bench/epoch_time.py --train MANIFEST.csv --peer PYTHON [--build build/cpu] [--rounds 5]
       [--steps 60]
PyTorch has decoded and registered its faces before the clock starts; Sandglass reads the files within its epoch. Prints
the images a second of each round, and the median of the ratios of their times.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile

BATCH = 8  # of configs/small.toml and of the peer
OFF = [f"augment.{name}=0" for name in
       ("rotation", "scale", "shift", "mirror", "brightness", "contrast", "landmark_jitter")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", required=True)
    parser.add_argument("--peer", required=True, metavar="PYTHON")
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60, help="PyTorch's")
    options = parser.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    ratios = []
    for _ in range(options.rounds):
        out = subprocess.run([options.peer, os.path.join(here, "peers", "torch_training.py"), "--train", options.train,
                              "--steps", str(options.steps)], capture_output=True, text=True, check=True, env=environment)
        peer = json.loads(out.stdout.splitlines()[-1])
        with tempfile.TemporaryDirectory() as folder:
            command = [os.path.join(options.build, "sandglass"), "train", "--train", options.train, "--out",
                       os.path.join(folder, "run"), "--config", os.path.join(here, "..", "configs", "small.toml"), "--set", "epochs=1"]
            for setting in OFF:
                command += ["--set", setting]
            subprocess.run(command, capture_output=True, check=True, env=environment)
            with open(os.path.join(folder, "run", "metrics.jsonl")) as file:
                rates = [float(rate) for rate in re.findall(r'"images_per_s":([\d.]+)', file.read())]
        ours, theirs = statistics.median(rates), 1e3 * BATCH / peer["ms_per_step"]
        ratios.append(theirs / ours)
        print(json.dumps({"sandglass_images_per_s": ours, "peer": peer["peer"], "peer_images_per_s": theirs,
                          "ratio_of_times": ratios[-1]}), flush=True)
    print(json.dumps({"median_ratio_of_times": statistics.median(ratios)}))


if __name__ == "__main__":
    main()

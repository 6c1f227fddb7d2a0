"""Sandglass on the CPU against PyTorch: whole network, alternating runs on the same machine.

usage: python3 bench/compare_cpu.py [--build build/cpu] [--rounds 5] [--out bench/results/NAME.json]
Needs a build configured with -DSANDGLASS_BENCHMARKS=ON and a python3 with PyTorch (Debian: python3-torch).

Each round runs every program once; a figure is the median over the rounds of a round's median. A ratio is the median of
the rounds' ratios, so a machine that slows down in the middle slows both sides.
"""
import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile

NETWORK_GFLOP = 2 * 5.139  # of one face; 5.139 G multiply-adds counted from the shapes


def run(command):
    environment = dict(os.environ, OMP_NUM_THREADS="2")
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def sandglass(program, mode, batch, iterations):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        run([program, "bench", "--mode", mode, "--batch", str(batch), "--device", "cpu", "--iterations",
             str(iterations), "--json", file.name])
        return json.load(open(file.name))["median_ms"]


def torch(mode, batch, iterations, only=None):
    command = [sys.executable, os.path.join(os.path.dirname(__file__), "peers/torch_hourglass.py"), "--mode", mode,
               "--batch", str(batch), "--threads", "2", "--iterations", str(iterations)]
    return json.loads(run(command + (["--only", only] if only else [])))


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out")
    options = parser.parse_args()
    program = os.path.join(options.build, "sandglass")
    rows = []
    for _ in range(options.rounds):
        row = {}
        row["infer_sandglass_ms"] = sandglass(program, "infer", 1, 20)
        peer = torch("infer", 1, 10)
        row["infer_torch_frozen_ms"] = peer["frozen"]["median_ms"]
        row["infer_torch_eager_ms"] = peer["eager"]["median_ms"]
        row["sgemm_gflops"] = json.loads(run([os.path.join(options.build, "bench/sgemm_rate")]))["sgemm_gflops"]
        row["train_sandglass_ms"] = sandglass(program, "train", 4, 5)
        row["train_torch_ms"] = torch("train", 4, 3)["eager"]["median_ms"]
        row["infer_to_frozen"] = row["infer_sandglass_ms"] / row["infer_torch_frozen_ms"]
        row["infer_to_eager"] = row["infer_sandglass_ms"] / row["infer_torch_eager_ms"]
        row["infer_to_sgemm"] = NETWORK_GFLOP / row["infer_sandglass_ms"] * 1e3 / row["sgemm_gflops"]
        row["train_to_torch"] = row["train_sandglass_ms"] / row["train_torch_ms"]
        rows.append(row)
        print(json.dumps({k: round(v, 3) for k, v in row.items()}), flush=True)
    version = torch("infer", 1, 1, "eager")["peer"]
    result = {"machine": processor(), "threads": 2, "peer": version, "rounds": rows,
              "median": {key: statistics.median(row[key] for row in rows) for key in rows[0]}}
    print(json.dumps(result["median"], indent=2))
    if options.out:
        with open(options.out, "w") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()

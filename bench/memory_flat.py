"""Does the memory of a running network stay flat? Samples the resident memory of `sandglass bench` over many steps.

usage: python3 bench/memory_flat.py [--build build/cpu] [--only TEXT] [--out bench/results/DEVICE/DATE_memory.json]

The cases: inference of the paper's network (width 256) at batch 1, its training at batch 4, and 1,000 training steps of the
same network at width 64, since those of the full one take hours on a small machine. The program prints nothing while it
runs, so its progress is known only by time: the first fifth of the samples, in which it loads, plans and warms up, and the
last twentieth, in which it frees its memory, count only for the maximum. Exit status 1 if a case takes more than its limit or grows by more than 1 %.
"""
import argparse
import datetime
import json
import os
import subprocess
import sys
import time

CASES = [
    # name, arguments of bench, steps, limit in MB (none: the network is not the one that the limit is about)
    ("inference, width 256, batch 1", ["--mode", "infer", "--batch", "1"], 1000, 250),
    ("training, width 64, batch 4", ["--mode", "train", "--batch", "4", "--set", "width=64"], 1000, None),
    ("training, width 256, batch 4", ["--mode", "train", "--batch", "4"], 60, 2000),
]
WARM_UP = 3  # steps that bench runs before it counts
INTERVAL = 0.1  # seconds between samples


def resident_mb(pid):
    """VmRSS in MB (10^6 bytes), or None once the program has ended."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    return None


def slope(times, values):
    """Least squares, units of values per unit of time."""
    mean_time, mean_value = sum(times) / len(times), sum(values) / len(values)
    square = sum((t - mean_time) ** 2 for t in times)
    return sum((t - mean_time) * (v - mean_value) for t, v in zip(times, values)) / square


def run(program, arguments, steps):
    begin = time.monotonic()
    process = subprocess.Popen([program, "bench", "--device", "cpu", "--iterations", str(steps)] + arguments,
                               stdout=subprocess.PIPE, text=True)
    times, values = [], []
    while process.poll() is None:
        value = resident_mb(process.pid)
        if value:
            times.append(time.monotonic() - begin)
            values.append(value)
        time.sleep(INTERVAL)
    output = process.stdout.read()
    if process.returncode != 0:
        sys.exit(f"memory_flat: error: {program} ended with status {process.returncode}")
    first, last = len(values) // 5, len(values) - len(values) // 20 - 1
    if last - first < 10:
        sys.exit(f"memory_flat: error: only {len(values)} samples; give the run more steps")
    seconds_a_step = times[-1] / (steps + WARM_UP)
    growth = slope(times[first:last + 1], values[first:last + 1]) * seconds_a_step * 1000
    return {"steps": steps, "samples": len(values), "seconds": round(times[-1], 1), "start_mb": round(values[first], 1),
            "end_mb": round(values[last], 1), "maximum_mb": round(max(values), 1),
            "slope_mb_per_1000_steps": round(growth, 3) + 0.0,
            "output": output.strip().splitlines()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--only", default="", help="only the cases whose names hold this")
    parser.add_argument("--out")
    options = parser.parse_args()
    program = os.path.join(options.build, "sandglass")
    if not os.path.isfile(program):
        sys.exit(f"memory_flat: error: {program} is not there; build it, or say by --build where it is")
    results, bad = [], False
    print(f"{'':32}{'steps':>6}{'start':>9}{'end':>9}{'maximum':>9}  MB   slope, MB per 1,000 steps", flush=True)
    for name, arguments, steps, limit in (case for case in CASES if options.only in case[0]):
        result = {"case": name, "limit_mb": limit} | run(program, arguments, steps)
        results.append(result)
        over = limit is not None and result["maximum_mb"] > limit
        grown = result["end_mb"] - result["start_mb"] > 0.01 * result["start_mb"]
        bad = bad or over or grown
        print(f"{name:32}{steps:6}{result['start_mb']:9.1f}{result['end_mb']:9.1f}{result['maximum_mb']:9.1f}"
              f"{result['slope_mb_per_1000_steps']:14.3f}" + (f"   over {limit} MB" if over else "") +
              ("   grows" if grown else ""), flush=True)
    if options.out:
        with open(options.out, "w") as file:
            json.dump({"date": datetime.date.today().isoformat(), "results": results}, file, indent=2)
            file.write("\n")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How fast are videos read, and does the memory stay flat? `sandglass infer VIDEO --csv -`, by turns with the paper's
pipeline in Python (bench/peers/torch_video.py) where --peer names a Python that has it.

usage: bench/video_speed.py VIDEO --weights NAME=FILE... [--build build/cpu] [--peer PYTHON] [--upsample N] [--rounds R]
       [--long VIDEO] [--out bench/results/DEVICE/DATE_video.json]
The video should have one face of which every frame has a result. For each network and each round: seconds from the
program's start to the first row, and frames a second from the first row to the last, read from a pipe, so that loading
counts only for the first; medians over the rounds. --long: resident memory while this video is read with the first
network, from its first row on, for each minute of processing.
"""
import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import threading
import time

from memory_flat import resident_mb


def run(command, header):
    """Rows, seconds to the first row, frames/s after it, and samples (seconds, MB) of the resident memory."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    samples = []

    def watch():
        while process.poll() is None:
            memory = resident_mb(process.pid)
            if memory is not None:
                samples.append((time.perf_counter() - begin, memory))
            time.sleep(0.25)

    watcher = threading.Thread(target=watch)
    watcher.start()
    times = []
    for line in process.stdout:
        times.append(time.perf_counter() - begin)
        if header and len(times) == 1:
            header = False
            times.clear()
    errors = process.stderr.read()
    watcher.join()
    if process.wait() != 0 or len(times) < 2:
        sys.exit(f"video_speed.py: error: {' '.join(command)}: {errors.strip() or 'fewer than two rows'}")
    return {"rows": len(times), "first_s": times[0], "frames_per_s": (len(times) - 1) / (times[-1] - times[0]),
            "peak_mb": max(memory for _, memory in samples)}, samples


def median_of(runs):
    medians = {key: statistics.median(one[key] for one in runs) for key in runs[0]}
    return medians | {"least_frames_per_s": min(one["frames_per_s"] for one in runs),
                      "most_frames_per_s": max(one["frames_per_s"] for one in runs)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("video")
    parser.add_argument("--weights", nargs="+", required=True, metavar="NAME=FILE")
    parser.add_argument("--build", default="build/cpu")
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--upsample", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--long", metavar="VIDEO")
    parser.add_argument("--out")
    options = parser.parse_args()
    program = os.path.join(options.build, "sandglass")
    here = os.path.dirname(os.path.abspath(__file__))
    networks = dict(text.split("=", 1) for text in options.weights)
    results = {"date": datetime.date.today().isoformat(), "video": os.path.basename(options.video), "threads": os.cpu_count(),
               "version": subprocess.run([program, "info"], capture_output=True, text=True).stdout.splitlines()[0],
               "load_before": os.getloadavg()[0], "networks": {}}
    for name, weights in networks.items():
        ours = [program, "infer", options.video, "--weights", weights, "--csv", "-", "--quiet"]
        info = subprocess.run([program, "info", weights], capture_output=True, text=True).stdout
        width, size = (info.split(text)[1].split()[0].rstrip(",") for text in ("width ", "input "))
        peer = [options.peer, os.path.join(here, "peers", "torch_video.py"), options.video, "--width", width,
                "--input-size", size, "--upsample", str(options.upsample)]
        runs, peer_runs = [], []
        for _ in range(options.rounds):
            runs.append(run(ours, header=True)[0])
            if options.peer:
                peer_runs.append(run(peer, header=False)[0])
        result = {"width": int(width), "input_size": int(size), "sandglass": median_of(runs)}
        if peer_runs:
            result["peer"] = median_of(peer_runs)
            result["ratio"] = statistics.median(a["frames_per_s"] / b["frames_per_s"] for a, b in zip(runs, peer_runs))
        results["networks"][name] = result
        print(name, json.dumps(result), flush=True)
    if options.long:
        command = [program, "infer", options.long, "--weights", next(iter(networks.values())), "--csv", "-", "--quiet"]
        result, samples = run(command, header=True)
        minutes = {}
        for second, memory in samples:
            if second > result["first_s"]:
                minutes.setdefault(int(second // 60) + 1, []).append(memory)
        result["median_mb_by_minute"] = {minute: statistics.median(values) for minute, values in minutes.items()}
        results["long"] = result
        print("long", json.dumps(result), flush=True)
    if options.out:
        os.makedirs(os.path.dirname(options.out), exist_ok=True)
        with open(options.out, "w") as file:
            json.dump(results, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()

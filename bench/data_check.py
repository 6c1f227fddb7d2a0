#!/usr/bin/env python3
"""Times `sandglass data check` on 100,000 frames: labels in BP4D's layout, and a manifest with landmarks.

usage: python3 bench/data_check.py [--build build/cpu]
Makes both in a temporary folder (the pictures are empty files: their headers are not looked at) and prints the median and the
spread of five runs each, and the load average.
"""
import argparse
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

SUBJECTS, TASKS, FRAMES = 20, 5, 1000
AUS = (6, 10, 12, 14, 17)


def make_bp4d(root):
    names = [f"{sex}{number:03}" for sex in "FM" for number in range(1, SUBJECTS // 2 + 1)]
    for au in AUS:
        (root / "AU Intensity Codes3.0" / f"AU{au:02}").mkdir(parents=True)
    for subject in names:
        for task in range(1, TASKS + 1):
            pictures = root / "BP4D-training" / subject / f"T{task}"
            pictures.mkdir(parents=True)
            for frame in range(1, FRAMES + 1):
                (pictures / f"{frame:04}.jpg").touch()
            for au in AUS:
                codes = "".join(f"{frame},{random.randrange(6)}\n" for frame in range(1, FRAMES + 1))
                (root / "AU Intensity Codes3.0" / f"AU{au:02}" / f"{subject}_T{task}_AU{au:02}.csv").write_text(codes)
    return f'format = "bp4d"\npath = "{root}"\n'


def make_manifest(root):
    landmarks = [f"{axis}_{i}" for axis in "xy" for i in range(68)]
    (root / "face.jpg").touch()
    with open(root / "manifest.csv", "w") as file:
        print("image,subject," + ",".join(f"AU{au:02}" for au in AUS) + "," + ",".join(landmarks), file=file)
        for row in range(SUBJECTS * TASKS * FRAMES):
            numbers = [f"{random.uniform(10, 400):.2f}" for _ in landmarks]
            print(f"face.jpg,S{row % SUBJECTS}," + ",".join(str(random.randrange(6)) for _ in AUS) + "," + ",".join(numbers),
                  file=file)
    return f'format = "manifest"\npath = "{root / "manifest.csv"}"\n'


def main():
    parser = argparse.ArgumentParser(usage="python3 bench/data_check.py [--build build/cpu]")
    parser.add_argument("--build", default="build/cpu")
    program = os.path.join(os.path.abspath(parser.parse_args().build), "sandglass")
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        for make in (make_bp4d, make_manifest):
            root = pathlib.Path(folder) / make.__name__
            root.mkdir()
            settings = root / "data.toml"
            settings.write_text("[data]\n" + make(root))
            seconds = []
            for _ in range(6):
                begin = time.monotonic()
                subprocess.run([program, "data", "check", settings], check=True, stdout=subprocess.DEVNULL)
                seconds.append(time.monotonic() - begin)
            seconds = seconds[1:]  # the first fills the file cache
            print(f"{make.__name__[5:]}: {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f}), "
                  f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()

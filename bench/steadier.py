#!/usr/bin/env python3
"""What `infer`'s --mirror, --baseline and --smooth do to the scores: each subject's pictures of a manifest are read as the
frames of one video, in the order of their names, and the intensities compared with the labels.

usage: bench/steadier.py --weights FILE... --data MANIFEST.csv [--build build/cpu]
The pictures must have one face each. They are read without the manifest's landmarks, so the scores are lower than
eval's; where the pictures are no real sequence, --smooth can only do harm. Prints a JSON line for each setting: pictures
with a face, mean ICC(3,1) and MSE over AUs and weights.
"""
import argparse
import csv
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

SETTINGS = [[], ["--mirror"], ["--baseline", "0.1"], ["--baseline", "0.25"], ["--smooth", "0.1"]]


def icc(predictions, labels):
    """ICC(3,1) of two raters (Shrout and Fleiss, 1979)."""
    count = len(labels)
    mean = statistics.fmean(predictions + labels)
    between_rows = 2 * sum(((p + l) / 2 - mean) ** 2 for p, l in zip(predictions, labels)) / (count - 1)
    raters = count * sum((statistics.fmean(rater) - mean) ** 2 for rater in (predictions, labels))
    total = sum((value - mean) ** 2 for value in predictions + labels)
    residual = (total - between_rows * (count - 1) - raters) / (count - 1)
    return (between_rows - residual) / (between_rows + residual)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", nargs="+", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--build", default="build/cpu")
    options = parser.parse_args()
    with open(options.data, newline="", encoding="utf-8-sig") as file:
        rows = sorted(csv.DictReader(file), key=lambda row: row["image"])
    aus = [column for column in rows[0] if re.fullmatch(r"AU\d+", column)]
    with tempfile.TemporaryDirectory() as folder:
        subjects = {}
        for row in rows:
            frames = subjects.setdefault(os.path.join(folder, row["subject"]), [])
            frames.append(row)
        for path, frames in subjects.items():
            os.mkdir(path)
            for number, row in enumerate(frames):
                picture = os.path.abspath(os.path.join(os.path.dirname(options.data), row["image"]))
                os.symlink(picture, os.path.join(path, f"{number:06}{os.path.splitext(picture)[1]}"))
        for setting in SETTINGS:
            iccs, errors, faces = [], [], 0
            for weights in options.weights:
                command = [os.path.join(options.build, "sandglass"), "infer", *subjects, "--sequence", "--max-faces", "1",
                           "--weights", weights, "--csv", "-", "--quiet", *setting]
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode != 0:
                    sys.exit(f"steadier.py: error: {' '.join(command)}: {done.stderr.strip()}")
                found = [row for row in csv.DictReader(done.stdout.splitlines()) if row["success"] == "1"]
                faces += len(found)
                for au in aus:
                    predictions = [float(row[f"{au}_r"]) for row in found]
                    labels = [float(subjects[row["input"]][int(row["frame"]) - 1][au]) for row in found]
                    iccs.append(icc(predictions, labels))
                    errors.append(statistics.fmean((p - l) ** 2 for p, l in zip(predictions, labels)))
            print(json.dumps({"setting": " ".join(setting) or "none", "pictures": faces // len(options.weights),
                              "icc": round(statistics.fmean(iccs), 4), "mse": round(statistics.fmean(errors), 4)}), flush=True)


if __name__ == "__main__":
    main()

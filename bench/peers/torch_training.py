"""Trains the Hourglass heatmap network in PyTorch: the peer of `sandglass train` without augmentation.

usage: python3 bench/peers/torch_training.py --train MANIFEST.csv --out WEIGHTS.pth [--width W] [--input-size S]
       [--epochs E] [--batch N] [--lr R] [--weight-decay D] [--warmup EPOCHS] [--seed X] [--threads T] [--steps K]
The same manifest, registration, points (configs/au_points.txt), targets, loss, optimiser (AdamW, decay on convolution
weights only), schedule (cosine after a linear warm-up) and kind of initial weights; only the random numbers differ. Prints
a JSON line for each epoch with its seconds. --steps ends the first epoch after so many steps, for timing. The pictures are
decoded and registered before the clock starts. `sandglass eval` scores the weights. Needs torch, numpy and pillow.
"""
import argparse
import csv
import json
import math
import pathlib
import re
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from torch_hourglass import HeatmapNet, registered_places  # noqa: E402

AU_POINTS = pathlib.Path(__file__).parents[2] / "configs" / "au_points.txt"
REGISTRATION_LANDMARKS = [8, 36, 45]


def points_of_aus(landmarks, aus):
    """[faces, AUs, 2, 2]: the two places of each AU; one that an AU does not have is NaN."""
    table = {}
    for line in AU_POINTS.read_text().splitlines():
        name, _, places = line.partition("#")[0].partition(":")
        if places:
            table[name.strip()] = [[int(n) for n in re.findall(r"\d+", place)]
                                   for place in re.findall(r"\w+\(.*?\)|\d+", places)]
    points = np.full((len(landmarks), len(aus), 2, 2), np.nan)
    for k, au in enumerate(aus):
        for i, place in enumerate(table[au]):
            points[:, k, i] = landmarks[:, place].mean(axis=1)
    return points


def registration(landmarks, size):
    """The 2 x 3 affine from picture pixels to those of the registered face."""
    corners = np.hstack([landmarks[REGISTRATION_LANDMARKS], np.ones((3, 1))])
    return np.linalg.solve(corners, registered_places(size)).T


def warped(picture, to_output, size):
    """Bilinear, black outside; [3, size, size] in [0, 1]."""
    source = np.linalg.inv(np.vstack([to_output, [0, 0, 1]]))[:2]
    v, u = np.mgrid[0:size, 0:size]
    x, y = (source[row, 0] * u + source[row, 1] * v + source[row, 2] for row in range(2))
    height, width = picture.shape[:2]
    grid = torch.from_numpy(np.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], axis=-1)).float()
    pixels = torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
    return F.grid_sample(pixels[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def read_faces(manifest, size):
    with open(manifest, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    aus = [column for column in rows[0] if re.fullmatch(r"AU\d+", column)]
    landmarks = np.array([[[float(row[f"{axis}_{i}"]) for axis in "xy"] for i in range(68)] for row in rows])
    pictures = torch.empty(len(rows), 3, size, size)
    registered = np.empty_like(landmarks)
    for i, row in enumerate(rows):
        to_output = registration(landmarks[i], size)
        registered[i] = landmarks[i] @ to_output[:, :2].T + to_output[:, 2]
        pictures[i] = warped(np.asarray(Image.open(manifest.parent / row["image"]).convert("RGB")), to_output, size)
    points = (points_of_aus(registered, aus) + 0.5) / 4 - 0.5  # in pixels of the maps
    intensities = torch.tensor([[float(row[au]) for au in aus] for row in rows])
    return pictures, torch.from_numpy(points).float(), intensities


def targets(points, intensities, side):
    """The largest of the AU's Gaussians, whose deviation is the intensity in pixels of a 64 x 64 map; cut at 6 of them."""
    v, u = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    square = (u - points[..., 0, None, None]) ** 2 + (v - points[..., 1, None, None]) ** 2  # [N, K, points, side, side]
    height = intensities[..., None, None, None]
    deviation = (height * side / 64).clamp_min(1e-6)
    values = height * torch.exp(-square / (2 * deviation**2)) * (square <= (6 * deviation) ** 2)
    return values.nan_to_num(0).amax(dim=2) * (height[:, :, 0] > 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--train", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--input-size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=1e-4)
    parser.add_argument("--warmup", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    pictures, points, intensities = read_faces(options.train, options.input_size)
    pictures = pictures.to(memory_format=torch.channels_last)
    net = HeatmapNet(heatmaps=intensities.shape[1], width=options.width).to(memory_format=torch.channels_last).train()
    torch.nn.init.zeros_(net.l0.bias)
    convolutions = [p for p in net.parameters() if p.dim() == 4]
    others = [p for p in net.parameters() if p.dim() != 4]
    optimizer = torch.optim.AdamW([{"params": convolutions, "weight_decay": options.weight_decay},
                                   {"params": others, "weight_decay": 0.0}], lr=options.lr)
    steps_per_epoch = len(pictures) // options.batch
    warmup = round(options.warmup * steps_per_epoch)
    total = options.epochs * steps_per_epoch
    step = 0
    for epoch in range(1, options.epochs + 1):
        begin = time.perf_counter()
        sum_of_losses = 0.0
        for rows in torch.randperm(len(pictures))[:steps_per_epoch * options.batch].split(options.batch):
            rate = (step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))
            for group in optimizer.param_groups:
                group["lr"] = options.lr * rate
            x = pictures[rows].contiguous(memory_format=torch.channels_last)
            optimizer.zero_grad(set_to_none=True)
            loss = F.mse_loss(net(x), targets(points[rows], intensities[rows], options.input_size // 4))
            loss.backward()
            optimizer.step()
            sum_of_losses += loss.item()
            step += 1
            if step == options.steps:
                break
        seconds = time.perf_counter() - begin
        print(json.dumps({"peer": f"PyTorch {torch.__version__}", "seed": options.seed, "epoch": epoch,
                          "loss": sum_of_losses / min(step, steps_per_epoch), "seconds": seconds,
                          "ms_per_step": 1e3 * seconds / min(step, steps_per_epoch)}), flush=True)
        if step == options.steps:
            break
    if options.out:
        torch.save(net.state_dict(), options.out)


if __name__ == "__main__":
    main()

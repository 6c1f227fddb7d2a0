#!/usr/bin/env bash
# From a fresh clone to Action Units read from a face: installs what is missing, builds, makes synthetic faces, trains a small
# network on them, evaluates it on people it has never seen, and draws what it sees. Everything lands in quickstart/.
set -euo pipefail
cd "$(dirname "$0")/.."
start=$SECONDS
step() { printf '\n== %s  (%d s)\n' "$1" $((SECONDS - start)); }

step "install"
scripts/install.sh

step "build"
cmake --preset cpu -DSANDGLASS_TESTS=OFF >/dev/null
cmake --build --preset cpu --target sandglass
sandglass=build/cpu/sandglass

out=quickstart
rm -rf "$out"
mkdir -p "$out"

step "make synthetic faces"
$sandglass synth --out $out/train --subjects 160 --images-per-subject 15 --seed 1
$sandglass synth --out $out/unseen --subjects 20 --images-per-subject 15 --seed 2

step "train a small network"
$sandglass train --train $out/train/manifest.csv --val $out/unseen/manifest.csv --out $out/run --config configs/small.toml

step "evaluate it on people it has never seen"
$sandglass eval --weights $out/run/best.safetensors --data $out/unseen/manifest.csv --json $out/eval.json

step "read Action Units from faces"
$sandglass infer --weights $out/run/best.safetensors $out/unseen/s*_0000.jpg \
  --csv $out/faces.csv --json $out/faces.json --overlay $out/overlay

step "done"
echo "pictures with heatmaps:  $out/overlay/   intensities: $out/faces.csv"
echo "your own photo or video: $sandglass infer --weights $out/run/best.safetensors FILE --overlay $out/mine"
echo "what the network learned: $out/run/report.html   (open it in a browser)"

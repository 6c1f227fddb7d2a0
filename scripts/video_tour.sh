#!/usr/bin/env bash
# Runs the commands of docs/video.md one after the other, as they stand there, in the folder video_tour/, and so makes the
# page's pictures.
#   scripts/video_tour.sh [WEIGHTS]      quickstart/run/best.safetensors by default; takes a minute or two
# Needs a built program (build/cpu, or that of $SANDGLASS_BUILD), ffmpeg, gnuplot, and Python with pandas and matplotlib.
set -euo pipefail
cd "$(dirname "$0")/.."
page=$PWD/docs/video.md
weights=${1:-quickstart/run/best.safetensors}
build=$(realpath "${SANDGLASS_BUILD:-build/cpu}")
fail() { echo "sandglass: error: $1" >&2; exit 1; }
[ -f "$weights" ] || fail "$weights: no such file; run scripts/quickstart.sh, or name weights"
[ -x "$build/sandglass" ] || fail "$build: has no program; build it: cmake --preset cpu && cmake --build --preset cpu"
for program in ffmpeg gnuplot python3; do command -v "$program" >/dev/null || fail "this needs $program"; done

# The code of the page's blocks in a language.
blocks() { awk -v begin="\`\`\`$1" '$0 == begin { inside = 1; next } $0 == "```" { inside = 0 } inside' "$page"; }

rm -rf video_tour
mkdir video_tour
cp "$weights" video_tour/weights.safetensors
cd video_tour
blocks python >plot.py
blocks sh >commands.sh
PATH="$build:$PATH" bash -euxo pipefail commands.sh
cp video_overlay.jpg video_plot.png ../docs/images/

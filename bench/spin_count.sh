#!/usr/bin/env bash
# How long threads should spin before they sleep: milliseconds of a small training run for some settings of OpenMP, by turns:
# alone, two such runs at once, and with two busy programs beside it.
# usage: bench/spin_count.sh [build/cpu]
set -euo pipefail
sandglass=$(realpath "${1:-build/cpu}/sandglass")
config=$(realpath "$(dirname "$0")/../configs/small.toml")
cd "$(mktemp -d)"
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$PWD"' EXIT
"$sandglass" synth --out faces --subjects 40 --images-per-subject 10 --seed 1 >/dev/null

train() {  # setting, folder
  local code=0
  env "$1" timeout 60 "$sandglass" train --train faces/manifest.csv --out "$2" --config "$config" --set epochs=2 >/dev/null 2>&1 || code=$?
  [ $code != 124 ] || { echo "stopped after a minute:"; code=0; }
  return $code
}

measure() {  # what, runs at once
  for round in 1 2 3; do
    for setting in OMP_WAIT_POLICY=passive GOMP_SPINCOUNT={500,2000,10000,300000}; do
      start=$(date +%s%N)
      runs=()
      for run in $(seq "$2"); do
        train "$setting" "run$run" &
        runs+=($!)
      done
      for run in "${runs[@]}"; do wait "$run" || { echo "spin_count.sh: sandglass train failed" >&2; exit 1; }; done
      echo "$1, $setting: $((($(date +%s%N) - start) / 1000000)) ms"
      rm -rf run*
    done
  done
}

measure "alone" 1
measure "two at once" 2
for program in 1 2; do while :; do :; done & done
measure "two busy programs beside it" 1

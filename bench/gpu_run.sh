#!/usr/bin/env bash
# All that is to be done on a GPU machine, in one go: builds, runs the GPU tests, looks for memory errors and races, and
# measures kernels and the whole network against cuDNN, cuBLAS and PyTorch. Leaves summary.json, summary.txt and a log for
# each stage in OUT_DIR. Each stage has a time limit; one that fails is reported and does not stop the others.
# usage: bench/gpu_run.sh OUT_DIR [--device cuda|simt] [--build DIR] [--only STAGE,...] [--scale FACTOR]
#   --device simt   the same stages on the emulator with tiny shapes, without nvcc: rehearses this script
#   --build DIR     build there (default: build/gpu, for simt build/rehearsal); what is built already is not built again
#   --only          some stages: build, tests, sanitizers, network, kernels
#   --scale         multiplies the time limits (default 1)
# Ends with 1 if a stage failed.
set -uo pipefail
usage() { sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
[ $# -ge 1 ] && [ "${1#--}" = "$1" ] || usage
out=$(realpath -m "$1"); shift
device=cuda build="" only="" scale=1
while [ $# -gt 0 ]; do
  [ $# -ge 2 ] || usage
  case $1 in
    --device) device=$2 ;;
    --build) build=$2 ;;
    --only) only=",$2," ;;
    --scale) scale=$2 ;;
    *) usage ;;
  esac
  shift 2
done
[ "$device" = cuda ] || [ "$device" = simt ] || usage
cd "$(dirname "$0")/.."
if [ "$device" = cuda ]; then preset=gpu build=${build:-build/gpu}; else preset=gpu build=${build:-build/rehearsal}; fi
build=$(realpath -m "$build")
mkdir -p "$out/logs"
: > "$out/stages.tsv"
python=$(command -v python3 || command -v python)

# stage GROUP NAME LIMIT_SECONDS COMMAND...: one line in stages.tsv: name, exit status, seconds, reason.
stage() {
  local group=$1 name=$2 limit=$3 status=0 reason="" start
  shift 3
  if [ -n "$only" ] && [[ $only != *",$group,"* ]]; then return; fi
  limit=$(awk -v l="$limit" -v s="$scale" 'BEGIN { print int(l * s + 0.999) }')
  start=$(date +%s.%N)
  echo "== $name (up to $limit s)"
  timeout -k 10 "$limit" "$@" > "$out/logs/$name.log" 2>&1 || status=$?
  if [ $status = 124 ] || [ $status = 137 ]; then
    reason="over its limit of $limit s"
  elif [ $status != 0 ]; then
    reason=$(grep -iE 'error|fail' "$out/logs/$name.log" | tail -1 | cut -c1-200 | tr '\t' ' ')
    [ -n "$reason" ] || reason=$(tail -1 "$out/logs/$name.log" | cut -c1-200 | tr '\t' ' ')
  fi
  printf '%s\t%s\t%.1f\t%s\n' "$name" "$status" "$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')" "$reason" \
    >> "$out/stages.tsv"
  [ $status = 0 ] || echo "   failed: $reason"
}
skip() {
  if [ -n "$only" ] && [[ $only != *",$1,"* ]]; then return; fi
  printf '%s\tskipped\t0\t%s\n' "$2" "$3" >> "$out/stages.tsv"
}

# ---- build
if [ "$device" = cuda ]; then
  stage build machine 20 bash -c 'nvidia-smi; nvcc --version; cmake --version; c++ --version; "$0" -c "import torch; print(\"torch\", torch.__version__)"; nproc' "$python"
  stage build configure 90 cmake --preset $preset -B "$build"
  targets=(gpu_tests sandglass sandglass_bench)
else
  stage build machine 20 bash -c 'cmake --version; c++ --version; nproc'
  stage build configure 90 cmake --preset $preset -B "$build" -DSANDGLASS_CUDA=OFF -DSANDGLASS_SIMT=ON
  targets=(kernels_conv_library_test kernels_residual_test sandglass sandglass_bench)
fi
stage build build 420 cmake --build "$build" --target "${targets[@]}"
stage build info 20 "$build/sandglass" info

# ---- tests
if [ "$device" = cuda ]; then
  stage tests gpu_tests 300 ctest --test-dir "$build" -L gpu -j 8 --output-on-failure --no-tests=error
  for tool in memcheck racecheck initcheck synccheck; do
    if ! command -v compute-sanitizer > /dev/null; then skip sanitizers $tool "there is no compute-sanitizer"; continue; fi
    stage sanitizers $tool 120 bench/gpu_sanitize.sh $tool "$build"
  done
else
  stage tests gpu_tests 300 ctest --test-dir "$build" -R 'ConvLibraryTest|ResidualForwardTest.*1x5x7x3' --output-on-failure --no-tests=error
  for tool in memcheck racecheck initcheck synccheck; do skip sanitizers $tool "compute-sanitizer looks at the cuda device only"; done
fi

# ---- network: the program by hand and by libraries, and PyTorch, by turns
compare() {
  stage network "compare_$1" "$2" "$python" bench/compare.py --build "$build" --device "$device" --out "$out/compare_$1.json" "${@:3}"
}
if [ "$device" = cuda ]; then
  batches=(1 32) network_flags=(--iterations 50)
  compare all 300 --rounds 2 --infer-batches 1 32 --train-batches 32 --precisions bf16 tf32 fp32 --convs hand cudnn cublas
  compare compiled 300 --rounds 1 --infer-batches 32 --train-batches 32 --precisions bf16 --compile
else
  batches=(2) network_flags=(--iterations 1 --set width=16 --set input_size=64 --set depth=2)
  compare all 120 --rounds 1 --infer-batches 2 --train-batches 2 --precisions bf16 tf32 fp32 --small
fi
# Where the time goes: each step of the largest runs by itself.
for mode in infer train; do
  stage network "explain_$mode" 60 "$build/sandglass" bench --device "$device" --mode "$mode" --batch "${batches[-1]}" \
    --precision bf16 --explain --json "$out/explain_$mode.json" "${network_flags[@]}"
done

# ---- kernels
if [ "$device" = cuda ]; then
  # The figures that matter most first; what the limit cuts off is not lost, the file is renewed while the program runs.
  for precision in bf16 tf32 fp32; do
    stage kernels "kernels_$precision" 150 "$build/sandglass_bench" --device cuda --precisions $precision --batches 32,1 --seconds 0.01 \
      --benchmark_out="$out/kernels_$precision.json"
  done
else
  stage kernels kernels_bf16 90 "$build/sandglass_bench" --device simt --precisions bf16 --small --seconds 0 \
    --benchmark_out="$out/kernels_bf16.json"
fi

"$python" bench/gpu_summary.py "$out" | tee "$out/summary.txt"
! grep -qvP '\t(0|skipped)\t' "$out/stages.tsv"

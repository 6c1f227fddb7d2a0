#!/usr/bin/env bash
# compute-sanitizer over small shapes of every kernel, eight programs side by side: the tool slows a kernel down ten to a
# hundred times.
# usage: bench/gpu_sanitize.sh memcheck|racecheck|initcheck|synccheck BUILD_DIR
# Prints what the tool has said of each test program; ends with 1 if it found something or a test failed.
set -euo pipefail
[ $# = 2 ] || { sed -n '4s/# //p' "$0" >&2; exit 2; }
export tool=$1 build=$2
small_shapes=(
  'residual_test:*cuda*1x5x7x3*' 'max_pool_test:*cuda*' 'batch_norm_test:*cuda*1x5x7x3*' 'upsample_test:*cuda*1x5x7x3*'
  'loss_test:*cuda*' 'peak_test:*cuda*' 'heatmap_test:*cuda*' 'warp_test:*cuda_one_picture*' 'optimizer_test:*cuda_by_hand*'
  'conv_test:*cuda*n3_h5_w7*:*cuda*n1_h9_w9*' 'conv_tensor_core_test:*cuda*n3_h7_w5*:*cuda*n2_h4_w4_c64*'
  'conv_sm90_test:*cuda*n3_h7_w5*:*cuda*n2_h4_w4*'
)
printf '%s\n' "${small_shapes[@]}" | xargs -P 8 -I '{}' bash -c '
  program=${1%%:*} filter=${1#*:} status=0
  said=$(compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/tests/kernels/kernels_$program" "--gtest_filter=$filter" 2>&1) || status=1
  [[ $said == *"[  PASSED  ]"* ]] || status=1  # no test ran
  printf -- "-- %s %s %s: %s\n%s\n" "$tool" "$program" "$filter" "$([ $status = 0 ] && echo good || echo FAILED)" "$said"
  exit $status' _ '{}'

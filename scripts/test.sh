#!/usr/bin/env bash
# Builds everything that can be built here and runs all tests.
# The format check; the check that tables and plots of docs/performance.md are those of bench/results; the optimised build (for
# every processor with AVX2) with the devices cpu and simt, all tests on both and the instruction counts of small runs; the
# simt build (AddressSanitizer and UndefinedBehaviorSanitizer, for this processor) of engine, kernels and emulator with
# their tests on both devices, and of what reads pictures, videos and ONNX files; the tsan build (ThreadSanitizer) of the
# kernels with small tests; the cuda build for sm_80 and sm_90a where nvcc is, with a check that no kernel spills and
# docs/kernel_resources.md lists them all, and with its tests where a GPU is.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install.sh tests
stage() { echo "== $1 (after $((SECONDS / 60)) min)"; }

# Two tests run side by side. More threads than processors wait for each other: small networks take ten times as long.
export OMP_NUM_THREADS=1

stage "format"
git ls-files '*.cpp' '*.h' '*.cu' | xargs clang-format --dry-run -Werror
echo "format: good"

stage "tables of measurements"
bench/report.py --check
echo "tables and plots: those of bench/results"

stage "cpu and simt, optimised"
cmake --preset portable -DSANDGLASS_SIMT=ON >/dev/null
cmake --build --preset portable
ctest --preset portable -j2

stage "instruction counts"
bench/instructions.py

stage "simt (AddressSanitizer, UndefinedBehaviorSanitizer)"
cmake --preset simt >/dev/null
folders=(engine kernels simt)
for folder in "${folders[@]}"; do cmake --build build/simt --target "tests/$folder/all"; done
for folder in "${folders[@]}"; do ctest --test-dir "build/simt/tests/$folder" --output-on-failure -j2; done
# What reads files of others, and the library's promises.
programs=(face/face_test face/video_test infer/infer_test api/api_test model/onnx_test)
cmake --build build/simt --target "${programs[@]##*/}"
for program in "${programs[@]}"; do "build/simt/tests/$program" --gtest_brief=1; done

stage "races between CUDA threads (ThreadSanitizer)"
cmake --preset tsan >/dev/null
cmake --build build/tsan --target race_tests
ctest --test-dir build/tsan/tests/simt -L races --output-on-failure -j2

stage "cuda"
if command -v nvcc >/dev/null; then
  # compiled as the optimised build was, so that ccache has what both consist of
  cmake --preset cuda -DSANDGLASS_NATIVE=OFF -DCMAKE_CXX_FLAGS=-march=x86-64-v3 >/dev/null
  cmake --build --preset cuda --target sandglass
  scripts/kernel_resources.py build/cuda --check docs/kernel_resources.md
  if nvidia-smi -L >/dev/null 2>&1; then
    cmake --build --preset cuda
    ctest --preset cuda
  else
    echo "cuda: built for sm_80 and sm_90a; no GPU here, its tests were not run"
  fi
else
  echo "cuda: skipped, no nvcc here"
fi

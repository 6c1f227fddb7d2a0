#!/usr/bin/env bash
# Packs the sources and what they need of other libraries, for a GPU machine with nothing but the CUDA toolkit, a C++
# compiler, CMake and ninja (docs/gpu.md).
# usage: bench/gpu_pack.sh OUT.tar.gz
# Run on Debian 12 with googletest, libfmt-dev, nlohmann-json3-dev, libcli11-dev, libtomlplusplus-dev, libxxhash-dev and
# libstb-dev.
set -euo pipefail
[ $# = 1 ] || { echo "usage: bench/gpu_pack.sh OUT.tar.gz" >&2; exit 2; }
out=$(realpath -m "$1")
cd "$(dirname "$0")/.."
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
tree=$stage/sandglass
mkdir -p "$tree/third_party/include"

git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$tree"
git describe --always --dirty > "$tree/third_party/COMMIT"

for headers in fmt nlohmann CLI toml++ stb xxhash.h; do
  [ -e "/usr/include/$headers" ] || { echo "gpu_pack.sh: no /usr/include/$headers; install the packages that this script names at its head" >&2; exit 1; }
  cp -r "/usr/include/$headers" "$tree/third_party/include/"
done
[ -f /usr/src/googletest/CMakeLists.txt ] || { echo "gpu_pack.sh: no /usr/src/googletest; apt-get install googletest" >&2; exit 1; }
cp -r /usr/src/googletest "$tree/third_party/"

mkdir -p "$(dirname "$out")"
tar -C "$stage" -czf "$out" sandglass
echo "$out: $(du -h "$out" | cut -f1), commit $(cat "$tree/third_party/COMMIT"); unpack it there and run bench/gpu_run.sh OUT_DIR"

#!/usr/bin/env bash
# Installs what Sandglass needs from Debian's or Ubuntu's packages, if anything is missing.
#   scripts/install.sh         to build and run
#   scripts/install.sh tests   and to run the tests
set -euo pipefail

packages=(g++ cmake ninja-build ccache pkg-config git libdnnl-dev libstb-dev libjpeg-dev libdlib-dev libdlib-data libcli11-dev
          nlohmann-json3-dev libtomlplusplus-dev libfmt-dev libzip-dev libxxhash-dev
          libavformat-dev libavcodec-dev libswscale-dev libmatio-dev libonnx-dev libprotobuf-dev protobuf-compiler)
[ "${1:-}" = tests ] && packages+=(libgtest-dev libgmock-dev clang-format python3 valgrind)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

command -v apt-get >/dev/null || {
  echo "sandglass: error: missing ${missing[*]}; this script knows Debian and Ubuntu only, install them by hand" >&2
  exit 1
}
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || {
    echo "sandglass: error: missing ${missing[*]}; run as root: apt-get install ${missing[*]}" >&2
    exit 1
  }
  sudo=sudo
fi
echo "installing: ${missing[*]}"
$sudo apt-get update -qq
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

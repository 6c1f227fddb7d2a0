#!/bin/sh
# Installs the built library, moves it, checks what it shows, and builds and runs the examples against it.
# usage: tests/api/installed.sh BUILD_DIR BUILD_TYPE LINK_STATIC WEIGHTS REGISTERED_FACE OUT_DIR
# Prints what each example prints.
set -eu
build=$1 build_type=$2 link_static=$3 weights=$4 face=$5 out=$6
examples=$(dirname "$0")/../../examples
flags="-Wall -Wextra -pedantic -Werror"
fail() { echo "$1" >&2; exit 1; }

cmake --install "$build" --prefix "$out/first" --component library >"$out/install.log"
mv "$out/first" "$out/moved"
library=$(dirname "$(find "$out/moved" -name libsandglass.so)")

if grep -rF -e "$build" -e "$out/first" "$library/cmake" "$library/pkgconfig"; then fail "absolute paths in the package's files"; fi
if [ "$link_static" = ON ]; then  # without CUDA
  if readelf -d "$library/libsandglass.so" | grep -E 'RPATH|RUNPATH'; then fail "libsandglass.so has a run path"; fi
fi
source=$(cd "$examples/.." && pwd)
if grep -F "$source" "$library/libsandglass.so.0"; then fail "libsandglass.so says where its sources were"; fi
if nm -gC --defined-only "$library/libsandglass.a" 2>"$out/nm.log" | grep -F ' onnx::'; then fail "libsandglass.a has names of libonnx_proto's"; fi
sed -n 's/^SANDGLASS_API .*[ *]\(sandglass_[a-z_]*\)(.*/T \1/p' "$out/moved/include/sandglass.h" | sort >"$out/declared"
nm -D --defined-only "$library/libsandglass.so" | cut -d ' ' -f 2- | sort >"$out/shown"
diff "$out/declared" "$out/shown" >&2 || fail "libsandglass.so does not show (>) just what sandglass.h declares (<)"

cmake -S "$examples" -B "$out/examples" -DCMAKE_PREFIX_PATH="$out/moved" -DCMAKE_BUILD_TYPE="$build_type" \
  -DLINK_STATIC="$link_static" -DCMAKE_C_FLAGS="$flags" -DCMAKE_CXX_FLAGS="$flags" >"$out/configure.log"
cmake --build "$out/examples" >"$out/build.log" || fail "$(cat "$out/build.log")"

export PKG_CONFIG_PATH="$library/pkgconfig"
# The flags are words.
# shellcheck disable=SC2046,SC2086
cc -std=c99 $flags "$examples/read_aus.c" $(pkg-config --cflags --libs sandglass) -o "$out/read_aus_pkg_config"
if [ "$link_static" = ON ]; then
  cc -std=c99 $flags "$examples/read_aus.c" $(pkg-config --static --cflags --libs sandglass | sed 's/-lsandglass/-l:libsandglass.a/') \
    -o "$out/read_aus_pkg_config_static"
fi
printf '#include <sandglass.h>\n' | c++ -std=c++98 $flags -I"$out/moved/include" -fsyntax-only -x c++ -

"$out/examples/read_aus_c" "$weights" "$face" --registered
"$out/examples/read_aus_cpp" "$weights" --registered "$face" "$face" "$face"
if [ "$link_static" = ON ]; then
  "$out/examples/read_aus_c_static" "$weights" "$face" --registered
  "$out/read_aus_pkg_config_static" "$weights" "$face" --registered
fi
LD_LIBRARY_PATH="$library" "$out/read_aus_pkg_config" "$weights" "$face" --registered

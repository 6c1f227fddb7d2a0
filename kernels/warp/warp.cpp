#include "kernels/warp/warp.h"

#include "kernels/check_map.h"

namespace sandglass {

void Warp::check() const {
  check_map(kName, "out", out);
  sandglass::check(out.shape.c == 3, "{}: out has {} channels, expected 3 (RGB)", kName, out.shape.c);
}

}  // namespace sandglass

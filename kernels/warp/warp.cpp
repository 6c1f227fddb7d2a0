#include "kernels/warp/warp.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {

void Warp::check() const {
  check_map(kName, "out", out);
  sandglass::check(out.shape.c == 3, "{}: out has {} channels, expected 3 (RGB)", kName, out.shape.c);
}

// As if each pixel of the result were one of the source.
Cost Warp::cost() const {
  const auto elements = static_cast<double>(out.shape.elements());
  return {bytes_of({out}) + elements, 10 * elements};
}

std::string Warp::text() const { return options_text(kName, to_string(out.shape)); }

}  // namespace sandglass

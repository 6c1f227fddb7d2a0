#include "kernels/max_pool/max_pool.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {
namespace {

void check_maps(const char* operation, const char* large_name, const TensorDesc& large, const char* small_name,
                const TensorDesc& small) {
  check_map(operation, large_name, large);
  check(large.shape.h >= 2 && large.shape.w >= 2, "{}: {} is {}, it must be at least 2 pixels high and wide", operation,
        large_name, to_string(large.shape));
  check_map(operation, small_name, small, pooled(large.shape));
  check_same_layout(operation, small_name, small, large_name, large);
}

}  // namespace

void MaxPoolForward::check() const { check_maps(kName, "x", x, "y", y); }
void MaxPoolBackward::check() const { check_maps(kName, "dx", dx, "dy", dy); }

// Places of maxima, a byte each, are counted where a backward pass needs them: by that and by who asks for them.
Cost MaxPoolForward::cost() const { return {bytes_of({x, y}), 3.0 * static_cast<double>(y.shape.elements())}; }
Cost MaxPoolBackward::cost() const {
  return {bytes_of({dx, dy}) + (accumulate ? bytes_of({dx}) : 0) + static_cast<double>(dy.elements()),
          accumulate ? static_cast<double>(dy.shape.elements()) : 0};
}

std::string MaxPoolForward::text() const { return options_text(kName, to_string(x.shape)); }
std::string MaxPoolBackward::text() const {
  return options_text(kName, to_string(dx.shape), {{"accumulate", accumulate}});
}

}  // namespace sandglass

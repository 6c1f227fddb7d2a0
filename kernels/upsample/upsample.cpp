#include "kernels/upsample/upsample.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {
namespace {

void check_maps(const char* operation, const char* low_name, const TensorDesc& low, const char* high_name,
                const TensorDesc& high) {
  check_map(operation, low_name, low);
  const Shape& s = low.shape;
  check_map(operation, high_name, high, {s.n, 2 * s.h, 2 * s.w, s.c});
  check_same_layout(operation, high_name, high, low_name, low);
}

}  // namespace

void UpsampleAddForward::check() const { check_maps(kName, "low", low, "y", y); }
void UpsampleBackward::check() const { check_maps(kName, "dlow", dlow, "dy", dy); }

Cost UpsampleAddForward::cost() const { return {bytes_of({low, y, y}), static_cast<double>(y.shape.elements())}; }
Cost UpsampleBackward::cost() const { return {bytes_of({dlow, dy}), 3.0 * static_cast<double>(dlow.shape.elements())}; }

std::string UpsampleAddForward::text() const { return options_text(kName, to_string(y.shape)); }
std::string UpsampleBackward::text() const { return options_text(kName, to_string(dy.shape)); }

}  // namespace sandglass

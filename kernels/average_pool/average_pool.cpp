#include "kernels/average_pool/average_pool.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {
namespace {

void check_maps(const char* operation, const char* large_name, const TensorDesc& large, const char* small_name,
                const TensorDesc& small) {
  check_map(operation, large_name, large);
  check_map(operation, small_name, small, globally_pooled(large.shape));
  check_same_layout(operation, small_name, small, large_name, large);
}

}  // namespace

void AveragePoolForward::check() const { check_maps(kName, "x", x, "y", y); }
void AveragePoolBackward::check() const { check_maps(kName, "dx", dx, "dy", dy); }

Cost AveragePoolForward::cost() const { return {bytes_of({x, y}), static_cast<double>(x.shape.elements())}; }
Cost AveragePoolBackward::cost() const { return {bytes_of({dx, dy}), static_cast<double>(dy.shape.elements())}; }

std::string AveragePoolForward::text() const { return options_text(kName, to_string(x.shape)); }
std::string AveragePoolBackward::text() const { return options_text(kName, to_string(dx.shape)); }

}  // namespace sandglass

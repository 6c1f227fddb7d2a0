#include "kernels/residual/residual.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {

void ResidualForward::check() const { check_map(kName, "z", z); }
void ResidualBackward::check() const { check_map(kName, "z", z); }

Cost ResidualForward::cost() const {
  return {bytes_of({z, z, z}), (shortcut_transform ? 5.0 : 3.0) * static_cast<double>(z.shape.elements())};
}
Cost ResidualBackward::cost() const {
  return {bytes_of({z, z, z, z}) + (shortcut_transform ? bytes_of({z}) : 0),
          (shortcut_transform ? 5.0 : 3.0) * static_cast<double>(z.shape.elements())};
}

std::string ResidualForward::text() const {
  return options_text(kName, to_string(z.shape), {{"shortcut_transform", shortcut_transform}});
}
std::string ResidualBackward::text() const {
  return options_text(kName, to_string(z.shape), {{"shortcut_transform", shortcut_transform}});
}

}  // namespace sandglass

#include "kernels/residual/residual.h"

#include "kernels/check_map.h"

namespace sandglass {

void ResidualForward::check() const { check_map(kName, "z", z); }
void ResidualBackward::check() const { check_map(kName, "z", z); }

}  // namespace sandglass

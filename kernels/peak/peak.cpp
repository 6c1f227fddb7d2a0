#include "kernels/peak/peak.h"

#include "kernels/check_map.h"

namespace sandglass {

void Peak::check() const { check_map(kName, "maps", maps); }

}  // namespace sandglass

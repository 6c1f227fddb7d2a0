#include "kernels/peak/peak.h"

#include "kernels/check_map.h"

namespace sandglass {

void Peak::check() const {
  check_map(kName, "maps", maps);
  sandglass::check(maps.type == DataType::float32, "{}: maps is {}, must be float32", kName, name_of(maps.type));
}

}  // namespace sandglass

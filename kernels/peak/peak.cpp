#include "kernels/peak/peak.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {

void Peak::check() const {
  check_map(kName, "maps", maps);
  sandglass::check(maps.type == DataType::float32, "{}: maps is {}, must be float32", kName, name_of(maps.type));
}

Cost Peak::cost() const { return {bytes_of({maps}), static_cast<double>(maps.shape.elements())}; }

std::string Peak::text() const { return options_text(kName, to_string(maps.shape)); }

}  // namespace sandglass

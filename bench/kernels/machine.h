// The machine that is measured: what it is, what it can do at most, and what its figures depend on.
#pragma once

#include <nlohmann/json.hpp>

#include "engine/cost.h"
#include "engine/device.h"

namespace sandglass::bench {

/// What the device moves and computes in a second at most: of the fastest of several runs; 0 where it is not known.
struct Ceilings {
  double bytes_per_s = 0;       ///< a copy of large buffers (cpu: or an update in place), bytes read and written
  double operations_per_s = 0;  ///< a large matrix product: oneDNN's sgemm, cuBLAS in the device's precision

  bool known() const { return bytes_per_s > 0 && operations_per_s > 0; }
  bool limited_by_memory(const Cost& cost) const {
    return cost.bytes * operations_per_s >= cost.operations * bytes_per_s;
  }
};
Ceilings measure_ceilings(Device& device);

/// Bytes of the last cache before the device's memory: L2 of a GPU, L3 of a processor.
size_t last_level_cache_bytes(const Device& device);

/// For the report: device, driver, versions of libraries, compiler, commit, date, clocks as far as they can be read.
/// Null stands for what this build or machine does not have.
nlohmann::ordered_json describe_machine(const Device& device);

}  // namespace sandglass::bench

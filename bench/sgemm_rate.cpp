// The machine's matrix rate, for bench/compare.py: prints one JSON line: {"sgemm_gflops": ..., "threads": ...}.
#include <fmt/format.h>
#include <omp.h>

#include "bench/kernels/peers/onednn.h"
#include "bench/kernels/timing.h"

int main() {
  using namespace sandglass::bench;
  fmt::print("{{\"sgemm_gflops\": {:.1f}, \"threads\": {}}}\n", spread(onednn_sgemm_rates()).median / 1e9,
             omp_get_max_threads());
}

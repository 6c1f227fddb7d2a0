// The machine's matrix rate, for bench/compare.py: prints one JSON line: {"sgemm_gflops": ..., "threads": ...}.
#include <fmt/format.h>
#include <omp.h>

#include "bench/kernels/peers/onednn.h"

int main() {
  fmt::print("{{\"sgemm_gflops\": {:.1f}, \"threads\": {}}}\n", sandglass::bench::onednn_sgemm_rate() / 1e9,
             omp_get_max_threads());
}

// The machine's matrix rate: oneDNN's sgemm of 1024 x 1024 x 1024 on all OpenMP threads, median of 21 runs.
// Prints one JSON line: {"sgemm_gflops": ..., "threads": ...}. The ceiling that docs/performance.md compares with.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <oneapi/dnnl/dnnl.hpp>
#include <vector>

int main() {
  constexpr int kSize = 1024, kRuns = 21;
  std::vector<float> a(kSize * kSize, 1.0f), b(kSize * kSize, 0.5f), c(kSize * kSize);
  std::vector<double> seconds;
  for (int run = 0; run < kRuns + 2; ++run) {
    const auto start = std::chrono::steady_clock::now();
    dnnl_sgemm('N', 'N', kSize, kSize, kSize, 1.0f, a.data(), kSize, b.data(), kSize, 0.0f, c.data(), kSize);
    if (run >= 2) seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRuns / 2, seconds.end());
  const double flops = 2.0 * kSize * kSize * kSize;
  fmt::print("{{\"sgemm_gflops\": {:.1f}, \"threads\": {}}}\n", flops / seconds[kRuns / 2] / 1e9,
             omp_get_max_threads());
}

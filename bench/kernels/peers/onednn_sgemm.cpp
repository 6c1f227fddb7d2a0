#include <chrono>
#include <vector>

#include "bench/kernels/peers/onednn_support.h"

namespace sandglass::bench {

bool has_onednn() { return true; }

std::vector<double> onednn_sgemm_rates() {
  constexpr int kSize = 1024, kWarmUp = 2, kRuns = 21;
  const std::vector<float> a(kSize * kSize, 1.0f), b(kSize * kSize, 0.5f);
  std::vector<float> c(kSize * kSize);
  std::vector<double> rates;
  for (int run = 0; run < kRuns + kWarmUp; ++run) {
    const auto start = std::chrono::steady_clock::now();
    dnnl_sgemm('N', 'N', kSize, kSize, kSize, 1.0f, a.data(), kSize, b.data(), kSize, 0.0f, c.data(), kSize);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (run >= kWarmUp) rates.push_back(2.0 * kSize * kSize * kSize / seconds);
  }
  return rates;
}

}  // namespace sandglass::bench

#include <algorithm>
#include <chrono>
#include <vector>

#include "bench/kernels/peers/onednn_support.h"

namespace sandglass::bench {

bool has_onednn() { return true; }

double onednn_sgemm_rate() {
  constexpr int kSize = 1024, kWarmUp = 2, kRuns = 21;
  const std::vector<float> a(kSize * kSize, 1.0f), b(kSize * kSize, 0.5f);
  std::vector<float> c(kSize * kSize);
  std::vector<double> seconds;
  for (int run = 0; run < kRuns + kWarmUp; ++run) {
    const auto start = std::chrono::steady_clock::now();
    dnnl_sgemm('N', 'N', kSize, kSize, kSize, 1.0f, a.data(), kSize, b.data(), kSize, 0.0f, c.data(), kSize);
    if (run >= kWarmUp)
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRuns / 2, seconds.end());
  return 2.0 * kSize * kSize * kSize / seconds[kRuns / 2];
}

}  // namespace sandglass::bench

#include "kernels/batch_norm/batch_norm.h"

#include "kernels/check_map.h"

namespace sandglass {
namespace {

void check_channels(const char* operation, int channels, int64_t count) {
  check(channels > 0, "{}: the number of channels is {}, it must be positive", operation, channels);
  check(count >= 2, "{}: {} values per channel, batch norm needs at least 2 (N * H * W)", operation, count);
}

}  // namespace

void BatchNormFinalize::check() const {
  check_channels(kName, channels, count);
  sandglass::check(epsilon > 0, "{}: epsilon is {}, it must be positive", kName, epsilon);
  sandglass::check(momentum >= 0 && momentum <= 1, "{}: momentum is {}, it must be in [0, 1]", kName, momentum);
}

void BatchNormApply::check() const { check_map(kName, "z", z); }
void BatchNormBackwardReduce::check() const { check_map(kName, "z", z); }
void BatchNormBackwardFinalize::check() const { check_channels(kName, channels, count); }
void BatchNormBackwardApply::check() const { check_map(kName, "z", z); }

}  // namespace sandglass

#include "kernels/batch_norm/batch_norm.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

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

Cost BatchNormFinalize::cost() const {
  constexpr double kDoubles = 2, kFloats = 10;  // running statistics are read and written
  return {channels * (kDoubles * sizeof(double) + kFloats * sizeof(float)), 0};
}
Cost BatchNormApply::cost() const { return {bytes_of({z, z}), 2.0 * static_cast<double>(z.shape.elements())}; }
Cost BatchNormBackwardReduce::cost() const {
  return {bytes_of({z, z, z}), 5.0 * static_cast<double>(z.shape.elements())};
}
Cost BatchNormBackwardFinalize::cost() const {
  constexpr double kDoubles = 2, kFloats = 8;
  return {channels * (kDoubles * sizeof(double) + kFloats * sizeof(float)), 0};
}
Cost BatchNormBackwardApply::cost() const {
  return {bytes_of({z, z, z}), 4.0 * static_cast<double>(z.shape.elements())};
}

std::string BatchNormFinalize::text() const { return options_text(kName, fmt::format("{}", channels)); }
std::string BatchNormApply::text() const { return options_text(kName, to_string(z.shape), {{"relu", relu}}); }
std::string BatchNormBackwardReduce::text() const { return options_text(kName, to_string(z.shape)); }
std::string BatchNormBackwardFinalize::text() const { return options_text(kName, fmt::format("{}", channels)); }
std::string BatchNormBackwardApply::text() const { return options_text(kName, to_string(z.shape)); }

}  // namespace sandglass

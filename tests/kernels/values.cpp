#include "tests/kernels/values.h"

#include <algorithm>
#include <cmath>

#include "engine/bfloat16.h"
#include "engine/error.h"
#include "engine/random.h"

namespace sandglass::test {
namespace {

double root_mean_square(const Values& values) {
  return values.empty() ? 0 : std::sqrt(dot(values, values) / static_cast<double>(values.size()));
}

}  // namespace

Values integers(size_t count, int low, int high, uint64_t seed, double step) {
  Random random(seed, 1);
  Values values(count);
  for (double& v : values) v = (low + static_cast<int>(random.below(static_cast<uint32_t>(high - low + 1)))) * step;
  return values;
}

Values uniform(size_t count, double low, double high, uint64_t seed) {
  Random random(seed, 2);
  Values values(count);
  for (double& v : values) v = random.uniform(static_cast<float>(low), static_cast<float>(high));
  return values;
}

Values rounded(Values values, DataType type) {
  if (type == DataType::bfloat16)
    for (double& v : values) v = static_cast<float>(bfloat16(static_cast<float>(v)));
  else
    for (double& v : values) v = static_cast<float>(v);
  return values;
}

double dot(const Values& a, const Values& b) {
  check(a.size() == b.size(), "dot: {} and {} elements", a.size(), b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Limits limits_for(DataType type) {
  switch (type) {
    case DataType::float32:
      return {1e-12, 1e-5};
    case DataType::bfloat16:
      return {1e-5, 2e-2};  // 8 bits of mantissa: a relative error of up to 2^-8 for each rounding
    case DataType::uint8:
      return {0, 0};
  }
  fail("no limits for this data type");
}

std::string inequality(const Values& got, const Values& expected, const std::string& what) {
  if (got.size() != expected.size())
    return fmt::format("{}: {} elements instead of {}", what, got.size(), expected.size());
  size_t wrong = 0, first = 0;
  for (size_t i = got.size(); i-- > 0;)
    if (!(got[i] == expected[i])) ++wrong, first = i;
  if (!wrong) return "";
  return fmt::format("{}: {} of {} elements differ; the first is element {}: {} instead of {}", what, wrong, got.size(),
                     first, got[first], expected[first]);
}

std::string difference(const Values& got, const Values& expected, const std::string& what, Limits limits) {
  const double scale = root_mean_square(expected);
  if (got.size() != expected.size() || scale == 0) return inequality(got, expected, what);
  double squares = 0, worst = -1;
  size_t worst_at = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]);
    squares += error * error;
    const double scaled = error / std::max(std::abs(expected[i]), scale);
    if (!(scaled <= worst)) worst = scaled, worst_at = i;
    if (std::isnan(scaled)) break;
  }
  const double nmse = squares / (scale * scale * static_cast<double>(got.size()));
  if (nmse <= limits.nmse && worst <= limits.scaled) return "";
  return fmt::format(
      "{}: normalised mean square error {:.3g} (limit {:g}), largest scaled error {:.3g} (limit {:g}) at element {}: "
      "{} "
      "instead of {}",
      what, nmse, limits.nmse, worst, limits.scaled, worst_at, got[worst_at], expected[worst_at]);
}

}  // namespace sandglass::test

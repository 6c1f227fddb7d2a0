// Numbers that operations are tried with, and how far results may be from the float64 reference. Shared by the tests of
// the operations and by bench/kernels.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace sandglass::test {

/// Host arrays are double whatever the device stores; feature maps are plain NHWC.
using Values = std::vector<double>;

/// `count` integers, uniform in [low, high], times `step`. With a power of two as the step, sums and products of few of
/// them are exact in float, so that device and reference agree on every sign.
Values integers(size_t count, int low, int high, uint64_t seed, double step = 1);
/// `count` numbers that a float holds exactly, uniform in [low, high).
Values uniform(size_t count, double low, double high, uint64_t seed);
/// The values as elements of this type hold them.
Values rounded(Values values, DataType type);
/// Sum of products; the sizes must agree.
double dot(const Values& a, const Values& b);

/// What a result may differ from the reference by: `nmse` bounds sum of squared errors / sum of squares, `scaled` each
/// element's |error| / max(|expected|, root mean square of expected).
struct Limits {
  double nmse = 1e-12, scaled = 1e-5;
};
/// The limits for operations that store their results in `type`.
Limits limits_for(DataType type);

/// Empty if `got` is within the limits of `expected`, else what is wrong, beginning with `what`; NaN always is. Where
/// everything expected is zero, everything must be zero.
std::string difference(const Values& got, const Values& expected, const std::string& what, Limits limits = {});
/// The same for results that must be exactly as expected: says which is the first that is not, and how many there are.
std::string inequality(const Values& got, const Values& expected, const std::string& what);

}  // namespace sandglass::test

#include "kernels/conv/conv.h"

#include "kernels/check_map.h"
#include "kernels/spec_text.h"

namespace sandglass {

void ConvShape::check() const {
  sandglass::check(n > 0 && h > 0 && w > 0 && c > 0 && k > 0 && r > 0 && s > 0 && stride > 0 && padding >= 0,
                   "conv {}: every size must be positive", to_string(*this));
  sandglass::check(h + 2 * padding >= r && w + 2 * padding >= s,
                   "conv {}: the padded picture is smaller than the filter", to_string(*this));
}

std::string to_string(const ConvShape& shape) {
  return fmt::format("n{}_h{}_w{}_c{}_k{}_r{}_s{}_stride{}", shape.n, shape.h, shape.w, shape.c, shape.k, shape.r,
                     shape.s, shape.stride);
}

namespace {
void check_weights(const char* operation, DataType type) {
  check(type == DataType::float32 || type == DataType::bfloat16,
        "{}: the weights are {}, only float32 and bfloat16 are supported", operation, name_of(type));
}
}  // namespace

void ConvForward::check() const {
  shape.check();
  check_map(kName, "x", x, shape.input());
  check_map(kName, "y", y, shape.output());
  check_weights(kName, weights);
  sandglass::check(!statistics || (!residual && !relu), "{}: statistics go with neither residual nor relu", kName);
}

void ConvBackwardData::check() const {
  shape.check();
  check_map(kName, "dy", dy, shape.output());
  check_map(kName, "dx", dx, shape.input());
  check_weights(kName, weights);
}

void ConvBackwardWeights::check() const {
  shape.check();
  check_map(kName, "x", x, shape.input());
  check_map(kName, "dy", dy, shape.output());
}

Cost ConvForward::cost() const {
  const auto filters = static_cast<double>(shape.weight_elements() * bytes_per_element(weights));
  return {bytes_of({x, y}) + filters + (residual ? bytes_of({y}) : 0), 2 * shape.macs()};
}
Cost ConvBackwardData::cost() const {
  const auto filters = static_cast<double>(shape.weight_elements() * bytes_per_element(weights));
  return {bytes_of({dy, dx}) + filters + (accumulate + mask) * bytes_of({dx}), 2 * shape.macs()};
}
Cost ConvBackwardWeights::cost() const {
  return {bytes_of({x, dy}) + static_cast<double>(shape.weight_elements() * sizeof(float)), 2 * shape.macs()};
}

std::string ConvForward::text() const {
  return options_text(kName, to_string(shape),
                      {{"transform", input_transform},
                       {"statistics", statistics},
                       {"bias", bias},
                       {"residual", residual},
                       {"relu", relu}});
}
std::string ConvBackwardData::text() const {
  return options_text(kName, to_string(shape), {{"accumulate", accumulate}, {"mask", mask}});
}
std::string ConvBackwardWeights::text() const {
  return options_text(kName, to_string(shape), {{"transform", input_transform}, {"bias", bias}});
}

}  // namespace sandglass

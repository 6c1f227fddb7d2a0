// Upsampling, checked on all pixels of a few channels and pictures.
#include "kernels/upsample/upsample.h"

#include "bench/kernels/contest.h"
#include "bench/kernels/peers/onednn.h"

namespace sandglass::bench {
namespace {

using test::difference;
using test::limits_for;

Shape low_shape(const Shape& y) { return {y.n, y.h / 2, y.w / 2, y.c}; }

struct AddForward final : Problem<UpsampleAddForward> {
  static UpsampleAddForward parse(const Line& line, int batch, const Device& device) {
    const Shape shape = map_shape(line, batch);
    return {device.activation(low_shape(shape)), device.activation(shape)};
  }
  static std::vector<Peer<UpsampleAddForward>> peers(Device& device, const UpsampleAddForward& spec) {
    return onednn_peer(device, spec);
  }
  AddForward(Device& device, const UpsampleAddForward& spec, int sets)
      : Problem(device, sets), low(input(spec.low, {})), y(input(spec.y, {})) {}
  // The skip branch lies where the result goes, as in the network.
  UpsampleAddForwardArguments arguments(const UpsampleAddForward&, int set) {
    return {low.at(set), y.at(set), y.at(set)};
  }
  std::string wrong(const UpsampleAddForward& spec) {
    const Sample sample = sample_of(spec.y.shape);
    const Values lows = low.initial(sample), skips = y.initial(sample);
    Values expected(skips.size());
    reference::upsample_add_forward(sample.of(spec.y.shape), lows.data(), skips.data(), expected.data());
    return difference(y.current(sample), expected, "y", limits_for(spec.y.type));
  }
  Array &low, &y;
};

struct Backward final : Problem<UpsampleBackward> {
  static UpsampleBackward parse(const Line& line, int batch, const Device& device) {
    const Shape shape = map_shape(line, batch);
    return {device.activation(low_shape(shape)), device.activation(shape)};
  }
  static std::vector<Peer<UpsampleBackward>> peers(Device& device, const UpsampleBackward& spec) {
    return onednn_peer(device, spec);
  }
  Backward(Device& device, const UpsampleBackward& spec, int sets)
      : Problem(device, sets), dy(input(spec.dy, {})), dlow(result(spec.dlow)) {}
  UpsampleBackwardArguments arguments(const UpsampleBackward&, int set) { return {dy.at(set), dlow.at(set)}; }
  std::string wrong(const UpsampleBackward& spec) {
    const Sample sample = sample_of(spec.dy.shape);
    const Values dys = dy.initial(sample);
    Values expected(static_cast<size_t>(low_shape(sample.of(spec.dy.shape)).elements()));
    reference::upsample_backward(sample.of(spec.dy.shape), dys.data(), expected.data());
    return difference(dlow.current(sample), expected, "dlow", limits_for(spec.dy.type));
  }
  Array &dy, &dlow;
};

}  // namespace

void add_upsample(OperationTable& table) {
  add_operation<AddForward>(table);
  add_operation<Backward>(table);
}

}  // namespace sandglass::bench

// Max pooling, checked on all pixels of a few channels and pictures. With `argmax` the places of the maxima are stored.
#include "kernels/max_pool/max_pool.h"

#include "bench/kernels/contest.h"
#include "bench/kernels/peers/onednn.h"

namespace sandglass::bench {
namespace {

using test::difference;
using test::inequality;
using test::limits_for;

TensorDesc places(TensorDesc y) {
  y.type = DataType::uint8;
  return y;
}

// The spec, and whether the places are asked for, which is a matter of arguments alone.
struct ForwardSpec : MaxPoolForward {
  bool argmax = false;
  std::string text() const { return MaxPoolForward::text() + (argmax ? "/argmax" : ""); }
  Cost cost() const {
    Cost cost = MaxPoolForward::cost();
    if (argmax) cost.bytes += static_cast<double>(y.elements());
    return cost;
  }
};

struct Forward final : Problem<ForwardSpec> {
  static ForwardSpec parse(const Line& line, int batch, const Device& device) {
    const Shape shape = map_shape(line, batch);
    return {{device.activation(shape), device.activation(pooled(shape))}, line.has("argmax")};
  }
  static const MaxPoolForward& contract(const ForwardSpec& spec) { return spec; }
  static std::vector<Peer<ForwardSpec>> peers(Device& device, const ForwardSpec& spec) {
    return onednn_peer(device, spec, spec.argmax);
  }
  Forward(Device& device, const ForwardSpec& spec, int sets)
      : Problem(device, sets), x(input(spec.x, {})), y(result(spec.y)), argmax(result(places(spec.y))) {}
  MaxPoolForwardArguments arguments(const ForwardSpec& spec, int set) {
    return {x.at(set), y.at(set), spec.argmax ? argmax.as<uint8_t>(set) : nullptr};
  }
  std::string wrong(const ForwardSpec& spec) {
    const Sample sample = sample_of(spec.x.shape);
    const Shape part = sample.of(spec.x.shape);
    const Values xs = x.initial(sample);
    Values expected(static_cast<size_t>(pooled(part).elements()));
    std::vector<uint8_t> expected_places(expected.size());
    reference::max_pool_forward(part, xs.data(), expected.data(), expected_places.data());
    return first_of(
        {inequality(y.current(sample), expected, "y"),
         spec.argmax ? inequality(argmax.current(sample), {expected_places.begin(), expected_places.end()}, "argmax")
                     : ""});
  }
  Array &x, &y, &argmax;
};

struct Backward final : Problem<MaxPoolBackward> {
  static MaxPoolBackward parse(const Line& line, int batch, const Device& device) {
    const Shape shape = map_shape(line, batch);
    return {device.activation(shape), device.activation(pooled(shape)), line.has("accumulate")};
  }
  static std::vector<Peer<MaxPoolBackward>> peers(Device& device, const MaxPoolBackward& spec) {
    MaxPoolBackward plain = spec;
    plain.accumulate = false;
    return onednn_peer(device, plain);
  }
  Backward(Device& device, const MaxPoolBackward& spec, int sets)
      : Problem(device, sets),
        dy(input(spec.dy, {})),
        argmax(input(places(spec.dy), {0, 3, 1})),
        dx(spec.accumulate ? input(spec.dx, {}) : result(spec.dx)) {}
  MaxPoolBackwardArguments arguments(const MaxPoolBackward&, int set) {
    return {dy.at(set), argmax.as<uint8_t>(set), dx.at(set)};
  }
  std::string wrong(const MaxPoolBackward& spec) {
    const Sample sample = sample_of(spec.dx.shape);
    const Shape part = sample.of(spec.dx.shape);
    const Values dys = dy.initial(sample), place_values = argmax.initial(sample);
    const std::vector<uint8_t> place(place_values.begin(), place_values.end());
    Values expected = spec.accumulate ? dx.initial(sample) : Values(static_cast<size_t>(part.elements()));
    reference::max_pool_backward(part, dys.data(), place.data(), expected.data());
    return difference(dx.current(sample), expected, "dx", limits_for(spec.dx.type));
  }
  Array &dy, &argmax, &dx;
};

}  // namespace

void add_max_pool(OperationTable& table) {
  add_operation<Forward>(table);
  add_operation<Backward>(table);
}

}  // namespace sandglass::bench

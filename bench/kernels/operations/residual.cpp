// The end of a bottleneck: checked on all pixels of a few channels.
#include "kernels/residual/residual.h"

#include "bench/kernels/contest.h"
#include "bench/kernels/peers/onednn.h"

namespace sandglass::bench {
namespace {

using test::difference;
using test::limits_for;

struct Forward final : Problem<ResidualForward> {
  static ResidualForward parse(const Line& line, int batch, const Device& device) {
    return {device.activation(map_shape(line, batch)), line.has("shortcut_transform")};
  }
  static std::vector<Peer<ResidualForward>> peers(Device& device, const ResidualForward& spec) {
    ResidualForward plain = spec;
    plain.shortcut_transform = false;
    return onednn_peer(device, plain);
  }
  Forward(Device& device, const ResidualForward& spec, int sets)
      : Problem(device, sets),
        z(input(spec.z, {})),
        scale(input(array(spec.z.shape.c), kScale)),
        shift(input(array(spec.z.shape.c), kShift)),
        shortcut(input(spec.z, {})),
        scale2(input(array(spec.z.shape.c), kScale)),
        shift2(input(array(spec.z.shape.c), kShift)),
        y(result(spec.z)) {}
  ResidualForwardArguments arguments(const ResidualForward& spec, int set) {
    ResidualForwardArguments a;
    a.z = z.at(set);
    a.scale = scale.as<float>(set);
    a.shift = shift.as<float>(set);
    a.shortcut = shortcut.at(set);
    if (spec.shortcut_transform) {
      a.shortcut_scale = scale2.as<float>(set);
      a.shortcut_shift = shift2.as<float>(set);
    }
    a.y = y.at(set);
    return a;
  }
  std::string wrong(const ResidualForward& spec) {
    const Sample sample = sample_of(spec.z.shape);
    const Sample per_channel{{0}, sample.channels};
    const Shape part = sample.of(spec.z.shape);
    const Values zs = z.initial(sample), shortcuts = shortcut.initial(sample), s1 = scale.initial(per_channel),
                 h1 = shift.initial(per_channel), s2 = scale2.initial(per_channel), h2 = shift2.initial(per_channel);
    Values expected(zs.size());
    const bool both = spec.shortcut_transform;
    reference::residual_forward(part.pixels(), part.c, zs.data(), s1.data(), h1.data(), shortcuts.data(),
                                both ? s2.data() : nullptr, both ? h2.data() : nullptr, expected.data());
    return difference(y.current(sample), expected, "y", limits_for(spec.z.type));
  }
  Array &z, &scale, &shift, &shortcut, &scale2, &shift2, &y;
};

struct Backward final : Problem<ResidualBackward> {
  static ResidualBackward parse(const Line& line, int batch, const Device& device) {
    return {device.activation(map_shape(line, batch)), line.has("shortcut_transform")};
  }
  Backward(Device& device, const ResidualBackward& spec, int sets)
      : Problem(device, sets),
        dy(input(spec.z, {})),
        y(input(spec.z, {})),
        z(input(spec.z, {})),
        shortcut(input(spec.z, {})),
        g(result(spec.z)),
        sum(result(doubles(spec.z.shape.c))),
        sum_z(result(doubles(spec.z.shape.c))),
        sum_shortcut(result(doubles(spec.z.shape.c))) {}
  ResidualBackwardArguments arguments(const ResidualBackward& spec, int set) {
    ResidualBackwardArguments a;
    a.dy = dy.at(set);
    a.y = y.at(set);
    a.z = z.at(set);
    a.g = g.at(set);
    a.sum = sum.as<double>(set);
    a.sum_z = sum_z.as<double>(set);
    if (spec.shortcut_transform) {
      a.shortcut = shortcut.at(set);
      a.sum_shortcut = sum_shortcut.as<double>(set);
    }
    return a;
  }
  std::string wrong(const ResidualBackward& spec) {
    const Sample sample = every_picture(spec.z.shape);
    const Shape part = sample.of(spec.z.shape);
    const Values dys = dy.initial(sample), ys = y.initial(sample), zs = z.initial(sample),
                 shortcuts = shortcut.initial(sample);
    const size_t channels = sample.channels.size();
    Values expected(dys.size()), sums(channels), sums_z(channels), sums_shortcut(channels);
    reference::residual_backward(part.pixels(), part.c, dys.data(), ys.data(), zs.data(), shortcuts.data(),
                                 expected.data(), sums.data(), sums_z.data(), sums_shortcut.data());
    const auto per_channel = [&](const Array& array) { return picked(array.current_doubles(), sample.channels); };
    return first_of(
        {difference(g.current(sample), expected, "g", limits_for(spec.z.type)),
         difference(per_channel(sum), sums, "sum"), difference(per_channel(sum_z), sums_z, "sum_z"),
         spec.shortcut_transform ? difference(per_channel(sum_shortcut), sums_shortcut, "sum_shortcut") : ""});
  }
  Array &dy, &y, &z, &shortcut, &g, &sum, &sum_z, &sum_shortcut;
};

}  // namespace

void add_residual(OperationTable& table) {
  add_operation<Forward>(table);
  add_operation<Backward>(table);
}

}  // namespace sandglass::bench

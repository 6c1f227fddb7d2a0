// The convolutions. Outputs are checked on all pixels of a few channels and pictures, gradients of weights for a few
// pairs of channels, sums of a few channels against the stored results.
#include "kernels/conv/conv.h"

#include "bench/kernels/contest.h"
#include "bench/kernels/peers/cudnn.h"
#include "bench/kernels/peers/device_library.h"
#include "bench/kernels/peers/onednn.h"
#include "engine/bfloat16.h"

namespace sandglass::bench {
namespace {

using test::difference;
using test::Limits;

constexpr int kChannels = 2;  // of a sample: each takes all of the other side
constexpr Numbers kWeights{-0.1, 0.1};

// A product left out or counted twice is 3 % of a sum of a thousand; an element may be off by a few roundings of its
// operands, which add up like a random walk.
Limits limits(Precision precision, DataType result) {
  if (precision == Precision::fp32) return {1e-8, 5e-4};
  if (precision == Precision::tf32) return {4e-6, 1e-2};
  return result == DataType::bfloat16 ? Limits{4e-5, 4e-2} : Limits{4e-5, 3e-2};
}
constexpr Limits kSumLimits{1e-11, 1e-5};  // of statistics, computed again from the stored elements

DataType weights_type(const Device& device) {
  return device.precision() == Precision::bf16 ? DataType::bfloat16 : DataType::float32;
}
TensorDesc input_desc(const Device& device, const ConvShape& s) {
  return s.c == 3 ? device.picture(s.input()) : device.activation(s.input());
}
// The last convolution's results are heatmaps. Its gradient is stored like any map.
TensorDesc output_desc(const Device& device, const ConvShape& s) {
  return s.k == 5 ? device.heatmaps(s.output()) : device.activation(s.output());
}
TensorDesc weights_desc(const ConvShape& s, DataType type) { return nhwc({s.k, s.r, s.s, s.c}, type); }

Sample every_channel(const Shape& shape) { return sample_of(shape, shape.c); }

// Sums per channel of `a`, and of a * b.
struct Sums {
  Values sum, sum_product;
};
Sums sums(const Values& a, const Values& b, size_t channels) {
  Sums result{Values(channels), Values(channels)};
  for (size_t i = 0; i < a.size(); ++i) {
    result.sum[i % channels] += a[i];
    result.sum_product[i % channels] += a[i] * b[i];
  }
  return result;
}

// What spec asks for that a library's bare convolution does not do is left out of it.
template <typename Spec>
std::vector<Peer<Spec>> conv_peers(Device& device, const Spec& spec, const Spec& bare) {
  std::vector<Peer<Spec>> peers = onednn_peer(device, bare);
  if (device.kind() == DeviceKind::cuda) {
    add_device_library(peers, device, spec, ConvLibrary::cudnn);
    if (has_cudnn() && bare.text() == spec.text())
      peers.push_back({"cudnn_engines", spec, [&device, spec] { return cudnn_best_engine(device, spec); }});
    if (spec.shape.r == 1 && spec.shape.s == 1) add_device_library(peers, device, spec, ConvLibrary::cublas);
  }
  return peers;
}

struct Forward final : Problem<ConvForward> {
  static ConvForward parse(const Line& line, int batch, const Device& device) {
    ConvForward spec;
    spec.shape = conv_shape(line, batch);
    spec.x = input_desc(device, spec.shape);
    spec.y = output_desc(device, spec.shape);
    spec.weights = weights_type(device);
    spec.input_transform = line.has("transform");
    spec.statistics = line.has("statistics");
    spec.bias = line.has("bias");
    spec.residual = line.has("residual");
    spec.relu = line.has("relu");
    return spec;
  }
  static std::vector<Peer<ConvForward>> peers(Device& device, const ConvForward& spec) {
    ConvForward bare = spec;
    bare.input_transform = bare.statistics = false;
    // cuDNN's engines are tried for the bare convolution, oneDNN has all of the epilogue.
    if (device.kind() != DeviceKind::cpu) bare.bias = bare.residual = bare.relu = false;
    return conv_peers(device, spec, bare);
  }

  Forward(Device& device, const ConvForward& spec, int sets)
      : Problem(device, sets),
        x(input(spec.x, {})),
        weights(input(weights_desc(spec.shape, spec.weights), kWeights)),
        scale(input(array(spec.shape.c), kScale)),
        shift(input(array(spec.shape.c), kShift)),
        bias(input(array(spec.shape.k), {})),
        // The shortcut lies where the result goes, as in the network.
        y(spec.residual ? input(spec.y, {}) : result(spec.y)),
        sum(result(doubles(spec.shape.k))),
        sum_squares(result(doubles(spec.shape.k))) {}

  ConvForwardArguments arguments(const ConvForward& spec, int set) {
    ConvForwardArguments a;
    a.x = x.at(set);
    a.weights = weights.at(set);
    a.y = y.at(set);
    if (spec.input_transform) a.transform = {scale.as<float>(set), shift.as<float>(set), true};
    if (spec.bias) a.bias = bias.as<float>(set);
    if (spec.residual) a.residual = y.at(set);
    if (spec.statistics) {
      a.sum = sum.as<double>(set);
      a.sum_squares = sum_squares.as<double>(set);
    }
    return a;
  }

  std::string wrong(const ConvForward& spec) {
    const Sample sample = sample_of(spec.y.shape, kChannels);
    ConvShape s = spec.shape;
    s.n = static_cast<int>(sample.pictures.size());
    s.k = static_cast<int>(sample.channels.size());
    const Values x_values = x.initial(every_channel(spec.x.shape)), w = weights.initial({sample.channels, all(s.c)}),
                 scales = scale.initial({{0}, all(s.c)}), shifts = shift.initial({{0}, all(s.c)}),
                 biases = bias.initial({{0}, sample.channels}), shortcut = spec.residual ? y.initial(sample) : Values();
    Values expected(static_cast<size_t>(s.output().elements()));
    const reference::Transform transform{scales.data(), shifts.data(), true};
    reference::conv_forward(s, x_values.data(), w.data(), spec.input_transform ? transform : reference::Transform{},
                            spec.bias ? biases.data() : nullptr, spec.residual ? shortcut.data() : nullptr, spec.relu,
                            expected.data());
    const std::string y_wrong = difference(y.current(sample), expected, "y", limits(device().precision(), spec.y.type));
    if (!spec.statistics || !y_wrong.empty()) return y_wrong;
    const Values stored = y.current(every_picture(spec.y.shape, kChannels));
    const Sums again = sums(stored, stored, sample.channels.size());
    return first_of({difference(picked(sum.current_doubles(), sample.channels), again.sum, "sum", kSumLimits),
                     difference(picked(sum_squares.current_doubles(), sample.channels), again.sum_product,
                                "sum_squares", kSumLimits)});
  }

  Array &x, &weights, &scale, &shift, &bias, &y, &sum, &sum_squares;
};

struct BackwardData final : Problem<ConvBackwardData> {
  static ConvBackwardData parse(const Line& line, int batch, const Device& device) {
    ConvBackwardData spec;
    spec.shape = conv_shape(line, batch);
    spec.dy = device.activation(spec.shape.output());
    spec.dx = device.activation(spec.shape.input());
    spec.weights = weights_type(device);
    spec.accumulate = line.has("accumulate");
    spec.mask = line.has("mask");
    return spec;
  }
  static std::vector<Peer<ConvBackwardData>> peers(Device& device, const ConvBackwardData& spec) {
    ConvBackwardData bare = spec;
    bare.accumulate = bare.mask = false;
    return conv_peers(device, spec, bare);
  }

  BackwardData(Device& device, const ConvBackwardData& spec, int sets)
      : Problem(device, sets),
        dy(input(spec.dy, {})),
        weights(input(weights_desc(spec.shape, spec.weights), kWeights)),
        z(input(spec.dx, kExact)),
        scale(input(array(spec.shape.c), kExactScale)),
        shift(input(array(spec.shape.c), kExactShift)),
        dx(spec.accumulate ? input(spec.dx, {}) : result(spec.dx)),
        sum(result(doubles(spec.shape.c))),
        sum_z(result(doubles(spec.shape.c))) {}

  ConvBackwardDataArguments arguments(const ConvBackwardData& spec, int set) {
    ConvBackwardDataArguments a;
    a.dy = dy.at(set);
    a.weights = weights.at(set);
    a.dx = dx.at(set);
    if (spec.mask) {
      a.z = z.at(set);
      a.scale = scale.as<float>(set);
      a.shift = shift.as<float>(set);
      a.sum = sum.as<double>(set);
      a.sum_z = sum_z.as<double>(set);
    }
    return a;
  }

  std::string wrong(const ConvBackwardData& spec) {
    const Sample sample = sample_of(spec.dx.shape, kChannels);
    ConvShape s = spec.shape;
    s.n = static_cast<int>(sample.pictures.size());
    s.c = static_cast<int>(sample.channels.size());
    const Values dy_values = dy.initial(every_channel(spec.dy.shape)), w = weights.initial({all(s.k), sample.channels});
    Values expected = spec.accumulate ? dx.initial(sample) : Values(static_cast<size_t>(s.input().elements()));
    reference::conv_backward_data(s, dy_values.data(), w.data(), expected.data());
    if (spec.mask) {
      const Values scales = scale.initial({{0}, sample.channels}), shifts = shift.initial({{0}, sample.channels}),
                   z_values = z.initial(sample);
      for (size_t i = 0; i < expected.size(); ++i) {
        const size_t c = i % scales.size();
        if (!(z_values[i] * scales[c] + shifts[c] > 0)) expected[i] = 0;
      }
    }
    const std::string dx_wrong =
        difference(dx.current(sample), expected, "dx", limits(device().precision(), spec.dx.type));
    if (!spec.mask || !dx_wrong.empty()) return dx_wrong;
    const Sample everywhere = every_picture(spec.dx.shape, kChannels);
    const Sums again = sums(dx.current(everywhere), z.initial(everywhere), sample.channels.size());
    return first_of(
        {difference(picked(sum.current_doubles(), sample.channels), again.sum, "sum", kSumLimits),
         difference(picked(sum_z.current_doubles(), sample.channels), again.sum_product, "sum_z", kSumLimits)});
  }

  Array &dy, &weights, &z, &scale, &shift, &dx, &sum, &sum_z;
};

struct BackwardWeights final : Problem<ConvBackwardWeights> {
  static ConvBackwardWeights parse(const Line& line, int batch, const Device& device) {
    ConvBackwardWeights spec;
    spec.shape = conv_shape(line, batch);
    spec.x = input_desc(device, spec.shape);
    spec.dy = device.activation(spec.shape.output());
    spec.input_transform = line.has("transform");
    spec.bias = line.has("bias");
    return spec;
  }
  static std::vector<Peer<ConvBackwardWeights>> peers(Device& device, const ConvBackwardWeights& spec) {
    ConvBackwardWeights bare = spec;
    bare.input_transform = false;
    if (device.kind() != DeviceKind::cpu) bare.bias = false;
    return conv_peers(device, spec, bare);
  }

  BackwardWeights(Device& device, const ConvBackwardWeights& spec, int sets)
      : Problem(device, sets),
        x(input(spec.x, {})),
        dy(input(spec.dy, {})),
        scale(input(array(spec.shape.c), kScale)),
        shift(input(array(spec.shape.c), kShift)),
        dw(result(weights_desc(spec.shape, DataType::float32))),
        db(result(array(spec.shape.k))) {}

  ConvBackwardWeightsArguments arguments(const ConvBackwardWeights& spec, int set) {
    ConvBackwardWeightsArguments a;
    a.x = x.at(set);
    a.dy = dy.at(set);
    a.dw = dw.as<float>(set);
    if (spec.bias) a.db = db.as<float>(set);
    if (spec.input_transform) a.transform = {scale.as<float>(set), shift.as<float>(set), true};
    return a;
  }

  std::string wrong(const ConvBackwardWeights& spec) {
    const Sample xs = every_picture(spec.x.shape, kChannels), ys = every_picture(spec.dy.shape, kChannels);
    ConvShape s = spec.shape;
    s.c = static_cast<int>(xs.channels.size());
    s.k = static_cast<int>(ys.channels.size());
    const Values x_values = x.initial(xs), dy_values = dy.initial(ys), scales = scale.initial({{0}, xs.channels}),
                 shifts = shift.initial({{0}, xs.channels});
    Values expected(s.weight_elements());
    const reference::Transform transform{scales.data(), shifts.data(), true};
    reference::conv_backward_weights(s, x_values.data(), dy_values.data(),
                                     spec.input_transform ? transform : reference::Transform{}, expected.data());
    const Limits allowed = limits(device().precision(), DataType::float32);
    const std::string dw_wrong = difference(dw.current({ys.channels, xs.channels}), expected, "dw", allowed);
    if (!spec.bias || !dw_wrong.empty()) return dw_wrong;
    return difference(db.current({{0}, ys.channels}), sums(dy_values, dy_values, ys.channels.size()).sum, "db",
                      {1e-9, 1e-4});
  }

  Array &x, &dy, &scale, &shift, &dw, &db;
};

}  // namespace

void add_conv(OperationTable& table) {
  add_operation<Forward>(table);
  add_operation<BackwardData>(table);
  add_operation<BackwardWeights>(table);
}

}  // namespace sandglass::bench

// Gradient norm and optimiser over all parameters. The norm is checked whole, a step on the first and last parameters.
#include "kernels/optimizer/optimizer.h"

#include <algorithm>
#include <cmath>

#include "bench/kernels/contest.h"

namespace sandglass::bench {
namespace {

using test::difference;

// A parameter is a "picture" of one pixel and channel, so that samples take single ones.
TensorDesc parameters_desc(size_t count, DataType type = DataType::float32) {
  return nhwc({static_cast<int>(count), 1, 1, 1}, type);
}

struct Norm final : Problem<GradientNorm> {
  static GradientNorm parse(const Line& line, int, const Device&) { return {static_cast<size_t>(count(line))}; }
  Norm(Device& device, const GradientNorm& spec, int sets)
      : Problem(device, sets), gradients(input(parameters_desc(spec.count), {})), norm(result(array(2))) {}
  GradientNormArguments arguments(const GradientNorm&, int set) {
    return {gradients.as<float>(set), norm.as<float>(set), nullptr};
  }
  std::string wrong(const GradientNorm& spec) {
    const Values values = gradients.initial({all(static_cast<int>(spec.count)), {0}});
    return difference(norm.current({{0}, {0, 1}}), {std::sqrt(test::dot(values, values)), 0}, "norm");
  }
  Array &gradients, &norm;
};

struct Step final : Problem<Optimizer> {
  static constexpr int kChecked = 1000;  // parameters at either end

  // All have weight decay, and with Precision::bf16 copies; in fp32 and tf32 `decayed` is 0, as there are no copies to
  // be counted.
  static Optimizer parse(const Line& line, int, const Device& device) {
    Optimizer spec;
    spec.kind = line.has("adamw") ? OptimizerKind::adamw : OptimizerKind::rmsprop;
    spec.count = static_cast<size_t>(count(line));
    spec.decayed = device.precision() == Precision::bf16 ? spec.count : 0;
    return spec;
  }
  Step(Device& device, const Optimizer& spec, int sets)
      : Problem(device, sets),
        rates(objects<OptimizerRates>({made_rates()})),
        parameters(input(parameters_desc(spec.count), {})),
        gradients(input(parameters_desc(spec.count), {})),
        first_moment(input(parameters_desc(spec.kind == OptimizerKind::adamw ? spec.count : 1), {-0.1, 0.1})),
        second_moment(input(parameters_desc(spec.count), {0.1, 1})),
        norm(objects<float>({kNorm, 0})),
        copies(result(parameters_desc(std::max<size_t>(spec.decayed, 1), DataType::bfloat16))) {}
  OptimizerArguments arguments(const Optimizer& spec, int set) {
    OptimizerArguments a;
    a.parameters = parameters.as<float>(set);
    a.gradients = gradients.as<float>(set);
    if (spec.kind == OptimizerKind::adamw) a.first_moment = first_moment.as<float>(set);
    a.second_moment = second_moment.as<float>(set);
    a.norm = norm.as<float>(set);
    a.rates = rates.as<OptimizerRates>(set);
    if (spec.decayed > 0) a.copies = copies.as<bfloat16>(set);
    return a;
  }
  std::string wrong(const Optimizer& spec) {
    const int count = static_cast<int>(spec.count);
    Sample sample{{}, {0}};
    for (int i = 0; i < count; ++i)
      if (i < kChecked || i >= count - kChecked) sample.pictures.push_back(i);
    const bool adamw = spec.kind == OptimizerKind::adamw;
    Values p = parameters.initial(sample), m = adamw ? first_moment.initial(sample) : Values(p.size()),
           v = second_moment.initial(sample);
    const Values before = p, g = gradients.initial(sample);
    const Optimizer part{spec.kind, p.size(), spec.decayed > 0 ? p.size() : 0};
    reference::optimizer(part, made_rates(), nullptr, kNorm, p.data(), g.data(), m.data(), v.data());
    return first_of({difference(parameters.current(sample), p, "parameters"),
                     difference(second_moment.current(sample), v, "second_moment", {1e-9, 1e-4}),
                     adamw ? difference(first_moment.current(sample), m, "first_moment", {1e-9, 1e-4}) : "",
                     spec.decayed > 0
                         ? difference(copies.current(sample), p, "copies", test::limits_for(DataType::bfloat16))
                         : ""});
  }

  static constexpr float kNorm = 2;
  // A rate so large that an error of the step does not hide in the rounding of the parameter.
  static OptimizerRates made_rates() {
    OptimizerRates rates;
    rates.rate = 0.01f;
    rates.decay = 0.01f;
    rates.clip = 1;
    return rates;
  }
  Array &rates, &parameters, &gradients, &first_moment, &second_moment, &norm, &copies;
};

}  // namespace

void add_optimizer(OperationTable& table) {
  add_operation<Norm>(table);
  add_operation<Step>(table);
}

}  // namespace sandglass::bench

// Batch norm's passes. Maps are checked on all pixels of a few channels and pictures, sums of a few channels over all.
#include "kernels/batch_norm/batch_norm.h"

#include "bench/kernels/contest.h"
#include "bench/kernels/peers/onednn.h"

namespace sandglass::bench {
namespace {

using test::difference;
using test::limits_for;

constexpr Numbers kPositive{0.5, 2};
constexpr int64_t kPixels = 64 * 64;  // of a map whose statistics are finalised; no time depends on it

struct Apply final : Problem<BatchNormApply> {
  static BatchNormApply parse(const Line& line, int batch, const Device& device) {
    return {device.activation(map_shape(line, batch)), line.has("relu")};
  }
  static std::vector<Peer<BatchNormApply>> peers(Device& device, const BatchNormApply& spec) {
    return onednn_peer(device, spec);
  }
  Apply(Device& device, const BatchNormApply& spec, int sets)
      : Problem(device, sets),
        z(input(spec.z, {})),
        scale(input(array(spec.z.shape.c), kScale)),
        shift(input(array(spec.z.shape.c), kShift)),
        y(result(spec.z)) {}
  BatchNormApplyArguments arguments(const BatchNormApply&, int set) {
    return {z.at(set), scale.as<float>(set), shift.as<float>(set), y.at(set)};
  }
  std::string wrong(const BatchNormApply& spec) {
    const Sample sample = sample_of(spec.z.shape);
    const Shape part = sample.of(spec.z.shape);
    const Values zs = z.initial(sample), scales = scale.initial({{0}, sample.channels}),
                 shifts = shift.initial({{0}, sample.channels});
    Values expected(zs.size());
    reference::batch_norm_apply(part.pixels(), part.c, zs.data(), scales.data(), shifts.data(), spec.relu,
                                expected.data());
    return difference(y.current(sample), expected, "y", limits_for(spec.z.type));
  }
  Array &z, &scale, &shift, &y;
};

struct BackwardReduce final : Problem<BatchNormBackwardReduce> {
  static BatchNormBackwardReduce parse(const Line& line, int batch, const Device& device) {
    return {device.activation(map_shape(line, batch))};
  }
  BackwardReduce(Device& device, const BatchNormBackwardReduce& spec, int sets)
      : Problem(device, sets),
        g(input(spec.z, {})),
        z(input(spec.z, kExact)),
        scale(input(array(spec.z.shape.c), kExactScale)),
        shift(input(array(spec.z.shape.c), kExactShift)),
        sum(result(doubles(spec.z.shape.c))),
        sum_z(result(doubles(spec.z.shape.c))) {}
  BatchNormBackwardReduceArguments arguments(const BatchNormBackwardReduce&, int set) {
    return {
        g.at(set), z.at(set), scale.as<float>(set), shift.as<float>(set), sum.as<double>(set), sum_z.as<double>(set)};
  }
  std::string wrong(const BatchNormBackwardReduce& spec) {
    const Sample sample = every_picture(spec.z.shape);
    const Shape part = sample.of(spec.z.shape);
    Values expected = g.initial(sample), sums(sample.channels.size()), sums_z(sample.channels.size());
    const Values zs = z.initial(sample), scales = scale.initial({{0}, sample.channels}),
                 shifts = shift.initial({{0}, sample.channels});
    reference::batch_norm_backward_reduce(part.pixels(), part.c, expected.data(), zs.data(), scales.data(),
                                          shifts.data(), sums.data(), sums_z.data());
    return first_of({difference(g.current(sample), expected, "g", limits_for(spec.z.type)),
                     difference(picked(sum.current_doubles(), sample.channels), sums, "sum"),
                     difference(picked(sum_z.current_doubles(), sample.channels), sums_z, "sum_z")});
  }
  Array &g, &z, &scale, &shift, &sum, &sum_z;
};

struct BackwardApply final : Problem<BatchNormBackwardApply> {
  static BatchNormBackwardApply parse(const Line& line, int batch, const Device& device) {
    return {device.activation(map_shape(line, batch))};
  }
  BackwardApply(Device& device, const BatchNormBackwardApply& spec, int sets)
      : Problem(device, sets),
        g(input(spec.z, {})),
        z(input(spec.z, {})),
        a(input(array(spec.z.shape.c), kScale)),
        b(input(array(spec.z.shape.c), kShift)),
        c(input(array(spec.z.shape.c), kShift)),
        dz(result(spec.z)) {}
  BatchNormBackwardApplyArguments arguments(const BatchNormBackwardApply&, int set) {
    return {g.at(set), z.at(set), a.as<float>(set), b.as<float>(set), c.as<float>(set), dz.at(set)};
  }
  std::string wrong(const BatchNormBackwardApply& spec) {
    const Sample sample = sample_of(spec.z.shape), per_channel{{0}, sample.channels};
    const Shape part = sample.of(spec.z.shape);
    const Values gs = g.initial(sample), zs = z.initial(sample), as = a.initial(per_channel),
                 bs = b.initial(per_channel), cs = c.initial(per_channel);
    Values expected(gs.size());
    reference::batch_norm_backward_apply(part.pixels(), part.c, gs.data(), zs.data(), as.data(), bs.data(), cs.data(),
                                         expected.data());
    return difference(dz.current(sample), expected, "dz", limits_for(spec.z.type));
  }
  Array &g, &z, &a, &b, &c, &dz;
};

// Sums as of a map with mean 1 and variance 1 and more, so that no difference of large numbers is left.
struct SumsOfMap {
  SumsOfMap(int channels, double count) {
    for (int c = 0; c < channels; ++c) {
      const double variance = 1 + c % 7;
      sum.push_back(count);
      sum_squares.push_back(count * (1 + variance));
    }
  }
  Values sum, sum_squares;
};

struct Finalize final : Problem<BatchNormFinalize> {
  static BatchNormFinalize parse(const Line& line, int batch, const Device&) {
    BatchNormFinalize spec;
    spec.channels = count(line);
    spec.count = batch * kPixels;
    return spec;
  }
  Finalize(Device& device, const BatchNormFinalize& spec, int sets)
      : Problem(device, sets),
        made(spec.channels, static_cast<double>(spec.count)),
        sum(objects(made.sum)),
        sum_squares(objects(made.sum_squares)),
        gamma(input(array(spec.channels), kScale)),
        beta(input(array(spec.channels), kShift)),
        running_mean(input(array(spec.channels), kShift)),
        running_var(input(array(spec.channels), kPositive)),
        mean(result(array(spec.channels))),
        inv_std(result(array(spec.channels))),
        scale(result(array(spec.channels))),
        shift(result(array(spec.channels))) {}
  BatchNormFinalizeArguments arguments(const BatchNormFinalize&, int set) {
    return {sum.as<double>(set),         sum_squares.as<double>(set), gamma.as<float>(set), beta.as<float>(set),
            running_mean.as<float>(set), running_var.as<float>(set),  mean.as<float>(set),  inv_std.as<float>(set),
            scale.as<float>(set),        shift.as<float>(set)};
  }
  std::string wrong(const BatchNormFinalize& spec) {
    const Sample every{{0}, all(spec.channels)};
    const size_t n = every.channels.size();
    const Values gammas = gamma.initial(every), betas = beta.initial(every);
    Values means = running_mean.initial(every), vars = running_var.initial(every), m(n), i(n), sc(n), sh(n);
    reference::batch_norm_finalize(spec, made.sum.data(), made.sum_squares.data(), gammas.data(), betas.data(),
                                   means.data(), vars.data(), m.data(), i.data(), sc.data(), sh.data());
    return first_of({difference(running_mean.current(every), means, "running_mean"),
                     difference(running_var.current(every), vars, "running_var"),
                     difference(mean.current(every), m, "mean"), difference(inv_std.current(every), i, "inv_std"),
                     difference(scale.current(every), sc, "scale"), difference(shift.current(every), sh, "shift")});
  }
  SumsOfMap made;
  Array &sum, &sum_squares, &gamma, &beta, &running_mean, &running_var, &mean, &inv_std, &scale, &shift;
};

struct BackwardFinalize final : Problem<BatchNormBackwardFinalize> {
  static BatchNormBackwardFinalize parse(const Line& line, int batch, const Device&) {
    return {count(line), batch * kPixels};
  }
  BackwardFinalize(Device& device, const BatchNormBackwardFinalize& spec, int sets)
      : Problem(device, sets),
        made(spec.channels, static_cast<double>(spec.count)),
        sum(objects(made.sum)),
        sum_z(objects(made.sum_squares)),
        gamma(input(array(spec.channels), kScale)),
        mean(input(array(spec.channels), kShift)),
        inv_std(input(array(spec.channels), kPositive)),
        dgamma(result(array(spec.channels))),
        dbeta(result(array(spec.channels))),
        a(result(array(spec.channels))),
        b(result(array(spec.channels))),
        c(result(array(spec.channels))) {}
  BatchNormBackwardFinalizeArguments arguments(const BatchNormBackwardFinalize&, int set) {
    return {sum.as<double>(set),    sum_z.as<double>(set), gamma.as<float>(set), mean.as<float>(set),
            inv_std.as<float>(set), dgamma.as<float>(set), dbeta.as<float>(set), a.as<float>(set),
            b.as<float>(set),       c.as<float>(set)};
  }
  std::string wrong(const BatchNormBackwardFinalize& spec) {
    const Sample every{{0}, all(spec.channels)};
    const size_t n = every.channels.size();
    const Values gammas = gamma.initial(every), means = mean.initial(every), inv_stds = inv_std.initial(every);
    Values dg(n), db(n), as(n), bs(n), cs(n);
    reference::batch_norm_backward_finalize(spec, made.sum.data(), made.sum_squares.data(), gammas.data(), means.data(),
                                            inv_stds.data(), dg.data(), db.data(), as.data(), bs.data(), cs.data());
    return first_of({difference(dgamma.current(every), dg, "dgamma"), difference(dbeta.current(every), db, "dbeta"),
                     difference(a.current(every), as, "a"), difference(b.current(every), bs, "b"),
                     difference(c.current(every), cs, "c")});
  }
  SumsOfMap made;
  Array &sum, &sum_z, &gamma, &mean, &inv_std, &dgamma, &dbeta, &a, &b, &c;
};

}  // namespace

void add_batch_norm(OperationTable& table) {
  add_operation<Apply>(table);
  add_operation<BackwardReduce>(table);
  add_operation<BackwardApply>(table);
  add_operation<Finalize>(table);
  add_operation<BackwardFinalize>(table);
}

}  // namespace sandglass::bench

#include "model/transfer.h"

#include <gtest/gtest.h>

#include "engine/error.h"
#include "kernels/optimizer/optimizer.h"
#include "tests/error_of.h"

namespace sandglass {
namespace {

using Names = std::vector<std::string>;
const NetworkConfig kTiny{.width = 8, .depth = 1, .heatmaps = 2, .input_size = 32};
const Names kAus = {"AU06", "AU12"};

std::vector<float> values(const Weights& weights, const std::string& name) {
  const ParameterTable table(weights.config);
  const ParameterInfo& p = table.find(name);
  const float* first = weights.values(p);
  return {first, first + p.elements};
}

TEST(Transfer, TheSameNetworkIsTakenWhole) {
  const Weights source = initial_weights(kTiny, kAus, 1);
  TransferReport report;
  const Weights got = transferred(initial_weights(kTiny, kAus, 2), to_tensors(source), "w", report);
  EXPECT_EQ(got.parameters, source.parameters);
  EXPECT_EQ(got.statistics, source.statistics);
  EXPECT_EQ(report.anew, Names{});
  EXPECT_EQ(report.left_out, Names{});
}

TEST(Transfer, TheLastLayerBeginsAnewForOtherActionUnitsOrAnotherHead) {
  const Weights source = initial_weights(kTiny, kAus, 1);
  struct Case {
    NetworkConfig config;
    Names aus;
  };
  NetworkConfig three = kTiny, regression = kTiny;
  three.heatmaps = 3;
  regression.head = Head::regression;
  for (const Case& c : {Case{three, {"AU01", "AU06", "AU12"}}, Case{kTiny, {"AU12", "AU06"}}, Case{regression, kAus}}) {
    const Weights fresh = initial_weights(c.config, c.aus, 2);
    TransferReport report;
    const Weights got = transferred(fresh, to_tensors(source), "w", report);
    EXPECT_EQ(got.config, c.config);
    EXPECT_EQ(got.aus, c.aus);
    EXPECT_EQ(values(got, "l0.weight"), values(fresh, "l0.weight"));
    for (const char* name : {"conv1.weight", "m0.b1_1.conv2.weight", "bn_end0.running_var"})
      EXPECT_EQ(values(got, name), values(source, name)) << name;
    EXPECT_EQ(report.anew, (Names{"l0.weight", "l0.bias"}));
    EXPECT_EQ(report.left_out, (Names{"l0.weight", "l0.bias"}));
  }
}

TEST(Transfer, OtherDepthsAreListed) {
  NetworkConfig deep = kTiny;
  deep.depth = 2;
  TransferReport down, up;
  transferred(initial_weights(kTiny, kAus, 2), to_tensors(initial_weights(deep, kAus, 1)), "w", down);
  EXPECT_EQ(down.anew, Names{});
  EXPECT_EQ(std::count(down.left_out.begin(), down.left_out.end(), "m0.b3_2.bn1.running_mean"), 1);
  TensorFile file = to_tensors(initial_weights(kTiny, kAus, 1));
  file.tensors.push_back(HostTensor::from_floats("optimizer.second_moment", {1}, std::vector<float>{0}));
  transferred(initial_weights(deep, kAus, 2), file, "w", up);
  EXPECT_EQ(std::count(up.anew.begin(), up.anew.end(), "m0.b3_2.bn1.running_mean"), 1);
  EXPECT_EQ(up.left_out, Names{});
}

TEST(Transfer, OtherWidthsAndOtherFilesAreRefused) {
  NetworkConfig wide = kTiny;
  wide.width = 12;
  TransferReport report;
  EXPECT_NE(error_of([&] {
              transferred(initial_weights(wide, kAus, 2), to_tensors(initial_weights(kTiny, kAus, 1)), "w.pth", report);
            }).find("w.pth: tensor 'conv1.weight' has shape [2, 3, 7, 7], expected [3, 3, 7, 7]"),
            std::string::npos);
  EXPECT_NE(error_of([&] {
              transferred(initial_weights(kTiny, kAus, 2), {}, "w.pth", report);
            }).find("w.pth: none of its tensors"),
            std::string::npos);
}

// The factor of a tensor's first and last group.
float factor_of(const ParameterTable& table, const std::vector<float>& factors, const std::string& name) {
  const ParameterInfo& p = table.find(name);
  const float first = factors.at(p.offset / kParameterGroup);
  EXPECT_EQ(first, factors.at((p.offset + p.elements - 1) / kParameterGroup)) << name;
  return first;
}

TEST(RateFactors, TheLongestNameDecidesAndFreezingWins) {
  const ParameterTable table(kTiny);
  EXPECT_TRUE(rate_factors(table, {}, {}).empty());
  const std::vector<float> factors = rate_factors(
      table, {"m0.b2_1.bn1"}, {{"stem", 0.1}, {"conv4", 0.2}, {"conv4.bn1.weight", 3}, {"hourglass", 0.5}});
  ASSERT_EQ(factors.size(), parameter_groups(table.parameter_elements()));
  const auto factor = [&](const std::string& name) { return factor_of(table, factors, name); };
  EXPECT_EQ(factor("conv1.weight"), 0.1f);
  EXPECT_EQ(factor("bn1.bias"), 0.1f);
  EXPECT_EQ(factor("conv3.conv2.weight"), 0.1f);
  EXPECT_EQ(factor("conv4.conv2.weight"), 0.2f);
  EXPECT_EQ(factor("conv4.bn1.weight"), 3.0f);
  EXPECT_EQ(factor("m0.b1_1.conv1.weight"), 0.5f);
  EXPECT_EQ(factor("m0.b2_1.bn1.bias"), 0.0f);
  EXPECT_EQ(factor("m0.b2_1.bn2.bias"), 0.5f);
  EXPECT_EQ(factor("conv_last0.weight"), 1.0f) << "conv1 is no beginning of it up to a dot";
  EXPECT_EQ(factor("l0.weight"), 1.0f);
}

TEST(RateFactors, NamesThatFitNothingAreRefused) {
  const ParameterTable table(kTiny);
  EXPECT_NE(error_of([&] { rate_factors(table, {"stm"}, {}); }).find("is called 'stm'; parts are stem, hourglass"),
            std::string::npos);
  EXPECT_NE(error_of([&] { rate_factors(table, {}, {{"conv", 0.5}}); }).find("is called 'conv'"), std::string::npos);
  EXPECT_NE(error_of([&] {
              rate_factors(table, {"stem", "hourglass", "top", "head"}, {});
            }).find("everything is frozen"),
            std::string::npos);
}

}  // namespace
}  // namespace sandglass

// The network's parts without PyTorch: parameter table, files, planning, gradients by finite differences, learning.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "engine/random.h"
#include "kernels/conv/conv.h"
#include "model/graph.h"
#include "model/inference_network.h"
#include "model/training_network.h"

namespace sandglass {
namespace {

const NetworkConfig kTiny{.width = 16, .depth = 2, .heatmaps = 3, .input_size = 64};
const NetworkConfig kTinyRegression{.width = 12, .depth = 1, .heatmaps = 3, .input_size = 32, .head = Head::regression};
const std::vector<std::string> kTinyAus = {"AU06", "AU12", "AU17"};

std::vector<float> random_values(size_t count, uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& v : values) v = random.uniform();
  return values;
}

TEST(ParameterTable, PapersNetwork) {
  const ParameterTable table(NetworkConfig{});
  EXPECT_EQ(table.parameter_count(), 3416197u);
  EXPECT_EQ(table.find("m0.b1_4.conv2.weight").shape, (std::vector<int64_t>{128, 128, 3, 3}));
  EXPECT_EQ(table.find("conv4.downsample.0.weight").shape, (std::vector<int64_t>{256, 128, 1, 1}));
  EXPECT_THROW(table.find("conv5.weight"), Error);
}

TEST(ParameterTable, PlacesNothingTwice) {
  const ParameterTable table(kTiny);
  std::vector<int> used(table.parameter_elements());
  for (const ParameterInfo& p : table.all()) {
    if (p.is_statistic()) continue;
    EXPECT_EQ(p.offset % 16, 0u);
    EXPECT_EQ(p.kind == ParameterInfo::Kind::conv_weight, p.offset < table.decayed_elements());
    for (size_t i = 0; i < p.elements; ++i) EXPECT_EQ(used[p.offset + i]++, 0) << p.name;
  }
}

TEST(NetworkConfig, NamesTheFieldThatIsWrong) {
  const auto message = [](NetworkConfig config) {
    try {
      config.check();
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(message({.width = 30}).find("width is 30"), std::string::npos);
  EXPECT_NE(message({.depth = 0}).find("depth is 0"), std::string::npos);
  EXPECT_NE(message({.input_size = 200}).find("multiple of 64"), std::string::npos);
  EXPECT_EQ(message({}), "");
}

TEST(Weights, SaveAndReloadBitEqual) {
  const auto path = std::filesystem::temp_directory_path() / "sandglass_weights_test.safetensors";
  const Weights weights = initial_weights(kTiny, kTinyAus, 7);
  write_weights(path, weights);
  const Weights again = read_weights(path);
  EXPECT_EQ(again.config, weights.config);
  EXPECT_EQ(again.aus, weights.aus);
  EXPECT_EQ(again.parameters, weights.parameters);
  EXPECT_EQ(again.statistics, weights.statistics);
  const Weights regression = initial_weights(kTinyRegression, kTinyAus, 7);
  write_weights(path, regression);
  EXPECT_EQ(read_weights(path).config, kTinyRegression);
  std::filesystem::remove(path);
}

TEST(Weights, NamesTheFirstTensorThatDiffers) {
  TensorFile file = to_tensors(initial_weights(kTiny, kTinyAus, 7));
  const auto message = [](const TensorFile& file) {
    try {
      from_tensors(file, "w.safetensors");
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_EQ(message(file), "");
  TensorFile broken = file;
  broken.tensors[20].shape.push_back(1);
  EXPECT_NE(message(broken).find("w.safetensors: tensor '" + broken.tensors[20].name + "' has shape"),
            std::string::npos);
  broken = file;
  broken.tensors.erase(broken.tensors.begin() + 30);
  EXPECT_NE(message(broken).find("'" + file.tensors[30].name + "'"), std::string::npos);
  broken = file;
  broken.tensors.push_back(HostTensor::from_floats("head.weight", {1}, std::vector<float>{0}));
  EXPECT_NE(message(broken).find("'head.weight' does not belong"), std::string::npos);
  broken = file;
  broken.metadata["aus"] = "AU01";
  EXPECT_NE(message(broken).find("names 1 Action Units"), std::string::npos);
  broken.metadata["aus"] = "AU01,AU02,AU01";
  EXPECT_EQ(message(broken), "w.safetensors: metadata 'aus': names \"AU01\" twice");
  broken.metadata["aus"] = "AU01,,AU02";
  EXPECT_EQ(message(broken), "w.safetensors: metadata 'aus': the name of an Action Unit is empty");
  broken = file;
  broken.metadata["head"] = "tail";
  EXPECT_EQ(message(broken), "w.safetensors: metadata 'head' is 'tail', expected heatmap or regression");
}

TEST(Weights, NamesTheTensorThatIsNotFitForInference) {
  const ParameterTable table(kTiny);
  struct Change {
    const char* tensor;
    float value;
    const char* message;
  };
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Change& change :
       {Change{"conv3.bn2.running_var", -0.5f, "w: tensor 'conv3.bn2.running_var' has the variance -0.5, "},
        Change{"conv3.bn2.running_var", nan, "w: tensor 'conv3.bn2.running_var' has values that are not finite"},
        Change{"l0.bias", nan, "w: tensor 'l0.bias' has values that are not finite"},
        Change{"bn1.weight", 3e38f, "w: tensor 'conv1.weight' with the batch norm 'bn1' folded in has values that"},
        Change{"m0.b1_2.bn3.running_mean", 3e38f, "w: tensor 'm0.b1_2.conv3.weight' with the batch norm"}}) {
    Weights weights = initial_weights(kTiny, kTinyAus, 7);
    std::fill_n(weights.values(table.find("bn1.running_var")), 4, 1e-20f);
    std::fill_n(weights.values(table.find("m0.b1_2.bn3.running_var")), 16, 0.01f);
    EXPECT_NO_THROW(check_inference(weights, "w"));
    weights.values(table.find(change.tensor))[1] = change.value;
    try {
      check_inference(weights, "w");
      ADD_FAILURE() << change.tensor << " " << change.value;
    } catch (const Error& error) {
      EXPECT_TRUE(std::string(error.what()).starts_with(change.message)) << error.what();
    }
  }
}

class Network : public testing::TestWithParam<DeviceKind> {
 protected:
  void SetUp() override {
    if (!offers<ConvForward>(*device)) GTEST_SKIP() << device->description() << " has no convolution yet";
  }
  std::unique_ptr<Device> device = open_device(GetParam());
};

// d loss / d parameter along a random direction, against (loss(p + h d) - loss(p - h d)) / 2h. With batch statistics
// and ReLUs in float32 this is coarse; it shows a wrong backward pass, not a rounding error. Parity with PyTorch is
// finer.
TEST_P(Network, GradientsFollowFiniteDifferences) {
  for (const NetworkConfig config :
       {kTiny, NetworkConfig{.width = 12, .depth = 1, .heatmaps = 1, .input_size = 40},
        NetworkConfig{.width = 36, .depth = 3, .heatmaps = 12, .input_size = 64}, kTinyRegression}) {
    Weights weights = initial_weights(config, std::vector<std::string>(config.heatmaps, "AU01"), 3);
    const ParameterTable table(config);
    TrainingNetwork network(*device, {.network = config, .batch = 3}, weights);
    const auto input = random_values(3 * 3 * config.input_size * config.input_size, 1);
    const auto target = random_values(3 * config.heatmaps * config.map_size() * config.map_size(), 2);
    network.run_on_tensors(input, target);
    const std::vector<float> gradients = network.gradients();
    for (const char* part : {"conv1.weight", "bn1.weight", "conv2.conv1.weight", "conv2.downsample.1.bias",
                             "conv4.conv2.weight", "m0.b1_1.conv3.weight", "m0.b2_plus_1.bn3.weight",
                             "m0.b3_1.bn2.bias", "top_m_0.conv1.weight", "conv_last0.weight", "l0.weight", "l0.bias"}) {
      const ParameterInfo& p = table.find(part);
      Random random(11);
      std::vector<float> direction(p.elements);
      double expected = 0, norm = 0;
      for (size_t i = 0; i < p.elements; ++i) {
        direction[i] = gradients[p.offset + i] + 1e-12f;  // along the gradient: the largest signal
        norm += double(direction[i]) * direction[i];
        expected += double(gradients[p.offset + i]) * direction[i];
      }
      norm = std::sqrt(norm);
      // Small against the curvature and kinks of batch norm, ReLU and pooling, large against the loss's rounding.
      const double h = std::clamp(1e-5 * norm / expected, 5e-5, 3e-4);
      double loss[2];
      for (int side = 0; side < 2; ++side) {
        Weights moved = weights;
        for (size_t i = 0; i < p.elements; ++i)
          moved.parameters[p.offset + i] += static_cast<float>((side ? -h : h) * direction[i] / norm);
        network.set_state({moved, {}, {}});
        loss[side] = network.run_on_tensors(input, target);
      }
      const double measured = (loss[0] - loss[1]) / (2 * h);
      EXPECT_NEAR(measured, expected / norm, 0.1 * expected / norm + 5e-4) << part << " width " << config.width;
    }
  }
}

TEST_P(Network, LearnsAndRepeatsBitForBit) {
  const auto train = [&] {
    TrainingNetwork network(*device, {.network = kTiny, .batch = 2}, initial_weights(kTiny, kTinyAus, 5));
    const auto input = random_values(2 * 3 * 64 * 64, 1), target = random_values(2 * 3 * 16 * 16, 2);
    std::vector<float> losses;
    for (int step = 1; step <= 30; ++step) {
      losses.push_back(network.run_on_tensors(input, target));
      network.update({.rate = 2e-3f, .step = step});
    }
    const Weights weights = network.weights();
    losses.insert(losses.end(), weights.parameters.begin(), weights.parameters.end());
    return losses;
  };
  const std::vector<float> first = train();
  EXPECT_LT(first[29], 0.6f * first[0]);
  EXPECT_EQ(first, train());
}

struct FlatPictures {
  std::vector<uint8_t> pixels;
  std::vector<WarpPicture> pictures;
};
// Pictures of one colour each, 32 x 32.
FlatPictures flat_pictures(const std::vector<uint8_t>& colours) {
  FlatPictures made;
  for (const uint8_t colour : colours) {
    made.pictures.push_back({static_cast<int64_t>(made.pixels.size()), 32, 32});
    made.pixels.insert(made.pixels.end(), 32 * 32 * 3, colour);
  }
  return made;
}

// The intensity follows the picture's brightness; what is not coded counts for nothing.
TEST_P(Network, RegressionLearnsIntensitiesAndStatesThem) {
  const FlatPictures faces = flat_pictures({0, 120, 240});
  TrainingNetwork network(*device,
                          {.network = kTinyRegression,
                           .batch = 3,
                           .optimizer = OptimizerKind::adamw,
                           .max_pixel_bytes = faces.pixels.size()},
                          initial_weights(kTinyRegression, kTinyAus, 5));
  const std::vector<float> intensities = {0, 4, 1, 2, 4, -1, 4, 4, 1}, points(3 * 3 * 2 * 2, 8.0f);
  const TrainingBatch batch{faces.pixels, faces.pictures, intensities, points};
  float loss = network.step(batch, {.rate = 1e-2f}).loss;
  EXPECT_GT(loss, 3);
  for (int step = 2; step <= 50; ++step) loss = network.step(batch, {.rate = 1e-2f, .step = step}).loss;
  EXPECT_LT(loss, 0.5f);
  // What is stated in training is the map itself.
  const std::vector<float> stated = network.heatmaps();
  ASSERT_EQ(stated.size(), intensities.size());
  for (size_t i = 0; i < stated.size(); ++i) {
    if (intensities[i] < 0) continue;
    EXPECT_NEAR(stated[i], intensities[i], 1.5) << i;
  }

  InferenceNetwork inference(*device, network.weights(), 3, faces.pixels.size());
  inference.run(faces.pixels, faces.pictures);
  const std::vector<float> maps = inference.heatmaps();
  ASSERT_EQ(maps.size(), intensities.size());
  for (int n = 0; n < 3; ++n)
    for (int k = 0; k < 3; ++k) EXPECT_EQ(inference.peak(n, k).height, maps[n * 3 + k]);
}

// Parameters whose factor is 0 keep their bits, the others move.
TEST_P(Network, FrozenParametersKeepTheirBits) {
  const ParameterTable table(kTiny);
  std::vector<float> factors(parameter_groups(table.parameter_elements()), 1.0f);
  for (const char* name : {"conv1.weight", "conv1.bias", "m0.b1_1.bn2.weight"}) {
    const ParameterInfo& p = table.find(name);
    for (size_t i = 0; i < parameter_groups(p.elements); ++i) factors[p.offset / kParameterGroup + i] = 0;
  }
  const Weights initial = initial_weights(kTiny, kTinyAus, 5);
  TrainingNetwork network(
      *device, {.network = kTiny, .batch = 2, .optimizer = OptimizerKind::adamw, .rate_factors = factors}, initial);
  const auto input = random_values(2 * 3 * 64 * 64, 1), target = random_values(2 * 3 * 16 * 16, 2);
  for (int step = 1; step <= 2; ++step) {
    network.run_on_tensors(input, target);
    network.update({.rate = 2e-3f, .decay = 0.1f, .step = step});
  }
  const Weights after = network.weights();
  for (const ParameterInfo& p : table.all()) {
    if (p.is_statistic()) continue;
    const auto begin = initial.parameters.begin() + static_cast<ptrdiff_t>(p.offset);
    const bool same = std::equal(begin, begin + static_cast<ptrdiff_t>(p.elements),
                                 after.parameters.begin() + static_cast<ptrdiff_t>(p.offset));
    EXPECT_EQ(same, factors[p.offset / kParameterGroup] == 0) << p.name;
  }
}

// The arena is full of garbage before the pass: no step may read what no step has written.
TEST_P(Network, ReadsNoStaleMemory) {
  TrainingNetwork network(*device, {.network = kTiny, .batch = 2}, initial_weights(kTiny, kTinyAus, 5));
  const auto input = random_values(2 * 3 * 64 * 64, 1), target = random_values(2 * 3 * 16 * 16, 2);
  network.run_on_tensors(input, target);
  const std::vector<float> gradients = network.gradients();
  network.plan().poison(0xff);  // NaN
  network.run_on_tensors(input, target);
  EXPECT_EQ(network.gradients(), gradients);
}

// With weights that are finite and make infinities behind the stem, where a ReLU could hide what becomes of them.
TEST_P(Network, InferenceNoticesThatItOverflows) {
  if (GetParam() == DeviceKind::cpu) GTEST_SKIP() << "oneDNN's ReLU makes 0 of NaN";
  Weights weights = initial_weights(kTiny, kTinyAus, 5);
  const auto input = random_values(3 * 64 * 64, 1);
  InferenceNetwork network(*device, weights, 1, 0);
  network.run_on_tensors(input);
  for (int k = 0; k < 3; ++k) EXPECT_TRUE(std::isfinite(network.peak(0, k).height));
  const ParameterTable table(kTiny);
  const Weights fine = weights;
  for (const auto& [first, second] : {std::pair{"conv1.weight", "conv2.conv1.weight"},
                                      {"conv4.conv2.weight", "conv4.conv3.weight"},
                                      {"m0.b1_1.conv1.weight", "m0.b1_1.conv2.weight"}}) {
    weights = fine;
    for (const char* tensor : {first, second}) {
      const ParameterInfo& p = table.find(tensor);
      for (size_t i = 0; i < p.elements; ++i) weights.values(p)[i] *= 1e30f;
    }
    check_inference(weights, "weights");
    network.set_weights(weights);
    network.run_on_tensors(input);
    for (int k = 0; k < 3; ++k) EXPECT_FALSE(std::isfinite(network.peak(0, k).height)) << second;
  }
  network.set_weights(fine);
  network.run_on_tensors(input);
  for (int k = 0; k < 3; ++k) EXPECT_TRUE(std::isfinite(network.peak(0, k).height));
}

TEST_P(Network, InferenceDoesNotDependOnTheBatch) {
  const Weights weights = initial_weights(kTiny, kTinyAus, 5);
  const auto input = random_values(3 * 3 * 64 * 64, 1);
  InferenceNetwork whole(*device, weights, 3, 0), single(*device, weights, 1, 0);
  whole.run_on_tensors(input);
  const std::vector<float> maps = whole.heatmaps();
  for (int n = 0; n < 3; ++n) {
    single.run_on_tensors(std::span(input).subspan(n * 3 * 64 * 64, 3 * 64 * 64));
    const std::vector<float> one = single.heatmaps();
    for (size_t i = 0; i < one.size(); ++i) ASSERT_NEAR(one[i], maps[n * one.size() + i], 1e-5f);
  }
}

// With mirrored pictures: the means of what the picture and its mirror image give by themselves.
TEST_P(Network, InferenceAveragesWithTheMirrorImage) {
  const Weights weights = initial_weights(kTiny, kTinyAus, 5);
  constexpr int kWidth = 50, kHeight = 40, kPictures = 2;
  std::vector<uint8_t> pixels(kPictures * kHeight * kWidth * 3), flipped(pixels.size());
  Random random(7, 0);
  for (uint8_t& value : pixels) value = static_cast<uint8_t>(random.below(256));
  for (size_t row = 0; row < kPictures * kHeight; ++row)
    for (size_t x = 0; x < kWidth; ++x)
      for (size_t c = 0; c < 3; ++c)
        flipped[(row * kWidth + kWidth - 1 - x) * 3 + c] = pixels[(row * kWidth + x) * 3 + c];
  // Symmetric about the pictures' middle, (kWidth - 1) / 2, so that the flipped picture is seen as a mirror image.
  std::vector<WarpPicture> pictures(kPictures, {0, kHeight, kWidth, {0.75f, 0, 24.5f - 0.75f * 31.5f, 0.1f, 0.6f, 1}});
  std::vector<WarpPicture> mirror_images = pictures;
  for (WarpPicture& picture : mirror_images) {  // the row that is looked at goes the other way, too
    picture.matrix[5] += picture.matrix[3] * 63;
    picture.matrix[3] = -picture.matrix[3];
  }
  pictures[1].first_byte = mirror_images[1].first_byte = kHeight * kWidth * 3;

  InferenceNetwork plain(*device, weights, 3, pixels.size()), both(*device, weights, 3, pixels.size(), true);
  ASSERT_EQ(both.batch(), 3);
  plain.run(flipped, mirror_images);
  const std::vector<float> mirror_maps = plain.heatmaps();
  std::vector<float> mirror_heights;
  for (int n = 0; n < kPictures; ++n)
    for (int k = 0; k < 3; ++k) mirror_heights.push_back(plain.peak(n, k).height);
  plain.run(pixels, pictures);
  both.run(pixels, pictures);
  for (int n = 0; n < kPictures; ++n) {
    for (int k = 0; k < 3; ++k) {
      const HeatmapPeak& peak = both.peak(n, k);
      EXPECT_NEAR(peak.height, (plain.peak(n, k).height + mirror_heights[n * 3 + k]) / 2, 1e-4);
      EXPECT_NEAR(peak.x, plain.peak(n, k).x, 1e-3);
      EXPECT_NEAR(peak.y, plain.peak(n, k).y, 1e-3);
    }
  }
  const std::vector<float> maps = both.heatmaps(), plain_maps = plain.heatmaps();
  ASSERT_EQ(maps.size(), 3u * 3 * 16 * 16);
  for (size_t i = 0; i < kPictures * 3 * 256; ++i) {
    const size_t mirrored = i / 16 * 16 + 15 - i % 16;
    ASSERT_NEAR(maps[i], (plain_maps[i] + mirror_maps[mirrored]) / 2, 1e-4) << i;
  }
}

// The paper's network has 5.139 G multiply-adds a face; a training step has them three times, but no gradient of the
// picture.
TEST_P(Network, StepsKnowTheirCostAndTime) {
  if (GetParam() == DeviceKind::simt) GTEST_SKIP() << "the whole network takes long there";
  const NetworkConfig config;
  const Weights weights = initial_weights(config, {"AU06", "AU10", "AU12", "AU14", "AU17"}, 5);
  const ParameterTable table(config);
  const double forward = 2 * 5.139e9, stem = 2.0 * 128 * 128 * 64 * 7 * 7 * 3;
  const auto convolutions = [&](const std::vector<StepTime>& steps) {
    double operations = 0;
    for (const StepTime& step : steps) {
      EXPECT_GT(step.cost.bytes, 0) << step.name;
      EXPECT_GT(step.seconds, 0) << step.name;
      const std::string layer = step.name.substr(0, step.name.find(' ')) + ".weight";
      const auto& all = table.all();
      const auto found = std::find_if(all.begin(), all.end(), [&](const ParameterInfo& p) { return p.name == layer; });
      if (found != all.end() && found->kind == ParameterInfo::Kind::conv_weight) operations += step.cost.operations;
    }
    return operations;
  };
  InferenceNetwork inference(*device, weights, 1, 0);
  const std::vector<StepTime> steps = inference.time_steps(1);
  EXPECT_EQ(steps[0].name, "warp");
  EXPECT_EQ(steps[1].name, "conv1");
  EXPECT_NEAR(convolutions(steps), forward, 1e-3 * forward);
  // The first convolution reads a picture and the weights, and writes a map of 128 x 128 x 64.
  const double element = device->precision() == Precision::bf16 ? 2 : 4;
  EXPECT_GE(steps[1].cost.bytes, element * (256 * 256 * 3 + 128 * 128 * 64 + 64 * 7 * 7 * 3));
  EXPECT_LE(steps[1].cost.bytes, element * (256 * 256 * 4 + 128 * 128 * 64 + 64 * 7 * 7 * 4));

  TrainingNetwork training(*device, {.network = config, .batch = 1}, weights);
  EXPECT_NEAR(convolutions(training.time_steps(1)), 3 * forward - stem, 3e-3 * forward);
}

TEST_P(Network, FindsTheFirstLayerThatIsNotFinite) {
  Weights weights = initial_weights(kTiny, kTinyAus, 5);
  TrainingNetwork network(*device, {.network = kTiny, .batch = 2}, weights);
  const auto input = random_values(2 * 3 * 64 * 64, 1), target = random_values(2 * 3 * 16 * 16, 2);
  network.run_on_tensors(input, target);
  EXPECT_TRUE(network.update({}).finite);
  EXPECT_EQ(network.first_non_finite_layer(), "");
  const ParameterTable table(kTiny);
  weights.parameters[table.find("conv4.conv2.weight").offset] = INFINITY;
  network.set_state({weights, {}, {}});
  network.run_on_tensors(input, target);
  EXPECT_FALSE(network.update({}).finite);
  EXPECT_EQ(network.first_non_finite_layer(), "conv4.conv2");
  // Nothing but the running statistics has changed.
  EXPECT_EQ(network.weights().parameters, weights.parameters);
}

// On a simulated GPU with little memory.
TEST(OutOfMemory, SaysWhatThePlanNeedsAndWhichBatchFits) {
  if (!why_unavailable(DeviceKind::simt).empty()) GTEST_SKIP() << why_unavailable(DeviceKind::simt);
  setenv("SANDGLASS_SIMT_MEMORY", "32", 1);
  const auto device = open_device(DeviceKind::simt);
  const NetworkConfig config{.width = 64, .depth = 2, .heatmaps = 3, .input_size = 64};
  const Weights weights = initial_weights(config, kTinyAus, 5);
  std::string message;
  try {
    TrainingNetwork(*device, {.network = config, .batch = 64}, weights);
  } catch (const Error& error) {
    message = error.what();
  }
  EXPECT_NE(message.find("the simt device could not allocate"), std::string::npos) << message;
  EXPECT_NE(message.find("the plan for a batch of 64 needs"), std::string::npos) << message;
  const size_t at = message.find(": a batch of ");
  ASSERT_NE(at, std::string::npos) << message;
  const int fits = std::stoi(message.substr(at + 13));
  EXPECT_GE(fits, 1);
  EXPECT_NO_THROW(TrainingNetwork(*device, {.network = config, .batch = fits}, weights)) << message;
  EXPECT_THROW(TrainingNetwork(*device, {.network = config, .batch = fits + std::max(1, fits / 5)}, weights), Error);
  unsetenv("SANDGLASS_SIMT_MEMORY");
}

TEST(OutOfMemory, TheCpuDoesNotKnowWhichBatchFits) {
  const auto device = open_device(DeviceKind::cpu);
  for (const int batch : {1, 8}) {
    Plan plan(*device);
    plan.lasting_buffer("maps", size_t{1} << 60);
    try {
      finish_plan(plan, batch);
      ADD_FAILURE();
    } catch (const Error& error) {
      const char* advice = batch == 1 ? " MiB: choose a smaller network" : " MiB: choose a smaller batch or network";
      EXPECT_TRUE(std::string_view(error.what()).ends_with(advice)) << error.what();
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Network, testing::ValuesIn(available_devices()),
                         [](const auto& info) { return name_of(info.param); });

}  // namespace
}  // namespace sandglass

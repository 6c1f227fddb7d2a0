// The Winograd convolution against direct sums in float64 written here. The transforms divide by 3, so that integer
// data is not exact in every bit; its sums are integers, though, and rounding the result must give them exactly.
#include <gtest/gtest.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/error.h"
#include "engine/random.h"
#include "kernels/conv/conv_cpu_winograd.h"

namespace sandglass {
namespace {

// Largest error allowed, relative to the root mean square of the exact result (measured: at most 1.7e-5).
constexpr double kLimit = 3e-5;

struct Shape {
  int n, h, w, c, k;
  int block = 8;  // channels of a channel block
};

void PrintTo(const Shape& s, std::ostream* out) {
  *out << "N" << s.n << "_H" << s.h << "_W" << s.w << "_C" << s.c << "_K" << s.k << "_block" << s.block;
}

bool possible(const Shape& s) { return WinogradConv3x3::possible(s.n, s.h, s.w, s.c, s.k, s.block); }

// A 64-byte aligned array between two guards of 64 bytes, which the destructor checks. It starts as NaN.
template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t count) : count_(count), bytes_((count * sizeof(T) + 63) / 64 * 64 + 128) {
    memory_.reset(static_cast<unsigned char*>(std::aligned_alloc(64, bytes_)));
    std::memset(memory_.get(), 0xff, bytes_);
  }
  Guarded(Guarded&&) = default;
  ~Guarded() {
    if (!memory_) return;
    const auto untouched = [](unsigned char byte) { return byte == 0xff; };
    EXPECT_TRUE(std::all_of(memory_.get(), memory_.get() + 64, untouched)) << "wrote before the buffer";
    EXPECT_TRUE(std::all_of(memory_.get() + 64 + count_ * sizeof(T), memory_.get() + bytes_, untouched))
        << "wrote behind the buffer";
  }
  T* data() const { return reinterpret_cast<T*>(memory_.get() + 64); }
  T& operator[](size_t i) const { return data()[i]; }
  size_t size() const { return count_; }

 private:
  struct Free {
    void operator()(unsigned char* p) const { std::free(p); }
  };
  size_t count_, bytes_;
  std::unique_ptr<unsigned char, Free> memory_;
};

using Floats = Guarded<float>;

Floats normal_floats(size_t count, uint64_t seed, float scale = 1) {
  Floats values(count);
  Random random(seed);
  for (size_t i = 0; i < count; ++i) values[i] = scale * random.normal();
  return values;
}

Floats integer_floats(size_t count, uint64_t seed) {
  Floats values(count);
  Random random(seed);
  for (size_t i = 0; i < count; ++i) values[i] = static_cast<float>(random.below(7)) - 3;
  return values;
}

// Index of (n, c, h, w) in channel blocks.
size_t blocked(const Shape& s, int channels, int n, int c, int h, int w) {
  return (((static_cast<size_t>(n) * (channels / s.block) + c / s.block) * s.h + h) * s.w + w) * s.block + c % s.block;
}

// Calls visit(x index, y index, weight index) for every product of the convolution; the weights are KRSC.
template <typename Visit>
void for_each_product(const Shape& s, Visit visit) {
  for (int n = 0; n < s.n; ++n)
    for (int k = 0; k < s.k; ++k)
      for (int p = 0; p < s.h; ++p)
        for (int q = 0; q < s.w; ++q)
          for (int r = 0; r < 3; ++r)
            for (int t = 0; t < 3; ++t) {
              const int h = p + r - 1, w = q + t - 1;
              if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
              const size_t y = blocked(s, s.k, n, k, p, q), weight = ((static_cast<size_t>(k) * 3 + r) * 3 + t) * s.c;
              for (int c = 0; c < s.c; ++c) visit(blocked(s, s.c, n, c, h, w), y, weight + c);
            }
}

template <typename A, typename B>
std::vector<double> direct_forward(const Shape& s, const A& x, const B& weights) {
  std::vector<double> y(static_cast<size_t>(s.n) * s.h * s.w * s.k);
  for_each_product(s, [&](size_t i, size_t o, size_t g) { y[o] += static_cast<double>(x[i]) * weights[g]; });
  return y;
}

double root_mean_square(const std::vector<double>& values) {
  double sum = 0;
  for (const double v : values) sum += v * v;
  return std::sqrt(sum / static_cast<double>(values.size()));
}

void expect_close(const Floats& got, const std::vector<double>& expected, double scale, double limit = kLimit) {
  ASSERT_EQ(got.size(), expected.size());
  double worst = 0;
  size_t where = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = std::abs(got[i] - expected[i]);
    if (!(error <= worst)) worst = error, where = i;
    if (std::isnan(error)) break;
  }
  EXPECT_LE(worst, limit * scale) << "at " << where << ": " << got[where] << ", expected " << expected[where];
}

void expect_same_bits(const Floats& a, const Floats& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

// Channel of an index in channel blocks.
int channel_of(const Shape& s, int channels, size_t index) {
  const size_t plane = static_cast<size_t>(s.h) * s.w * s.block;
  return static_cast<int>(index / plane % (channels / s.block) * s.block + index % s.block);
}

struct Problem {
  explicit Problem(const Shape& shape)
      : s(shape),
        conv(WinogradConv3x3::create(s.n, s.h, s.w, s.c, s.k, s.block)),
        packed(conv->packed_weight_bytes() / sizeof(float)) {}

  size_t x_count() const { return static_cast<size_t>(s.n) * s.h * s.w * s.c; }
  size_t y_count() const { return static_cast<size_t>(s.n) * s.h * s.w * s.k; }
  size_t weight_count() const { return static_cast<size_t>(s.k) * 9 * s.c; }

  Floats forward(const Floats& x, const InputTransform& input = {},
                 const WinogradConv3x3::Epilogue& epilogue = {}) const {
    Floats y(y_count());
    forward(x, y, input, epilogue);
    return y;
  }
  void forward(const Floats& x, Floats& y, const InputTransform& input,
               const WinogradConv3x3::Epilogue& epilogue) const {
    Guarded<unsigned char> workspace(conv->workspace_bytes());
    conv->forward(x.data(), packed.data(), y.data(), input, epilogue, workspace.data());
  }
  Floats backward_weights(const Floats& x, const Floats& dy, const InputTransform& input = {}) const {
    Floats dw(weight_count());
    Guarded<unsigned char> workspace(conv->backward_weights_workspace_bytes());
    conv->backward_weights(x.data(), dy.data(), dw.data(), input, workspace.data());
    return dw;
  }
  void pack(const Floats& weights, const float* scale = nullptr, bool for_backward_data = false) {
    conv->pack_weights(weights.data(), scale, for_backward_data, packed.data());
  }

  Shape s;
  std::unique_ptr<WinogradConv3x3> conv;
  Floats packed;
};

class WinogradShapes : public testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    if (!possible(GetParam()))
      GTEST_SKIP() << "this processor has no " << (GetParam().block == 16 ? "AVX-512" : "AVX2 and FMA");
  }
};

TEST_P(WinogradShapes, ForwardMatchesDirectSums) {
  Problem problem(GetParam());
  const Floats x = normal_floats(problem.x_count(), 1), weights = normal_floats(problem.weight_count(), 2);
  problem.pack(weights);
  const std::vector<double> expected = direct_forward(problem.s, x, weights);
  expect_close(problem.forward(x), expected, root_mean_square(expected));
}

TEST_P(WinogradShapes, ForwardOfIntegersRoundsToTheExactSums) {
  Problem problem(GetParam());
  const Floats x = integer_floats(problem.x_count(), 3), weights = integer_floats(problem.weight_count(), 4);
  problem.pack(weights);
  const std::vector<double> expected = direct_forward(problem.s, x, weights);
  const Floats y = problem.forward(x);
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(std::round(y[i]), expected[i]) << i;
    ASSERT_NEAR(y[i], expected[i], 0.02) << i;
  }
}

TEST_P(WinogradShapes, BackwardDataMatchesDirectSums) {
  const Shape s = GetParam();
  Problem backward({s.n, s.h, s.w, s.k, s.c, s.block});  // from dy with K channels to dx with C
  const Floats dy = normal_floats(backward.x_count(), 5), weights = normal_floats(backward.weight_count(), 6);
  backward.pack(weights, nullptr, true);
  std::vector<double> expected(backward.y_count());
  for_each_product(
      s, [&](size_t x, size_t y, size_t weight) { expected[x] += static_cast<double>(dy[y]) * weights[weight]; });
  expect_close(backward.forward(dy), expected, root_mean_square(expected));
}

TEST_P(WinogradShapes, BackwardWeightsMatchesDirectSums) {
  const Problem problem(GetParam());
  const Floats x = normal_floats(problem.x_count(), 7), dy = normal_floats(problem.y_count(), 8);
  std::vector<double> expected(problem.weight_count());
  for_each_product(problem.s, [&](size_t i, size_t o, size_t g) { expected[g] += static_cast<double>(x[i]) * dy[o]; });
  expect_close(problem.backward_weights(x, dy), expected, root_mean_square(expected));
}

TEST_P(WinogradShapes, BackwardWeightsOfIntegersRoundsToTheExactSums) {
  const Problem problem(GetParam());
  const Floats x = integer_floats(problem.x_count(), 9), dy = integer_floats(problem.y_count(), 10);
  std::vector<double> expected(problem.weight_count());
  for_each_product(problem.s, [&](size_t i, size_t o, size_t g) { expected[g] += static_cast<double>(x[i]) * dy[o]; });
  const Floats dw = problem.backward_weights(x, dy);
  for (size_t i = 0; i < dw.size(); ++i) ASSERT_NEAR(dw[i], expected[i], 0.1) << i;
}

// relu(x * scale + shift) while loading (the shift must not leak into the padding), then every part of the epilogue.
TEST_P(WinogradShapes, InputTransformAndEpilogue) {
  Problem problem(GetParam());
  const Shape& s = problem.s;
  const Floats x = normal_floats(problem.x_count(), 11), weights = normal_floats(problem.weight_count(), 12);
  const Floats scale = normal_floats(s.c, 13), shift = normal_floats(s.c, 14), filter_scale = normal_floats(s.k, 15);
  const Floats bias = normal_floats(s.k, 16, 10), residual = normal_floats(problem.y_count(), 17, 10);
  problem.pack(weights, filter_scale.data());

  std::vector<double> input(x.size()), scaled(weights.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const int c = channel_of(s, s.c, i);
    input[i] = std::max(0.0, static_cast<double>(x[i]) * scale[c] + shift[c]);
  }
  for (size_t i = 0; i < weights.size(); ++i)
    scaled[i] = static_cast<double>(weights[i]) * filter_scale[i / (static_cast<size_t>(9) * s.c)];
  const std::vector<double> conv = direct_forward(s, input, scaled);
  const double size = root_mean_square(conv);

  std::vector<double> expected(conv), sum(s.k), sum_squares(s.k);
  for (size_t i = 0; i < conv.size(); ++i) {
    const int k = channel_of(s, s.k, i);
    expected[i] = std::max(0.0, conv[i] + bias[k] + residual[i]);
    sum[k] += conv[i];
    sum_squares[k] += conv[i] * conv[i];
  }

  const InputTransform transform{scale.data(), shift.data(), true};
  Guarded<double> got_sum(s.k), got_squares(s.k);
  Floats y(problem.y_count());
  std::memcpy(y.data(), residual.data(), y.size() * sizeof(float));  // the residual is y itself
  problem.forward(x, y, transform, {bias.data(), y.data(), true, got_sum.data(), got_squares.data()});
  expect_close(y, expected, size + 20);

  const double pixels = static_cast<double>(s.n) * s.h * s.w;
  for (int k = 0; k < s.k; ++k) {
    EXPECT_NEAR(got_sum[k], sum[k], kLimit * size * pixels) << k;
    EXPECT_NEAR(got_squares[k], sum_squares[k], kLimit * (size * size * pixels + sum_squares[k])) << k;
  }

  // The same with a residual apart and no statistics, and each part alone.
  expect_same_bits(problem.forward(x, transform, {bias.data(), residual.data(), true}), y);
  const Floats plain = problem.forward(x, transform);
  expect_close(plain, conv, size);
  const Floats with_bias = problem.forward(x, transform, {bias.data()});
  const Floats with_residual = problem.forward(x, transform, {nullptr, residual.data()});
  const Floats with_relu = problem.forward(x, transform, {nullptr, nullptr, true});
  for (size_t i = 0; i < y.size(); ++i) {
    ASSERT_EQ(with_bias[i], plain[i] + bias[channel_of(s, s.k, i)]);
    ASSERT_EQ(with_residual[i], plain[i] + residual[i]);
    ASSERT_EQ(with_relu[i], std::max(0.0f, plain[i]));
  }

  // The weight gradient sees the transformed input too.
  const Floats dy = normal_floats(problem.y_count(), 18);
  std::vector<double> gradient(problem.weight_count());
  for_each_product(s, [&](size_t i, size_t o, size_t g) { gradient[g] += input[i] * dy[o]; });
  expect_close(problem.backward_weights(x, dy, transform), gradient, root_mean_square(gradient));
}

// Scale, shift and ReLU each alone: what is not given must change nothing.
TEST_P(WinogradShapes, PartsOfTheInputTransform) {
  Problem problem(GetParam());
  const Shape& s = problem.s;
  const Floats x = normal_floats(problem.x_count(), 19), weights = normal_floats(problem.weight_count(), 20);
  const Floats scale = normal_floats(s.c, 21), shift = normal_floats(s.c, 22);
  problem.pack(weights);
  for (int part = 0; part < 3; ++part) {
    std::vector<double> input(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      const int c = channel_of(s, s.c, i);
      input[i] = part == 0   ? static_cast<double>(x[i]) * scale[c]
                 : part == 1 ? static_cast<double>(x[i]) + shift[c]
                             : std::max(0.0f, x[i]);
    }
    const std::vector<double> expected = direct_forward(s, input, weights);
    expect_close(
        problem.forward(x, {part == 0 ? scale.data() : nullptr, part == 1 ? shift.data() : nullptr, part == 2}),
        expected, root_mean_square(expected));
  }
}

TEST_P(WinogradShapes, SameBitsInEveryRunAndForEveryNumberOfThreads) {
  const int threads = omp_get_max_threads();
  std::vector<Floats> ys, dws, packs;
  std::vector<Guarded<double>> sums, squares;
  for (const int prepared : {3, 1}) {
    omp_set_num_threads(prepared);
    Problem problem(GetParam());
    const Floats x = normal_floats(problem.x_count(), 23), weights = normal_floats(problem.weight_count(), 24);
    const Floats dy = normal_floats(problem.y_count(), 25);
    for (const int running : {3, 2, 1, 1, 4}) {
      omp_set_num_threads(running);
      problem.pack(weights);
      packs.emplace_back(problem.packed.size());
      std::memcpy(packs.back().data(), problem.packed.data(), packs.back().size() * sizeof(float));
      sums.emplace_back(problem.s.k);
      squares.emplace_back(problem.s.k);
      ys.push_back(problem.forward(x, {}, {nullptr, nullptr, false, sums.back().data(), squares.back().data()}));
      dws.push_back(problem.backward_weights(x, dy));
    }
  }
  omp_set_num_threads(threads);
  for (size_t i = 1; i < ys.size(); ++i) {
    expect_same_bits(packs[0], packs[i]);
    expect_same_bits(ys[0], ys[i]);
    expect_same_bits(dws[0], dws[i]);
    EXPECT_EQ(std::memcmp(sums[0].data(), sums[i].data(), sums[0].size() * sizeof(double)), 0) << i;
    EXPECT_EQ(std::memcmp(squares[0].data(), squares[i].data(), squares[0].size() * sizeof(double)), 0) << i;
  }
}

// Whole tiles, ragged tiles, maps smaller than a tile, one and several blocks, half panels, more channels than fit at
// once: with blocks of 8 and of 16 channels.
std::vector<Shape> shapes() {
  std::vector<Shape> shapes;
  for (const int block : {8, 16})
    for (const Shape& s : std::vector<Shape>{{1, 1, 1, 1, 1},
                                             {1, 2, 3, 1, 2},
                                             {1, 4, 4, 16, 16},
                                             {3, 5, 5, 2, 3},
                                             {1, 5, 7, 3, 1},
                                             {3, 7, 7, 1, 5},
                                             {1, 8, 8, 16, 8},
                                             {2, 9, 30, 2, 2},
                                             {1, 17, 17, 8, 6},
                                             {3, 17, 30, 4, 2},
                                             {2, 16, 16, 8, 8},
                                             {1, 30, 17, 5, 7},
                                             {1, 32, 32, 4, 4},
                                             {1, 64, 64, 3, 2},
                                             {1, 6, 6, 65, 1}})  // C and K in blocks
      shapes.push_back({s.n, s.h, s.w, s.c * block, s.k * block, block});
  return shapes;
}
INSTANTIATE_TEST_SUITE_P(Conv, WinogradShapes, testing::ValuesIn(shapes()), testing::PrintToStringParamName());

// A NaN in x must not be hidden by the ReLU before or after, inside the map or at its edge.
TEST(Winograd, NaNReachesTheOutput) {
  const Shape s{1, 12, 12, 8, 8};
  if (!possible(s)) GTEST_SKIP() << "this processor has no AVX2 and FMA";
  Problem problem(s);
  problem.pack(normal_floats(problem.weight_count(), 26));
  for (const int at : {0, 6}) {
    const Floats x = normal_floats(problem.x_count(), 27);
    x[blocked(s, s.c, 0, 3, at, at)] = std::numeric_limits<float>::quiet_NaN();
    EXPECT_TRUE(std::isnan(
        problem.forward(x, {nullptr, nullptr, true}, {nullptr, nullptr, true})[blocked(s, s.k, 0, 5, at, at)]));
    const Floats dw = problem.backward_weights(x, normal_floats(problem.y_count(), 28), {nullptr, nullptr, true});
    EXPECT_TRUE(std::isnan(dw[3]));
  }
}

TEST(Winograd, PossibleAndSupported) {
  EXPECT_FALSE(WinogradConv3x3::possible(0, 8, 8, 16, 16, 8));
  EXPECT_FALSE(WinogradConv3x3::possible(1, 0, 8, 16, 16, 8));
  EXPECT_FALSE(WinogradConv3x3::possible(1, 8, -1, 16, 16, 8));
  EXPECT_FALSE(WinogradConv3x3::possible(1, 8, 8, 3, 16, 8));
  EXPECT_FALSE(WinogradConv3x3::possible(1, 8, 8, 16, 20, 8));
  EXPECT_FALSE(WinogradConv3x3::possible(1, 8, 8, 0, 16, 8));
  EXPECT_FALSE(WinogradConv3x3::possible(1, 8, 8, 16, 24, 16));
  EXPECT_FALSE(WinogradConv3x3::possible(1, 8, 8, 32, 32, 32));
  EXPECT_FALSE(WinogradConv3x3::possible(1 << 20, 1 << 20, 1 << 20, 16, 16, 8));
  EXPECT_FALSE(WinogradConv3x3::supported(1, 64, 64, 3, 64, 8));
  EXPECT_FALSE(WinogradConv3x3::supported(1, 4, 4, 128, 128, 8));  // one tile
  EXPECT_FALSE(WinogradConv3x3::supported(4, 5, 5, 128, 128, 8));  // mostly edges
  EXPECT_FALSE(WinogradConv3x3::supported(1, 64, 64, 8, 8, 8));    // mostly transforms
  if (WinogradConv3x3::possible(1, 64, 64, 128, 128, 8)) {
    EXPECT_TRUE(WinogradConv3x3::supported(1, 64, 64, 128, 128, 8));
    EXPECT_TRUE(WinogradConv3x3::supported(1, 8, 8, 128, 128, 8));
    EXPECT_FALSE(WinogradConv3x3::supports_backward_weights(1, 8, 8, 128, 128, 8));
    EXPECT_TRUE(WinogradConv3x3::supports_backward_weights(4, 8, 8, 128, 128, 8));
  }
  EXPECT_THROW(WinogradConv3x3::create(1, 8, 8, 3, 16, 8), Error);
}

}  // namespace
}  // namespace sandglass

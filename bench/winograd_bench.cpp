// The Winograd convolution of the cpu device against oneDNN's direct convolution: same layout (channel blocks of 8 or
// 16), same threads, run by turns. Prints medians of the time, the rate (operations of the direct convolution / time)
// and the ratio. Usage: winograd_bench [seconds per shape, default 0.5] [copies of the weights, default 1]   (threads:
// OMP_NUM_THREADS) With 1 copy the weights stay in the caches; with 16 they come from further away, as in a network of
// that many layers.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <unordered_map>
#include <vector>

#include "engine/random.h"
#include "kernels/conv/conv_cpu_winograd.h"
#include "kernels/onednn.h"

using namespace sandglass;
using dnnl::memory;

namespace {

struct Free {
  void operator()(void* p) const { std::free(p); }
};

std::unique_ptr<float[], Free> buffer(size_t bytes) {
  auto* data = static_cast<float*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64));
  Random random(bytes);
  for (size_t i = 0; i < bytes / sizeof(float); ++i) data[i] = random.uniform(-1, 1);
  return std::unique_ptr<float[], Free>(data);
}

double run_seconds(const std::function<void(int)>& run, int turn) {
  const auto begin = std::chrono::steady_clock::now();
  run(turn);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double>& values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Runs both by turns for about `seconds` and prints one line.
void compare(const char* pass, int n, int size, int c, int k, double seconds, const std::function<void(int)>& winograd,
             const std::function<void(int)>& direct) {
  std::vector<double> ours, theirs;
  double spent = 0;
  run_seconds(winograd, 0);
  run_seconds(direct, 0);
  for (int turn = 0; spent < seconds || turn < 5; ++turn) {
    ours.push_back(run_seconds(winograd, turn));
    theirs.push_back(run_seconds(direct, turn));
    spent += ours.back() + theirs.back();
  }
  const double operations = 2.0 * 9 * n * size * size * c * k, a = median(ours), b = median(theirs);
  fmt::print("{:8} {:2} {:4} {:4} {:4}  {:9.4f} {:9.4f}  {:7.1f} {:7.1f}  {:5.2f}\n", pass, n, size, c, k, a * 1e3,
             b * 1e3, operations / a * 1e-9, operations / b * 1e-9, b / a);
}

void compare_shape(int block, int n, int size, int c, int k, double seconds, int copies) {
  const auto conv = WinogradConv3x3::create(n, size, size, c, k, block);
  const size_t x_bytes = sizeof(float) * n * size * size * c, y_bytes = x_bytes / c * k;
  const auto x = buffer(x_bytes), y = buffer(y_bytes), y_direct = buffer(y_bytes);
  const auto weights = buffer(sizeof(float) * 9 * c * k), dw = buffer(sizeof(float) * 9 * c * k);
  const auto workspace = buffer(std::max(conv->workspace_bytes(), conv->backward_weights_workspace_bytes()));
  std::vector<std::unique_ptr<float[], Free>> packed;
  for (int i = 0; i < copies; ++i) {
    packed.push_back(buffer(conv->packed_weight_bytes()));
    conv->pack_weights(weights.get(), nullptr, false, packed.back().get());
  }

  dnnl::engine& engine = cpu_engine();
  dnnl::stream& stream = cpu_stream();
  const auto blocked = [&](int channels) {
    return map_desc({{n, size, size, channels}, DataType::float32, block}, channels);
  };
  const memory::desc any({k, c, 3, 3}, memory::data_type::f32, memory::format_tag::any);
  const dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, blocked(c), any, blocked(k),
       memory::dims{1, 1}, memory::dims{1, 1}, memory::dims{1, 1}},
      engine);
  memory x_memory(forward.src_desc(), engine, x.get()), y_memory(forward.dst_desc(), engine, y_direct.get());
  memory krsc({{k, c, 3, 3}, memory::data_type::f32, memory::format_tag::ohwi}, engine, weights.get());
  std::vector<memory> weights_memory;
  for (int i = 0; i < copies; ++i) {
    weights_memory.emplace_back(forward.weights_desc(), engine);
    dnnl::reorder(krsc, weights_memory.back()).execute(stream, krsc, weights_memory.back());
  }
  const dnnl::convolution_forward direct(forward);
  compare(
      "forward", n, size, c, k, seconds,
      [&](int turn) { conv->forward(x.get(), packed[turn % copies].get(), y.get(), {}, {}, workspace.get()); },
      [&](int turn) {
        direct.execute(
            stream,
            {{DNNL_ARG_SRC, x_memory}, {DNNL_ARG_WEIGHTS, weights_memory[turn % copies]}, {DNNL_ARG_DST, y_memory}});
        stream.wait();
      });

  const dnnl::convolution_backward_weights::primitive_desc backward(
      {dnnl::algorithm::convolution_direct, blocked(c), any, blocked(k), memory::dims{1, 1}, memory::dims{1, 1},
       memory::dims{1, 1}},
      engine, forward);
  memory dw_memory(backward.diff_weights_desc(), engine);
  const dnnl::convolution_backward_weights direct_backward(backward);
  compare(
      "weights", n, size, c, k, seconds,
      [&](int) { conv->backward_weights(x.get(), y_direct.get(), dw.get(), {}, workspace.get()); },
      [&](int) {
        direct_backward.execute(
            stream, {{DNNL_ARG_SRC, x_memory}, {DNNL_ARG_DIFF_DST, y_memory}, {DNNL_ARG_DIFF_WEIGHTS, dw_memory}});
        stream.wait();
      });
}

}  // namespace

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 0.5;
  const int copies = argc > 2 ? std::max(1, std::atoi(argv[2])) : 1;
  fmt::print("{} threads; times in ms, rates in GFLOP/s of the direct convolution\n", omp_get_max_threads());
  fmt::print("{:8} {:>2} {:>4} {:>4} {:>4}  {:>9} {:>9}  {:>7} {:>7}  {:>5}\n", "pass", "N", "HW", "C", "K", "winograd",
             "oneDNN", "rate", "oneDNN", "ratio");
  const int block = WinogradConv3x3::possible(1, 8, 8, 16, 16, 16) ? 16 : 8;
  for (const int n : {1, 4}) {
    compare_shape(block, n, 128, 64, 64, seconds, copies);
    compare_shape(block, n, 64, 64, 64, seconds, copies);
    for (const int size : {64, 32, 16, 8, 4}) compare_shape(block, n, size, 128, 128, seconds, copies);
    for (const int size : {64, 32, 16, 8, 4}) compare_shape(block, n, size, 32, 32, seconds, copies);
    compare_shape(block, n, 32, 16, 16, seconds, copies);
  }
}

// What the contract of conv.h asks for around the bare convolution of a library (conv_library.h), and convolution as a
// matrix product with the patches written to memory (im2col) for a library that only has the product.
//
//   conv_patches           x or dy -> a matrix of patches; with a 1x1 filter a copy: input transform, change of type,
//                          channels padded with zeros
//   conv_reorder_weights   KRSC weights -> the library's type and order, channels padded with zeros
//   conv_finish            a result -> bias, residual or accumulation, ReLU, mask, change of type, sums per channel
//   conv_plain_gradient    a library's dw -> float32 KRSC
//
// A pass is left out where the library can read or write the map itself. What it computes itself is rounded once, to
// the type of its result: where more must be added that it cannot add, the result is float32 in the workspace.
// Limits: NHWC; addresses of maps are multiples of 16 bytes; fewer than 2^31 groups of four elements in a map or matrix
// of patches.
#include "kernels/conv/conv_library_cuda.h"

#include <optional>

#include "kernels/conv/conv_gemm.h"
#include "kernels/cuda/channel_sums.h"
#include "kernels/cuda/channels.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/divisor.h"
#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"

namespace sandglass {
inline namespace SANDGLASS_TARGET {
namespace {

constexpr int kThreads = 256, kGroup = 4;
constexpr size_t kAlignment = 256, kMapAlignment = 16;

int padded(int channels, DataType type) {
  const int unit = static_cast<int>(kMapAlignment / bytes_per_element(type));
  return (channels + unit - 1) / unit * unit;
}

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>((threads + kThreads - 1) / kThreads); }

// Pieces of the workspace, one after the other, each aligned for every library.
class Pieces {
 public:
  size_t add(size_t bytes) {
    const size_t offset = bytes_;
    bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return offset;
  }
  size_t bytes() const { return bytes_ + kAlignment; }
  static uint8_t* begin(void* workspace) {
    const auto address = reinterpret_cast<uintptr_t>(workspace);
    return reinterpret_cast<uint8_t*>((address + kAlignment - 1) / kAlignment * kAlignment);
  }

 private:
  size_t bytes_ = 0;
};

// ---- Patches -------------------------------------------------------------------------------------------------------

// A row for each pixel of a grid, a column for each r, s, c; c < channels. Forward, pixel (p, q) sees
// (p*stride + r - padding, q*stride + s - padding) of the map; backward it is the other way round. What is outside of
// the map, and channels that it does not have, are zero.
struct Patches {
  int h, w, pitch;                               // of the map; pitch: channels of a pixel in memory
  int coefficients;                              // channels that are transformed
  Divisor grid_h, grid_w, taps_s, taps, groups;  // groups of channels
  int stride, padding;
  bool backward;
  const float *scale, *shift;
  bool relu;
};

template <typename From, typename To>
__global__ void __launch_bounds__(kThreads) conv_patches(Patches m, int count, const From* map, To* patches) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= count) return;
  // A divisor leaves the remainder: group of channels, tap, and pixel of the grid.
  int group = static_cast<int>(index);
  int tap = m.groups.divide(group);
  int q = m.taps.divide(tap);
  int s = tap;
  const int r = m.taps_s.divide(s);
  int p = m.grid_w.divide(q);
  const int n = m.grid_h.divide(p);
  int h, w;
  bool inside = true;
  if (m.backward) {
    h = p + m.padding - r;
    w = q + m.padding - s;
    inside = h % m.stride == 0 && w % m.stride == 0;
    h /= m.stride;
    w /= m.stride;
  } else {
    h = p * m.stride + r - m.padding;
    w = q * m.stride + s - m.padding;
  }
  inside = inside && h >= 0 && h < m.h && w >= 0 && w < m.w;
  const int c = group * kGroup;
  Channels<kGroup> v{};
  if (inside) {
    const From* const from = map + ((int64_t{n} * m.h + h) * m.w + w) * m.pitch + c;
    if (m.pitch % kGroup == 0 && c < m.pitch)
      v = load<kGroup>(from);
    else
#pragma unroll
      for (int i = 0; i < kGroup; ++i)
        if (c + i < m.pitch) v.v[i] = static_cast<float>(from[i]);
    if (m.scale)
#pragma unroll
      for (int i = 0; i < kGroup; ++i)
        if (c + i < m.coefficients) {
          v.v[i] = fmaf(v.v[i], m.scale[c + i], m.shift[c + i]);
          if (m.relu) v.v[i] = relu(v.v[i]);
        }
  }
  store(patches + index * kGroup, v);
}

// `map`: NHWC with `pitch` channels in memory; the patches have `channels`, a multiple of four.
void make_patches(const char* operation, const Shape& map_shape, DataType map_type, int pitch,
                  const InputTransform& transform, const Shape& grid, const ConvShape& filter, bool backward,
                  const void* map, int channels, DataType type, void* patches, Stream stream) {
  const int64_t count = grid.pixels() * filter.r * filter.s * (channels / kGroup);
  check(count < int64_t{1} << 31 && grid.pixels() < int64_t{1} << 31,
        "{}: {} pixels with {} x {} patches of {} channels are more than this library's convolution takes; use smaller "
        "batches or --conv hand",
        operation, grid.pixels(), filter.r, filter.s, channels);
  const Patches m{map_shape.h,
                  map_shape.w,
                  pitch,
                  map_shape.c,
                  Divisor(grid.h),
                  Divisor(grid.w),
                  Divisor(filter.s),
                  Divisor(filter.r * filter.s),
                  Divisor(channels / kGroup),
                  filter.stride,
                  filter.padding,
                  backward,
                  transform.scale,
                  transform.shift,
                  transform.relu};
  with_type(map_type, [&]<typename From>() {
    with_type(type, [&]<typename To>() {
      launch(KERNEL(conv_patches<From, To>), blocks_for(count), kThreads, 0, stream, m, static_cast<int>(count),
             static_cast<const From*>(map), static_cast<To*>(patches));
    });
  });
}

// A copy of a map in the library's type with its number of channels, where it cannot read the map itself.
class Operand {
 public:
  Operand(const char* operation, const TensorDesc& map, DataType type, int channels, bool transformed, Pieces& pieces)
      : operation_(operation), map_(map), type_(type), channels_(channels) {
    copied_ = transformed || map.type != type || map.block != channels;
    if (copied_) offset_ = pieces.add(static_cast<size_t>(map.shape.pixels()) * channels * bytes_per_element(type));
  }
  const void* prepare(const void* map, const InputTransform& transform, uint8_t* workspace, Stream stream) const {
    check_chunks(operation_, {map});
    if (!copied_) return map;
    const Shape& s = map_.shape;
    make_patches(operation_, s, map_.type, map_.block, transform, s, ConvShape{}, false, map, channels_, type_,
                 workspace + offset_, stream);
    return workspace + offset_;
  }

 private:
  const char* operation_;
  TensorDesc map_;
  DataType type_;
  int channels_;
  bool copied_;
  size_t offset_ = 0;
};

// ---- Weights -------------------------------------------------------------------------------------------------------

// reordered[(outer * taps + tap) * inner + i] for padded numbers of outer and inner channels.
struct WeightOrder {
  int outer, inner, padded_outer, padded_inner, taps;
  int outer_stride, inner_stride, tap_stride;  // in the KRSC weights
  size_t elements() const { return static_cast<size_t>(padded_outer) * taps * padded_inner; }
};

template <typename From, typename To>
__global__ void __launch_bounds__(kThreads)
    conv_reorder_weights(WeightOrder o, int64_t count, const From* weights, To* reordered) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= count) return;
  const int inner = static_cast<int>(index % o.padded_inner), tap = static_cast<int>(index / o.padded_inner % o.taps),
            outer = static_cast<int>(index / o.padded_inner / o.taps);
  float v = 0;
  if (inner < o.inner && outer < o.outer)
    v = static_cast<float>(
        weights[int64_t{outer} * o.outer_stride + int64_t{tap} * o.tap_stride + int64_t{inner} * o.inner_stride]);
  reordered[index] = static_cast<To>(v);
}

// Weights KRSC of `type` in the order and type that the library reads; none are packed where those are the same.
class Filters {
 public:
  /// `library`: with the channels that the library sees. by_channel: C R S K, else K R S C.
  Filters(const ConvShape& s, const ConvShape& library, DataType type, DataType library_type, bool by_channel)
      : type_(type), library_type_(library_type) {
    const int filter = s.r * s.s * s.c;
    order_ = by_channel ? WeightOrder{s.c, s.k, library.c, library.k, s.r * s.s, 1, filter, s.c}
                        : WeightOrder{s.k, s.c, library.k, library.c, s.r * s.s, filter, 1, s.c};
    as_they_are_ = type == library_type && !by_channel && library.c == s.c && library.k == s.k;
  }
  size_t packed_bytes() const { return as_they_are_ ? 0 : order_.elements() * bytes_per_element(library_type_); }
  void pack(const void* weights, void* packed, Stream stream) const {
    const auto count = static_cast<int64_t>(order_.elements());
    with_type(type_, [&]<typename From>() {
      with_type(library_type_, [&]<typename To>() {
        launch(KERNEL(conv_reorder_weights<From, To>), blocks_for(count), kThreads, 0, stream, order_, count,
               static_cast<const From*>(weights), static_cast<To*>(packed));
      });
    });
  }

 private:
  DataType type_, library_type_;
  WeightOrder order_{};
  bool as_they_are_;
};

// dw[k][tap][c] from a library's dw with padded channels.
template <typename From>
__global__ void __launch_bounds__(kThreads)
    conv_plain_gradient(int64_t count, int c, int padded_c, const From* padded, float* dw) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index < count) dw[index] = static_cast<float>(padded[index / c * padded_c + index % c]);
}

__global__ void __launch_bounds__(kThreads) conv_bias_gradient(int k, const double* sums, float* db) {
  const int index = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (index < k) db[index] = static_cast<float>(sums[index]);
}

// ---- Finish --------------------------------------------------------------------------------------------------------

// The epilogue of a library's result. Pixels x channels; result has `pitch` channels. Without out only the sums of
// result are made, which then has out's type.
struct Finish : Epilogue {
  const void* result = nullptr;
  int pitch = 0;
};

template <typename From, typename To, int kWidth>
__global__ void __launch_bounds__(kPassThreads) conv_finish(int64_t pixels, int channels, Finish f) {
  const int c = pass_channel<kWidth>();
  double sums[2][kWidth] = {};
  if (c < channels) {
    Channels<kWidth> bias{}, scale{}, shift{};
    if (f.bias) bias = load_coefficients<kWidth>(f.bias + c);
    if (f.z) scale = load_coefficients<kWidth>(f.scale + c), shift = load_coefficients<kWidth>(f.shift + c);
#pragma unroll 1  // copies of the loop for each choice of addends would spill registers
    for (int64_t pixel = pass_first_pixel(); pixel < pixels; pixel += pass_pixel_step()) {
      const int64_t at = pixel * channels + c;
      Channels<kWidth> out = load<From, kWidth>(f.result, pixel * f.pitch + c), addend{}, z{};
      if (f.addend) addend = load<To, kWidth>(f.addend, at);
      if (f.z) z = load<To, kWidth>(f.z, at);
#pragma unroll
      for (int i = 0; i < kWidth; ++i) {
        float v = out.v[i] + bias.v[i] + addend.v[i];
        if (f.relu) v = relu(v);
        if (f.z && !(fmaf(z.v[i], scale.v[i], shift.v[i]) > 0)) v = 0;
        out.v[i] = static_cast<float>(static_cast<To>(v));
        sums[0][i] += out.v[i];
        sums[1][i] += double{out.v[i]} * (f.z ? z.v[i] : out.v[i]);
      }
      if (f.out) store<To>(f.out, at, out);
    }
  }
  if (f.partial) store_block_sums(sums, channels, f.partial);
}

// The pass over `map`, a plain NHWC map, from a result of type `from`.
class FinishPass {
 public:
  FinishPass(Device& device, const char* operation, const TensorDesc& map, DataType from)
      : operation_(operation), map_(map), from_(from) {
    width_ = std::min(vector_width(map.shape.c, map.type), kGroup);
    sums_ = std::make_unique<ChannelSums<2>>(device, map.shape.pixels(), map.shape.c, width_);
  }
  void run(Finish f, double* sum, double* sum_of_products, Stream stream) const {
    check_chunks(operation_, {f.out, f.addend, f.z});
    const bool adds_up = sum || sum_of_products;
    if (adds_up) f.partial = sums_->partial();
    with_type(from_, [&]<typename From>() {
      with_type(map_.type, [&]<typename To>() {
        const auto launch_width = [&](const auto& kernel) {
          launch(kernel, sums_->pass().grid, sums_->pass().block, 0, stream, map_.shape.pixels(), map_.shape.c, f);
        };
        if (width_ == kGroup)
          launch_width(KERNEL(conv_finish<From, To, kGroup>));
        else
          launch_width(KERNEL(conv_finish<From, To, 1>));
      });
    });
    if (adds_up) sums_->add_up(sum, sum_of_products, nullptr, stream);
  }

 private:
  const char* operation_;
  TensorDesc map_;
  DataType from_;
  int width_;
  std::unique_ptr<ChannelSums<2>> sums_;
};

// ---- The operations ------------------------------------------------------------------------------------------------

// What the library multiplies: float unless the device computes in bfloat16.
DataType operand_type(const Device& device, DataType map) {
  return device.precision() == Precision::bf16 ? map : DataType::float32;
}

// Whether the library's result can be the map itself: its type from operands of `operands`, and no padding.
bool can_be_result(const TensorDesc& map, DataType operands, const BareConvs& convs) {
  const bool type = map.type == operands || (convs.widens && map.type == DataType::float32);
  return type && map.block == padded(map.block, operands);
}

void check_plain(const char* operation, const char* name, const TensorDesc& map) {
  check(map.block >= map.shape.c, "{}: {} has {} channels in blocks of {}; libraries work on NHWC", operation, name,
        map.shape.c, map.block);
}

// Makes the convolution and runs it once on zeros: a library loads its kernels when it first needs them, which must not
// happen while a step is captured.
std::unique_ptr<BareConv> make_ready(Device& device, const BareConvs& convs, const BareConvSpec& spec) {
  auto conv = convs.make(device, spec);
  const auto zeros = [&](size_t bytes) {
    DeviceMemory memory(device, bytes);
    device.fill(memory.data(), 0, bytes);
    return memory;
  };
  const size_t operand = bytes_per_element(spec.operands), result = bytes_per_element(spec.result);
  const ConvShape& s = spec.shape;
  const auto x = static_cast<size_t>(s.input().elements()), y = static_cast<size_t>(s.output().elements()),
             w = s.weight_elements();
  const bool forward = spec.direction == ConvDirection::forward, data = spec.direction == ConvDirection::backward_data;
  const DeviceMemory a = zeros(operand * (data ? y : x)), b = zeros(operand * (forward || data ? w : y)),
                     out = zeros(result * (forward ? y
                                           : data  ? x
                                                   : w)),
                     bias = zeros(result * s.k), workspace = zeros(conv->workspace_bytes() + kAlignment);
  BareConvArguments arguments;
  arguments.a = a.data();
  arguments.b = b.data();
  arguments.result = out.data();
  arguments.bias = bias.data();
  arguments.residual = spec.residual ? out.data() : nullptr;
  arguments.workspace = Pieces::begin(workspace.data());
  conv->run(arguments, {});
  device.synchronize();
  return conv;
}

class LibraryForward final : public ConvForward::Operation {
 public:
  LibraryForward(Device& device, const ConvForward& spec, const BareConvs& convs) : device_(device), spec_(spec) {
    check_plain(ConvForward::kName, "x", spec.x);
    check_nhwc(ConvForward::kName, "y", spec.y);
    const bool extras = spec.bias || spec.residual || spec.relu;
    const DataType operands = operand_type(device, spec.x.type);
    direct_ = can_be_result(spec.y, operands, convs) && (!extras || convs.has_epilogue);
    bare_.direction = ConvDirection::forward;
    bare_.precision = device.precision();
    bare_.result = direct_ ? spec.y.type : DataType::float32;
    bare_.operands = convs.widens ? operands : bare_.result;
    bare_.shape = spec.shape;
    bare_.shape.c = padded(spec.x.block, bare_.operands);
    bare_.shape.k = padded(spec.y.block, bare_.operands);
    bare_.epilogue = direct_ && extras;
    bare_.residual = bare_.epilogue && spec.residual;
    bare_.relu = bare_.epilogue && spec.relu;
    Pieces pieces;
    x_.emplace(ConvForward::kName, spec.x, bare_.operands, bare_.shape.c, spec.input_transform, pieces);
    filters_.emplace(spec.shape, bare_.shape, spec.weights, bare_.operands, false);
    conv_ = make_ready(device, convs, bare_);
    if (bare_.epilogue) bias_ = pieces.add(bytes_per_element(bare_.result) * bare_.shape.k);
    if (!direct_) result_ = pieces.add(bytes_per_element(bare_.result) * spec.y.shape.pixels() * bare_.shape.k);
    library_workspace_ = pieces.add(conv_->workspace_bytes());
    workspace_bytes_ = pieces.bytes();
    if (!direct_ || spec.statistics) finish_.emplace(device, ConvForward::kName, spec.y, bare_.result);
  }
  std::string implementation() const override { return conv_->name(); }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  size_t packed_weight_bytes() const override { return filters_->packed_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream stream) override {
    filters_->pack(weights, packed, stream);
  }

  void run(const ConvForwardArguments& a, Stream stream) override {
    uint8_t* const workspace = Pieces::begin(a.workspace);
    check_chunks(ConvForward::kName, {a.weights, a.y, a.residual});
    BareConvArguments bare;
    bare.a = x_->prepare(a.x, spec_.input_transform ? a.transform : InputTransform(), workspace, stream);
    bare.b = a.weights;
    bare.result = direct_ ? a.y : workspace + result_;
    bare.workspace = workspace + library_workspace_;
    if (bare_.epilogue) {
      bare.bias = workspace + bias_;
      bare.residual = a.residual;
      if (spec_.bias)
        make_patches(ConvForward::kName, {1, 1, 1, spec_.shape.k}, DataType::float32, spec_.shape.k, {}, {1, 1, 1, 1},
                     ConvShape{}, false, a.bias, bare_.shape.k, bare_.result, workspace + bias_, stream);
      else
        device_.fill(workspace + bias_, 0, bytes_per_element(bare_.result) * bare_.shape.k, stream);
    }
    conv_->run(bare, stream);
    if (!finish_) return;
    const Finish finish{direct_ ? Epilogue() : epilogue_of(spec_, a), bare.result, bare_.shape.k};
    finish_->run(finish, spec_.statistics ? a.sum : nullptr, spec_.statistics ? a.sum_squares : nullptr, stream);
  }

 private:
  Device& device_;
  ConvForward spec_;
  BareConvSpec bare_;
  bool direct_;
  std::optional<Operand> x_;
  std::optional<Filters> filters_;
  std::unique_ptr<BareConv> conv_;
  std::optional<FinishPass> finish_;
  size_t bias_ = 0, result_ = 0, library_workspace_ = 0, workspace_bytes_ = 0;
};

class LibraryBackwardData final : public ConvBackwardData::Operation {
 public:
  LibraryBackwardData(Device& device, const ConvBackwardData& spec, const BareConvs& convs) : spec_(spec) {
    check_nhwc(ConvBackwardData::kName, "dy", spec.dy);
    check_nhwc(ConvBackwardData::kName, "dx", spec.dx);
    const DataType operands = operand_type(device, spec.dy.type);
    // cuBLAS rounds the sum before it adds it to a bfloat16 map.
    const bool adds_rounded = spec.accumulate && convs.widens && spec.dx.type == DataType::bfloat16;
    direct_ = can_be_result(spec.dx, operands, convs) && !adds_rounded;
    bare_.direction = ConvDirection::backward_data;
    bare_.precision = device.precision();
    bare_.result = direct_ ? spec.dx.type : DataType::float32;
    bare_.operands = convs.widens ? operands : bare_.result;
    bare_.shape = spec.shape;
    bare_.shape.c = padded(spec.dx.block, bare_.operands);
    bare_.shape.k = padded(spec.dy.block, bare_.operands);
    bare_.accumulate = direct_ && spec.accumulate;
    Pieces pieces;
    dy_.emplace(ConvBackwardData::kName, spec.dy, bare_.operands, bare_.shape.k, false, pieces);
    filters_.emplace(spec.shape, bare_.shape, spec.weights, bare_.operands, convs.filters_by_channel);
    conv_ = make_ready(device, convs, bare_);
    if (!direct_) result_ = pieces.add(bytes_per_element(bare_.result) * spec.dx.shape.pixels() * bare_.shape.c);
    library_workspace_ = pieces.add(conv_->workspace_bytes());
    workspace_bytes_ = pieces.bytes();
    if (!direct_ || spec.mask) finish_.emplace(device, ConvBackwardData::kName, spec.dx, bare_.result);
  }
  std::string implementation() const override { return conv_->name(); }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  size_t packed_weight_bytes() const override { return filters_->packed_bytes(); }
  void pack_weights(const void* weights, void* packed, Stream stream) override {
    filters_->pack(weights, packed, stream);
  }

  void run(const ConvBackwardDataArguments& a, Stream stream) override {
    uint8_t* const workspace = Pieces::begin(a.workspace);
    check_chunks(ConvBackwardData::kName, {a.weights, a.dx});
    BareConvArguments bare;
    bare.a = dy_->prepare(a.dy, {}, workspace, stream);
    bare.b = a.weights;
    bare.result = direct_ ? a.dx : workspace + result_;
    bare.workspace = workspace + library_workspace_;
    conv_->run(bare, stream);
    if (!finish_) return;
    Finish finish{epilogue_of(spec_, a), bare.result, bare_.shape.c};
    if (direct_) finish.addend = nullptr;  // the library has added it
    finish_->run(finish, spec_.mask ? a.sum : nullptr, spec_.mask ? a.sum_z : nullptr, stream);
  }

 private:
  ConvBackwardData spec_;
  BareConvSpec bare_;
  bool direct_;
  std::optional<Operand> dy_;
  std::optional<Filters> filters_;
  std::unique_ptr<BareConv> conv_;
  std::optional<FinishPass> finish_;
  size_t result_ = 0, library_workspace_ = 0, workspace_bytes_ = 0;
};

class LibraryBackwardWeights final : public ConvBackwardWeights::Operation {
 public:
  LibraryBackwardWeights(Device& device, const ConvBackwardWeights& spec, const BareConvs& convs) : spec_(spec) {
    check_plain(ConvBackwardWeights::kName, "x", spec.x);
    check_nhwc(ConvBackwardWeights::kName, "dy", spec.dy);
    bare_.direction = ConvDirection::backward_weights;
    bare_.precision = device.precision();
    bare_.operands = spec.x.type == spec.dy.type ? operand_type(device, spec.x.type) : DataType::float32;
    bare_.result = convs.widens ? DataType::float32 : bare_.operands;
    bare_.shape = spec.shape;
    bare_.shape.c = padded(spec.x.block, bare_.operands);
    bare_.shape.k = padded(spec.dy.block, bare_.operands);
    direct_ = bare_.result == DataType::float32 && bare_.shape.c == spec.shape.c && bare_.shape.k == spec.shape.k;
    Pieces pieces;
    x_.emplace(ConvBackwardWeights::kName, spec.x, bare_.operands, bare_.shape.c, spec.input_transform, pieces);
    dy_.emplace(ConvBackwardWeights::kName, spec.dy, bare_.operands, bare_.shape.k, false, pieces);
    conv_ = make_ready(device, convs, bare_);
    if (!direct_) result_ = pieces.add(bytes_per_element(bare_.result) * bare_.shape.weight_elements());
    library_workspace_ = pieces.add(conv_->workspace_bytes());
    if (spec.bias) {
      bias_sums_ = pieces.add(sizeof(double) * spec.shape.k);
      sums_.emplace(device, ConvBackwardWeights::kName, spec.dy, spec.dy.type);
    }
    workspace_bytes_ = pieces.bytes();
  }
  std::string implementation() const override { return conv_->name(); }
  size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const ConvBackwardWeightsArguments& a, Stream stream) override {
    uint8_t* const workspace = Pieces::begin(a.workspace);
    BareConvArguments bare;
    bare.a = x_->prepare(a.x, spec_.input_transform ? a.transform : InputTransform(), workspace, stream);
    bare.b = dy_->prepare(a.dy, {}, workspace, stream);
    bare.result = direct_ ? static_cast<void*>(a.dw) : workspace + result_;
    bare.workspace = workspace + library_workspace_;
    conv_->run(bare, stream);
    const auto count = static_cast<int64_t>(spec_.shape.weight_elements());
    if (!direct_)
      with_type(bare_.result, [&]<typename From>() {
        launch(KERNEL(conv_plain_gradient<From>), blocks_for(count), kThreads, 0, stream, count, spec_.shape.c,
               bare_.shape.c, static_cast<const From*>(bare.result), a.dw);
      });
    if (!spec_.bias) return;
    auto* const sums = reinterpret_cast<double*>(workspace + bias_sums_);
    sums_->run({{}, a.dy, spec_.dy.block}, sums, nullptr, stream);
    launch(KERNEL(conv_bias_gradient), blocks_for(spec_.shape.k), kThreads, 0, stream, spec_.shape.k, sums, a.db);
  }

 private:
  ConvBackwardWeights spec_;
  BareConvSpec bare_;
  bool direct_;
  std::optional<Operand> x_, dy_;
  std::unique_ptr<BareConv> conv_;
  std::optional<FinishPass> sums_;
  size_t result_ = 0, library_workspace_ = 0, bias_sums_ = 0, workspace_bytes_ = 0;
};

// ---- Convolution as a matrix product -------------------------------------------------------------------------------

// With P the matrix of patches and row-major matrices, which BLAS reads as their transposes:
//   forward, backward data    Y = P W^T     (pixels x K) = (pixels x RSC) (RSC x K); W is K R S C, or C R S K backward
//   backward weights          DW = DY^T P   (K x RSC) = (K x pixels) (pixels x RSC)
class GemmConv final : public BareConv {
 public:
  GemmConv(const BareConvSpec& spec, const Gemm& gemm, const std::string& name) : spec_(spec), gemm_(gemm) {
    const ConvShape& s = spec.shape;
    backward_ = spec.direction == ConvDirection::backward_data;
    map_ = backward_ ? s.output() : s.input();
    grid_ = backward_ ? s.input() : s.output();
    const int patch = s.r * s.s * map_.c;
    reads_map_ = s.r == 1 && s.s == 1 && s.stride == 1 && s.padding == 0;
    check(grid_.pixels() < int64_t{1} << 31, "conv {}: more pixels than a matrix product of {} takes", to_string(s),
          name);
    const int pixels = static_cast<int>(grid_.pixels());
    product_.operands = spec.operands;
    product_.result = spec.result;
    product_.precision = spec.precision;
    product_.accumulate = spec.accumulate;
    if (spec.direction == ConvDirection::backward_weights) {
      product_.transpose_b = true;
      product_.m = patch, product_.n = s.k, product_.k = pixels;
      product_.lda = patch, product_.ldb = s.k, product_.ldc = patch;
    } else {
      product_.transpose_a = true;
      product_.m = grid_.c, product_.n = pixels, product_.k = patch;
      product_.lda = patch, product_.ldb = patch, product_.ldc = grid_.c;
    }
    Pieces pieces;
    if (!reads_map_) patches_ = pieces.add(bytes_per_element(spec.operands) * pixels * patch);
    gemm_workspace_ = pieces.add(gemm.workspace_bytes);
    workspace_bytes_ = pieces.bytes();
    name_ = fmt::format("{}_{}{}", name, reads_map_ ? "gemm_" : "im2col_gemm_",
                        spec.operands == DataType::bfloat16 ? "bf16"
                        : spec.precision == Precision::fp32 ? "fp32"
                                                            : "tf32");
  }
  std::string name() const override { return name_; }
  size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const BareConvArguments& a, Stream stream) override {
    uint8_t* const workspace = Pieces::begin(a.workspace);
    const void* matrix = a.a;
    if (!reads_map_) {
      make_patches("convolution as a matrix product", map_, spec_.operands, map_.c, {}, grid_, spec_.shape, backward_,
                   a.a, map_.c, spec_.operands, workspace + patches_, stream);
      matrix = workspace + patches_;
    }
    const bool weights = spec_.direction == ConvDirection::backward_weights;
    gemm_.run(product_, weights ? matrix : a.b, weights ? a.b : matrix, a.result, workspace + gemm_workspace_, stream);
  }

 private:
  BareConvSpec spec_;
  Gemm gemm_;
  GemmSpec product_;
  Shape map_, grid_;  // what is read through the filter, and for which pixels
  bool backward_, reads_map_;
  size_t patches_ = 0, gemm_workspace_ = 0, workspace_bytes_ = 0;
  std::string name_;
};

}  // namespace

BareConvs gemm_convs(const Gemm& gemm, const std::string& name) {
  BareConvs convs;
  convs.widens = true;
  convs.filters_by_channel = true;
  convs.make = [gemm, name](Device&, const BareConvSpec& spec) { return std::make_unique<GemmConv>(spec, gemm, name); };
  return convs;
}

BareConvs library_convs(ConvLibrary library) {
  const std::string reason = why_unavailable(library);
  check(reason.empty(), "{}", reason);
#ifdef SANDGLASS_CUDNN
  if (library == ConvLibrary::cudnn) return cudnn_convs();
#endif
#ifdef SANDGLASS_CUBLAS
  if (library == ConvLibrary::cublas) return gemm_convs(cublas_gemm(), "cublas");
#endif
  fail("'{}' is no library", name_of(library));
}

std::unique_ptr<ConvForward::Operation> make_library_conv(Device& device, const ConvForward& spec,
                                                          const BareConvs& convs) {
  return std::make_unique<LibraryForward>(device, spec, convs);
}

std::unique_ptr<ConvBackwardData::Operation> make_library_conv(Device& device, const ConvBackwardData& spec,
                                                               const BareConvs& convs) {
  return std::make_unique<LibraryBackwardData>(device, spec, convs);
}

std::unique_ptr<ConvBackwardWeights::Operation> make_library_conv(Device& device, const ConvBackwardWeights& spec,
                                                                  const BareConvs& convs) {
  return std::make_unique<LibraryBackwardWeights>(device, spec, convs);
}

}  // namespace SANDGLASS_TARGET
}  // namespace sandglass

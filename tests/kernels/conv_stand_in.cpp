#include "tests/kernels/conv_stand_in.h"

#include <cstdlib>

#ifdef SANDGLASS_SIMT
#include "engine/bfloat16.h"
#include "kernels/conv/conv_library_cuda.h"
#include "kernels/cuda/dispatch.h"
#include "kernels/cuda/launch.h"
#endif

namespace sandglass::test {

ConvLibrary tested_conv_library() {
  const char* const name = std::getenv("SANDGLASS_TEST_CONV");
  return name ? parse_conv_library(name) : ConvLibrary::hand;
}

#ifdef SANDGLASS_SIMT

namespace {

constexpr int kThreads = 64;

dim3 blocks_for(int64_t results) { return dim3(static_cast<unsigned>((results + kThreads - 1) / kThreads)); }

// ---- cuDNN ---------------------------------------------------------------------------------------------------------

template <typename T>
__global__ void bare_conv_forward(BareConvSpec spec, BareConvArguments a) {
  const ConvShape& s = spec.shape;
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= s.output().elements()) return;
  const int k = static_cast<int>(index % s.k), q = static_cast<int>(index / s.k % s.q()),
            p = static_cast<int>(index / s.k / s.q() % s.p()), n = static_cast<int>(index / s.k / s.q() / s.p());
  float sum = 0;
  for (int r = 0; r < s.r; ++r)
    for (int f = 0; f < s.s; ++f) {
      const int h = p * s.stride + r - s.padding, w = q * s.stride + f - s.padding;
      if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
      const T* const x = static_cast<const T*>(a.a) + ((int64_t{n} * s.h + h) * s.w + w) * s.c;
      const T* const weights = static_cast<const T*>(a.b) + ((int64_t{k} * s.r + r) * s.s + f) * s.c;
      for (int c = 0; c < s.c; ++c) sum += static_cast<float>(x[c]) * static_cast<float>(weights[c]);
    }
  if (spec.epilogue) {
    sum += static_cast<float>(static_cast<const T*>(a.bias)[k]);
    if (spec.residual) sum += static_cast<float>(static_cast<const T*>(a.residual)[index]);
    if (spec.relu && sum < 0) sum = 0;
  }
  static_cast<T*>(a.result)[index] = static_cast<T>(sum);
}

template <typename T>
__global__ void bare_conv_backward_data(BareConvSpec spec, BareConvArguments a) {
  const ConvShape& s = spec.shape;
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= s.input().elements()) return;
  const int c = static_cast<int>(index % s.c), w = static_cast<int>(index / s.c % s.w),
            h = static_cast<int>(index / s.c / s.w % s.h), n = static_cast<int>(index / s.c / s.w / s.h);
  float sum = spec.accumulate ? static_cast<float>(static_cast<const T*>(a.result)[index]) : 0.0f;
  for (int r = 0; r < s.r; ++r)
    for (int f = 0; f < s.s; ++f) {
      const int p = h + s.padding - r, q = w + s.padding - f;
      if (p < 0 || q < 0 || p % s.stride || q % s.stride || p / s.stride >= s.p() || q / s.stride >= s.q()) continue;
      const T* const dy =
          static_cast<const T*>(a.a) + ((int64_t{n} * s.p() + p / s.stride) * s.q() + q / s.stride) * s.k;
      for (int k = 0; k < s.k; ++k)
        sum += static_cast<float>(dy[k]) *
               static_cast<float>(static_cast<const T*>(a.b)[((int64_t{k} * s.r + r) * s.s + f) * s.c + c]);
    }
  static_cast<T*>(a.result)[index] = static_cast<T>(sum);
}

template <typename T>
__global__ void bare_conv_backward_weights(BareConvSpec spec, BareConvArguments a) {
  const ConvShape& s = spec.shape;
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= static_cast<int64_t>(s.weight_elements())) return;
  const int c = static_cast<int>(index % s.c), f = static_cast<int>(index / s.c % s.s),
            r = static_cast<int>(index / s.c / s.s % s.r), k = static_cast<int>(index / s.c / s.s / s.r);
  float sum = 0;
  for (int n = 0; n < s.n; ++n)
    for (int p = 0; p < s.p(); ++p)
      for (int q = 0; q < s.q(); ++q) {
        const int h = p * s.stride + r - s.padding, w = q * s.stride + f - s.padding;
        if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
        sum += static_cast<float>(static_cast<const T*>(a.b)[((int64_t{n} * s.p() + p) * s.q() + q) * s.k + k]) *
               static_cast<float>(static_cast<const T*>(a.a)[((int64_t{n} * s.h + h) * s.w + w) * s.c + c]);
      }
  static_cast<T*>(a.result)[index] = static_cast<T>(sum);
}

class StandIn final : public BareConv {
 public:
  explicit StandIn(const BareConvSpec& spec) : spec_(spec) {
    check(spec.operands == spec.result, "cuDNN's operands and result are of one type");
  }
  std::string name() const override { return "cudnn_stand_in"; }
  size_t workspace_bytes() const override { return 0; }
  void run(const BareConvArguments& a, Stream stream) override {
    const ConvShape& s = spec_.shape;
    with_type(spec_.operands, [&]<typename T>() {
      if (spec_.direction == ConvDirection::forward)
        launch(KERNEL(bare_conv_forward<T>), blocks_for(s.output().elements()), kThreads, 0, stream, spec_, a);
      else if (spec_.direction == ConvDirection::backward_data)
        launch(KERNEL(bare_conv_backward_data<T>), blocks_for(s.input().elements()), kThreads, 0, stream, spec_, a);
      else
        launch(KERNEL(bare_conv_backward_weights<T>), blocks_for(static_cast<int64_t>(s.weight_elements())), kThreads,
               0, stream, spec_, a);
    });
  }

 private:
  BareConvSpec spec_;
};

// ---- cuBLAS --------------------------------------------------------------------------------------------------------

template <typename T, typename Result>
__global__ void gemm_kernel(GemmSpec s, const T* a, const T* b, Result* c) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (index >= int64_t{s.m} * s.n) return;
  const int row = static_cast<int>(index % s.m), column = static_cast<int>(index / s.m);
  Result& result = c[int64_t{column} * s.ldc + row];
  float sum = s.accumulate ? static_cast<float>(result) : 0.0f;
  for (int i = 0; i < s.k; ++i)
    sum += static_cast<float>(s.transpose_a ? a[int64_t{row} * s.lda + i] : a[int64_t{i} * s.lda + row]) *
           static_cast<float>(s.transpose_b ? b[int64_t{i} * s.ldb + column] : b[int64_t{column} * s.ldb + i]);
  result = static_cast<Result>(sum);
}

void run_gemm(const GemmSpec& s, const void* a, const void* b, void* c, void*, Stream stream) {
  check(s.operands == DataType::bfloat16 || s.result == DataType::float32,
        "cuBLAS has no bfloat16 result of float32 operands");
  with_type(s.operands, [&]<typename T>() {
    with_type(s.result, [&]<typename Result>() {
      launch(KERNEL(gemm_kernel<T, Result>), blocks_for(int64_t{s.m} * s.n), kThreads, 0, stream, s,
             static_cast<const T*>(a), static_cast<const T*>(b), static_cast<Result*>(c));
    });
  });
}

BareConvs stand_in(ConvLibrary library) {
  if (library == ConvLibrary::cublas) return gemm_convs({64, run_gemm}, "cublas_stand_in");
  BareConvs convs;
  convs.has_epilogue = true;
  convs.make = [](Device&, const BareConvSpec& spec) { return std::make_unique<StandIn>(spec); };
  return convs;
}

template <typename Spec>
void replace(const BareConvs& convs) {
  implementations<Spec>()[DeviceKind::simt] = [convs](Device& device, const Spec& spec) {
    return make_library_conv(device, spec, convs);
  };
}

// Replaces the simt device's convolutions from now on.
void use_stand_in(ConvLibrary library) {
  register_operations();
  static const auto forward = implementations<ConvForward>()[DeviceKind::simt];
  static const auto backward_data = implementations<ConvBackwardData>()[DeviceKind::simt];
  static const auto backward_weights = implementations<ConvBackwardWeights>()[DeviceKind::simt];
  if (library == ConvLibrary::hand) {
    implementations<ConvForward>()[DeviceKind::simt] = forward;
    implementations<ConvBackwardData>()[DeviceKind::simt] = backward_data;
    implementations<ConvBackwardWeights>()[DeviceKind::simt] = backward_weights;
    return;
  }
  const BareConvs convs = stand_in(library);
  replace<ConvForward>(convs);
  replace<ConvBackwardData>(convs);
  replace<ConvBackwardWeights>(convs);
}

}  // namespace

#endif

std::unique_ptr<Device> open_device_with(ConvLibrary library, DeviceKind kind, Precision precision) {
#ifdef SANDGLASS_SIMT
  if (kind == DeviceKind::simt) use_stand_in(library);
#endif
  return open_device(kind, {precision, kind == DeviceKind::cuda ? library : ConvLibrary::hand});
}

}  // namespace sandglass::test

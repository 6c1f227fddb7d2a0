// Bare convolutions by cuDNN's convolution functions (cuDNN API reference, "cudnn_cnn library"), on NHWC maps and KRSC
// filters.
//
// The algorithm is chosen once, by cuDNN's heuristics for the shape: the first of their answers that is deterministic.
// No algorithm is timed. fp32 asks for CUDNN_FMA_MATH, without which cuDNN rounds float operands to tf32; tf32 and bf16
// leave the choice to cuDNN.
#include <algorithm>
#include <vector>

#include "kernels/conv/conv_library.h"
#include "kernels/cuda/cudnn.h"

namespace sandglass {
namespace {

// An opaque descriptor with an owner.
template <typename T, cudnnStatus_t (*create)(T*), cudnnStatus_t (*destroy)(T)>
class Descriptor {
 public:
  Descriptor() { CUDNN_CHECK(create(&descriptor_)); }
  ~Descriptor() { destroy(descriptor_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator T() const { return descriptor_; }

 private:
  T descriptor_ = nullptr;
};
using TensorDescriptor = Descriptor<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor>;
using FilterDescriptor = Descriptor<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor>;
using ConvolutionDescriptor =
    Descriptor<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;
using ActivationDescriptor =
    Descriptor<cudnnActivationDescriptor_t, cudnnCreateActivationDescriptor, cudnnDestroyActivationDescriptor>;

cudnnDataType_t cudnn_type(DataType type) {
  return type == DataType::bfloat16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

// The three directions, each with its functions and what it calls its algorithms. `preferred` is implicit GEMM, which
// is deterministic and takes every shape.
struct Forward {
  using Algorithm = cudnnConvolutionFwdAlgo_t;
  using Performance = cudnnConvolutionFwdAlgoPerf_t;
  static constexpr const char* kName = ConvForward::kName;
  static constexpr Algorithm kImplicitGemm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;
  static std::string name(Algorithm algorithm) {
    switch (algorithm) {
      case CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM:
        return "implicit_gemm";
      case CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM:
        return "implicit_precomp_gemm";
      case CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD:
      case CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED:
        return "winograd";
      default:
        return fmt::format("algorithm_{}", static_cast<int>(algorithm));
    }
  }
};
struct BackwardData {
  using Algorithm = cudnnConvolutionBwdDataAlgo_t;
  using Performance = cudnnConvolutionBwdDataAlgoPerf_t;
  static constexpr const char* kName = ConvBackwardData::kName;
  static constexpr Algorithm kImplicitGemm = CUDNN_CONVOLUTION_BWD_DATA_ALGO_1;
  static std::string name(Algorithm algorithm) {
    switch (algorithm) {
      case CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD:
      case CUDNN_CONVOLUTION_BWD_DATA_ALGO_WINOGRAD_NONFUSED:
        return "winograd";
      default:
        return fmt::format("algorithm_{}", static_cast<int>(algorithm));
    }
  }
};
struct BackwardWeights {
  using Algorithm = cudnnConvolutionBwdFilterAlgo_t;
  using Performance = cudnnConvolutionBwdFilterAlgoPerf_t;
  static constexpr const char* kName = ConvBackwardWeights::kName;
  static constexpr Algorithm kImplicitGemm = CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1;
  static std::string name(Algorithm algorithm) {
    switch (algorithm) {
      case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD:
      case CUDNN_CONVOLUTION_BWD_FILTER_ALGO_WINOGRAD_NONFUSED:
        return "winograd";
      default:
        return fmt::format("algorithm_{}", static_cast<int>(algorithm));
    }
  }
};

template <typename Direction>
class CudnnConv final : public BareConv {
 public:
  explicit CudnnConv(const BareConvSpec& spec) : spec_(spec) {
    const ConvShape& s = spec.shape;
    const cudnnDataType_t type = cudnn_type(spec.operands);
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(x_, CUDNN_TENSOR_NHWC, type, s.n, s.c, s.h, s.w));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(y_, CUDNN_TENSOR_NHWC, type, s.n, s.k, s.p(), s.q()));
    CUDNN_CHECK(cudnnSetTensor4dDescriptor(bias_, CUDNN_TENSOR_NHWC, type, 1, s.k, 1, 1));
    CUDNN_CHECK(cudnnSetFilter4dDescriptor(filter_, type, CUDNN_TENSOR_NHWC, s.k, s.c, s.r, s.s));
    CUDNN_CHECK(cudnnSetConvolution2dDescriptor(convolution_, s.padding, s.padding, s.stride, s.stride, 1, 1,
                                                CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
    CUDNN_CHECK(cudnnSetActivationDescriptor(activation_, spec.relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_IDENTITY,
                                             CUDNN_PROPAGATE_NAN, 0));
    choose_algorithm();
  }

  std::string name() const override {
    const char* const math = spec_.operands == DataType::bfloat16 ? "bf16"
                             : spec_.precision == Precision::fp32 ? "fp32"
                             : math_ == CUDNN_FMA_MATH            ? "fp32"
                                                                  : "tf32";
    return fmt::format("cudnn_{}_{}", Direction::name(algorithm_), math);
  }
  size_t workspace_bytes() const override { return workspace_bytes_; }

  void run(const BareConvArguments& a, Stream stream) override {
    const cudnnHandle_t handle = cudnn_handle();
    CUDNN_CHECK(cudnnSetStream(handle, static_cast<cudaStream_t>(stream.handle)));
    const float one = 1, zero = 0;
    if constexpr (std::is_same_v<Direction, Forward>) {
      // Without a residual cuDNN still wants its address; alpha2 = 0 says not to read it.
      if (spec_.epilogue)
        CUDNN_CHECK(cudnnConvolutionBiasActivationForward(handle, &one, x_, a.a, filter_, a.b, convolution_, algorithm_,
                                                          a.workspace, workspace_bytes_, spec_.residual ? &one : &zero,
                                                          y_, spec_.residual ? a.residual : a.result, bias_, a.bias,
                                                          activation_, y_, a.result));
      else
        CUDNN_CHECK(cudnnConvolutionForward(handle, &one, x_, a.a, filter_, a.b, convolution_, algorithm_, a.workspace,
                                            workspace_bytes_, &zero, y_, a.result));
    } else if constexpr (std::is_same_v<Direction, BackwardData>) {
      CUDNN_CHECK(cudnnConvolutionBackwardData(handle, &one, filter_, a.b, y_, a.a, convolution_, algorithm_,
                                               a.workspace, workspace_bytes_, spec_.accumulate ? &one : &zero, x_,
                                               a.result));
    } else {
      CUDNN_CHECK(cudnnConvolutionBackwardFilter(handle, &one, x_, a.a, y_, a.b, convolution_, algorithm_, a.workspace,
                                                 workspace_bytes_, &zero, filter_, a.result));
    }
  }

 private:
  using Algorithm = typename Direction::Algorithm;
  using Performance = typename Direction::Performance;

  std::vector<Performance> ask_heuristics() const {
    const cudnnHandle_t handle = cudnn_handle();
    int count = 0, returned = 0;
    std::vector<Performance> answers;
    const auto ask = [&](auto count_function, auto function, auto... descriptors) {
      CUDNN_CHECK(count_function(handle, &count));
      answers.resize(static_cast<size_t>(count));
      // Where the heuristics do not know a shape, implicit GEMM may still take it.
      if (function(handle, descriptors..., count, &returned, answers.data()) != CUDNN_STATUS_SUCCESS) returned = 0;
    };
    const cudnnTensorDescriptor_t x = x_, y = y_;
    const cudnnFilterDescriptor_t filter = filter_;
    const cudnnConvolutionDescriptor_t convolution = convolution_;
    if constexpr (std::is_same_v<Direction, Forward>)
      ask(cudnnGetConvolutionForwardAlgorithmMaxCount, cudnnGetConvolutionForwardAlgorithm_v7, x, filter, convolution,
          y);
    else if constexpr (std::is_same_v<Direction, BackwardData>)
      ask(cudnnGetConvolutionBackwardDataAlgorithmMaxCount, cudnnGetConvolutionBackwardDataAlgorithm_v7, filter, y,
          convolution, x);
    else
      ask(cudnnGetConvolutionBackwardFilterAlgorithmMaxCount, cudnnGetConvolutionBackwardFilterAlgorithm_v7, x, y,
          convolution, filter);
    answers.resize(static_cast<size_t>(returned));
    return answers;
  }

  cudnnStatus_t ask_workspace(Algorithm algorithm, size_t* bytes) const {
    const cudnnHandle_t handle = cudnn_handle();
    if constexpr (std::is_same_v<Direction, Forward>)
      return cudnnGetConvolutionForwardWorkspaceSize(handle, x_, filter_, convolution_, y_, algorithm, bytes);
    else if constexpr (std::is_same_v<Direction, BackwardData>)
      return cudnnGetConvolutionBackwardDataWorkspaceSize(handle, filter_, y_, convolution_, x_, algorithm, bytes);
    else
      return cudnnGetConvolutionBackwardFilterWorkspaceSize(handle, x_, y_, convolution_, filter_, algorithm, bytes);
  }

  void choose_algorithm() {
    const bool only_fma = spec_.operands == DataType::float32 && spec_.precision == Precision::fp32;
    const cudnnMathType_t math = only_fma                               ? CUDNN_FMA_MATH
                                 : spec_.operands == DataType::bfloat16 ? CUDNN_TENSOR_OP_MATH
                                                                        : CUDNN_DEFAULT_MATH;
    CUDNN_CHECK(cudnnSetConvolutionMathType(convolution_, math));
    struct Choice {
      Algorithm algorithm;
      cudnnMathType_t math;
    };
    std::vector<Choice> choices;
    for (const Performance& answer : ask_heuristics())
      if (answer.status == CUDNN_STATUS_SUCCESS && answer.determinism == CUDNN_DETERMINISTIC)
        choices.push_back({answer.algo, only_fma ? CUDNN_FMA_MATH : answer.mathType});
    choices.push_back({Direction::kImplicitGemm, math});
    for (const Choice& choice : choices) {
      // The only one that has an epilogue without ReLU.
      if (spec_.epilogue && !spec_.relu && choice.algorithm != Direction::kImplicitGemm) continue;
      CUDNN_CHECK(cudnnSetConvolutionMathType(convolution_, choice.math));
      if (ask_workspace(choice.algorithm, &workspace_bytes_) != CUDNN_STATUS_SUCCESS) continue;
      algorithm_ = choice.algorithm;
      math_ = choice.math;
      return;
    }
    fail("{} {}: cuDNN {} has no deterministic algorithm in {}; take --conv hand", Direction::kName,
         to_string(spec_.shape), cudnn_version(), name_of(spec_.precision));
  }

  BareConvSpec spec_;
  TensorDescriptor x_, y_, bias_;
  FilterDescriptor filter_;
  ConvolutionDescriptor convolution_;
  ActivationDescriptor activation_;
  Algorithm algorithm_{};
  cudnnMathType_t math_{};
  size_t workspace_bytes_ = 0;
};

}  // namespace

BareConvs cudnn_convs() {
  BareConvs convs;
  convs.has_epilogue = true;
  convs.make = [](Device&, const BareConvSpec& spec) -> std::unique_ptr<BareConv> {
    switch (spec.direction) {
      case ConvDirection::forward:
        return std::make_unique<CudnnConv<Forward>>(spec);
      case ConvDirection::backward_data:
        return std::make_unique<CudnnConv<BackwardData>>(spec);
      case ConvDirection::backward_weights:
        return std::make_unique<CudnnConv<BackwardWeights>>(spec);
    }
    fail("no such direction of a convolution");
  };
  return convs;
}

std::string cudnn_version() {
  const size_t version = cudnnGetVersion();  // 91900 is 9.19.0
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

}  // namespace sandglass

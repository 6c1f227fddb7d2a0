// Convolutions by NVIDIA's cuDNN and cuBLAS, to compare the hand-written kernels with: `--conv cudnn`, `--conv cublas`.
//
// A library computes the bare convolution on plain NHWC maps, cuBLAS only a matrix product. What the contract of conv.h
// asks for beyond that is done in passes of their own around it (conv_library_cuda.cu): the input transform, padded
// channels, the ReLU mask, sums per channel, and changes of type. The libraries are behind interfaces, so that tests
// can put others in their place where there is no GPU.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "kernels/conv/conv.h"

namespace sandglass {

enum class ConvDirection { forward, backward_data, backward_weights };

/// A convolution as a library sees it. Channels C and K are multiples of 16 bytes of operands and result.
struct BareConvSpec {
  ConvDirection direction = ConvDirection::forward;
  ConvShape shape;
  Precision precision = Precision::fp32;  ///< may float32 operands be rounded: not with fp32
  DataType operands = DataType::float32, result = DataType::float32;
  bool epilogue = false;                ///< forward: result = relu?(sum + bias + residual?)
  bool residual = false, relu = false;  ///< of the epilogue
  bool accumulate = false;              ///< backward data: result += sum
};

struct BareConvArguments {
  const void* a = nullptr;         ///< x, NHWC; backward data: dy
  const void* b = nullptr;         ///< weights; backward weights: dy
  void* result = nullptr;          ///< y, dx or dw; dw is KRSC
  const void* bias = nullptr;      ///< [K], type of the result; with an epilogue only
  const void* residual = nullptr;  ///< like result, may be result itself
  void* workspace = nullptr;       ///< aligned to 256 bytes
};

class BareConv {
 public:
  virtual ~BareConv() = default;
  virtual std::string name() const = 0;
  virtual size_t workspace_bytes() const = 0;
  virtual void run(const BareConvArguments& arguments, Stream stream) = 0;
};

/// What a library offers. Throws Error from `make` for a convolution that it lacks.
struct BareConvs {
  bool has_epilogue = false;
  bool widens = false;              ///< the result of bfloat16 operands can be float32, else it is bfloat16
  bool filters_by_channel = false;  ///< backward data reads the weights as C R S K, else as K R S C
  std::function<std::unique_ptr<BareConv>(Device&, const BareConvSpec&)> make;
};

/// C = A^T B or A B^T (+ C), matrices as BLAS has them: columns one after the other, `ld` elements from one to the
/// next.
struct GemmSpec {
  bool transpose_a = false, transpose_b = false;
  int m = 0, n = 0, k = 0;  ///< C is m x n, the sum has k terms
  int lda = 0, ldb = 0, ldc = 0;
  bool accumulate = false;
  DataType operands = DataType::float32, result = DataType::float32;
  Precision precision = Precision::fp32;  ///< as in BareConvSpec
};

struct Gemm {
  size_t workspace_bytes = 0;
  std::function<void(const GemmSpec&, const void* a, const void* b, void* c, void* workspace, Stream)> run;
};

/// conv_cudnn.cpp, conv_cublas.cpp: in builds with the library only.
BareConvs cudnn_convs();
Gemm cublas_gemm();
/// "9.19.0"
std::string cudnn_version();
std::string cublas_version();

}  // namespace sandglass

// Matrix products by cuBLAS: cublasGemmEx with sums in float (cuBLAS documentation, 2.8.12, "cublasGemmEx()").
//
// fp32 multiplies float operands as they are, tf32 and bf16 let cuBLAS round them to tf32.
#include <cublas_v2.h>

#include "kernels/conv/conv_library.h"

namespace sandglass {
namespace {

void check_cublas(cublasStatus_t status, const char* expression, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  fail("cuBLAS: {} failed: {}: {} ({}:{})", expression, cublasGetStatusName(status), cublasGetStatusString(status),
       file, line);
}
#define CUBLAS_CHECK(...) check_cublas((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)

// What NVIDIA recommends for Hopper. Given by the caller, so that nothing is allocated in a step and the same products
// give the same bits on every stream.
constexpr size_t kWorkspaceBytes = size_t{32} << 20;

// A handle may be used by one thread at a time, and is slow to make.
cublasHandle_t thread_handle() {
  struct Owner {
    Owner() {
      CUBLAS_CHECK(cublasCreate(&handle));
      // Sums in slices are added in float, too.
      constexpr int kMode = CUBLAS_DEFAULT_MATH | CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
      CUBLAS_CHECK(cublasSetMathMode(handle, static_cast<cublasMath_t>(kMode)));
    }
    ~Owner() { cublasDestroy(handle); }
    cublasHandle_t handle = nullptr;
  };
  thread_local const Owner owner;
  return owner.handle;
}

cudaDataType_t cuda_type(DataType type) { return type == DataType::bfloat16 ? CUDA_R_16BF : CUDA_R_32F; }

void run(const GemmSpec& s, const void* a, const void* b, void* c, void* workspace, Stream stream) {
  const cublasHandle_t handle = thread_handle();
  CUBLAS_CHECK(cublasSetStream(handle, static_cast<cudaStream_t>(stream.handle)));
  CUBLAS_CHECK(cublasSetWorkspace(handle, workspace, kWorkspaceBytes));  // setting the stream takes it away
  const bool rounds = s.operands == DataType::float32 && s.precision != Precision::fp32;
  const float one = 1, zero = 0;
  CUBLAS_CHECK(cublasGemmEx(handle, s.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                            s.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, s.m, s.n, s.k, &one, a, cuda_type(s.operands),
                            s.lda, b, cuda_type(s.operands), s.ldb, s.accumulate ? &one : &zero, c, cuda_type(s.result),
                            s.ldc, rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

}  // namespace

Gemm cublas_gemm() {
  thread_handle();  // made before a step, and never while one is captured
  return {kWorkspaceBytes, run};
}

std::string cublas_version() {
  int version[3] = {};
  constexpr libraryPropertyType_t kParts[] = {MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL};
  for (int i = 0; i < 3; ++i) CUBLAS_CHECK(cublasGetProperty(kParts[i], &version[i]));
  return fmt::format("{}.{}.{}", version[0], version[1], version[2]);
}

}  // namespace sandglass

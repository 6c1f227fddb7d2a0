#include "cli/library_versions.h"

#include "kernels/conv/conv_library.h"
#ifdef SANDGLASS_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif

namespace sandglass {

std::string onednn_version() {
#ifdef SANDGLASS_ONEDNN
  const dnnl_version_t* version = dnnl_version();
  return fmt::format("{}.{}.{}", version->major, version->minor, version->patch);
#else
  return "";
#endif
}

std::string cudnn_version_or_none() {
#ifdef SANDGLASS_CUDNN
  return cudnn_version();
#else
  return "";
#endif
}

std::string cublas_version_or_none() {
#ifdef SANDGLASS_CUBLAS
  return cublas_version();
#else
  return "";
#endif
}

}  // namespace sandglass

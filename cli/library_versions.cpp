#include "cli/library_versions.h"

#include <fmt/format.h>

#include "cli/build_info.h"
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

std::vector<std::pair<std::string, std::string>> program_versions() {
  std::vector<std::pair<std::string, std::string>> versions{
      {"sandglass", fmt::format("{}{}", kVersion, *kCommit ? fmt::format(" ({})", kCommit) : "")},
      {"compiler", fmt::format("{}, {}", kCompiler, kBuildType)}};
  for (const auto& [name, version] : {std::pair{"oneDNN", onednn_version()},
                                      {"cuDNN", cudnn_version_or_none()},
                                      {"cuBLAS", cublas_version_or_none()}}) {
    if (!version.empty()) versions.emplace_back(name, version);
  }
  return versions;
}

}  // namespace sandglass

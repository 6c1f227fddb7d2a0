#include "kernels/registry.h"

#include "kernels/operation.h"

namespace sandglass {

void register_operations() {
  static const bool once = [] {
#ifdef SANDGLASS_ONEDNN
    register_conv_cpu();
#endif
    register_batch_norm_cpu();
    register_residual_cpu();
    register_max_pool_cpu();
    register_average_pool_cpu();
    register_upsample_cpu();
    register_heatmap_cpu();
    register_loss_cpu();
    register_peak_cpu();
    register_warp_cpu();
    register_optimizer_cpu();
#ifdef SANDGLASS_CUDA
    register_conv_cuda();
    register_batch_norm_cuda();
    register_residual_cuda();
    register_max_pool_cuda();
    register_average_pool_cuda();
    register_upsample_cuda();
    register_heatmap_cuda();
    register_loss_cuda();
    register_peak_cuda();
    register_warp_cuda();
    register_optimizer_cuda();
#endif
#ifdef SANDGLASS_SIMT
    register_conv_simt();
    register_batch_norm_simt();
    register_residual_simt();
    register_max_pool_simt();
    register_average_pool_simt();
    register_upsample_simt();
    register_heatmap_simt();
    register_loss_simt();
    register_peak_simt();
    register_warp_simt();
    register_optimizer_simt();
#endif
    return true;
  }();
  (void)once;
}

std::string why_lacking(DeviceKind kind) {
#ifndef SANDGLASS_ONEDNN
  if (kind == DeviceKind::cpu)
    return ": this build leaves out oneDNN, which computes convolutions on the cpu; configure with "
           "-DSANDGLASS_ONEDNN=ON or take --device cuda or simt";
#else
  (void)kind;
#endif
  return "";
}

}  // namespace sandglass

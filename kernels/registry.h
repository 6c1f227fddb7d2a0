// One line an operation and device: the only place that must know a new one.
#pragma once

namespace sandglass {

void register_conv_cpu();
void register_batch_norm_cpu();
void register_residual_cpu();
void register_max_pool_cpu();
void register_average_pool_cpu();
void register_upsample_cpu();
void register_heatmap_cpu();
void register_loss_cpu();
void register_peak_cpu();
void register_warp_cpu();
void register_optimizer_cpu();

void register_conv_cuda();
void register_batch_norm_cuda();
void register_residual_cuda();
void register_max_pool_cuda();
void register_average_pool_cuda();
void register_upsample_cuda();
void register_heatmap_cuda();
void register_loss_cuda();
void register_peak_cuda();
void register_warp_cuda();
void register_optimizer_cuda();

void register_conv_simt();
void register_batch_norm_simt();
void register_residual_simt();
void register_max_pool_simt();
void register_average_pool_simt();
void register_upsample_simt();
void register_heatmap_simt();
void register_loss_simt();
void register_peak_simt();
void register_warp_simt();
void register_optimizer_simt();

}  // namespace sandglass

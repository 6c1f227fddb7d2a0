// Stand-alone rendering on the cuda device: each value written once. Limits: plain NHWC, at most 65535 pictures of 2^30
// pixels.
#include "kernels/heatmap/heatmap_cuda.h"

#include "kernels/cuda/launch.h"
#include "kernels/cuda/limits.h"
#include "kernels/cuda/map_pass.h"
#include "kernels/registry.h"

namespace sandglass {
namespace {

constexpr int kThreads = 256, kPixelsPerThread = 4;

// target[n,v,u,k] = the largest of map (n, k)'s Gaussians; N x H x W x K.
__global__ void __launch_bounds__(kThreads)
    heatmap_render(MapSizes sizes, GaussianSizes gaussian_sizes, HeatmapRenderArguments a) {
  const MapThread thread = map_thread<kThreads>(sizes);
  if (!thread.active) return;
  const Gaussians map = gaussians(gaussian_sizes, a.labels, thread.map);
  for (int pixel = thread.first_pixel; pixel < sizes.pixels; pixel += thread.pixel_step)
    a.target[thread.element(pixel)] = target_value(map, pixel % sizes.width, pixel / sizes.width);
}

void render(const HeatmapRender& spec, const HeatmapRenderArguments& a, Stream stream) {
  const Shape& s = spec.target.shape;
  check_nhwc(HeatmapRender::kName, "target", spec.target);
  launch(KERNEL(heatmap_render), map_pass(HeatmapRender::kName, s, kThreads, kPixelsPerThread), kThreads, 0, stream,
         map_sizes(s), gaussian_sizes(spec.heatmap), a);
}

}  // namespace

void SANDGLASS_REGISTER(heatmap)() { register_function<HeatmapRender>(kTargetDevice, "nhwc_pass", render); }

}  // namespace sandglass

// Pixel-wise L2 loss and its gradient in one pass over the prediction.
//
//   loss = sum over coded (n, k) and all pixels of (y - target)^2 / count,   count = (number of coded (n, k)) * H * W
//   dy = 2 * (y - target) / count,   0 for maps that are not coded;  loss = 0 where nothing is coded
#pragma once

#include "kernels/heatmap/heatmap.h"
#include "kernels/operation.h"

namespace sandglass {

struct HeatmapLossArguments {
  const float* y = nullptr;  ///< prediction, N x H x W x K
  HeatmapLabels labels;
  void* dy = nullptr;     ///< may be y if of its type; null: no gradient
  float* loss = nullptr;  ///< [1]
  void* workspace = nullptr;
};

/// The target is computed from points and intensities where it is needed and never stored.
struct HeatmapLoss {
  using Arguments = HeatmapLossArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "heatmap_loss";
  HeatmapSpec heatmap;
  TensorDesc y;   ///< float32
  TensorDesc dy;  ///< block of y; float32 or bfloat16
  std::vector<TensorDesc> maps() const { return {y, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct L2LossArguments {
  const float* y = nullptr;            ///< prediction, N x H x W x K
  const float* target = nullptr;       ///< layout of y
  const float* intensities = nullptr;  ///< [N][K], below 0: not coded; null: everything is
  void* dy = nullptr;                  ///< may be y if of its type; null: no gradient
  float* loss = nullptr;               ///< [1]
  void* workspace = nullptr;
};

/// The same with a target that is there.
struct L2Loss {
  using Arguments = L2LossArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "l2_loss";
  TensorDesc y;   ///< float32
  TensorDesc dy;  ///< block of y; float32 or bfloat16
  std::vector<TensorDesc> maps() const { return {y, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

namespace reference {
/// Plain NHWC arrays; intensities null: everything is coded. Returns the loss, fills dy. For tests only.
double l2_loss(const Shape& shape, const double* y, const double* target, const float* intensities, double* dy);
}  // namespace reference

}  // namespace sandglass

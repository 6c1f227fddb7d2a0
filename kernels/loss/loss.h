// Pixel-wise loss and its gradient in one pass over the prediction.
//
//   loss = sum over coded (n, k) and all pixels of w * f(y - target, target) / count
//   dy = w * f'(y - target, target) / count,   0 for maps that are not coded;   loss = 0 where nothing is coded
//   count = (number of coded (n, k)) * H * W,   w = weights[k][level of the intensity], or 1
//
// With d = y - target the functions f are
//
//   l2              d^2
//   huber           d^2 where |d| <= delta, else delta (2 |d| - delta): twice Huber's (1964), so that it is l2 near 0
//   adaptive_wing   Wang, Bo, Fuxin, "Adaptive Wing Loss for Robust Face Alignment via Heatmap Regression", ICCV 2019,
//                   equations 3 and 4, whose maps lie in [0, 1]. Intensities lie in [0, 5], so with
//                   e = |d| / 5 and p = alpha - target / 5:
//                     omega ln(1 + (e / epsilon)^p) where e < theta, else A e - C
//                     A = omega p q / (theta (1 + q)),  C = theta A - omega ln(1 + q),  q = (theta / epsilon)^p
//                   f' is the derivative by y, so it has a factor of 1/5.
#pragma once

#include <vector>

#include "engine/bfloat16.h"
#include "kernels/heatmap/heatmap.h"
#include "kernels/operation.h"

namespace sandglass {

enum class LossFunction { l2, huber, adaptive_wing };

/// What is summed over the pixels. Adaptive wing has the constants of its paper.
struct LossSpec {
  LossFunction function = LossFunction::l2;
  float delta = 1.0f;  ///< of huber, in units of intensity
  static constexpr float kOmega = 14, kTheta = 0.5f, kEpsilon = 1, kAlpha = 2.1f;
  static constexpr float kLargestIntensity = 5;  ///< what adaptive_wing divides by
  void check() const;
};

/// Weights have a column for each of the intensities 0, 1, ..., 5; others count as the nearest of these.
constexpr int kIntensityLevels = 6;
SANDGLASS_EVERYWHERE constexpr int intensity_level(float intensity) {
  return intensity >= 4.5f ? 5 : intensity > 0 ? static_cast<int>(intensity + 0.5f) : 0;
}

struct HeatmapLossArguments {
  const float* y = nullptr;  ///< prediction, N x H x W x K
  HeatmapLabels labels;
  void* dy = nullptr;     ///< may be y if of its type; null: no gradient
  float* loss = nullptr;  ///< [1]
  void* workspace = nullptr;
  const float* weights = nullptr;  ///< [K][kIntensityLevels], finite; null: all 1
};

/// The target is computed from points and intensities where it is needed and never stored.
struct HeatmapLoss {
  using Arguments = HeatmapLossArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "heatmap_loss";
  HeatmapSpec heatmap;
  TensorDesc y;   ///< float32
  TensorDesc dy;  ///< block of y; float32 or bfloat16
  LossSpec loss{};
  std::vector<TensorDesc> maps() const { return {y, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

struct PixelLossArguments {
  const float* y = nullptr;            ///< prediction, N x H x W x K
  const float* target = nullptr;       ///< layout of y; null: each map's intensity in all its pixels
  const float* intensities = nullptr;  ///< [N][K], below 0: not coded; null: everything is, and all w are 1
  void* dy = nullptr;                  ///< may be y if of its type; null: no gradient
  float* loss = nullptr;               ///< [1]
  void* workspace = nullptr;
  const float* weights = nullptr;  ///< [K][kIntensityLevels], finite; null: all 1
};

/// The same with a target that is there, or is the intensity itself (networks that state intensities, on 1 x 1 maps).
struct PixelLoss {
  using Arguments = PixelLossArguments;
  using Operation = sandglass::Operation<Arguments>;
  static constexpr const char* kName = "pixel_loss";
  TensorDesc y;   ///< float32
  TensorDesc dy;  ///< block of y; float32 or bfloat16
  LossSpec loss{};
  std::vector<TensorDesc> maps() const { return {y, dy}; }
  void check() const;
  Cost cost() const;
  std::string text() const;
};

namespace reference {
/// Plain NHWC arrays; intensities null: everything is coded; weights null: all 1. Returns the loss, fills dy. For tests
/// only.
double pixel_loss(const LossSpec& spec, const Shape& shape, const double* y, const double* target,
                  const float* intensities, const float* weights, double* dy);
}  // namespace reference

}  // namespace sandglass

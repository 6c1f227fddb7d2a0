#include "train/synth/furrows.h"

#include <algorithm>
#include <span>

#include "train/synth/noise.h"

namespace sandglass::synth {
namespace {

// The sampled part of the face, in places.
constexpr float kTexel = 0.5f, kLeft = -90, kTop = 78;  // mm
constexpr int kWidth = 361, kHeight = 401;

// A crease from `from` over the control point `by` to `to` (a parabola), mirrored to the other side unless it crosses
// the midline; mm. A ridge of flesh lies on each side of the crease.
struct Crease {
  float from_x, from_y, by_x, by_y, to_x, to_y;
  float width, depth;  // deviation across, depth in the middle
  bool mirrored = true;
};

// What each unit creases at intensity 5.
constexpr Crease kCheekRaiser[] = {{48, 3, 54, 6, 61, 12, 0.9f, 0.9f},    {49, -1, 55, -1, 63, 2, 0.9f, 1.0f},
                                   {48, -5, 54, -8, 61, -9, 0.9f, 0.9f},  {16, -8, 28, -19, 45, -15, 1.4f, 1.5f},
                                   {19, -6, 30, -12, 44, -8, 0.9f, 0.8f}, {46, -10, 54, -16, 60, -20, 1.1f, 0.7f}};
constexpr Crease kUpperLipRaiser[] = {{14, -34, 19, -42, 26, -52, 1.9f, 3.2f},
                                      {11, -30, 12, -36, 17, -38, 1.3f, 1.4f},
                                      {10, -20, 11, -25, 13, -30, 1.0f, 0.8f}};
constexpr Crease kLipCornerPuller[] = {{17, -40, 32, -48, 37, -68, 2.0f, 3.0f},
                                       {41, -56, 46, -66, 43, -78, 1.6f, 1.1f},
                                       {18, -8, 28, -16, 40, -15, 1.3f, 0.6f}};
constexpr Crease kDimpler[] = {{35, -60, 39.5f, -68, 35, -77, 1.6f, 3.0f},
                               {30, -65, 31.5f, -69, 29.5f, -73, 1.2f, 1.8f}};
constexpr Crease kChinRaiser[] = {{-17, -93, 0, -83, 17, -93, 1.6f, 2.2f, false},
                                  {27, -71, 31, -78, 30, -87, 1.4f, 1.2f}};
constexpr Crease kInnerBrowRaiser[] = {{-22, 40, 0, 36, 22, 40, 1.3f, 1.3f, false},
                                       {-20, 49, 0, 46, 20, 49, 1.3f, 1.1f, false}};
constexpr Crease kOuterBrowRaiser[] = {{18, 37, 36, 43, 56, 36, 1.3f, 1.2f}, {16, 46, 36, 52, 54, 44, 1.3f, 1.0f}};
constexpr Crease kBrowLowerer[] = {{5, 9, 4, 18, 7, 28, 1.2f, 1.7f}, {-7, 4, 0, 6, 7, 4, 1.0f, 0.9f, false}};
constexpr Crease kAge[] = {{17, -40, 29, -50, 33, -70, 1.9f, 1.6f},     {31, -74, 34, -82, 32, -92, 1.5f, 0.9f},
                           {17, -8, 26, -17, 38, -18, 1.5f, 0.9f},      {49, 2, 55, 5, 60, 9, 0.8f, 0.4f},
                           {49, -3, 55, -4, 61, -4, 0.8f, 0.4f},        {-40, 40, 0, 36, 40, 40, 1.2f, 0.6f, false},
                           {-38, 50, 0, 47, 38, 50, 1.2f, 0.6f, false}, {6, 10, 5, 18, 7, 25, 1.1f, 0.7f},
                           {-44, 59, 0, 57, 44, 59, 1.1f, 0.4f, false}};

// A relief over a rectangle of the map.
struct Relief {
  int left = kWidth, right = 0, top = kHeight, bottom = 0;  // right and bottom are past the end
  std::vector<float> height;                                // whole map while being made, then the rectangle

  void crop() {
    std::vector<float> inner;
    for (int y = top; y < bottom; ++y) {
      inner.insert(inner.end(), height.begin() + y * kWidth + left, height.begin() + y * kWidth + right);
    }
    height = std::move(inner);
  }
};

void carve(Relief& relief, const Crease& crease, float mirror) {
  constexpr int kPieces = 24;
  std::array<std::array<float, 2>, kPieces + 1> path;
  for (int i = 0; i <= kPieces; ++i) {
    const float t = static_cast<float>(i) / kPieces, s = 1 - t;
    path[i] = {mirror * (s * s * crease.from_x + 2 * s * t * crease.by_x + t * t * crease.to_x),
               s * s * crease.from_y + 2 * s * t * crease.by_y + t * t * crease.to_y};
  }
  const float reach = 5 * crease.width;
  const auto [left, right] = std::minmax_element(path.begin(), path.end(), [](auto a, auto b) { return a[0] < b[0]; });
  const auto [low, high] = std::minmax_element(path.begin(), path.end(), [](auto a, auto b) { return a[1] < b[1]; });
  const auto column = [&](float x) { return std::clamp(static_cast<int>((x - kLeft) / kTexel), 0, kWidth - 1); };
  const auto row = [&](float y) { return std::clamp(static_cast<int>((kTop - y) / kTexel), 0, kHeight - 1); };
  for (int j = row((*high)[1] + reach); j <= row((*low)[1] - reach); ++j) {
    for (int i = column((*left)[0] - reach); i <= column((*right)[0] + reach); ++i) {
      const float x = kLeft + kTexel * static_cast<float>(i), y = kTop - kTexel * static_cast<float>(j);
      float nearest = reach * reach, along = 0;
      for (int k = 0; k < kPieces; ++k) {
        const float piece_x = path[k + 1][0] - path[k][0], piece_y = path[k + 1][1] - path[k][1];
        const float from_x = x - path[k][0], from_y = y - path[k][1];
        const float t =
            std::clamp((from_x * piece_x + from_y * piece_y) / (piece_x * piece_x + piece_y * piece_y), 0.0f, 1.0f);
        const float dx = from_x - t * piece_x, dy = from_y - t * piece_y, d2 = dx * dx + dy * dy;
        if (d2 < nearest) nearest = d2, along = (static_cast<float>(k) + t) / kPieces;
      }
      if (nearest >= reach * reach) continue;
      const float distance = std::sqrt(nearest) / crease.width;
      const float ends = smoothstep(0, 0.25f, along) * smoothstep(1, 0.7f, along);
      relief.height[static_cast<size_t>(j * kWidth + i)] += crease.depth * ends *
                                                            (0.45f * bell(distance / 2.2f) - 1.45f * bell(distance)) *
                                                            smoothstep(5, 3.5f, distance);
      relief.left = std::min(relief.left, i);
      relief.right = std::max(relief.right, i + 1);
      relief.top = std::min(relief.top, j);
      relief.bottom = std::max(relief.bottom, j + 1);
    }
  }
}

Relief carve_all(std::span<const Crease> creases) {
  Relief relief;
  relief.height.assign(kWidth * kHeight, 0.0f);
  for (const Crease& crease : creases) {
    carve(relief, crease, 1);
    if (crease.mirrored) carve(relief, crease, -1);
  }
  return relief;
}

// The chin's skin under a raised chin looks like orange peel.
void add_orange_peel(Relief& relief) {
  for (int j = 0; j < kHeight; ++j) {
    for (int i = 0; i < kWidth; ++i) {
      const float x = kLeft + kTexel * static_cast<float>(i), y = kTop - kTexel * static_cast<float>(j);
      const float weight = std::exp(-0.5f * (x * x / (11 * 11) + (y + 101) * (y + 101) / (6.5f * 6.5f)));
      if (weight < 0.02f) continue;
      relief.height[static_cast<size_t>(j * kWidth + i)] +=
          weight * 0.75f * fractal_noise().at(3.0f * x + 40, 3.0f * y);
      relief.left = std::min(relief.left, i);
      relief.right = std::max(relief.right, i + 1);
      relief.top = std::min(relief.top, j);
      relief.bottom = std::max(relief.bottom, j + 1);
    }
  }
}

constexpr int kReliefs = kActionUnits + 1;  // the units' and age's

const std::array<Relief, kReliefs>& reliefs() {
  static const std::array<Relief, kReliefs> all = [] {
    std::array<Relief, kReliefs> made = {carve_all(kCheekRaiser),
                                         carve_all(kUpperLipRaiser),
                                         carve_all(kLipCornerPuller),
                                         carve_all(kDimpler),
                                         carve_all(kChinRaiser),
                                         carve_all(kInnerBrowRaiser),
                                         carve_all(kOuterBrowRaiser),
                                         carve_all(kBrowLowerer),
                                         Relief{},
                                         Relief{},
                                         carve_all(kAge)};
    add_orange_peel(made[static_cast<int>(ActionUnit::chin_raiser)]);
    for (Relief& relief : made) relief.crop();
    return made;
  }();
  return all;
}

}  // namespace

void FurrowMap::compose(const FurrowStrengths& strengths) {
  shift_x_ = strengths.shift_x;
  shift_y_ = strengths.shift_y;
  height_.assign(kWidth * kHeight, 0.0f);
  for (int k = 0; k < kReliefs; ++k) {
    const float strength = k < kActionUnits ? strengths.unit[k] : strengths.age;
    const Relief& relief = reliefs()[k];
    if (strength == 0 || relief.height.empty()) continue;
    const float* source = relief.height.data();
    for (int y = relief.top; y < relief.bottom; ++y) {
      float* row = &height_[static_cast<size_t>(y * kWidth)];
      for (int x = relief.left; x < relief.right; ++x) row[x] += strength * *source++;
    }
  }
}

FurrowMap::Sample FurrowMap::at(Float8 x, Float8 y) const {
  // Places outside lie on the map's rim, where it is flat.
  const Float8 column =
      clamp((x + select(x < 0, splat(-shift_x_), splat(shift_x_)) - kLeft) * (1 / kTexel), 0, kWidth - 1.01f);
  const Float8 row = clamp((kTop - y - shift_y_) * (1 / kTexel), 0, kHeight - 1.01f);
  const Int8 i = __builtin_convertvector(column, Int8), j = __builtin_convertvector(row, Int8);
  const Float8 u = column - to_float(i), v = row - to_float(j);
  const auto [a, b, c, d] = gather_texels(height_.data(), j * kWidth + i, kWidth);
  return {lerp(lerp(a, b, u), lerp(c, d, u), v), lerp(b - a, d - c, v) * (1 / kTexel),
          lerp(a - c, b - d, u) * (1 / kTexel)};
}

}  // namespace sandglass::synth

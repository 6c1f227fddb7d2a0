#include "infer/face_network.h"

#include <cmath>

#include "engine/error.h"

namespace sandglass {
namespace {

// Larger ones are no quicker, and sizes in bytes stay far from overflow.
constexpr int kMaxBatch = 1024;

std::unique_ptr<Device> open_checked(const DeviceChoice& device, int batch) {
  check(batch >= 1 && batch <= kMaxBatch, "the batch is {}, expected 1 to {}", batch, kMaxBatch);
  return open_device(device);
}

}  // namespace

FaceNetwork::FaceNetwork(const Weights& weights, const DeviceChoice& device, int batch, bool keep_heatmaps, bool mirror)
    : device_(open_checked(device, batch)),
      keep_heatmaps_(keep_heatmaps),
      network_(*device_, weights, batch, static_cast<size_t>(batch) * staged_bytes_bound(weights.config.input_size),
               mirror) {}

void FaceNetwork::add(FacePrediction& face, const StagedFace& staged, const std::vector<uint8_t>& pixels) {
  WarpPicture warp{static_cast<int64_t>(pixels_.size()), staged.height, staged.width};
  std::copy(staged.matrix.begin(), staged.matrix.end(), warp.matrix);
  const auto first = pixels.begin() + staged.first_byte;
  pixels_.insert(pixels_.end(), first, first + int64_t{3} * staged.height * staged.width);
  pictures_.push_back(warp);
  faces_.push_back(&face);
}

void FaceNetwork::run() {
  if (faces_.empty()) return;
  network_.run(pixels_, pictures_);
  const int maps = network_.config().heatmaps;
  const bool has_places = network_.config().head == Head::heatmap;
  const std::vector<float> heatmaps = keep_heatmaps_ ? network_.heatmaps() : std::vector<float>();
  const size_t face_elements = heatmaps.size() / static_cast<size_t>(network_.batch());
  for (size_t n = 0; n < faces_.size(); ++n) {
    FacePrediction& face = *faces_[n];
    const Affine to_picture = face.to_registered.inverse();
    for (int k = 0; k < maps; ++k) {
      const HeatmapPeak& peak = network_.peak(static_cast<int>(n), k);
      const Point registered = from_heatmap({peak.x, peak.y});
      face.aus.push_back({peak.height, registered, to_picture.apply(registered), has_places});
    }
    const float* first = heatmaps.data() + n * face_elements;
    face.heatmaps.assign(first, first + face_elements);
  }
  clear();
}

void FaceNetwork::clear() {
  faces_.clear();
  pictures_.clear();
  pixels_.clear();
}

bool is_finite(const FacePrediction& face) {
  return std::all_of(face.aus.begin(), face.aus.end(), [](const AuPrediction& au) {
    return std::isfinite(au.height) && std::isfinite(au.in_picture.x) && std::isfinite(au.in_picture.y);
  });
}

}  // namespace sandglass

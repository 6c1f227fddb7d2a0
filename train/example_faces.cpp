#include "train/example_faces.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "engine/error.h"
#include "face/heat.h"
#include "face/jpeg.h"
#include "face/registration.h"
#include "face/stage.h"
#include "train/data/pictures.h"
#include "train/loader.h"

namespace sandglass {
namespace {

Image panel_of(const Image& registered, std::span<const float> map, const HeatmapPeak& peak) {
  if (map.size() == 1) return registered;  // a network that states intensities
  return draw_heat_and_peak(registered, map, {peak.x, peak.y}, peak.height);
}

// Rows from the smallest score on; rows whose score is NaN are left out, and so are those of a subject that has one.
std::vector<int> first_rows(const Manifest& manifest, const std::vector<double>& scores, int count) {
  std::vector<int> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](int row) { return std::isnan(scores[static_cast<size_t>(row)]); });
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return scores[static_cast<size_t>(a)] < scores[static_cast<size_t>(b)]; });
  std::vector<int> chosen;
  std::set<std::string> seen;
  for (const int row : order) {
    if (static_cast<int>(chosen.size()) == count) break;
    const std::string& subject = manifest.rows[static_cast<size_t>(row)].subject;
    if (subject.empty() || seen.insert(subject).second) chosen.push_back(row);
  }
  return chosen;
}

// Mean absolute error of each row over its coded AUs; NaN without one, or where none is coded `least` or more.
std::vector<double> row_errors(size_t rows, std::span<const float> predictions, std::span<const float> labels,
                               double least) {
  check(predictions.size() == labels.size() && rows > 0 && labels.size() % rows == 0,
        "example faces: {} predictions and {} labels for {} pictures", predictions.size(), labels.size(), rows);
  const size_t k_count = labels.size() / rows;
  std::vector<double> errors;
  for (size_t n = 0; n < rows; ++n) {
    double sum = 0, largest = -1;
    int coded = 0;
    for (size_t i = n * k_count; i < (n + 1) * k_count; ++i) {
      if (labels[i] < 0) continue;
      sum += std::abs(std::clamp(predictions[i], 0.0f, 5.0f) - labels[i]);
      largest = std::max(largest, double{labels[i]});
      ++coded;
    }
    errors.push_back(coded > 0 && largest >= least ? sum / coded : std::numeric_limits<double>::quiet_NaN());
  }
  return errors;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t word = 0;
    for (size_t j = 0; j < 3; ++j) word = word << 8 | (i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) out += i + j > bytes.size() ? '=' : kDigits[word >> (18 - 6 * j) & 63];
  }
  return out;
}

}  // namespace

std::vector<ExampleFace> example_faces(const Manifest& manifest, std::span<const int> rows,
                                       const std::vector<std::string>& aus, InferenceNetwork& network) {
  const Manifest chosen = select_rows(manifest, rows);
  LoaderOptions loading;
  loading.aus = aus;
  loading.input_size = network.config().input_size;
  loading.batch = network.batch();
  Loader loader(chosen, loading);
  const size_t k_count = aus.size(), map_pixels = static_cast<size_t>(network.config().map_size()) *
                                                  static_cast<size_t>(network.config().map_size());
  std::vector<ExampleFace> examples;
  PictureSource pictures;
  Batch batch;
  for (int64_t step = 0; step < loader.steps_per_epoch(); ++step) {
    loader.make_batch(step, batch);
    network.run(batch.pixels, batch.pictures);
    const std::vector<float> maps = network.heatmaps();
    for (size_t n = 0; n < batch.rows.size(); ++n) {
      const size_t index = static_cast<size_t>(batch.rows[n]);
      const ManifestRow& row = chosen.rows[index];
      ExampleFace& example = examples.emplace_back();
      example.row = rows[index];
      const Image face =
          warp_image(pictures.read(chosen, row).view, registration(*row.landmarks, kPanelSide), kPanelSide, kPanelSide);
      for (size_t k = 0; k < k_count; ++k) {
        const HeatmapPeak& peak = network.peak(static_cast<int>(n), static_cast<int>(k));
        example.intensities.push_back(std::clamp(peak.height, 0.0f, 5.0f));
        example.panels.push_back(
            panel_of(face, std::span(maps).subspan((n * k_count + k) * map_pixels, map_pixels), peak));
      }
    }
  }
  return examples;
}

std::vector<int> spread_rows(const Manifest& manifest, int count) {
  const int64_t rows = static_cast<int64_t>(manifest.rows.size()), chosen = std::min<int64_t>(rows, count);
  std::vector<int> spread;
  for (int64_t i = 0; i < chosen; ++i) spread.push_back(static_cast<int>((2 * i + 1) * rows / (2 * chosen)));
  return spread;
}

std::vector<int> best_rows(const Manifest& manifest, std::span<const float> predictions, std::span<const float> labels,
                           double threshold, int count) {
  const std::vector<int> expressive =
      first_rows(manifest, row_errors(manifest.rows.size(), predictions, labels, threshold), count);
  if (!expressive.empty()) return expressive;
  return first_rows(manifest, row_errors(manifest.rows.size(), predictions, labels, 0), count);
}

std::vector<int> worst_rows(const Manifest& manifest, std::span<const float> predictions, std::span<const float> labels,
                            int count) {
  std::vector<double> scores = row_errors(manifest.rows.size(), predictions, labels, 0);
  for (double& score : scores) score = -score;
  return first_rows(manifest, scores, count);
}

Manifest select_rows(const Manifest& manifest, std::span<const int> rows) {
  Manifest selected{manifest.path, manifest.sources, manifest.aus, {}, manifest.pack};
  for (const int row : rows) selected.rows.push_back(manifest.rows.at(static_cast<size_t>(row)));
  return selected;
}

#ifdef SANDGLASS_LIBJPEG
std::string encode_for_page(const Image& image) { return encode_jpeg(image, 85); }
#else
std::string encode_for_page(const Image& image) { return encode_png(image); }
#endif

std::string data_uri(const Image& image) {
  const std::string file = encode_for_page(image);
  return fmt::format("data:image/{};base64,{}", file.starts_with("\x89PNG") ? "png" : "jpeg", base64(file));
}

}  // namespace sandglass

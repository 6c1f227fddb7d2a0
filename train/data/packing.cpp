#include "train/data/packing.h"

#include <algorithm>
#include <numeric>

#include "engine/error.h"
#include "train/data/data_set.h"
#include "train/data/pack.h"
#include "train/landmarks.h"

namespace sandglass {
namespace {

// Pictures that are decoded and registered side by side before they are written in their order.
constexpr size_t kPicturesAtOnce = 64;

struct Face {
  Image image;
  Landmarks landmarks;
};

std::string all_subjects(const DataConfig& data) {
  if (data.validation.empty() || data.train == "all") return data.train;
  return data.validation == "all" ? "all" : data.train + "," + data.validation;
}

}  // namespace

PackingResult pack_data(const TrainingConfig& config, const PackingOptions& options, DataLog& log, std::ostream& out) {
  check(config.data.format != "pack", "{}: is a pack already", config.data.path);
  Manifest faces = read_data_set(config.data, all_subjects(config.data), config.aus, log).faces;
  leave_out_beyond_videos(faces, log, FrameCount::stated);
  const PackInfo info{faces.aus, config.input_size, pack_margin(config.augment, config.input_size), options.quality};
  PackWriter writer(options.out, info);  // what cannot be written is said before the work
  complete_landmarks(faces, config.workers, out, log, options.interrupted);

  PictureSource source;
  for (size_t begin = 0; begin < faces.rows.size(); begin += kPicturesAtOnce) {
    check(!options.interrupted || !options.interrupted->load(), "interrupted; {} is not written", options.out.string());
    std::vector<size_t> rows(std::min(kPicturesAtOnce, faces.rows.size() - begin));
    std::iota(rows.begin(), rows.end(), begin);
    std::vector<Face> packed(rows.size());
    const std::vector<std::optional<DataProblem>> problems =
        for_each_picture(faces, rows, config.workers, log.strict(), source, [&](size_t row, const Picture& picture) {
          Face& face = packed[row - begin];
          face.landmarks = *faces.rows[row].landmarks;
          face.image = pack_face(picture.view, face.landmarks, info);
        });
    for (size_t i = 0; i < rows.size(); ++i) {
      const ManifestRow& row = faces.rows[rows[i]];
      if (problems[i]) {
        log.problem(*problems[i]);
      } else if (!packed[i].image.rgb.empty()) {
        writer.add(packed[i].image, packed[i].landmarks, row, faces.source_of(row).string());
      }
    }
  }
  writer.commit();
  return {writer.count(), writer.subjects(), writer.bytes()};
}

}  // namespace sandglass

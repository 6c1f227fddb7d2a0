#include "train/synth/dataset.h"

#include "engine/error.h"
#include "engine/file.h"
#include "engine/loop_error.h"
#include "train/synth/render.h"

namespace sandglass {

void write_synthetic_dataset(const SynthOptions& options) {
  check(options.subjects >= 1 && options.subjects <= 100000, "synth: subjects is {}, must be 1 to 100000",
        options.subjects);
  check(options.images_per_subject >= 1 && options.images_per_subject <= 100000,
        "synth: images per subject is {}, must be 1 to 100000", options.images_per_subject);
  check(options.size >= 64 && options.size <= 2048, "synth: size is {} pixels, must be 64 to 2048", options.size);
  const std::filesystem::path manifest_path = options.out / "manifest.csv";
  check(!std::filesystem::exists(manifest_path), "{} exists already: choose another folder or remove it",
        manifest_path.string());
  std::error_code code;
  std::filesystem::create_directories(options.out, code);
  check(!code && std::filesystem::is_directory(options.out), "{}: cannot make this folder: {}", options.out.string(),
        code.message());

  const int count = options.images_per_subject;
  const int64_t pictures = int64_t{options.subjects} * count;
  std::vector<std::string> rows(static_cast<size_t>(pictures));
  LoopError error;
#pragma omp parallel
  {
    synth::Renderer renderer;
    synth::Person person;
    int person_number = -1;
#pragma omp for schedule(dynamic, 8)
    for (int64_t i = 0; i < pictures; ++i) {
      error.guard([&] {
        check(!options.interrupted || !*options.interrupted, "interrupted; {} is not written", manifest_path.string());
        const int subject = static_cast<int>(i / count), index = static_cast<int>(i % count);
        if (subject != person_number) person = synth::make_person(options.seed, subject), person_number = subject;
        const auto make = options.sequence ? synth::make_frame : synth::make_scene;
        const synth::Scene scene = make(options.seed, subject, index, person, options.size);
        const synth::Picture picture = renderer.render(person, scene, options.size, options.seed);
        const std::string name = fmt::format("s{:03}_{:04}.jpg", subject, index);
        write_image(options.out / name, picture.image, scene.quality.jpeg_quality);
        std::string& row = rows[static_cast<size_t>(i)];
        row = fmt::format("{},s{:03}", name, subject);
        for (int k = 0; k < synth::kLabelledUnits; ++k) row += fmt::format(",{:g}", scene.expression.intensity[k]);
        for (const Point& point : picture.landmarks) row += fmt::format(",{:.2f}", point.x);
        for (const Point& point : picture.landmarks) row += fmt::format(",{:.2f}", point.y);
        row += '\n';
      });
    }
  }
  error.rethrow();
  std::string manifest = "image,subject";
  for (int k = 0; k < synth::kLabelledUnits; ++k) manifest += fmt::format(",AU{:02}", synth::kFacsNumber[k]);
  for (char axis : {'x', 'y'}) {
    for (int k = 0; k < 68; ++k) manifest += fmt::format(",{}_{}", axis, k);
  }
  manifest += '\n';
  for (const std::string& row : rows) manifest += row;
  write_file(manifest_path, manifest);
}

}  // namespace sandglass

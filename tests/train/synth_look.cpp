// To look at the synthetic faces and to time them.
//   synth_look sheets DIR     writes contact sheets (PNG): every unit at 0 to 5, several people at full intensity,
//   random pictures synth_look speed          pictures a second with the threads that OpenMP offers
#include <omp.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string_view>

#include "engine/error.h"
#include "train/synth/render.h"

namespace {

using namespace sandglass;
using namespace sandglass::synth;

constexpr uint64_t kSeed = 1;

// A passport photograph: frontal, evenly lit from the upper left, sharp.
Scene passport_scene(const Person& person) {
  Scene scene;
  const float exposure = std::pow(0.4f / (person.appearance.skin.y + 0.02f), 0.45f);
  const Vec3 white{exposure, exposure, exposure};
  scene.lighting.lamps[0] = {normalized({-0.45f, 0.6f, 0.75f}), 0.7f * white};
  scene.lighting.lamps[1] = {normalized({0.7f, 0.2f, 0.7f}), 0.15f * white};
  scene.lighting.lamps[2] = {{0, 0, 1}, {}};
  scene.lighting.sky = 0.42f * white;
  scene.lighting.ground = 0.25f * white;
  scene.picture_height = 230;
  return scene;
}

// rows x columns pictures of make(row, column).
template <typename Make>
void write_sheet(const std::filesystem::path& path, int rows, int columns, int size, Make&& make) {
  Image sheet(rows * size, columns * size);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const Image picture = make(row, column);
      for (int y = 0; y < size; ++y) std::copy_n(picture.at(y, 0), 3 * size, sheet.at(row * size + y, column * size));
    }
  }
  write_image(path, sheet);
}

void write_sheets(const std::filesystem::path& folder) {
  constexpr int kSize = 200;
  std::filesystem::create_directories(folder);
  Renderer renderer;
  for (int unit = 0; unit < kActionUnits; ++unit) {
    write_sheet(folder / fmt::format("au{:02}_levels.png", kFacsNumber[unit]), 5, 6, kSize, [&](int row, int column) {
      const Person person = make_person(kSeed, row);
      Scene scene = passport_scene(person);
      scene.expression.intensity[unit] = static_cast<float>(column);
      return renderer.render(person, scene, kSize, kSeed).image;
    });
  }
  write_sheet(folder / "neutral_and_each_unit_at_5.png", 6, 6, kSize, [&](int row, int column) {
    const Person person = make_person(kSeed, 10 + row);
    Scene scene = passport_scene(person);
    if (column > 0) scene.expression.intensity[column - 1] = 5;
    return renderer.render(person, scene, kSize, kSeed).image;
  });
  write_sheet(folder / "poses.png", 5, 5, kSize, [&](int row, int column) {
    const Person person = make_person(kSeed, 20);
    Scene scene = passport_scene(person);
    scene.pose = {10.0f * static_cast<float>(column - 2), 7.5f * static_cast<float>(2 - row), 0};
    return renderer.render(person, scene, kSize, kSeed).image;
  });
  write_sheet(folder / "random.png", 6, 8, kSize, [&](int row, int column) {
    const int subject = 100 + 8 * row + column;
    const Person person = make_person(kSeed, subject);
    return renderer.render(person, make_scene(kSeed, subject, 0, person, kSize), kSize, kSeed).image;
  });
}

void report_speed() {
  constexpr int kPictures = 600, kSize = 256;
  const Person person = make_person(kSeed, 0);
  const auto draw = [&](int pictures) {
#pragma omp parallel
    {
      Renderer renderer;
#pragma omp for schedule(dynamic, 8)
      for (int i = 0; i < pictures; ++i) renderer.render(person, make_scene(kSeed, 0, i, person, kSize), kSize, kSeed);
    }
  };
  draw(16);  // makes the tables that all pictures share
  const auto start = std::chrono::steady_clock::now();
  draw(kPictures);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{:.0f} pictures/s of {}x{} with {} threads\n", kPictures / seconds, kSize, kSize, omp_get_max_threads());
}

}  // namespace

int main(int count, char** arguments) try {
  const std::string_view mode = count > 1 ? arguments[1] : "";
  if (mode == "sheets" && count == 3) {
    write_sheets(arguments[2]);
  } else if (mode == "speed" && count == 2) {
    report_speed();
  } else {
    fmt::print(stderr, "usage: synth_look sheets DIR | synth_look speed\n");
    return 2;
  }
} catch (const std::exception& error) {
  fmt::print(stderr, "synth_look: error: {}\n", error.what());
  return 1;
}

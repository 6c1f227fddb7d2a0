#include "train/synth/render.h"

#include "train/synth/landmarks.h"

namespace sandglass::synth {
namespace {

// Streams of random numbers: each person, scene and background has its own.
constexpr uint64_t stream_of(uint64_t kind, int subject, int index) {
  return kind << 60 | static_cast<uint64_t>(subject) << 24 | static_cast<uint64_t>(index);
}
enum : uint64_t { person_stream = 1, scene_stream = 2, background_stream = 3 };

constexpr int kSamples = 2;  // samples along each side of a pixel

// The surface seen at one sample: point = sum of the corners' values weighted by the barycentric coordinates on the
// surface.
struct Interpolator {
  const FaceMesh& mesh;
  const std::vector<ScreenVertex>& screen;

  void at(uint32_t triangle, float x, float y, SurfacePoint& point) const {
    const auto [ia, ib, ic] = mesh.triangles[triangle];
    const ScreenVertex &a = screen[ia], &b = screen[ib], &c = screen[ic];
    const float scale = 1 / ((b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x));
    float wb = ((x - a.x) * (c.y - a.y) - (y - a.y) * (c.x - a.x)) * scale;
    float wc = ((b.x - a.x) * (y - a.y) - (b.y - a.y) * (x - a.x)) * scale;
    // A pixel's centre may lie just outside a triangle that one of its samples hits: stay on it.
    wb = std::clamp(wb, 0.0f, 1.0f);
    wc = std::clamp(wc, 0.0f, 1.0f - wb);
    // Screen weights times 1/depth, scaled to the sum 1, are weights on the surface (perspective).
    float sa = (1 - wb - wc) * a.inverse_depth, sb = wb * b.inverse_depth, sc = wc * c.inverse_depth;
    const float normalise = 1 / (sa + sb + sc);
    sa *= normalise, sb *= normalise, sc *= normalise;
    const auto &va = mesh.points[ia].value, &vb = mesh.points[ib].value, &vc = mesh.points[ic].value;
    for (int k = 0; k < SurfacePoint::field_count; ++k) point.value[k] = sa * va[k] + sb * vb[k] + sc * vc[k];
  }
};

// Points of one material that wait until there are enough to be shaded together.
struct Batch {
  int count = 0;
  std::array<SurfacePoint, kPack> points;
  std::array<Vec3*, kPack> pixels;
  std::array<float, kPack> shares;
};

}  // namespace

struct Renderer::Buffers {
  FaceMesh mesh;
  FurrowMap furrows;
  ShadowMap shadows;
  VisibilityBuffer visible;
  std::vector<ScreenVertex> screen;
  Radiance picture;
};

Renderer::Renderer() : buffers_(std::make_unique<Buffers>()) {}
Renderer::~Renderer() = default;

Person make_person(uint64_t seed, int subject) {
  Random random(seed, stream_of(person_stream, subject, 0));
  return random_person(random);
}

Scene make_scene(uint64_t seed, int subject, int index, const Person& person, int size) {
  Random random(seed, stream_of(scene_stream, subject, index));
  Scene scene;
  scene.expression = random_expression(random);
  scene.pose = random_pose(random);
  scene.distance = random.uniform(450, 1500);
  scene.picture_height = random.uniform(215, 300);
  scene.shift_x = random.uniform(-0.06f, 0.06f);
  scene.shift_y = random.uniform(-0.05f, 0.05f);
  scene.lighting = random_lighting(random, person.appearance.skin);
  scene.quality = random_quality(random, size);
  scene.background = stream_of(background_stream, subject, index);
  return scene;
}

Picture Renderer::render(const Person& person, const Scene& scene, int size, uint64_t seed) {
  auto& [mesh, furrows, shadows, visible, screen, picture] = *buffers_;
  Random random(seed, scene.background);
  const Camera camera =
      make_camera(scene.pose, scene.distance, scene.picture_height, scene.shift_x, scene.shift_y, size);
  const Appearance& appearance = person.appearance;

  // Geometry.
  build_face(person, scene.expression, mesh);
  FurrowStrengths strengths;
  for (int k = 0; k < kActionUnits; ++k)
    strengths.unit[k] = appearance.furrowing[k] * scene.expression.intensity[k] / 5;
  strengths.age = appearance.age;
  strengths.shift_x = appearance.crease_shift_x;
  strengths.shift_y = appearance.crease_shift_y;
  furrows.compose(strengths);
  shadows.draw(mesh, camera, scene.lighting.lamps[0].direction);
  for (size_t i = 0; i < mesh.points.size(); ++i)
    mesh.points[i].value[SurfacePoint::lamp] = shadows.light_at(mesh.positions[i]);

  // Visibility at kSamples x kSamples samples a pixel: sample (i, j) lies at pixel ((i + 0.5) / kSamples - 0.5).
  screen.resize(mesh.positions.size());
  for (size_t i = 0; i < screen.size(); ++i) {
    const Vec3 p = camera.to_camera(mesh.positions[i]);
    const Point pixel = camera.project(p);
    screen[i] = {kSamples * (pixel.x + 0.5f) - 0.5f, kSamples * (pixel.y + 0.5f) - 0.5f, -1 / p.z};
  }
  visible.clear(kSamples * size, kSamples * size);
  for (const Part& part : mesh.parts) {
    visible.draw(screen, std::span(mesh.triangles).subspan(part.first, part.count), static_cast<uint32_t>(part.first),
                 part.both_sides);
  }
  const auto part_of = [&](uint32_t triangle) {
    size_t k = 0;
    while (triangle >= mesh.parts[k].first + mesh.parts[k].count) ++k;
    return k;
  };

  // Colour. A pixel whose samples see one smooth piece of skin is shaded once in its middle, others sample by sample;
  // points of the same material are shaded together, and each adds its share to its pixel.
  picture.size = size;
  picture.pixels.assign(static_cast<size_t>(size) * static_cast<size_t>(size), Vec3{});
  const Background background(random, size);
  const Shader shader{&appearance, &furrows, scene.lighting, camera.rotation, {0, 0, 1}};
  const Interpolator interpolate{mesh, screen};
  std::array<Batch, kMaterials> batches;
  const auto flush = [&](size_t material) {
    Batch& batch = batches[material];
    const std::array<Vec3, kPack> colours = shader.shade(Material(material), batch.points);
    for (int k = 0; k < batch.count; ++k) *batch.pixels[k] += batch.shares[k] * colours[k];
    batch.count = 0;
  };
  const auto add = [&](uint32_t triangle, size_t part, float x, float y, Vec3* pixel, float share) {
    const size_t material = static_cast<size_t>(mesh.parts[part].material);
    Batch& batch = batches[material];
    interpolate.at(triangle, x, y, batch.points[batch.count]);
    batch.pixels[batch.count] = pixel;
    batch.shares[batch.count] = share;
    if (++batch.count == kPack) flush(material);
  };
  constexpr int kCount = kSamples * kSamples;
  const size_t skin_triangles = mesh.parts[0].count;  // the first part is the skin
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      Vec3* pixel = &picture.pixels[static_cast<size_t>(y * size + x)];
      std::array<uint32_t, kCount> triangles;
      float nearest = 0, farthest = 1;
      bool all_skin = true;
      int seen = 0;
      for (int k = 0; k < kCount; ++k) {
        const int i = kSamples * x + k % kSamples, j = kSamples * y + k / kSamples;
        triangles[k] = visible.triangle(i, j);
        nearest = std::max(nearest, visible.inverse_depth(i, j));
        farthest = std::min(farthest, visible.inverse_depth(i, j));
        all_skin &= triangles[k] < skin_triangles;
        seen += triangles[k] != VisibilityBuffer::kNothing;
      }
      if (seen < kCount) *pixel = (static_cast<float>(kCount - seen) / kCount) * background.at(x, y);
      constexpr float kSmooth = 4;  // mm of depth within a pixel that may still be one surface
      if (all_skin && nearest - farthest < kSmooth * nearest * farthest) {
        const float middle = 0.5f * (kSamples - 1);
        add(triangles[0], 0, static_cast<float>(kSamples * x) + middle, static_cast<float>(kSamples * y) + middle,
            pixel, 1);
        continue;
      }
      for (int k = 0; k < kCount; ++k) {
        if (triangles[k] == VisibilityBuffer::kNothing) continue;
        const float sample_x = static_cast<float>(kSamples * x + k % kSamples);
        const float sample_y = static_cast<float>(kSamples * y + k / kSamples);
        add(triangles[k], part_of(triangles[k]), sample_x, sample_y, pixel, 1.0f / kCount);
      }
    }
  }
  for (size_t material = 0; material < kMaterials; ++material) flush(material);
  Picture result;
  result.landmarks = project_landmarks(mesh.positions, camera);
  result.image = develop(picture, scene.quality, random);
  return result;
}

}  // namespace sandglass::synth

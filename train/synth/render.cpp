#include "train/synth/render.h"

#include <numbers>

#include "train/synth/landmarks.h"

namespace sandglass::synth {
namespace {

// Streams of random numbers: each person, scene and background has its own.
constexpr uint64_t stream_of(uint64_t kind, int subject, int index) {
  return kind << 60 | static_cast<uint64_t>(subject) << 24 | static_cast<uint64_t>(index);
}
enum : uint64_t { person_stream = 1, scene_stream = 2, background_stream = 3, expression_stream = 4 };

constexpr int kSamples = 2;   // samples along each side of a pixel
constexpr float kSmooth = 4;  // mm of depth within a pixel that may still be one surface

// Places on the surface, all of one material, that wait until there are enough to be shaded together.
struct Batch {
  int count = 0;
  std::array<uint32_t, kPack> triangle;
  std::array<float, kPack> x, y;    // samples
  std::array<float, kPack> share;   // of the pixel's colour
  std::array<size_t, kPack> pixel;  // index into the picture's planes
};

// What is seen at the places (x, y) of eight triangles: sums of their corners weighted by barycentric coordinates.
Shader::Points interpolate(const FaceMesh& mesh, const std::vector<ScreenVertex>& screen,
                           const std::array<uint32_t, kPack>& triangles, Float8 at_x, Float8 at_y) {
  std::array<std::array<uint32_t, 3>, kPack> corners;
  for (int k = 0; k < kPack; ++k) corners[k] = mesh.corners(triangles[k]);
  const auto corner = [&](int c) {  // x, y and inverse depth
    const auto two = [&](int k) {
      Float8 vertices;
      static_assert(2 * sizeof(ScreenVertex) == sizeof vertices);
      std::memcpy(&vertices, &screen[corners[k][c]], sizeof(ScreenVertex));
      std::memcpy(reinterpret_cast<char*>(&vertices) + sizeof(ScreenVertex), &screen[corners[k + 4][c]],
                  sizeof(ScreenVertex));
      return vertices;
    };
    const auto [x, y, inverse_depth, unused] = transpose_halves(two(0), two(1), two(2), two(3));
    return Vec3x8{x, y, inverse_depth};
  };
  const Vec3x8 a = corner(0), b = corner(1), c = corner(2);
  const Float8 ab_x = b.x - a.x, ab_y = b.y - a.y, ac_x = c.x - a.x, ac_y = c.y - a.y;
  const Float8 x = at_x - a.x, y = at_y - a.y;
  const Float8 scale = 1 / (ab_x * ac_y - ab_y * ac_x);
  // A pixel's centre may lie just outside a triangle that one of its samples hits: stay on it.
  const Float8 wb = clamp((x * ac_y - y * ac_x) * scale, 0, 1);
  const Float8 free_c = max((ab_x * y - ab_y * x) * scale, 0), wc = select(free_c < 1 - wb, free_c, 1 - wb);
  // Screen weights times 1/depth, scaled to the sum 1, are weights on the surface (perspective).
  const Float8 sa = (1 - wb - wc) * a.z, sb = wb * b.z, sc = wc * c.z, normalise = 1 / (sa + sb + sc);
  std::array<float, kPack> weight_a, weight_b, weight_c;
  store(weight_a.data(), sa * normalise);
  store(weight_b.data(), sb * normalise);
  store(weight_c.data(), sc * normalise);
  static_assert(SurfacePoint::field_count == 2 * kPack);
  std::array<Float8, kPack> low, high;  // fields 0 to 7 and 8 to 15, a place after the other
  for (int k = 0; k < kPack; ++k) {
    const auto [ia, ib, ic] = corners[k];
    const float *va = mesh.points[ia].value.data(), *vb = mesh.points[ib].value.data(),
                *vc = mesh.points[ic].value.data();
    low[k] = weight_a[k] * load(va) + weight_b[k] * load(vb) + weight_c[k] * load(vc);
    high[k] = weight_a[k] * load(va + kPack) + weight_b[k] * load(vb + kPack) + weight_c[k] * load(vc + kPack);
  }
  transpose(low);
  transpose(high);
  Shader::Points fields;
  std::copy(low.begin(), low.end(), fields.begin());
  std::copy(high.begin(), high.end(), fields.begin() + kPack);
  return fields;
}

// The samples of eight pixels side by side, two rows of sixteen.
struct PixelSamples {
  Float8 nearest, farthest;  // inverse depth; farthest 0 if a sample sees nothing
  Int8 seen;                 // how many of the samples see something
  Int8 smooth;               // mask: they all see one smooth piece of skin
  Int8 triangle;             // that the upper left one sees
};
PixelSamples samples_of(const VisibilityBuffer& visible, int x, int y, size_t skin_triangles) {
  const float *upper = visible.inverse_depths(kSamples * y) + kSamples * x,
              *lower = visible.inverse_depths(kSamples * y + 1) + kSamples * x;
  const uint32_t *upper_triangles = visible.triangles(kSamples * y) + kSamples * x,
                 *lower_triangles = visible.triangles(kSamples * y + 1) + kSamples * x;
  const auto load_triangles = [](const uint32_t* from) {
    Int8 triangles;
    std::memcpy(&triangles, from, sizeof triangles);
    return triangles;
  };
  const Float8 a = load(upper), b = load(upper + kPack), c = load(lower), d = load(lower + kPack);
  const std::array<Float8, 4> depths = {evens(a, b), odds(a, b), evens(c, d), odds(c, d)};
  const Int8 e = load_triangles(upper_triangles), f = load_triangles(upper_triangles + kPack);
  const Int8 g = load_triangles(lower_triangles), h = load_triangles(lower_triangles + kPack);
  const int end = static_cast<int>(skin_triangles);
  const Int8 left = (e < end) & (g < end), right = (f < end) & (h < end);
  const Int8 all_skin = evens(left, right) & odds(left, right);
  PixelSamples samples{depths[0], depths[0], Int8{}, Int8{}, evens(e, f)};
  for (const Float8 depth : depths) {
    samples.nearest = select(depth > samples.nearest, depth, samples.nearest);
    samples.farthest = select(depth < samples.farthest, depth, samples.farthest);
    samples.seen -= depth > 0;
  }
  samples.smooth = all_skin & (samples.farthest > 0) &
                   (samples.nearest - samples.farthest < kSmooth * samples.nearest * samples.farthest);
  return samples;
}

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

Scene make_frame(uint64_t seed, int subject, int index, const Person& person, int size) {
  constexpr int kFramesPerExpression = 3 * kFramesPerSecond;
  Scene scene = make_scene(seed, subject, 0, person, size);
  const float gaze_yaw = scene.expression.gaze_yaw, gaze_pitch = scene.expression.gaze_pitch;

  Random random(seed, stream_of(expression_stream, subject, index / kFramesPerExpression));
  const float seconds = static_cast<float>(index % kFramesPerExpression) / kFramesPerSecond;
  const float strength = smoothstep(0.3f, 1.0f, seconds) * (1 - smoothstep(1.7f, 2.6f, seconds));
  scene.expression = random_expression(random);
  for (float& intensity : scene.expression.intensity) intensity *= strength;
  scene.expression.blink = bell((seconds - random.uniform(0.3f, 2.7f)) / 0.07f);
  scene.expression.gaze_yaw = gaze_yaw;
  scene.expression.gaze_pitch = gaze_pitch;

  const auto swing = [&](float period) {
    return std::sin(2 * std::numbers::pi_v<float> * static_cast<float>(index) / (period * kFramesPerSecond));
  };
  scene.pose.yaw = 0.5f * scene.pose.yaw + 4 * swing(7);
  scene.pose.pitch = 0.5f * scene.pose.pitch + 2 * swing(5);
  scene.pose.roll = 0.5f * scene.pose.roll + 2 * swing(11);
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

  // Each point's light from the first lamp and its place on the screen: sample (i, j) lies at pixel ((i + 0.5) /
  // kSamples
  // - 0.5). The last pack overlaps the one before.
  screen.resize(mesh.positions.size());
  for (size_t next = 0; next < screen.size(); next += kPack) {
    const size_t first = std::min(next, screen.size() - kPack);
    const Vec3x8 head = load(&mesh.positions[first]), p = camera.rotation * head + splat(camera.translation);
    const Float8 light = shadows.light_at(head), inverse_depth = -1 / p.z;
    const Float8 scale = kSamples * camera.focal * inverse_depth;
    const Float8 x = kSamples * (camera.centre_x + 0.5f) - 0.5f + scale * p.x;
    const Float8 y = kSamples * (camera.centre_y + 0.5f) - 0.5f - scale * p.y;
    for (int k = 0; k < kPack; ++k) {
      screen[first + k] = {x[k], y[k], inverse_depth[k]};
      mesh.points[first + k].value[SurfacePoint::lamp] = light[k];
    }
  }
  visible.clear(kSamples * size, kSamples * size);
  for (const Part& part : mesh.parts) {
    visible.draw(screen, std::span(mesh.quads).subspan(part.first, part.count), 2 * static_cast<uint32_t>(part.first),
                 part.both_sides);
  }
  const auto part_of = [&](uint32_t triangle) {
    size_t k = 0;
    while (triangle / 2 >= mesh.parts[k].first + mesh.parts[k].count) ++k;
    return k;
  };

  // Colour. A pixel whose samples see one smooth piece of skin is shaded once in its middle, others sample by sample;
  // places of the same material are shaded together, and each adds its share to its pixel.
  picture.resize(size);
  const Background background(random, size);
  const Shader shader(appearance, furrows, scene.lighting, camera);
  std::array<Batch, kMaterials> batches;
  const auto flush = [&](size_t material) {
    Batch& batch = batches[material];
    const Vec3x8 colours = shader.shade(
        Material(material), interpolate(mesh, screen, batch.triangle, load(batch.x.data()), load(batch.y.data())));
    const std::array<Float8, 3> planes = {colours.x, colours.y, colours.z};
    for (size_t c = 0; c < 3; ++c) {
      std::array<float, kPack> added;
      store(added.data(), load(batch.share.data()) * planes[c]);
      for (int k = 0; k < batch.count; ++k) picture.planes[c][batch.pixel[k]] += added[k];
    }
    batch.count = 0;
  };
  const auto add = [&](uint32_t triangle, size_t part, float x, float y, size_t pixel, float share) {
    const size_t material = static_cast<size_t>(mesh.parts[part].material);
    Batch& batch = batches[material];
    const int k = batch.count++;
    batch.triangle[k] = triangle;
    batch.x[k] = x;
    batch.y[k] = y;
    batch.share[k] = share;
    batch.pixel[k] = pixel;
    if (batch.count == kPack) flush(material);
  };
  constexpr int kCount = kSamples * kSamples;
  const size_t skin_triangles = 2 * mesh.parts[0].count;  // the first part is the skin
  for (int y = 0; y < size; ++y) {
    for (int first = 0; first < size; first += kPack) {
      const PixelSamples samples = samples_of(visible, first, y, skin_triangles);
      constexpr float kMiddle = 0.5f * (kSamples - 1);
      if (first + kPack <= size && !any(~samples.smooth)) {  // most of the face: no need to wait for others
        const Vec3x8 colours = shader.shade(
            Material::skin, interpolate(mesh, screen, std::bit_cast<std::array<uint32_t, kPack>>(samples.triangle),
                                        kSamples * (static_cast<float>(first) + kLanes) + kMiddle,
                                        splat(static_cast<float>(kSamples * y) + kMiddle)));
        store(picture.row(0, y) + first, colours.x);
        store(picture.row(1, y) + first, colours.y);
        store(picture.row(2, y) + first, colours.z);
        continue;
      }
      Vec3x8 behind{};
      if (any(samples.seen < kCount))
        behind = (to_float(kCount - samples.seen) * (1.0f / kCount)) * background.at(first, y);
      store(picture.row(0, y) + first, behind.x);
      store(picture.row(1, y) + first, behind.y);
      store(picture.row(2, y) + first, behind.z);
      if (!any(samples.seen > 0)) continue;
      for (int k = 0; k < std::min(kPack, size - first); ++k) {
        if (samples.seen[k] == 0) continue;
        const int x = first + k;
        const size_t pixel = static_cast<size_t>(y * picture.stride + x);
        if (samples.smooth[k]) {
          add(static_cast<uint32_t>(samples.triangle[k]), 0, static_cast<float>(kSamples * x) + kMiddle,
              static_cast<float>(kSamples * y) + kMiddle, pixel, 1);
          continue;
        }
        for (int sample = 0; sample < kCount; ++sample) {
          const int i = kSamples * x + sample % kSamples, j = kSamples * y + sample / kSamples;
          const uint32_t triangle = visible.triangle(i, j);
          if (triangle == VisibilityBuffer::kNothing) continue;
          add(triangle, part_of(triangle), static_cast<float>(i), static_cast<float>(j), pixel, 1.0f / kCount);
        }
      }
    }
  }
  for (size_t material = 0; material < kMaterials; ++material) {
    Batch& batch = batches[material];
    if (batch.count == 0) continue;
    for (int k = batch.count; k < kPack; ++k)
      batch.triangle[k] = batch.triangle[0], batch.x[k] = batch.x[0], batch.y[k] = batch.y[0], batch.share[k] = 0;
    flush(material);
  }
  Picture result;
  result.landmarks = project_landmarks(mesh.positions, camera);
  result.image = develop(picture, scene.quality, random);
  return result;
}

}  // namespace sandglass::synth

#include "train/synth/photo.h"

#include "train/synth/noise.h"

namespace sandglass::synth {
namespace {

// From linear light to sRGB, both 0..1: a fit by roots that vectorises (error at most 0.01, next to black).
float to_srgb(float linear) {
  const float root = std::sqrt(std::clamp(linear, 0.0f, 1.0f)), fourth = std::sqrt(root), eighth = std::sqrt(fourth);
  return std::max(0.0f,
                  0.662002687f * root + 0.684122060f * fourth - 0.323583601f * eighth - 0.0225411470f * root * root);
}

// Gaussian blur with the picture's edge repeated, first along the rows, then along the columns.
void blur(Radiance& picture, float deviation) {
  const int size = picture.size, reach = static_cast<int>(std::ceil(2.5f * deviation));
  std::vector<float> weights;
  float sum = 0;
  for (int i = -reach; i <= reach; ++i)
    weights.push_back(bell(static_cast<float>(i) / deviation)), sum += weights.back();
  for (float& weight : weights) weight /= sum;
  const auto row = [&](std::vector<Vec3>& pixels, int y) {
    return &pixels[static_cast<size_t>(std::clamp(y, 0, size - 1) * size)];
  };
  std::vector<Vec3> half(picture.pixels.size()), padded(static_cast<size_t>(size + 2 * reach));
  for (int y = 0; y < size; ++y) {
    const Vec3* from = row(picture.pixels, y);
    for (int x = 0; x < size + 2 * reach; ++x)
      padded[static_cast<size_t>(x)] = from[std::clamp(x - reach, 0, size - 1)];
    Vec3* to = row(half, y);
    for (int k = 0; k <= 2 * reach; ++k) {
      for (int x = 0; x < size; ++x) to[x] += weights[static_cast<size_t>(k)] * padded[static_cast<size_t>(x + k)];
    }
  }
  for (int y = 0; y < size; ++y) {
    Vec3* to = row(picture.pixels, y);
    std::fill(to, to + size, Vec3{});
    for (int k = -reach; k <= reach; ++k) {
      const Vec3* from = row(half, y + k);
      for (int x = 0; x < size; ++x) to[x] += weights[static_cast<size_t>(k + reach)] * from[x];
    }
  }
}

}  // namespace

Background::Background(Random& random, int size) : size_(size) {
  const auto colour = [&](float brightest) {
    const float grey = random.uniform(0.02f, brightest), chroma = random.uniform(0, 0.5f);
    const float red = random.uniform(-1, 1), green = random.uniform(-1, 1), blue = random.uniform(-1, 1);
    return grey * Vec3{1 + chroma * red, 1 + chroma * green, 1 + chroma * blue};
  };
  top_ = colour(0.7f);
  bottom_ = colour(0.7f);
  bottom_ = lerp(top_, bottom_, random.uniform());
  cloud_depth_ = random.uniform(0, 0.25f);
  cloud_x_ = random.uniform(0, 256);
  cloud_y_ = random.uniform(0, 256);
  cloud_scale_ = random.uniform(0.15f, 0.7f) * 256 / static_cast<float>(size);
  things_.resize(random.below(7));
  for (Thing& thing : things_) {
    thing.round = random.chance(0.4f);
    for (float* value : {&thing.x, &thing.y}) *value = random.uniform();
    for (float* value : {&thing.width, &thing.height}) *value = random.uniform(0.04f, 0.4f);
    thing.softness = random.uniform(0.005f, 0.08f);
    thing.colour = colour(1.0f);
  }
}

Vec3 Background::at(int pixel_x, int pixel_y) const {
  const float i = static_cast<float>(pixel_x), j = static_cast<float>(pixel_y), scale = 1 / static_cast<float>(size_);
  const float x = scale * i, y = scale * j;
  const float cloud = fractal_noise().at(cloud_scale_ * i + cloud_x_, cloud_scale_ * j + cloud_y_);
  Vec3 colour = std::max(0.1f, 1 + cloud_depth_ * cloud) * lerp(top_, bottom_, y);
  for (const Thing& thing : things_) {
    const float dx = std::abs(x - thing.x), dy = std::abs(y - thing.y);
    if (dx > thing.width + thing.softness || dy > thing.height + thing.softness) continue;
    const float inside = thing.round ? thing.width * (1 - length({dx / thing.width, dy / thing.height, 0}))
                                     : std::min(thing.width - dx, thing.height - dy);
    colour = lerp(colour, thing.colour, smoothstep(-thing.softness, thing.softness, inside));
  }
  return colour;
}

PhotoQuality random_quality(Random& random, int size) {
  PhotoQuality quality;
  quality.blur = random.chance(0.5f) ? random.uniform(0.3f, 1.2f) * static_cast<float>(size) / 256 : 0;
  quality.noise = random.uniform(0.0f, 0.025f);
  quality.contrast = random.uniform(0.85f, 1.15f);
  quality.saturation = random.chance(0.05f) ? 0 : random.uniform(0.7f, 1.15f);
  quality.jpeg_quality = 60 + static_cast<int>(random.below(36));
  return quality;
}

Image develop(Radiance& picture, const PhotoQuality& quality, Random& random) {
  const int size = picture.size;
  if (quality.blur > 0) blur(picture, quality.blur);
  Image image(size, size);
  const NoiseTile& noise = white_noise();
  // The noise tile read at an offset of its own in each channel stands for the sensor's noise.
  int offset[3][2];
  for (auto& channel : offset)
    channel[0] = static_cast<int>(random.below(256)), channel[1] = static_cast<int>(random.below(256));
  const size_t row_length = 3 * static_cast<size_t>(size);
  std::vector<float> row(row_length), row_noise(row_length);
  const float offset_value = 0.5f * (1 - quality.contrast);
  for (int y = 0; y < size; ++y) {
    const float* from = &picture.pixels[static_cast<size_t>(y * size)].x;
    for (size_t i = 0; i < row_length; ++i) row[i] = to_srgb(from[i]);
    for (int x = 0; x < size; ++x) {
      float* channels = &row[3 * static_cast<size_t>(x)];
      const float grey =
          (1 - quality.saturation) * (0.299f * channels[0] + 0.587f * channels[1] + 0.114f * channels[2]);
      for (int c = 0; c < 3; ++c) {
        channels[c] = grey + quality.saturation * channels[c];
        row_noise[3 * static_cast<size_t>(x) + static_cast<size_t>(c)] =
            noise.texel(x + offset[c][0], y + offset[c][1]);
      }
    }
    uint8_t* to = image.at(y, 0);
    for (size_t i = 0; i < row_length; ++i) {
      const float value = offset_value + quality.contrast * row[i] + quality.noise * row_noise[i];
      to[i] = static_cast<uint8_t>(static_cast<int>(255 * std::clamp(value, 0.0f, 1.0f) + 0.5f));
    }
  }
  return image;
}

}  // namespace sandglass::synth

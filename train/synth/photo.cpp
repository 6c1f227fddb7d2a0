#include "train/synth/photo.h"

#include "train/synth/noise.h"

namespace sandglass::synth {
namespace {

// From linear light to sRGB, both 0..1: a fit by roots (error at most 0.01, next to black).
Float8 to_srgb(Float8 linear) {
  const Float8 root = sqrt(clamp(linear, 0, 1)), fourth = sqrt(root), eighth = sqrt(fourth);
  return max(0.662002687f * root + 0.684122060f * fourth - 0.323583601f * eighth - 0.0225411470f * root * root, 0);
}

// Gaussian blur with the picture's edge repeated, first along the columns, then along the rows.
void blur(Radiance& picture, float deviation) {
  const int size = picture.size, reach = static_cast<int>(std::ceil(2.5f * deviation));
  std::vector<float> weights;
  float sum = 0;
  for (int i = -reach; i <= reach; ++i)
    weights.push_back(bell(static_cast<float>(i) / deviation)), sum += weights.back();
  for (float& weight : weights) weight /= sum;
  // Row y is wanted unblurred until row y + reach is done: the last rows are kept, and the one at work between margins.
  const size_t margin = static_cast<size_t>(reach), stride = static_cast<size_t>(picture.stride);
  std::vector<float> kept((margin + 1) * stride), padded(stride + 2 * margin);
  std::vector<const float*> sources(weights.size());
  for (int colour = 0; colour < 3; ++colour) {
    const auto keep = [&](int y) { return &kept[static_cast<size_t>(y) % (margin + 1) * stride]; };
    for (int y = 0; y < size; ++y) {
      float* row = picture.row(colour, y);
      std::copy_n(row, stride, keep(y));
      for (int k = -reach; k <= reach; ++k) {
        const int source = std::clamp(y + k, 0, size - 1);
        sources[static_cast<size_t>(k + reach)] = source <= y ? keep(source) : picture.row(colour, source);
      }
      for (size_t x = 0; x < stride; x += kPack) {
        Float8 value{};
        for (size_t k = 0; k < weights.size(); ++k) value += weights[k] * load(sources[k] + x);
        store(&padded[margin + x], value);
      }
      const auto first = padded.begin() + reach, last = first + size - 1;
      std::fill(padded.begin(), first, *first);
      std::fill_n(last + 1, reach, *last);
      for (size_t x = 0; x < stride; x += kPack) {
        Float8 value{};
        for (size_t k = 0; k < weights.size(); ++k) value += weights[k] * load(&padded[x + k]);
        store(row + x, value);
      }
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

Vec3x8 Background::at(int pixel_x, int pixel_y) const {
  const Float8 i = static_cast<float>(pixel_x) + kLanes;
  const float j = static_cast<float>(pixel_y), scale = 1 / static_cast<float>(size_), y = scale * j;
  const Float8 x = scale * i;
  const Float8 cloud = noise_at(fractal_noise(), cloud_scale_ * i + cloud_x_, splat(cloud_scale_ * j + cloud_y_));
  Vec3x8 colour = max(1 + cloud_depth_ * cloud, 0.1f) * splat(lerp(top_, bottom_, y));
  for (const Thing& thing : things_) {
    const Float8 dx = abs(x - thing.x);
    const float dy = std::abs(y - thing.y);
    if (dy > thing.height + thing.softness || !any(dx < thing.width + thing.softness)) continue;
    const Float8 across = dx * (1 / thing.width);
    const float along = dy / thing.height;
    const Float8 from_top = splat(thing.height - dy), from_side = thing.width - dx;
    const Float8 inside = thing.round ? thing.width * (1 - sqrt(across * across + along * along))
                                      : select(from_side < from_top, from_side, from_top);
    colour = lerp(colour, splat(thing.colour), smoothstep(-thing.softness, thing.softness, inside));
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
  const float offset_value = 0.5f * (1 - quality.contrast) + 0.5f / 255;
  const size_t stride = static_cast<size_t>(picture.stride);
  std::vector<uint8_t> row(3 * stride);  // by colours
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; x += kPack) {
      std::array<Float8, 3> value;
      for (int c = 0; c < 3; ++c) value[c] = to_srgb(load(picture.row(c, y) + x));
      const Float8 grey = (1 - quality.saturation) * (0.299f * value[0] + 0.587f * value[1] + 0.114f * value[2]);
      for (int c = 0; c < 3; ++c) {
        const Float8 grain = load(noise.from(x + offset[c][0], y + offset[c][1]));
        const Float8 out =
            offset_value + quality.contrast * (grey + quality.saturation * value[c]) + quality.noise * grain;
        const Int8 rounded = __builtin_convertvector(clamp(255 * out, 0, 255), Int8);
        using Bytes = uint8_t __attribute__((vector_size(kPack)));
        const Bytes bytes = __builtin_convertvector(rounded, Bytes);
        std::memcpy(&row[static_cast<size_t>(c) * stride + static_cast<size_t>(x)], &bytes, sizeof bytes);
      }
    }
    const uint8_t *red = row.data(), *green = red + stride, *blue = green + stride;
    uint8_t* to = image.at(y, 0);
    for (int x = 0; x < size; ++x, to += 3) to[0] = red[x], to[1] = green[x], to[2] = blue[x];
  }
  return image;
}

}  // namespace sandglass::synth

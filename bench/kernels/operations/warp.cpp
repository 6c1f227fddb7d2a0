// From pictures to the network's input: each source picture as large as the result, turned a little. Checked on all
// pixels of a few pictures.
#include "kernels/warp/warp.h"

#include <cmath>

#include "bench/kernels/contest.h"

namespace sandglass::bench {
namespace {

constexpr int kPictures = 2;

std::vector<WarpPicture> turned_pictures(const Shape& shape) {
  std::vector<WarpPicture> pictures;
  const float c = std::cos(0.2f), s = std::sin(0.2f), middle = static_cast<float>(shape.h - 1) / 2;
  for (int n = 0; n < shape.n; ++n) {
    WarpPicture picture;
    picture.first_byte = int64_t{n} * shape.h * shape.w * 3;
    picture.height = shape.h;
    picture.width = shape.w;
    const float matrix[6] = {c, -s, middle * (1 - c + s), s, c, middle * (1 - s - c)};
    std::copy(std::begin(matrix), std::end(matrix), picture.matrix);
    picture.gain = 1.1f;
    picture.offset = -0.02f;
    pictures.push_back(picture);
  }
  return pictures;
}

struct WarpPictures final : Problem<Warp> {
  static Warp parse(const Line& line, int batch, const Device& device) {
    return {device.picture(map_shape(line, batch))};
  }
  WarpPictures(Device& device, const Warp& spec, int sets)
      : Problem(device, sets),
        pixels(input(nhwc(spec.out.shape, DataType::uint8), {0, 255, 1})),
        described(turned_pictures(spec.out.shape)),
        pictures(objects(described)),
        out(result(spec.out)) {}
  WarpArguments arguments(const Warp&, int set) {
    return {pixels.as<uint8_t>(set), pictures.as<WarpPicture>(set), out.at(set)};
  }
  std::string wrong(const Warp& spec) {
    const Shape& s = spec.out.shape;
    const Sample sample{some(s.n, kPictures), all(3)};
    Values expected;
    for (const int n : sample.pictures) {
      const Values values = pixels.initial({{n}, all(3)});
      const std::vector<uint8_t> bytes(values.begin(), values.end());
      WarpPicture picture = described[static_cast<size_t>(n)];
      picture.first_byte = 0;
      Values one(values.size());
      reference::warp(picture, bytes.data(), s.h, s.w, one.data());
      expected.insert(expected.end(), one.begin(), one.end());
    }
    const test::Limits limits =
        spec.out.type == DataType::float32 ? test::Limits{1e-10, 1e-4} : test::limits_for(spec.out.type);
    return test::difference(out.current(sample), expected, "out", limits);
  }
  Array& pixels;
  std::vector<WarpPicture> described;
  Array &pictures, &out;
};

}  // namespace

void add_warp(OperationTable& table) { add_operation<WarpPictures>(table); }

}  // namespace sandglass::bench

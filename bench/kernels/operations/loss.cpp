// The losses, checked whole: heatmaps are small.
#include "kernels/loss/loss.h"

#include "bench/kernels/contest.h"

namespace sandglass::bench {
namespace {

using test::difference;
using test::limits_for;

Sample whole(const Shape& shape) { return {all(shape.n), all(shape.c)}; }
int maps_of(const Shape& shape) { return shape.n * shape.c; }

std::string wrong_result(const Array& loss, double expected_loss, const Array& dy, const Values& expected_dy) {
  return first_of({difference(loss.current({{0}, {0}}), {expected_loss}, "loss", {1e-10, 1e-5}),
                   difference(dy.current(whole(dy.desc().shape)), expected_dy, "dy", limits_for(dy.desc().type))});
}

struct Pixels final : Problem<PixelLoss> {
  static PixelLoss parse(const Line& line, int batch, const Device& device) {
    const Shape shape = map_shape(line, batch);
    return {device.heatmaps(shape), device.activation(shape)};
  }
  Pixels(Device& device, const PixelLoss& spec, int sets)
      : Problem(device, sets),
        y(input(spec.y, {})),
        target(input(spec.y, {0, 5})),
        dy(result(spec.dy)),
        loss(result(array(1))) {}
  PixelLossArguments arguments(const PixelLoss&, int set) {
    return {y.as<float>(set), target.as<float>(set), nullptr, dy.at(set), loss.as<float>(set), nullptr};
  }
  std::string wrong(const PixelLoss& spec) {
    const Values ys = y.initial(whole(spec.y.shape)), targets = target.initial(whole(spec.y.shape));
    Values expected(ys.size());
    const double expected_loss =
        reference::pixel_loss(spec.loss, spec.y.shape, ys.data(), targets.data(), nullptr, nullptr, expected.data());
    return wrong_result(loss, expected_loss, dy, expected);
  }
  Array &y, &target, &dy, &loss;
};

struct Heatmap final : Problem<HeatmapLoss> {
  static HeatmapLoss parse(const Line& line, int batch, const Device& device) {
    const Shape shape = map_shape(line, batch);
    HeatmapSpec heatmap;
    heatmap.scale = static_cast<float>(shape.h) / 64;
    return {heatmap, device.heatmaps(shape), device.activation(shape)};
  }
  Heatmap(Device& device, const HeatmapLoss& spec, int sets)
      : Problem(device, sets),
        y(input(spec.y, {})),
        intensities(input(array(maps_of(spec.y.shape)), {0.5, 5})),
        points(input(array(2 * spec.heatmap.points_per_map * maps_of(spec.y.shape)),
                     {0, static_cast<double>(spec.y.shape.h)})),
        dy(result(spec.dy)),
        loss(result(array(1))) {}
  HeatmapLossArguments arguments(const HeatmapLoss&, int set) {
    return {y.as<float>(set),
            {intensities.as<float>(set), points.as<float>(set)},
            dy.at(set),
            loss.as<float>(set),
            nullptr};
  }
  std::string wrong(const HeatmapLoss& spec) {
    const Shape& s = spec.y.shape;
    const Values heights = intensities.initial(whole(intensities.desc().shape)), ys = y.initial(whole(s));
    const Values target = reference::heatmap(spec.heatmap, s, heights, points.initial(whole(points.desc().shape)));
    const std::vector<float> coded(heights.begin(), heights.end());
    Values expected(ys.size());
    const double expected_loss =
        reference::pixel_loss(spec.loss, s, ys.data(), target.data(), coded.data(), nullptr, expected.data());
    return wrong_result(loss, expected_loss, dy, expected);
  }
  Array &y, &intensities, &points, &dy, &loss;
};

}  // namespace

void add_loss(OperationTable& table) {
  add_operation<Pixels>(table);
  add_operation<Heatmap>(table);
}

}  // namespace sandglass::bench

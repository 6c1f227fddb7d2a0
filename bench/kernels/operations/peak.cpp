// Peaks, checked whole: heatmaps are small.
#include "kernels/peak/peak.h"

#include "bench/kernels/contest.h"

namespace sandglass::bench {
namespace {

struct FindPeak final : Problem<Peak> {
  static Peak parse(const Line& line, int batch, const Device& device) {
    return {device.heatmaps(map_shape(line, batch))};
  }
  FindPeak(Device& device, const Peak& spec, int sets)
      : Problem(device, sets),
        maps(input(spec.maps, {-1, 5})),
        peaks(result(array(3 * spec.maps.shape.n * spec.maps.shape.c))) {}
  PeakArguments arguments(const Peak&, int set) { return {maps.as<float>(set), peaks.as<float>(set)}; }
  std::string wrong(const Peak& spec) {
    const Shape& s = spec.maps.shape;
    const Values values = maps.initial({all(s.n), all(s.c)});
    Values expected(static_cast<size_t>(3) * s.n * s.c);
    reference::peak(s, values.data(), expected.data());
    return test::difference(peaks.current({{0}, all(peaks.desc().shape.c)}), expected, "peaks");
  }
  Array &maps, &peaks;
};

}  // namespace

void add_peak(OperationTable& table) { add_operation<FindPeak>(table); }

}  // namespace sandglass::bench

#pragma once

namespace sandglass {

/// What a piece of work must do, from its shapes alone: the bytes that it must read and write, each element once, and
/// its floating-point operations, a multiply-add being two. Small arrays per channel beside feature maps are left out.
/// Against what a machine can move and compute in a second this gives the least time that the work takes (the roofline
/// of Williams, Waterman & Patterson, doi 10.1145/1498765.1498785).
struct Cost {
  double bytes = 0, operations = 0;

  Cost& operator+=(const Cost& other) {
    bytes += other.bytes;
    operations += other.operations;
    return *this;
  }
  /// Seconds at `bandwidth` bytes/s and `rate` operations/s.
  double least_seconds(double bandwidth, double rate) const {
    const double moving = bytes / bandwidth, computing = operations / rate;
    return moving > computing ? moving : computing;
  }
};

}  // namespace sandglass

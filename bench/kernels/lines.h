// What is measured: the lines of a list that `sandglass info --operations` has printed (bench/shapes/hourglass.txt).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/conv/conv.h"

namespace sandglass::bench {

/// "conv_forward/n1_h64_w64_c128_k128_r3_s3_stride1/bias/relu" in its parts, and how often it is in a network.
struct Line {
  std::string operation, shape;
  std::vector<std::string> options;
  int infer = 0, train = 0;

  bool has(std::string_view option) const;
  /// The parts again as Spec::text() has them.
  std::string text() const;
};

/// Each operation once. `max_pool_forward` of the section [train] gets the option `argmax`, because a backward pass
/// needs the places of the maxima. Throws Error naming file and line for one that is not "COUNT OPERATION/SHAPE...".
std::vector<Line> read_lines(const std::filesystem::path& file);
Line parse_line(std::string_view text);

/// Whether its shape has a number of pictures: not that of channels, or of parameters.
bool has_batch(const Line& line);

/// And each convolution once without any option, as libraries have it.
void add_plain_convolutions(std::vector<Line>& lines);

/// The same operation with small pictures and few channels: quick even on the emulator.
Line small(const Line& line);

/// "n1_h64_w64_c128_k128_r3_s3_stride1", with padding half the filter; "1x64x64x256"; "256". Throw Error naming the
/// line.
ConvShape conv_shape(const Line& line, int batch);
Shape map_shape(const Line& line, int batch);
int count(const Line& line);

}  // namespace sandglass::bench

// The Hourglass heatmap network: its sizes and its parameters, by name.
//
// The architecture (arXiv 1805.03487; names as in the authors' released checkpoint), w = width, K = heatmaps:
//
//   picture N x S x S x 3
//     conv1 7x7/2 + bn1 + ReLU             S/2, w/4
//     conv2: Bottleneck(w/4 -> w/2)        S/2
//     max pool                             S/4
//     conv3: Bottleneck(w/2 -> w/2), conv4: Bottleneck(w/2 -> w)
//     m0: Hourglass(depth)                 S/4 down to S/4 / 2^depth and back
//     top_m_0: Bottleneck(w -> w)
//     conv_last0 1x1 + bn_end0 + ReLU, l0 1x1
//   heatmaps N x S/4 x S/4 x K
//
// With Head::regression the last line is: conv_last0 1x1 + bn_end0 + ReLU, mean over all pixels, l0 1x1, which gives
// intensities N x 1 x 1 x K. All parameters have the same names and shapes.
//
// Bottleneck(c_in -> c_out), m = c_out / 2: 1x1 (m) + bn + ReLU, 3x3 (m) + bn + ReLU, 1x1 (c_out) + bn, plus the input
// (through a 1x1 convolution with batch norm, `downsample`, where c_in != c_out), ReLU.
// Hourglass level L: b1_L on the input; b2_L on the pooled input, then level L-1 (or b2_plus_1 at level 1), then b3_L,
// upsampled and added to the first.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sandglass {

/// What the network says: heatmaps, whose peaks are the intensities, or the intensities themselves.
enum class Head { heatmap, regression };
const char* name_of(Head head);

struct NetworkConfig {
  int width = 256;       ///< multiple of 4, at least 4
  int depth = 4;         ///< hourglass levels, at least 1
  int heatmaps = 5;      ///< K, number of Action Units
  int input_size = 256;  ///< S, pixels; a multiple of 4 * 2^depth
  Head head = Head::heatmap;

  bool operator==(const NetworkConfig&) const = default;
  /// Side of the network's maps; with Head::regression each is one number.
  int map_size() const { return head == Head::regression ? 1 : input_size / 4; }
  /// Throws Error naming the field that is out of range.
  void check() const;
};

/// One parameter or running statistic. Convolution weights are KCRS in files (PyTorch's order) and KRSC in memory.
struct ParameterInfo {
  enum class Kind { conv_weight, conv_bias, gamma, beta, running_mean, running_var };
  std::string name;  ///< "m0.b1_4.conv2.weight"
  Kind kind = Kind::conv_weight;
  std::vector<int64_t> shape;  ///< as in files
  size_t offset = 0;           ///< of its first element in the flat parameter array, or in the flat statistics array
  size_t elements = 0;

  bool is_statistic() const { return kind == Kind::running_mean || kind == Kind::running_var; }
};

/// All parameters and running statistics of a network and where each lies in two flat float arrays. Convolution weights
/// come first in the parameter array (they alone have weight decay); each begins at a multiple of 16 elements.
class ParameterTable {
 public:
  explicit ParameterTable(const NetworkConfig& config);
  /// In the network's order, statistics included.
  const std::vector<ParameterInfo>& all() const& { return all_; }
  void all() && = delete;  // a loop over a temporary's list would outlive it
  /// Throws Error if there is none of that name.
  const ParameterInfo& find(const std::string& name) const;
  bool contains(const std::string& name) const;
  size_t parameter_elements() const { return parameter_elements_; }  ///< gaps between tensors included
  size_t statistic_elements() const { return statistic_elements_; }
  size_t decayed_elements() const { return decayed_elements_; }  ///< convolution weights, at the start
  /// Trainable numbers without gaps: 3,416,197 for the paper's network.
  size_t parameter_count() const;

 private:
  std::vector<ParameterInfo> all_;
  size_t parameter_elements_ = 0, statistic_elements_ = 0, decayed_elements_ = 0;
};

}  // namespace sandglass

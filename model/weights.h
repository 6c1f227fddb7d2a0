// Weights on the host and in files.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/tensor_file.h"
#include "model/network.h"

namespace sandglass {

/// A network's parameters and running statistics, with what must be known to use them.
struct Weights {
  NetworkConfig config;
  std::vector<std::string> aus;                 ///< name of each heatmap's Action Unit, "AU06"
  std::vector<float> parameters;                ///< flat, as ParameterTable places them (convolution weights KRSC)
  std::vector<float> statistics;                ///< flat running statistics
  std::map<std::string, std::string> metadata;  ///< whatever else the file said

  /// The first number of one of the parameters or statistics.
  const float* values(const ParameterInfo& p) const {
    return (p.is_statistic() ? statistics : parameters).data() + p.offset;
  }
  float* values(const ParameterInfo& p) { return (p.is_statistic() ? statistics : parameters).data() + p.offset; }
};

/// A convolution as inference computes it: weights in KRSC order, and a bias for each of the K.
struct ConvWeights {
  std::vector<float> weights, bias;
};

/// The convolution called `conv` with the batch norm after it ("": none) folded in: weights w * scale and bias
/// (b - mean) * scale + beta with scale = gamma / sqrt(var + eps), computed in double. `table`: that of the weights.
ConvWeights fold_batch_norm(const Weights& weights, const ParameterTable& table, const std::string& conv,
                            const std::string& batch_norm);

/// Fresh weights: convolutions uniform within +-1/sqrt(fan in) as PyTorch's default, gamma 1, beta 0, mean 0, variance
/// 1; l0's bias 0. A function of (config, seed) alone.
Weights initial_weights(const NetworkConfig& config, std::vector<std::string> aus, uint64_t seed);

/// Reads .safetensors, .pth, .pth.tar or .onnx (by content). Width, depth and number of heatmaps follow from the
/// tensors' shapes; AU names, input size and head from the file's metadata, else AU06,AU10,AU12,AU14,AU17 for five
/// heatmaps (numbered otherwise), 256 and heatmap. Tensors of other names with the prefixes "optimizer." are ignored.
/// Throws Error naming the file and the first tensor that is missing, unknown, of the wrong shape, or not fit for
/// inference.
Weights read_weights(const std::filesystem::path& path);

/// Writes float32 .safetensors in PyTorch's names and KCRS order, with width, depth, input size, head and AU names
/// as metadata.
void write_weights(const std::filesystem::path& path, const Weights& weights);

/// What the metadata of such a file say, without the tensors.
std::map<std::string, std::string> metadata_of(const Weights& weights);

/// The same as tensors in memory, and back; `source` names the origin in errors.
TensorFile to_tensors(const Weights& weights);
/// One tensor of these: `values` in memory's order (KRSC).
HostTensor to_tensor(const ParameterInfo& p, const float* values);
Weights from_tensors(const TensorFile& file, const std::string& source);

/// Throws Error naming `source` and the tensor if a value, or a convolution's with its batch norm folded in, is not
/// finite, or a variance is negative: a network of such weights can give results that look like any others.
void check_inference(const Weights& weights, const std::string& source);

/// Pieces of from_tensors for those who take only some of a file's tensors (model/transfer.h). `source` names the
/// origin in errors. Copies one tensor to its place. Throws Error if its shape is not p's.
void set_tensor(Weights& weights, const ParameterInfo& p, const HostTensor& tensor, const std::string& source);
/// The Action Units' names for `heatmaps` maps, and the head.
std::vector<std::string> au_names(const TensorFile& file, int heatmaps, const std::string& source);
/// Throws Error if a name is empty or occurs twice.
void check_au_names(const std::vector<std::string>& names, const std::string& source);
Head head_of(const TensorFile& file, const std::string& source);
/// Whether a tensor of this name is none of the network's, but no error: the optimiser's state, PyTorch's counters.
bool is_ignored(const std::string& name);

}  // namespace sandglass

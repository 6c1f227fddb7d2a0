// The safetensors format, the files of weights this program writes.
// Source: https://github.com/huggingface/safetensors (README.md "Format", safetensors/src/tensor.rs).
//
//   8 bytes    length of the header, little-endian, at most 100,000,000
//   header     JSON object, padded with spaces: {"__metadata__": {"key": "text", ...},
//              "conv1.weight": {"dtype": "F32", "shape": [64, 3, 7, 7], "data_offsets": [begin, end]}, ...}
//   data       the tensors, row-major, little-endian, without holes; offsets count from the first byte after the header
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "engine/tensor_file.h"

namespace sandglass {

/// Reads a safetensors file; tensors in the order of its header. Everything the reference implementation checks is
/// checked: lengths, JSON, types, shapes, and offsets that fill the data exactly; names must not occur twice. Of the
/// types, the ten of TensorType are read. Throws Error naming the file and the tensor.
TensorFile read_safetensors(const std::filesystem::path& path);

/// Writes a safetensors file, readable by any implementation, replacing `path` in one step (see write_file()). The
/// header lists the tensors in the order given and is padded so that the data starts at a multiple of 8; the data of
/// wider types comes first, so that every tensor is aligned to its element size in a mapped file. Throws Error if a
/// name or metadata text is not UTF-8, a name occurs twice or is "__metadata__", a tensor's bytes do not match its
/// shape, or the file cannot be written.
void write_safetensors(const std::filesystem::path& path, const TensorFile& file);

/// True if `content` starts like a safetensors file.
bool looks_like_safetensors(std::string_view content);

/// read_safetensors() of a file's content; errors name `path`.
TensorFile parse_safetensors(std::string_view content, const std::string& path);

}  // namespace sandglass

// PyTorch checkpoints (.pth, .pt, .pth.tar), as torch.save writes them, read without Python and without executing
// anything. Source: torch/serialization.py (PyTorch 1.13).
//
// Since PyTorch 1.6: a zip archive, uncompressed:
//   <prefix>/data.pkl    the saved object; a tensor is a view of a storage, which the pickle names by its key
//   <prefix>/data/<key>  a storage's elements
//   <prefix>/byteorder   "little" or "big"; absent before PyTorch 2.1
// Before that, or with _use_new_zipfile_serialization=False: pickles one after the other, then raw data:
//   magic number, protocol version, {"little_endian": ..., ...}, the saved object, list of storage keys,
//   and for each of these keys the number of elements (8 bytes) and the elements
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "engine/tensor_file.h"

namespace sandglass {

/// Reads the tensors of a checkpoint in either format. The saved object must be a dict: a state dict, or one that has
/// it under "state_dict", "model_state_dict" or "model" (the first of these that is a dict). Tensors come in the dict's
/// order, row-major whatever their strides were; a prefix "module." that all names have (torch.nn.DataParallel) is
/// taken off; entries that are no tensors are skipped. Numbers, booleans and texts of the saved dict itself, such as
/// "epoch", become metadata (at most 1,000 of them, texts of up to 1,000 bytes; NumPy's scalars are not understood).
/// Throws Error naming the file, and the tensor where one is at fault, if the file is damaged, big-endian, holds
/// something else (a whole module, TorchScript), or a tensor is of a kind that HostTensor cannot hold (complex,
/// quantised, sparse). Memory: a few times the file's size; at most some 250 MB more for a hostile file.
TensorFile read_pytorch(const std::filesystem::path& path);

/// True if `content` starts like a checkpoint: as a zip archive or a pickle.
bool looks_like_pytorch(std::string_view content);

/// read_pytorch() of a file's content; errors name `path`.
TensorFile parse_pytorch(std::string_view content, const std::string& path);

}  // namespace sandglass

// What oneDNN's primitives share here.
#pragma once

#include <string>
#include <unordered_map>

#include "bench/kernels/peers/onednn.h"
#include "engine/error.h"
#include "kernels/onednn.h"

namespace sandglass::bench {

using dnnl::memory;
using DnnlArguments = std::unordered_map<int, memory>;

inline void bind(memory& object, const void* address) { object.set_data_handle(const_cast<void*>(address)); }

inline memory::desc map_desc(const TensorDesc& desc) { return sandglass::map_desc(desc, desc.shape.c); }
inline memory::desc channel_desc(int channels) { return {{channels}, memory::data_type::f32, memory::format_tag::a}; }
/// One number a channel, for every pixel, where the channels fill their blocks.
inline memory::desc broadcast_desc(const TensorDesc& map) {
  TensorDesc desc = map;
  desc.shape.n = desc.shape.h = desc.shape.w = 1;
  check(desc.padded_channels() == desc.shape.c, "oneDNN: {} channels do not fill blocks of {}", desc.shape.c,
        desc.block);
  return map_desc(desc);
}

template <typename Descriptor>
std::string checked_name(const Descriptor& descriptor, const std::string& operation) {
  const std::string name = descriptor.impl_info_str();
  check(!name.starts_with("ref") && !name.starts_with("simple"), "{}: oneDNN has only its reference implementation",
        operation);
  return name;
}

}  // namespace sandglass::bench

// What oneDNN's primitives share here.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>

#include "bench/kernels/peers/onednn.h"
#include "engine/error.h"

namespace sandglass::bench {

using dnnl::memory;
using DnnlArguments = std::unordered_map<int, memory>;

inline dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}
inline dnnl::stream& cpu_stream() {
  static dnnl::stream stream(cpu_engine());
  return stream;
}

/// A memory object whose address is set at each run.
inline memory unbound(const memory::desc& desc) { return memory(desc, cpu_engine(), nullptr); }
inline void bind(memory& object, const void* address) { object.set_data_handle(const_cast<void*>(address)); }

inline memory::desc map_desc(const TensorDesc& desc) {
  const memory::dims dims = {desc.shape.n, desc.shape.c, desc.shape.h, desc.shape.w};
  switch (desc.block) {
    case 1:
      return {dims, memory::data_type::f32, memory::format_tag::nchw};
    case 8:
      return {dims, memory::data_type::f32, memory::format_tag::nChw8c};
    case 16:
      return {dims, memory::data_type::f32, memory::format_tag::nChw16c};
  }
  fail("oneDNN: no map in channel blocks of {}", desc.block);
}
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

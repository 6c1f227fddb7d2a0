// What every use of oneDNN shares.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include "engine/error.h"
#include "engine/tensor.h"

namespace sandglass {

inline dnnl::engine& cpu_engine() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

inline dnnl::stream& cpu_stream() {
  static dnnl::stream stream(cpu_engine());
  return stream;
}

/// A memory object whose address is set at each run.
inline dnnl::memory unbound(const dnnl::memory::desc& desc) { return dnnl::memory(desc, cpu_engine(), nullptr); }

/// A map of `channels` channels (desc.shape.c, or desc.padded_channels() where the padding is to be computed, too).
inline dnnl::memory::desc map_desc(const TensorDesc& desc, int channels) {
  using dnnl::memory;
  const memory::dims dims = {desc.shape.n, channels, desc.shape.h, desc.shape.w};
  switch (desc.block) {
    case 1:
      return memory::desc(dims, memory::data_type::f32, memory::format_tag::nchw);
    case 8:
      return memory::desc(dims, memory::data_type::f32, memory::format_tag::nChw8c);
    case 16:
      return memory::desc(dims, memory::data_type::f32, memory::format_tag::nChw16c);
  }
  fail("device 'cpu': oneDNN reads channel blocks of 1, 8 or 16, not {}; convert to Device::activation's layout",
       desc.block);
}

}  // namespace sandglass

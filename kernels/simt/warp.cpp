#include "kernels/simt/warp.h"

#include "engine/error.h"
#include "kernels/simt/block.h"

namespace sandglass::simt {
namespace {

// First lane of the group of `width` lanes that `lane` belongs to.
int group(int lane, int width) {
  check(width >= 1 && width <= kWarpSize && std::has_single_bit(static_cast<unsigned>(width)),
        "a shuffle's width is {}, it must be a power of two up to {}", width, kWarpSize);
  return lane & ~(width - 1);
}

}  // namespace

uint64_t exchange(const char* name, unsigned mask, uint64_t value, int source_lane, CallSite site) {
  Block& block = *Block::running();
  block.collective({name, mask, value, source_lane}, site);
  return block.thread().exchange.result;
}

void run_for_warp(const char* name, void* data, WarpWork work, CallSite site) {
  Block::running()->collective({name, 0xffffffff, reinterpret_cast<uintptr_t>(data), -1, 0, work, true}, site);
}

void synchronize_warp(unsigned mask, CallSite site) {
  Block::running()->collective({.name = "__syncwarp", .mask = mask, .orders_memory = true}, site);
}

int lane() { return Block::running()->thread().lane(); }

int shuffle_source(int lane, int source, int width) { return group(lane, width) + (source & (width - 1)); }

int shuffle_up_source(int lane, unsigned delta, int width) {
  return lane - group(lane, width) >= static_cast<int>(delta) ? lane - static_cast<int>(delta) : lane;
}

int shuffle_down_source(int lane, unsigned delta, int width) {
  return lane - group(lane, width) + static_cast<int>(delta) < width ? lane + static_cast<int>(delta) : lane;
}

int shuffle_xor_source(int lane, int lane_mask, int width) {
  const int source = lane ^ lane_mask;
  return source < group(lane, width) + width && source < kWarpSize ? source : lane;
}

}  // namespace sandglass::simt

// Warp collectives: shuffles, votes and __syncwarp, executed by the last lane to arrive for all of them.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace sandglass::simt {

constexpr int kWarpSize = 32;

/// Where a kernel calls something; taken by default arguments.
struct CallSite {
  const char* file = "";
  int line = 0;
  bool operator==(const CallSite&) const = default;
};

/// What a collective of whole warps does, for all lanes at once; each lane has brought one pointer.
using WarpWork = void (*)(void* const (&lanes)[kWarpSize]);

/// What a lane brings to a collective and takes from it.
struct Exchange {
  const char* name = nullptr;   ///< of the intrinsic
  unsigned mask = 0;            ///< lanes that take part
  uint64_t value = 0;           ///< brought: the bits to hand over, or a vote
  int source_lane = -1;         ///< shuffles: whose value to take; -1: none (votes)
  uint64_t result = 0;          ///< taken: the source lane's value, or the lanes whose vote is not 0
  WarpWork work = nullptr;      ///< instead of an exchange; `value` is then the lane's pointer
  bool orders_memory = false;   ///< what a lane did before happens before what another does after it
  const char* phase = nullptr;  ///< stands for this collective in ThreadSanitizer
};

/// Runs a collective for the calling lane and returns its result.
uint64_t exchange(const char* name, unsigned mask, uint64_t value, int source_lane, CallSite site);
/// Runs a collective that needs all 32 lanes: the last lane to arrive calls `work` with the pointers of all of them.
void run_for_warp(const char* name, void* data, WarpWork work, CallSite site);
/// Waits for the lanes of the mask. Unlike the other exchanges, it orders their accesses to memory.
void synchronize_warp(unsigned mask, CallSite site);
/// The calling lane, 0 to 31.
int lane();

/// The source lane of each shuffle, by the rules of the CUDA programming guide. `width`: 2, 4, 8, 16 or 32 lanes
/// exchange among themselves. Throws Error for another width.
int shuffle_source(int lane, int source, int width);
int shuffle_up_source(int lane, unsigned delta, int width);
int shuffle_down_source(int lane, unsigned delta, int width);
int shuffle_xor_source(int lane, int lane_mask, int width);

template <typename T>
T shuffle(const char* name, unsigned mask, T value, int source_lane, CallSite site) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = exchange(name, mask, bits, source_lane, site);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

}  // namespace sandglass::simt

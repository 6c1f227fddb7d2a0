// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
#pragma once

#include <array>
#include <cmath>
#include <cstdint>

namespace sandglass {

/// One Philox4x32-10 block: four independent uniform 32-bit words that depend on (key, counter) alone.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 2> key, std::array<uint32_t, 4> counter);

/// A stream of random numbers that is a pure function of (seed, stream, position).
/// Streams with different (seed, stream) are independent, so every picture, epoch or tensor can have its own, and the
/// position is all that must be stored to resume exactly. Same bits on every machine, except normal(), whose logarithm
/// and cosine come from the C library.
class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0, uint64_t position = 0);

  /// Uniform 32-bit word; advances the position by one.
  uint32_t next();
  /// Uniform in [0, 1), 24 bits.
  float uniform() { return static_cast<float>(next() >> 8) * 0x1.0p-24f; }
  /// Uniform in [low, high).
  float uniform(float low, float high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [0, count), count >= 1, without modulo bias.
  uint32_t below(uint32_t count);
  /// Normal with mean 0 and standard deviation 1 (Box-Muller; uses two words a call).
  float normal();
  /// True with probability p.
  bool chance(float p) { return uniform() < p; }
  /// How many words have been drawn.
  uint64_t position() const { return position_; }

 private:
  std::array<uint32_t, 2> key_;
  uint64_t stream_, position_;
  std::array<uint32_t, 4> block_{};
  uint64_t block_index_ = ~uint64_t{0};
};

/// A random permutation of 0..count-1 (Fisher-Yates) into `order`.
template <typename Vector>
void shuffle(Vector& order, Random& random) {
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
}

}  // namespace sandglass

#include "engine/random.h"

namespace sandglass {

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 2> key, std::array<uint32_t, 4> counter) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * counter[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
               static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

Random::Random(uint64_t seed, uint64_t stream, uint64_t position)
    : key_{static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)}, stream_(stream), position_(position) {}

uint32_t Random::next() {
  const uint64_t index = position_ / 4;
  if (index != block_index_) {
    block_ = philox4x32(key_, {static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32),
                               static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)});
    block_index_ = index;
  }
  return block_[position_++ % 4];
}

uint32_t Random::below(uint32_t count) {
  const uint32_t limit = static_cast<uint32_t>(-count) % count;  // 2^32 mod count: words below it would be biased
  for (;;) {
    const uint64_t product = uint64_t{next()} * count;
    if (static_cast<uint32_t>(product) >= limit) return static_cast<uint32_t>(product >> 32);
  }
}

float Random::normal() {
  const float u = 1.0f - uniform();  // (0, 1]
  const float v = uniform();
  return std::sqrt(-2.0f * std::log(u)) * std::cos(6.28318530717958648f * v);
}

}  // namespace sandglass

// How the cpu device cuts a pass over feature maps into pieces: at most 16 channels by 1024 pixels each, whatever the
// layout. The cut depends on the shape alone, so that sums over pieces do not depend on the number of threads.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "engine/tensor.h"

namespace sandglass {

constexpr int kPieceChannels = 16;
constexpr int kPiecePixels = 1024;

/// Calls body(width), with the width as a compile-time constant where it is that of one or two vector registers, so
/// that the loop over a pixel's channels becomes vector instructions.
template <typename Body>
void with_constant_width(int width, const Body& body) {
  switch (width) {
    case 8:
      return body(std::integral_constant<int, 8>());
    case 16:
      return body(std::integral_constant<int, 16>());
    default:
      return body(width);
  }
}

/// Pixels of one picture, some of their channels: element (i, c) lies at offset + i * stride + c.
struct ChannelPiece {
  int64_t index = 0;  ///< among all pieces of the map
  size_t offset = 0;  ///< elements before the first
  int pixels = 0;     ///< 1 to kPiecePixels
  int stride = 0;     ///< elements from pixel to pixel
  int width = 0;      ///< channels in memory, 1 to kPieceChannels
  int channel = 0;    ///< the first one
  int channels = 0;   ///< those that are not padding, 0 to width

  /// The values of a per-channel array for this piece, zero for padding; all zero where the array is null.
  struct Coefficients {
    float values[kPieceChannels] = {};
    float operator[](int c) const { return values[c]; }
  };
  Coefficients coefficients(const float* array) const {
    Coefficients result;
    if (array) std::copy_n(array + channel, channels, result.values);
    return result;
  }
};

class ChannelPieces {
 public:
  explicit ChannelPieces(const TensorDesc& desc)
      : desc_(desc),
        plane_(int64_t{desc.shape.h} * desc.shape.w),
        across_block_((desc.block + kPieceChannels - 1) / kPieceChannels),
        along_plane_((plane_ + kPiecePixels - 1) / kPiecePixels) {}

  int64_t count() const { return int64_t{desc_.shape.n} * desc_.blocks() * across_block_ * along_plane_; }

  ChannelPiece operator[](int64_t index) const {
    const int64_t pixel = index % along_plane_ * kPiecePixels;
    const int in_block = static_cast<int>(index / along_plane_ % across_block_) * kPieceChannels;
    const int64_t block = index / along_plane_ / across_block_;  // counted over all pictures
    ChannelPiece piece;
    piece.index = index;
    piece.offset = static_cast<size_t>((block * plane_ + pixel) * desc_.block + in_block);
    piece.pixels = static_cast<int>(std::min<int64_t>(kPiecePixels, plane_ - pixel));
    piece.stride = desc_.block;
    piece.width = std::min(kPieceChannels, desc_.block - in_block);
    piece.channel = static_cast<int>(block % desc_.blocks()) * desc_.block + in_block;
    piece.channels = std::clamp(desc_.shape.c - piece.channel, 0, piece.width);
    return piece;
  }

  /// Calls body(piece, width) for every piece, in parallel; width is piece.width as with_constant_width gives it.
  template <typename Body>
  void for_each(const Body& body) const {
    const int64_t pieces = count();
#pragma omp parallel for
    for (int64_t i = 0; i < pieces; ++i) {
      const ChannelPiece piece = (*this)[i];
      with_constant_width(piece.width, [&](auto width) { body(piece, width); });
    }
  }

 private:
  TensorDesc desc_;
  int64_t plane_;
  int across_block_;
  int64_t along_plane_;
};

/// Sums per channel, `kSums` of them: each piece has its own, added up in the order of the pieces.
template <int kSums>
class ChannelPieceSums {
 public:
  using Partial = double[kSums][kPieceChannels];

  explicit ChannelPieceSums(const TensorDesc& desc) : desc_(desc), pieces_(desc), partial_(pieces_.count()) {}

  const ChannelPieces& pieces() const { return pieces_; }
  void set(const ChannelPiece& piece, const Partial& sums) {
    for (int s = 0; s < kSums; ++s) std::copy_n(sums[s], kPieceChannels, partial_[piece.index].sums[s]);
  }
  /// results[s]: [C], null where it is not wanted.
  void add_up(double* const (&results)[kSums]) const {
    for (double* result : results)
      if (result) std::fill_n(result, desc_.shape.c, 0.0);
    for (int64_t i = 0; i < pieces_.count(); ++i) {
      const ChannelPiece piece = pieces_[i];
      for (int s = 0; s < kSums; ++s)
        if (results[s])
          for (int c = 0; c < piece.channels; ++c) results[s][piece.channel + c] += partial_[i].sums[s][c];
    }
  }

 private:
  struct PieceSums {
    double sums[kSums][kPieceChannels];
  };
  TensorDesc desc_;
  ChannelPieces pieces_;
  std::vector<PieceSums> partial_;
};

/// max(0, v) that lets NaN through, so that a diverged run is noticed.
inline float relu(float v) { return 0.0f > v ? 0.0f : v; }

}  // namespace sandglass

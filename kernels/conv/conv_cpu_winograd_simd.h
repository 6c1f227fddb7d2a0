// The Winograd convolution in the vectors of one instruction set. conv_cpu_winograd.cpp includes this file once for
// each, within a namespace that defines Vector, its operations, kLane, kRows and kL2Bytes.

constexpr int kVectors = 2;               // columns of the inner kernel, in vectors
constexpr int kPanel = kVectors * kLane;  // channels of a panel: the columns of the inner kernel
constexpr int kGap = 16;  // floats (a cache line) that keep rows and elements from falling into the same cache sets

// Floats from one tile to the next in V and W: an odd number of cache lines where channels are a multiple of 32.
size_t row_stride(int channels) { return static_cast<size_t>(divide_up(channels, kPanel)) * kPanel + kGap; }

size_t element_stride(int tiles, size_t row) { return tiles * row + kGap; }

size_t whole_lines(size_t floats) { return (floats + kPanel - 1) / kPanel * kPanel; }

inline Vector constant(double value) { return all(static_cast<float>(value)); }

// to[i * step] = (B^T from)[i]: row i holds the coefficients of the polynomial that vanishes at the other points.
inline void input_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector d0 = from[0], d1 = from[stride], d2 = from[2 * stride], d3 = from[3 * stride], d4 = from[4 * stride],
               d5 = from[5 * stride];
  const Vector a = constant(kA), b = constant(kB), a2 = constant(kA2), b2 = constant(kB2), sum = constant(kA2 + kB2);
  const Vector even_a = multiply_subtract(b2, d2, d4), odd_a = multiply_subtract(b2, d1, d3);
  const Vector even_b = multiply_subtract(a2, d2, d4), odd_b = multiply_subtract(a2, d1, d3);
  to[0] = multiply_subtract(sum, d2, d0 + d4);
  to[step] = multiply_add(a, odd_a, even_a);
  to[2 * step] = multiply_subtract(a, odd_a, even_a);
  to[3 * step] = multiply_add(b, odd_b, even_b);
  to[4 * step] = multiply_subtract(b, odd_b, even_b);
  to[5 * step] = multiply_subtract(sum, d3, d1 + d5);
}

// to[i * step] = (A^T from)[i]: powers of the points.
inline void output_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector m0 = from[0], m1 = from[stride], m2 = from[2 * stride], m3 = from[3 * stride], m4 = from[4 * stride],
               m5 = from[5 * stride];
  const Vector even_a = m1 + m2, odd_a = m1 - m2;
  const Vector even_b = m3 + m4, odd_b = m3 - m4;
  to[0] = m0 + (even_a + even_b);
  to[step] = multiply_add(constant(kA), odd_a, constant(kB) * odd_b);
  to[2 * step] = multiply_add(constant(kA2), even_a, constant(kB2) * even_b);
  to[3 * step] = multiply_add(constant(kA * kA2), odd_a, multiply_add(constant(kB * kB2), odd_b, m5));
}

// to[i * step] = (A from)[i], the transpose of the output transform.
inline void gradient_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector y0 = from[0], y1 = from[stride], y2 = from[2 * stride], y3 = from[3 * stride];
  const Vector even_a = multiply_add(constant(kA2), y2, y0), odd_a = multiply_add(constant(kA2), y3, y1);
  const Vector even_b = multiply_add(constant(kB2), y2, y0), odd_b = multiply_add(constant(kB2), y3, y1);
  const Vector a = constant(kA), b = constant(kB);
  to[0] = y0;
  to[step] = multiply_add(a, odd_a, even_a);
  to[2 * step] = multiply_subtract(a, odd_a, even_a);
  to[3 * step] = multiply_add(b, odd_b, even_b);
  to[4 * step] = multiply_subtract(b, odd_b, even_b);
  to[5 * step] = y3;
}

// to[i * step] = (G^T from)[i], the transpose of the filter transform.
inline void weight_gradient_transform_1d(const Vector* from, int stride, Vector* to, int step) {
  const Vector even_a = constant(1 / kNa) * (from[stride] + from[2 * stride]);
  const Vector odd_a = from[stride] - from[2 * stride];
  const Vector even_b = constant(1 / kNb) * (from[3 * stride] + from[4 * stride]);
  const Vector odd_b = from[3 * stride] - from[4 * stride];
  to[0] = from[0] + (even_a + even_b);
  to[step] = multiply_add(constant(kA / kNa), odd_a, constant(kB / kNb) * odd_b);
  to[2 * step] = multiply_add(constant(kA2), even_a, multiply_add(constant(kB2), even_b, from[5 * stride]));
}

// out (rows x vectors) = or += sum over i < depth of a(row, i) * b(i, column): the inner kernel of both passes.
// kRowMajor says that a(row, i) lies at a[row * a_stride + i], otherwise at a[i * a_stride + row].
template <int rows, int vectors, bool kRowMajor>
void multiply(int depth, const float* a, size_t a_stride, const float* b, size_t b_stride, float* out,
              size_t out_stride, bool accumulate) {
  Vector sums[rows][vectors];
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) sums[r][v] = accumulate ? load(out + r * out_stride + v * kLane) : all(0);
  for (int i = 0; i < depth; ++i) {
    Vector columns[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) columns[v] = load(b + i * b_stride + v * kLane);
#pragma GCC unroll 12
    for (int r = 0; r < rows; ++r) {
      const Vector factor = all(kRowMajor ? a[r * a_stride + i] : a[i * a_stride + r]);
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(factor, columns[v], sums[r][v]);
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) store(out + r * out_stride + v * kLane, sums[r][v]);
}

using Multiply = void (*)(int, const float*, size_t, const float*, size_t, float*, size_t, bool);

// The kernels for 1 to kRows rows and `vectors` vectors of columns.
template <int vectors, bool kRowMajor, int... rows>
constexpr std::array<Multiply, kRows> multiply_kernels(std::integer_sequence<int, rows...>) {
  return {multiply<rows + 1, vectors, kRowMajor>...};
}

// out(row, column) over all rows and one or two vectors of columns, in groups of at most kRows rows.
template <bool kRowMajor>
void multiply_rows(int rows, int columns, int depth, const float* a, size_t a_stride, const float* b, size_t b_stride,
                   float* out, size_t out_stride, bool accumulate) {
  using AllRows = std::make_integer_sequence<int, kRows>;
  static constexpr std::array kOneVector = multiply_kernels<1, kRowMajor>(AllRows());
  static constexpr std::array kTwoVectors = multiply_kernels<2, kRowMajor>(AllRows());
  const auto& kernels = columns == kLane ? kOneVector : kTwoVectors;
  const int groups = divide_up(rows, kRows);
  for (int group = 0; group < groups; ++group) {
    const int begin = part_begin(rows, groups, group), end = part_begin(rows, groups, group + 1);
    kernels[end - begin - 1](depth, a + begin * (kRowMajor ? a_stride : 1), a_stride, b, b_stride,
                             out + begin * out_stride, out_stride, accumulate);
  }
}

// One 6x6 tile of a channel block, load(i, j) being its pixels: to[(i * 6 + j) * element_stride] = (B^T d B)(i, j).
template <typename Load>
inline void transform_input_tile(Load load, float* to, size_t element_stride) {
  Vector rows[kInput][kInput];
#pragma GCC unroll 6
  for (int j = 0; j < kInput; ++j) {
    Vector column[kInput];
#pragma GCC unroll 6
    for (int i = 0; i < kInput; ++i) column[i] = load(i, j);
    input_transform_1d(column, 1, &rows[0][j], kInput);
  }
#pragma GCC unroll 6
  for (int i = 0; i < kInput; ++i) {
    Vector result[kInput];
    input_transform_1d(rows[i], 1, result, 1);
#pragma GCC unroll 6
    for (int j = 0; j < kInput; ++j) store(to + (i * kInput + j) * element_stride, result[j]);
  }
}

// Where a tile lies: image, and first row and column of its output.
struct Tile {
  int image, row, column;
};

class Winograd final : public WinogradConv3x3 {
 public:
  Winograd(int n, int h, int w, int c, int k);

  size_t packed_weight_bytes() const override;
  size_t workspace_bytes() const override;
  size_t backward_weights_workspace_bytes() const override;
  void pack_weights(const float* weights, const float* scale, bool for_backward_data, float* packed) const override;
  void forward(const float* x, const float* packed, float* y, const InputTransform& input, const Epilogue& epilogue,
               void* workspace) const override;
  void backward_weights(const float* x, const float* dy, float* dw, const InputTransform& input,
                        void* workspace) const override;

 private:
  int h_, w_, c_, k_;
  int tile_columns_, tiles_per_image_, tiles_;
  int threads_;
  int blocks_, block_tiles_;              // forward: blocks of consecutive tiles, and the tiles of the largest
  int gradient_blocks_, gradient_tiles_;  // the same for backward_weights

  Tile tile(int index) const;
  int block_begin(int block) const;
  size_t v_floats() const;
  size_t m_floats() const;
  void transform_input(const float* x, const InputTransform& input, int tile_begin, int tile_end, int channel_begin,
                       int channel_end, float* v, size_t element_stride) const;
  void transform_gradient(const float* dy, int tile_begin, int tile_end, int channel_begin, int channel_end, float* w,
                          size_t element_stride) const;
  void multiply_panel(const float* v, const float* packed, int block, int panel, float* m, float* y,
                      const Epilogue& epilogue, double* partial_sums) const;
  void pack_panel(const float* weights, const float* scale, bool for_backward_data, int panel, float* packed) const;
  void transform_weight_gradient(const float* s, size_t element_stride, float* dw) const;
};

Winograd::Winograd(int n, int h, int w, int c, int k) : h_(h), w_(w), c_(c), k_(k) {
  tile_columns_ = divide_up(w, kOutput);
  tiles_per_image_ = tile_columns_ * divide_up(h, kOutput);
  tiles_ = n * tiles_per_image_;
  threads_ = omp_get_max_threads();

  // V takes two thirds of L2. Weights that stay in L2 cost nothing to read again: small blocks then, for more threads.
  const size_t v_bytes = sizeof(float) * kElements * row_stride(c);
  const size_t w_bytes = sizeof(float) * kElements * row_stride(k);
  const int most_tiles = packed_weight_bytes() <= kL2Bytes / 2 ? 12 : 4 * kRows;
  blocks_ = divide_up(tiles_, std::clamp(static_cast<int>(kL2Bytes * 2 / 3 / v_bytes), kRows, most_tiles));
  block_tiles_ = divide_up(tiles_, blocks_);
  // V and W of a block are in L3, shared by all threads: 139 tiles for C = K = 128.
  gradient_blocks_ = divide_up(tiles_, std::max(kPanel, static_cast<int>(5632 * 1024 / (v_bytes + w_bytes))));
  gradient_tiles_ = divide_up(tiles_, gradient_blocks_);
}

int Winograd::block_begin(int block) const { return part_begin(tiles_, blocks_, block); }

size_t Winograd::packed_weight_bytes() const { return sizeof(float) * kElements * static_cast<size_t>(c_) * k_; }

size_t Winograd::v_floats() const { return whole_lines(kElements * element_stride(block_tiles_, row_stride(c_))); }

size_t Winograd::m_floats() const { return whole_lines(kElements * element_stride(block_tiles_, kPanel)); }

size_t Winograd::workspace_bytes() const {
  return sizeof(float) * threads_ * (v_floats() + m_floats()) + sizeof(double) * 2 * k_ * static_cast<size_t>(blocks_);
}

size_t Winograd::backward_weights_workspace_bytes() const {
  return sizeof(float) * kElements *
         (element_stride(gradient_tiles_, row_stride(c_)) + element_stride(gradient_tiles_, row_stride(k_)) +
          element_stride(k_, row_stride(c_)));
}

// packed: panel of kPanel k (half in the last where K is an odd multiple of kLane), element, c, k. The loops over lanes
// are the inner ones, which lets the compiler vectorise them: training transforms the weights anew in each step.
void Winograd::pack_weights(const float* weights, const float* scale, bool for_backward_data, float* packed) const {
#pragma omp parallel for schedule(static) num_threads(std::min(threads_, omp_get_max_threads()))
  for (int panel = 0; panel < divide_up(k_, kPanel); ++panel)
    pack_panel(weights, scale, for_backward_data, panel, packed);
}

void Winograd::pack_panel(const float* weights, const float* scale, bool for_backward_data, int panel,
                          float* packed) const {
  const int first = panel * kPanel, width = std::min(kPanel, k_ - first);
  float* to = packed + static_cast<size_t>(first) * kElements * c_;
  for (int c = 0; c < c_; ++c) {
    double g[3][3][kPanel] = {}, rows[kInput][3][kPanel];  // rows: G g
    for (int r = 0; r < 3; ++r)
      for (int s = 0; s < 3; ++s)
        for (int lane = 0; lane < width; ++lane) {
          const size_t k = first + lane;
          const size_t from =
              for_backward_data ? ((c * size_t{3} + 2 - r) * 3 + 2 - s) * k_ + k : ((k * 3 + r) * 3 + s) * c_ + c;
          g[r][s][lane] = static_cast<double>(weights[from]) * (scale ? scale[for_backward_data ? c : k] : 1.0f);
        }
    for (int i = 0; i < kInput; ++i)
      for (int s = 0; s < 3; ++s)
        for (int lane = 0; lane < kPanel; ++lane)
          rows[i][s][lane] = kG[i][0] * g[0][s][lane] + kG[i][1] * g[1][s][lane] + kG[i][2] * g[2][s][lane];
    for (int i = 0; i < kInput; ++i)
      for (int j = 0; j < kInput; ++j) {
        float u[kPanel];
        for (int lane = 0; lane < kPanel; ++lane)
          u[lane] = static_cast<float>(kG[j][0] * rows[i][0][lane] + kG[j][1] * rows[i][1][lane] +
                                       kG[j][2] * rows[i][2][lane]);
        std::copy_n(u, width, to + (static_cast<size_t>(i * kInput + j) * c_ + c) * width);
      }
  }
}

Tile Winograd::tile(int index) const {
  const int in_image = index % tiles_per_image_;
  return {index / tiles_per_image_, in_image / tile_columns_ * kOutput, in_image % tile_columns_ * kOutput};
}

// V(element, tile - tile_begin, c) = B^T input(x) B for the given tiles and channels, a panel of channels after
// the other, so that neighbouring tiles find their common pixels in L1.
void Winograd::transform_input(const float* x, const InputTransform& input, int tile_begin, int tile_end,
                               int channel_begin, int channel_end, float* v, size_t element_stride) const {
  const bool transformed = input.scale || input.shift || input.relu;
  const Vector zero = all(0), floor = input.relu ? zero : all(-__builtin_inff());
  for (int first = channel_begin; first < channel_end; first += kPanel)
    for (int index = tile_begin; index < tile_end; ++index) {
      const Tile at = tile(index);
      const int top = at.row - 1, left = at.column - 1;
      const bool inside = top >= 0 && left >= 0 && top + kInput <= h_ && left + kInput <= w_;
      for (int c = first; c < std::min(first + kPanel, channel_end); c += kLane) {
        const float* from = x + (static_cast<size_t>(at.image) * (c_ / kLane) + c / kLane) * h_ * w_ * kLane;
        const Vector scale = input.scale ? load(input.scale + c) : all(1);
        const Vector shift = input.shift ? load(input.shift + c) : zero;
        const auto pixel = [&](int i, int j) {
          return load(from + (static_cast<ptrdiff_t>(top + i) * w_ + left + j) * kLane);
        };
        const auto transform = [&](Vector value) { return max(floor, multiply_add(value, scale, shift)); };
        const auto is_padding = [&](int i, int j) {
          return top + i < 0 || top + i >= h_ || left + j < 0 || left + j >= w_;
        };
        float* to = v + (index - tile_begin) * row_stride(c_) + c;
        if (inside && !transformed)
          transform_input_tile(pixel, to, element_stride);
        else if (inside)
          transform_input_tile([&](int i, int j) { return transform(pixel(i, j)); }, to, element_stride);
        else
          transform_input_tile([&](int i, int j) { return is_padding(i, j) ? zero : transform(pixel(i, j)); }, to,
                               element_stride);
      }
    }
}

// W(element, tile - tile_begin, k) = A dY A^T for the given tiles and channels.
void Winograd::transform_gradient(const float* dy, int tile_begin, int tile_end, int channel_begin, int channel_end,
                                  float* w, size_t element_stride) const {
  for (int index = tile_begin; index < tile_end; ++index) {
    const Tile at = tile(index);
    const int row_end = std::min(kOutput, h_ - at.row), column_end = std::min(kOutput, w_ - at.column);
    for (int k = channel_begin; k < channel_end; k += kLane) {
      const size_t plane = (static_cast<size_t>(at.image) * (k_ / kLane) + k / kLane) * h_;
      Vector d[kOutput][kOutput], rows[kInput][kOutput];
      for (int i = 0; i < kOutput; ++i)
        for (int j = 0; j < kOutput; ++j)
          d[i][j] =
              i < row_end && j < column_end ? load(dy + ((plane + at.row + i) * w_ + at.column + j) * kLane) : all(0);
      for (int j = 0; j < kOutput; ++j) gradient_transform_1d(&d[0][j], kOutput, &rows[0][j], kOutput);
      float* to = w + (index - tile_begin) * row_stride(k_) + k;
      for (int i = 0; i < kInput; ++i) {
        Vector result[kInput];
        gradient_transform_1d(rows[i], 1, result, 1);
        for (int j = 0; j < kInput; ++j) store(to + (i * kInput + j) * element_stride, result[j]);
      }
    }
  }
}

// One block of tiles, one panel of output channels: M = V U, then y = epilogue(A^T M A).
void Winograd::multiply_panel(const float* v, const float* packed, int block, int panel, float* m, float* y,
                              const Epilogue& epilogue, double* partial_sums) const {
  const int begin = block_begin(block), tiles = block_begin(block + 1) - begin;
  const int width = std::min(kPanel, k_ - panel * kPanel);
  const size_t v_row = row_stride(c_), v_element = element_stride(block_tiles_, v_row);
  const size_t m_element = element_stride(block_tiles_, kPanel);
  const float* u = packed + static_cast<size_t>(panel) * kPanel * kElements * c_;
  for (int element = 0; element < kElements; ++element)
    multiply_rows<true>(tiles, width, c_, v + element * v_element, v_row, u + static_cast<size_t>(element) * c_ * width,
                        width, m + element * m_element, kPanel, false);

  for (int k = panel * kPanel; k < panel * kPanel + width; k += kLane) {
    const Vector bias = epilogue.bias ? load(epilogue.bias + k) : all(0);
    const Vector floor = epilogue.relu ? all(0) : all(-__builtin_inff());
    double sums[kLane] = {}, sums_squares[kLane] = {};
    for (int index = 0; index < tiles; ++index) {
      const Tile at = tile(begin + index);
      const int row_end = std::min(kOutput, h_ - at.row), column_end = std::min(kOutput, w_ - at.column);
      const float* from = m + index * kPanel + k % kPanel;
      Vector rows[kOutput][kInput], result[kOutput][kOutput];
      for (int j = 0; j < kInput; ++j) {
        Vector column[kInput];
        for (int i = 0; i < kInput; ++i) column[i] = load(from + (i * kInput + j) * m_element);
        output_transform_1d(column, 1, &rows[0][j], kInput);
      }
      for (int i = 0; i < kOutput; ++i) output_transform_1d(rows[i], 1, result[i], 1);

      const size_t plane = (static_cast<size_t>(at.image) * (k_ / kLane) + k / kLane) * h_;
      Vector sum = all(0), squares = all(0);  // of at most 16 pixels: exact enough in float32
      for (int i = 0; i < row_end; ++i) {
        const size_t offset = ((plane + at.row + i) * w_ + at.column) * kLane;
        for (int j = 0; j < column_end; ++j) {
          Vector value = result[i][j];
          sum = sum + value;
          squares = multiply_add(value, value, squares);
          value = value + bias;
          if (epilogue.residual) value = value + load(epilogue.residual + offset + j * kLane);
          store(y + offset + j * kLane, max(floor, value));
        }
      }
      if (epilogue.sum) {
        for (int lane = 0; lane < kLane; ++lane) {
          sums[lane] += static_cast<double>(sum[lane]);
          sums_squares[lane] += static_cast<double>(squares[lane]);
        }
      }
    }
    if (epilogue.sum) {
      double* to = partial_sums + static_cast<size_t>(block) * 2 * k_ + k;
      std::copy_n(sums, kLane, to);
      std::copy_n(sums_squares, kLane, to + k_);
    }
  }
}

void Winograd::forward(const float* x, const float* packed, float* y, const InputTransform& input,
                       const Epilogue& epilogue, void* workspace) const {
  const int threads = std::min(threads_, omp_get_max_threads());
  const int panels = divide_up(k_, kPanel), input_panels = divide_up(c_, kPanel);
  const size_t v_element = element_stride(block_tiles_, row_stride(c_));
  float* const v = static_cast<float*>(workspace);
  float* const m = v + threads_ * v_floats();
  double* const partial_sums = reinterpret_cast<double*>(m + threads_ * m_floats());
  const bool block_per_thread = blocks_ >= 2 * threads || panels < threads;
#pragma omp parallel num_threads(threads)
  {
    float* const own_v = v + omp_get_thread_num() * v_floats();
    float* const own_m = m + omp_get_thread_num() * m_floats();
    if (block_per_thread) {
#pragma omp for schedule(static)
      for (int block = 0; block < blocks_; ++block) {
        transform_input(x, input, block_begin(block), block_begin(block + 1), 0, c_, own_v, v_element);
        for (int panel = 0; panel < panels; ++panel)
          multiply_panel(own_v, packed, block, panel, own_m, y, epilogue, partial_sums);
      }
    } else {
      for (int block = 0; block < blocks_; ++block) {
#pragma omp for schedule(static)
        for (int panel = 0; panel < input_panels; ++panel)
          transform_input(x, input, block_begin(block), block_begin(block + 1), panel * kPanel,
                          std::min(c_, (panel + 1) * kPanel), v, v_element);
#pragma omp for schedule(static)
        for (int panel = 0; panel < panels; ++panel)
          multiply_panel(v, packed, block, panel, own_m, y, epilogue, partial_sums);
      }
    }
    if (epilogue.sum) {
#pragma omp for schedule(static)
      for (int k = 0; k < k_; ++k) {
        double sum = 0, squares = 0;
        for (int block = 0; block < blocks_; ++block) {
          sum += partial_sums[static_cast<size_t>(block) * 2 * k_ + k];
          squares += partial_sums[static_cast<size_t>(block) * 2 * k_ + k_ + k];
        }
        epilogue.sum[k] = sum;
        epilogue.sum_squares[k] = squares;
      }
    }
  }
}

// One filter (3 x 3 x C) of dw = G^T S G. A function of its own, because what is inside of `omp parallel` is compiled
// for the whole program's instruction set.
void Winograd::transform_weight_gradient(const float* s, size_t element_stride, float* dw) const {
  for (int c = 0; c < c_; c += kLane) {
    Vector rows[3][kInput], result[3][3];
    for (int j = 0; j < kInput; ++j) {
      Vector column[kInput];
      for (int i = 0; i < kInput; ++i) column[i] = load(s + (i * kInput + j) * element_stride + c);
      weight_gradient_transform_1d(column, 1, &rows[0][j], kInput);
    }
    for (int i = 0; i < 3; ++i) weight_gradient_transform_1d(rows[i], 1, result[i], 1);
    for (int i = 0; i < 9; ++i) store(dw + i * c_ + c, result[i / 3][i % 3]);
  }
}

void Winograd::backward_weights(const float* x, const float* dy, float* dw, const InputTransform& input,
                                void* workspace) const {
  const int threads = std::min(threads_, omp_get_max_threads());
  const size_t v_row = row_stride(c_), v_element = element_stride(gradient_tiles_, v_row);
  const size_t w_row = row_stride(k_), w_element = element_stride(gradient_tiles_, w_row);
  const size_t s_row = v_row, s_element = element_stride(k_, s_row);
  float* const v = static_cast<float*>(workspace);
  float* const w = v + kElements * v_element;
  float* const s = w + kElements * w_element;
  constexpr int kRowsAtOnce = 8 * kRows;
  const int row_parts = divide_up(k_, kRowsAtOnce), tile_parts = divide_up(gradient_tiles_, 16);
  const int c_panels = divide_up(c_, kPanel), k_panels = divide_up(k_, kPanel);
#pragma omp parallel num_threads(threads)
  {
    for (int block = 0; block < gradient_blocks_; ++block) {
      const int begin = part_begin(tiles_, gradient_blocks_, block);
      const int tiles = part_begin(tiles_, gradient_blocks_, block + 1) - begin;
#pragma omp for schedule(static)
      for (int item = 0; item < (c_panels + k_panels) * tile_parts; ++item) {
        const int panel = item / tile_parts, part = item % tile_parts;
        const int first = part_begin(tiles, tile_parts, part), last = part_begin(tiles, tile_parts, part + 1);
        if (panel < c_panels)
          transform_input(x, input, begin + first, begin + last, panel * kPanel, std::min(c_, (panel + 1) * kPanel),
                          v + first * v_row, v_element);
        else
          transform_gradient(dy, begin + first, begin + last, (panel - c_panels) * kPanel,
                             std::min(k_, (panel - c_panels + 1) * kPanel), w + first * w_row, w_element);
      }
#pragma omp for schedule(static)
      for (int item = 0; item < kElements * row_parts; ++item) {
        const int element = item / row_parts, part = item % row_parts;
        const int k = part_begin(k_, row_parts, part), k_end = part_begin(k_, row_parts, part + 1);
        for (int c = 0; c < c_; c += kPanel)
          multiply_rows<false>(k_end - k, std::min(kPanel, c_ - c), tiles, w + element * w_element + k, w_row,
                               v + element * v_element + c, v_row, s + element * s_element + k * s_row + c, s_row,
                               block > 0);
      }
    }
#pragma omp for schedule(static)
    for (int k = 0; k < k_; ++k)
      transform_weight_gradient(s + k * s_row, s_element, dw + static_cast<size_t>(k) * 9 * c_);
  }
}

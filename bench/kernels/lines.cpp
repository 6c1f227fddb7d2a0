#include "bench/kernels/lines.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <sstream>

#include "engine/file.h"

namespace sandglass::bench {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    parts.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

// Whether the numbers that sscanf has found, written again, are the text.
void check_shape(bool same, const Line& line, const char* example) {
  check(same, "{}: '{}' is no shape of {}, expected one like {}", line.text(), line.shape, line.operation, example);
}

// Sizes that can be: positive, and so few that every index is an int.
bool possible(std::initializer_list<int> sizes) {
  double product = 1;
  for (const int size : sizes) {
    if (size <= 0) return false;
    product *= size;
  }
  return product < std::numeric_limits<int>::max();
}

constexpr int kSmallPicture = 16, kSmallMap = 8, kSmallChannels = 16, kSmallCount = 1000;

std::string small_shape(const Line& line) {
  if (line.operation.starts_with("conv_")) {
    ConvShape s = conv_shape(line, 1);
    s.h = s.w = std::min(s.h, s.c == 3 ? kSmallPicture : kSmallMap);
    s.c = std::min(s.c, kSmallChannels);
    s.k = std::min(s.k, kSmallChannels);
    return to_string(s);
  }
  if (!has_batch(line)) {
    const bool channels = line.operation.starts_with("batch_norm");
    return std::to_string(std::min(count(line), channels ? kSmallChannels : kSmallCount));
  }
  Shape s = map_shape(line, 1);
  s.h = s.w = std::min(s.h, s.c <= 5 ? kSmallPicture : kSmallMap);
  s.c = std::min(s.c, kSmallChannels);
  return to_string(s);
}

void add(std::vector<Line>& lines, const Line& line) {
  const auto same = std::find_if(lines.begin(), lines.end(), [&](const Line& l) { return l.text() == line.text(); });
  if (same == lines.end()) {
    lines.push_back(line);
    return;
  }
  same->infer += line.infer;
  same->train += line.train;
}

}  // namespace

bool Line::has(std::string_view option) const {
  return std::find(options.begin(), options.end(), option) != options.end();
}

bool has_batch(const Line& line) { return line.shape.find_first_not_of("0123456789") != std::string::npos; }

std::string Line::text() const {
  std::string text = operation + "/" + shape;
  for (const std::string& option : options) text += "/" + option;
  return text;
}

Line parse_line(std::string_view text) {
  std::vector<std::string> parts = split(text, '/');
  check(parts.size() >= 2 && std::none_of(parts.begin(), parts.end(), [](const auto& part) { return part.empty(); }),
        "'{}' is not OPERATION/SHAPE[/OPTION...], as `sandglass info --operations` prints it", text);
  Line line;
  line.operation = parts[0];
  line.shape = parts[1];
  line.options.assign(parts.begin() + 2, parts.end());
  return line;
}

std::vector<Line> read_lines(const std::filesystem::path& file) {
  std::vector<Line> lines;
  std::istringstream text(read_file(file));
  std::string row, section;
  for (int number = 1; std::getline(text, row); ++number) {
    if (!row.empty() && row.back() == '\r') row.pop_back();
    row.erase(0, row.find_first_not_of(' '));
    if (row.empty() || row[0] == '#') continue;
    if (row == "[infer]" || row == "[train]") {
      section = row;
      continue;
    }
    int times = 0, length = 0;
    check(
        std::sscanf(row.c_str(), "%9d %n", &times, &length) == 1 && times > 0 && length > 0,
        "{}:{}: '{}' does not begin with how often an operation is there; `sandglass info --operations` prints such a "
        "list",
        file.string(), number, row);
    Line line;
    try {
      line = parse_line(std::string_view(row).substr(static_cast<size_t>(length)));
    } catch (const Error& error) {
      fail("{}:{}: {}", file.string(), number, error.what());
    }
    if (line.operation == "max_pool_forward" && section == "[train]" && !line.has("argmax"))
      line.options.push_back("argmax");
    (section == "[train]" ? line.train : line.infer) = times;
    add(lines, line);
  }
  check(!lines.empty(), "{}: no operation is in it; `sandglass info --operations` prints such a list", file.string());
  return lines;
}

void add_plain_convolutions(std::vector<Line>& lines) {
  std::vector<Line> all;
  for (const Line& line : lines) {
    add(all, line);
    if (line.operation.starts_with("conv_")) add(all, {line.operation, line.shape, {}, 0, 0});
  }
  lines = all;
}

Line small(const Line& line) {
  Line result = line;
  result.shape = small_shape(line);
  return result;
}

ConvShape conv_shape(const Line& line, int batch) {
  ConvShape s;
  const int found = std::sscanf(line.shape.c_str(), "n%9d_h%9d_w%9d_c%9d_k%9d_r%9d_s%9d_stride%9d", &s.n, &s.h, &s.w,
                                &s.c, &s.k, &s.r, &s.s, &s.stride);
  check_shape(found == 8 && to_string(s) == line.shape && s.stride > 0 &&
                  possible({batch, s.h, s.w, std::max(s.c, s.k)}) && possible({s.k, s.r, s.s, s.c}),
              line, "n1_h64_w64_c128_k128_r3_s3_stride1");
  s.n = batch;
  s.padding = s.r / 2;
  return s;
}

Shape map_shape(const Line& line, int batch) {
  Shape s;
  const int found = std::sscanf(line.shape.c_str(), "%9dx%9dx%9dx%9d", &s.n, &s.h, &s.w, &s.c);
  check_shape(found == 4 && to_string(s) == line.shape && possible({batch, s.h, s.w, s.c}), line, "1x64x64x256");
  s.n = batch;
  return s;
}

int count(const Line& line) {
  long long number = 0;
  const int found = std::sscanf(line.shape.c_str(), "%18lld", &number);
  check_shape(
      found == 1 && number > 0 && number < std::numeric_limits<int>::max() && std::to_string(number) == line.shape,
      line, "256");
  return static_cast<int>(number);
}

}  // namespace sandglass::bench

#include "face/au_points.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "engine/error.h"
#include "engine/file.h"

namespace sandglass {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  return begin == text.npos ? std::string_view{} : text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

/// Reads the places of one line from left to right.
class PlaceReader {
 public:
  PlaceReader(std::string_view text, std::string where) : rest_(trimmed(text)), where_(std::move(where)) {}

  std::vector<std::vector<int>> read() {
    std::vector<std::vector<int>> places;
    for (; !rest_.empty(); rest_ = trimmed(rest_)) places.push_back(place());
    check(!places.empty(), "{}: no place after the colon; write landmarks such as 48 54 or mid(36, 1)", where_);
    return places;
  }

 private:
  std::vector<int> place() {
    const size_t length = std::min(rest_.find_first_not_of("abcdefghijklmnopqrstuvwxyz"), rest_.size());
    if (length == 0) {
      const int index = landmark();
      check(rest_.empty() || std::isspace(static_cast<unsigned char>(rest_[0])), "{}: expected a space before '{}'",
            where_, rest_);
      return {index};
    }
    const std::string_view function = rest_.substr(0, length);
    check(function == "mid" || function == "mean",
          "{}: unknown word '{}'; a place is a landmark, mid(a, b) or mean(a, ...)", where_, function);
    rest_ = trimmed(rest_.substr(length));
    expect('(', function);
    rest_ = trimmed(rest_);
    std::vector<int> indices{landmark()};
    for (rest_ = trimmed(rest_); rest_.substr(0, 1) == ","; rest_ = trimmed(rest_)) {
      rest_ = trimmed(rest_.substr(1));
      indices.push_back(landmark());
    }
    expect(')', function);
    check(function != "mid" || indices.size() == 2, "{}: mid() takes two landmarks, not {}; use mean() for more",
          where_, indices.size());
    return indices;
  }

  void expect(char character, std::string_view function) {
    check(rest_.substr(0, 1) == std::string_view(&character, 1), "{}: expected '{}' in {}(...), found '{}'", where_,
          character, function, rest_);
    rest_.remove_prefix(1);
  }

  int landmark() {
    int index = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), index);
    check(error == std::errc{} && index >= 0 && index <= 67, "{}: expected a landmark from 0 to 67, found '{}'", where_,
          rest_);
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return index;
  }

  std::string_view rest_;
  std::string where_;
};

}  // namespace

std::string normalise_au_name(std::string_view name) {
  std::string_view digits = trimmed(name);
  if (digits.size() > 2 && (digits[0] == 'A' || digits[0] == 'a') && (digits[1] == 'U' || digits[1] == 'u')) {
    digits.remove_prefix(2);
  }
  int number = 0;
  const bool all_digits =
      std::all_of(digits.begin(), digits.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  check(all_digits && digits.size() <= 2 && number >= 1,
        "'{}' is not the name of an Action Unit; write AU and a number, such as AU06", trimmed(name));
  return fmt::format("AU{:02}", number);
}

const AuDefinition& AuTable::find(std::string_view name) const {
  const std::string normalised = normalise_au_name(name);
  std::string known;
  for (const AuDefinition& definition : definitions) {
    if (definition.name == normalised) return definition;
    known += (known.empty() ? "" : ", ") + definition.name;
  }
  fail("{}: has no line for {} (it has {}); add one, such as '{}: 48 54'", source, normalised, known, normalised);
}

bool AuTable::has(std::string_view name) const {
  return std::any_of(definitions.begin(), definitions.end(),
                     [&](const AuDefinition& definition) { return definition.name == name; });
}

AuTable parse_au_table(std::string_view text, const std::string& source) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // some editors begin a text file with it
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) text.remove_prefix(kByteOrderMark.size());
  AuTable table{source, {}};
  for (int number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, std::min(text.find('#'), end)));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const std::string where = fmt::format("{}: line {}", source, number);
    const size_t colon = line.find(':');
    check(colon != line.npos, "{}: expected 'AU: places', such as 'AU12: 48 54', found '{}'", where, line);
    AuDefinition definition;
    try {
      definition.name = normalise_au_name(line.substr(0, colon));
    } catch (const Error& error) {
      fail("{}: {}", where, error.what());
    }
    for (const AuDefinition& earlier : table.definitions) {
      check(earlier.name != definition.name, "{}: {} is defined a second time; remove one of the lines", where,
            earlier.name);
    }
    definition.places = PlaceReader(line.substr(colon + 1), where).read();
    table.definitions.push_back(std::move(definition));
  }
  check(!table.definitions.empty(), "{}: defines no AU; expected lines such as 'AU12: 48 54'", source);
  return table;
}

AuTable read_au_table(const std::filesystem::path& path) { return parse_au_table(read_file(path), path.string()); }

std::vector<Point> au_points(const AuDefinition& au, const Landmarks& landmarks) {
  std::vector<Point> points;
  for (const std::vector<int>& place : au.places) {
    Point sum;
    for (const int index : place) {
      const Point landmark = landmarks[static_cast<size_t>(index)];
      sum = {sum.x + landmark.x, sum.y + landmark.y};
    }
    const float count = static_cast<float>(place.size());
    points.push_back({sum.x / count, sum.y / count});
  }
  return points;
}

Landmarks mirror(const Landmarks& landmarks, int width) {
  Landmarks mirrored;
  for (size_t i = 0; i < landmarks.size(); ++i) {
    const Point point = landmarks[static_cast<size_t>(kMirroredLandmark[i])];
    mirrored[i] = {static_cast<float>(width - 1) - point.x, point.y};
  }
  return mirrored;
}

}  // namespace sandglass

#include "train/fingerprint.h"

#include <array>
#include <bit>
#include <filesystem>
#include <string_view>

namespace sandglass {
namespace {

// FNV-1a.
class Fingerprint {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) value_ = (value_ ^ static_cast<uint8_t>(byte)) * 0x100000001b3;
    value_ = (value_ ^ 0xff) * 0x100000001b3;  // ends the text: "ab", "c" is not "a", "bc"
  }
  void add(float number) {
    const auto bits = std::bit_cast<std::array<char, sizeof(float)>>(number);
    add(std::string_view(bits.data(), bits.size()));
  }
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

}  // namespace

uint64_t fingerprint(const Manifest& manifest, const std::vector<std::string>& aus, const AuTable& table) {
  Fingerprint print;
  for (const std::string& au : aus) {
    print.add(au);
    for (const std::vector<int>& place : table.find(au).places) {
      for (const int landmark : place) print.add(std::to_string(landmark));
      print.add("|");
    }
  }
  const std::vector<int> columns = manifest.columns_of(aus);
  for (const ManifestRow& row : manifest.rows) {
    print.add(std::filesystem::path(row.image).filename().string());
    if (row.frame >= 0) print.add(std::to_string(row.frame));
    for (const int column : columns) print.add(row.intensities[static_cast<size_t>(column)]);
    if (!row.landmarks) continue;
    for (const Point& point : *row.landmarks) {
      print.add(point.x);
      print.add(point.y);
    }
  }
  return print.value();
}

}  // namespace sandglass

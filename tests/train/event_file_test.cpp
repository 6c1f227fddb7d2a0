// A small reader of event files, written from the descriptions of the formats and not from the writer.
// tests/train/read_events.py reads them by TensorBoard itself.
#include "train/event_file.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "engine/file.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

// CRC-32C bit by bit.
uint32_t slow_crc32c(std::string_view bytes) {
  uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 1) ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
  }
  return ~crc;
}
uint32_t mask(uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

template <typename Number>
Number number_at(std::string_view bytes, size_t at) {
  Number number{};
  std::memcpy(&number, bytes.substr(at, sizeof number).data(), sizeof number);
  return number;
}

std::vector<std::string> records_of(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  std::vector<std::string> records;
  for (size_t at = 0; at < file.size();) {
    const auto length = number_at<uint64_t>(file, at);
    EXPECT_EQ(number_at<uint32_t>(file, at + 8), mask(slow_crc32c(file.substr(at, 8))));
    records.push_back(file.substr(at + 12, length));
    EXPECT_EQ(records.back().size(), length);
    EXPECT_EQ(number_at<uint32_t>(file, at + 12 + length), mask(slow_crc32c(records.back())));
    at += 16 + length;
  }
  return records;
}

// The fields of a protocol buffer by number, as their bytes: numbers of 4 or 8 bytes, varints as 8.
std::multimap<int, std::string> fields_of(std::string_view bytes) {
  std::multimap<int, std::string> fields;
  size_t at = 0;
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<uint8_t>(bytes.at(at++));
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.size()) {
    const uint64_t key = varint();
    const int field = static_cast<int>(key >> 3);
    switch (key & 7) {
      case 0: {
        const uint64_t value = varint();
        fields.emplace(field, std::string(reinterpret_cast<const char*>(&value), 8));
        break;
      }
      case 1:
        fields.emplace(field, bytes.substr(at, 8)), at += 8;
        break;
      case 2: {
        const size_t length = varint();
        fields.emplace(field, bytes.substr(at, length)), at += length;
        break;
      }
      case 5:
        fields.emplace(field, bytes.substr(at, 4)), at += 4;
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return fields;
    }
  }
  return fields;
}
std::string only(const std::multimap<int, std::string>& fields, int number) {
  EXPECT_EQ(fields.count(number), 1u) << number;
  const auto found = fields.find(number);
  return found == fields.end() ? std::string(8, '\0') : found->second;
}

TEST(EventFile, ChecksumsAreThoseOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(masked_crc32c("123456789"), mask(0xe3069283u));
}

TEST(EventFile, HoldsScalarsPicturesAndText) {
  const TemporaryFolder folder;
  EventFile file(folder.path(), 0);
  file.scalars(300, {{"loss", 0.125}, {"icc", std::nan("")}, {"a/b", -2}});
  file.image(5'000'000'000, {"face", 160, 800, std::string("\x89PNG\0\xff", 6)});
  file.text(0, "settings", "x = 1");
  EXPECT_TRUE(file.path().filename().string().starts_with("events.out.tfevents."));
  const std::vector<std::string> records = records_of(file.path());
  ASSERT_EQ(records.size(), 4u);
  EXPECT_EQ(only(fields_of(records[0]), 3), "brain.Event:2");
  EXPECT_GT(number_at<double>(only(fields_of(records[0]), 1), 0), 1.6e9);  // seconds since 1970

  EXPECT_EQ(number_at<int64_t>(only(fields_of(records[1]), 2), 0), 300);
  const auto values = fields_of(only(fields_of(records[1]), 5));
  std::map<std::string, float> scalars;
  for (const auto& [number, value] : values) {
    EXPECT_EQ(number, 1);
    const auto fields = fields_of(value);
    scalars[only(fields, 1)] = number_at<float>(only(fields, 2), 0);
  }
  EXPECT_EQ(scalars, (std::map<std::string, float>{{"loss", 0.125f}, {"a/b", -2.0f}}));

  EXPECT_EQ(number_at<int64_t>(only(fields_of(records[2]), 2), 0), 5'000'000'000);
  const auto image = fields_of(only(fields_of(only(fields_of(records[2]), 5)), 1));
  EXPECT_EQ(only(image, 1), "face");
  const auto picture = fields_of(only(image, 4));
  EXPECT_EQ(number_at<int64_t>(only(picture, 1), 0), 160);
  EXPECT_EQ(number_at<int64_t>(only(picture, 2), 0), 800);
  EXPECT_EQ(number_at<int64_t>(only(picture, 3), 0), 3);
  EXPECT_EQ(only(picture, 4), std::string("\x89PNG\0\xff", 6));

  const auto text = fields_of(only(fields_of(only(fields_of(records[3]), 5)), 1));
  EXPECT_EQ(only(fields_of(only(text, 8)), 8), "x = 1");
  EXPECT_EQ(only(fields_of(only(fields_of(only(text, 9)), 1)), 1), "text");
}

TEST(EventFile, ARunThatGoesOnDropsWhatIsLater) {
  const TemporaryFolder folder;
  const EventFile first(folder.path(), 0), second(folder.path(), 40);
  EXPECT_NE(first.path(), second.path());
  EXPECT_EQ(records_of(first.path()).size(), 1u);
  const std::vector<std::string> records = records_of(second.path());
  ASSERT_EQ(records.size(), 2u);
  const auto event = fields_of(records[1]);
  EXPECT_EQ(number_at<int64_t>(only(event, 2), 0), 41);
  EXPECT_EQ(number_at<int64_t>(only(fields_of(only(event, 7)), 1), 0), 1);  // SessionLog: START
}

TEST(EventFile, AFolderThatCannotBeWritten) {
  const TemporaryFolder folder;
  EXPECT_NE(error_of([&] { EventFile(folder / "absent", 0); }).find("cannot be written"), std::string::npos);
}

}  // namespace
}  // namespace sandglass

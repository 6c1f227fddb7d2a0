#include "train/event_file.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>

#include "engine/error.h"

namespace sandglass {
namespace {

// The protocol buffers' wire format: fields as (number << 3 | type), then the value.
class Message {
 public:
  void integer(int field, uint64_t value) {
    varint(static_cast<uint64_t>(field) << 3);
    varint(value);
  }
  void number(int field, double value) {
    varint(static_cast<uint64_t>(field) << 3 | 1);
    little_endian(std::bit_cast<uint64_t>(value), 8);
  }
  void number(int field, float value) {
    varint(static_cast<uint64_t>(field) << 3 | 5);
    little_endian(std::bit_cast<uint32_t>(value), 4);
  }
  void bytes(int field, std::string_view value) {
    varint(static_cast<uint64_t>(field) << 3 | 2);
    varint(value.size());
    bytes_ += value;
  }
  void message(int field, const Message& value) { bytes(field, value.bytes_); }
  void little_endian(uint64_t value, int count) {
    for (int i = 0; i < count; ++i) bytes_ += static_cast<char>(value >> (8 * i) & 0xff);
  }
  const std::string& str() const { return bytes_; }

 private:
  void varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_ += static_cast<char>(value | 0x80);
    bytes_ += static_cast<char>(value);
  }

  std::string bytes_;
};

// Field numbers of the .proto files.
namespace field {
constexpr int kEventTime = 1, kEventStep = 2, kEventVersion = 3, kEventSummary = 5, kEventSession = 7;
constexpr int kSessionStatus = 1, kSessionStart = 1;
constexpr int kSummaryValue = 1, kValueTag = 1, kValueScalar = 2, kValueImage = 4, kValueTensor = 8, kValueMetadata = 9;
constexpr int kImageHeight = 1, kImageWidth = 2, kImageColours = 3, kImageFile = 4, kRgb = 3;
constexpr int kMetadataPlugin = 1, kPluginName = 1;
constexpr int kTensorType = 1, kTensorShape = 2, kTensorStrings = 8, kString = 7;
constexpr int kShapeDimension = 2, kDimensionSize = 1;
}  // namespace field

Message event_at(int64_t step) {
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  Message event;
  event.number(field::kEventTime, now.count());
  if (step != 0) event.integer(field::kEventStep, static_cast<uint64_t>(step));
  return event;
}

std::filesystem::path new_path(const std::filesystem::path& folder) {
  static std::atomic<int> number = 0;
  char host[256] = {};
  if (gethostname(host, sizeof host - 1) != 0 || host[0] == '\0') host[0] = '-';
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return folder / fmt::format("events.out.tfevents.{}.{}.{}.{}", seconds, host, getpid(), number++);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < 256; ++i) {
      table[i] = i;
      for (int bit = 0; bit < 8; ++bit) table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0x82f63b78u : 0u);
    }
    return table;
  }();
  uint32_t crc = 0xffffffff;
  for (const char byte : bytes) crc = crc >> 8 ^ kTable[(crc ^ static_cast<uint8_t>(byte)) & 0xff];
  return ~crc;
}

uint32_t masked_crc32c(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xa282ead8u; }

EventFile::EventFile(const std::filesystem::path& folder, int64_t first_step)
    : path_(new_path(folder)), file_(path_, 0) {
  Message version = event_at(0);
  version.bytes(field::kEventVersion, "brain.Event:2");
  write(version.str());
  if (first_step == 0) return;
  Message session, event = event_at(first_step + 1);  // events of this step on are orphans
  session.integer(field::kSessionStatus, field::kSessionStart);
  event.message(field::kEventSession, session);
  write(event.str());
}

void EventFile::scalars(int64_t step, const std::vector<EventScalar>& scalars) {
  Message summary, event = event_at(step);
  for (const EventScalar& scalar : scalars) {
    if (!std::isfinite(scalar.value)) continue;
    Message value;
    value.bytes(field::kValueTag, scalar.tag);
    value.number(field::kValueScalar, static_cast<float>(scalar.value));
    summary.message(field::kSummaryValue, value);
  }
  event.message(field::kEventSummary, summary);
  write(event.str());
}

void EventFile::image(int64_t step, const EventImage& image) {
  Message picture, value, summary, event = event_at(step);
  picture.integer(field::kImageHeight, static_cast<uint64_t>(image.height));
  picture.integer(field::kImageWidth, static_cast<uint64_t>(image.width));
  picture.integer(field::kImageColours, field::kRgb);
  picture.bytes(field::kImageFile, image.file);
  value.bytes(field::kValueTag, image.tag);
  value.message(field::kValueImage, picture);
  summary.message(field::kSummaryValue, value);
  event.message(field::kEventSummary, summary);
  write(event.str());
}

void EventFile::text(int64_t step, const std::string& tag, const std::string& text) {
  Message dimension, shape, tensor, plugin, metadata, value, summary, event = event_at(step);
  dimension.integer(field::kDimensionSize, 1);
  shape.message(field::kShapeDimension, dimension);
  tensor.integer(field::kTensorType, field::kString);
  tensor.message(field::kTensorShape, shape);
  tensor.bytes(field::kTensorStrings, text);
  plugin.bytes(field::kPluginName, "text");
  metadata.message(field::kMetadataPlugin, plugin);
  value.bytes(field::kValueTag, tag);
  value.message(field::kValueTensor, tensor);
  value.message(field::kValueMetadata, metadata);
  summary.message(field::kSummaryValue, value);
  event.message(field::kEventSummary, summary);
  write(event.str());
}

void EventFile::write(std::string_view event) {
  Message record;
  record.little_endian(event.size(), 8);
  const uint32_t length_crc = masked_crc32c(record.str());
  record.little_endian(length_crc, 4);
  std::string bytes = record.str();
  bytes += event;
  Message end;
  end.little_endian(masked_crc32c(event), 4);
  file_.write(bytes + end.str());
}

}  // namespace sandglass

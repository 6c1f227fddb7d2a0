#include "train/data/pack.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numbers>

#include "engine/error.h"
#include "face/jpeg.h"
#include "face/registration.h"
#include "face/stage.h"

#define XXH_INLINE_ALL
#define XXH_NO_XXH3
#include <xxhash.h>

namespace sandglass {
namespace {

static_assert(std::endian::native == std::endian::little, "packs are little endian and read as they are");

constexpr std::string_view kMagic = "SGFACES\n", kEnd = "SGFACES.";
constexpr uint32_t kVersion = 1;
constexpr size_t kAlignment = 64;  // of each face's pixels
constexpr const char* kPackAgain = "copy it again, or make it anew by `sandglass data pack`";

// The file's last bytes.
struct Trailer {
  uint64_t count, index_offset, index_bytes, index_checksum;
  std::array<char, 8> end;
};

// One face's fixed part in the index; K labels and 68 points of float follow.
struct FixedPart {
  uint64_t offset, checksum;
  uint32_t bytes, subject, source;
  int32_t line;
};
static_assert(sizeof(FixedPart) == 32 && sizeof(Trailer) == 40);

uint64_t checksum(std::string_view bytes) { return XXH64(bytes.data(), bytes.size(), 0); }

template <typename T>
std::string_view raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof(T)};
}

// Takes values from the front of bytes that are known to be long enough.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}
  template <typename T>
  T take() {
    T value;
    std::memcpy(&value, rest_.data(), sizeof(T));
    rest_.remove_prefix(sizeof(T));
    return value;
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

size_t index_entry_bytes(size_t aus) { return sizeof(FixedPart) + (aus + 2 * std::tuple_size_v<Landmarks>)*4; }

// The number of `text` in `names`, to which it is added if it is new. Rows of one subject and one file follow each
// other.
uint32_t number_of(const std::string& text, std::vector<std::string>& names) {
  const auto found = std::find(names.rbegin(), names.rend(), text);
  if (found != names.rend()) return static_cast<uint32_t>(names.rend() - found) - 1;
  names.push_back(text);
  return static_cast<uint32_t>(names.size()) - 1;
}

// Names of files may be any bytes; JSON is UTF-8.
std::string json_text(const nlohmann::json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

int pack_margin(const AugmentationConfig& augmentation, int size) {
  // Where an output pixel at p looks, relative to the registered face's centre: R^-1 (p - shift) / scale.
  const double angle = std::min(augmentation.rotation, 45.0) * std::numbers::pi / 180;
  const double reach = (0.5 + augmentation.shift) * (1 + augmentation.scale) * (std::cos(angle) + std::sin(angle));
  // An error e_i of the registration's landmarks moves that place by the sum of w_i e_i, w_i being the place's
  // barycentric coordinates in their triangle; here of the farthest corner, in units of the registered face's side.
  const auto place = [](size_t i) {
    return std::array{(kRegistrationPlaces[i].x + 0.5) / 256 - 0.5, (kRegistrationPlaces[i].y + 0.5) / 256 - 0.5};
  };
  const auto [chin, right, left] = std::array{place(0), place(1), place(2)};
  const double eyes = left[0] - right[0];
  double largest = 0;
  for (const double x : {-reach, reach}) {
    for (const double y : {-reach, reach}) {
      const double of_chin = (y - right[1]) / (chin[1] - right[1]);
      const double of_left = (x - right[0] - of_chin * (chin[0] - right[0])) / eyes;
      largest = std::max(largest, std::hypot(of_chin, of_left, 1 - of_chin - of_left));
    }
  }
  const double jitter = 3 * augmentation.landmark_jitter * eyes * largest;
  const double interpolation = 2;  // pixels beside the one that is looked at
  return std::max(0, static_cast<int>(std::ceil((reach - 0.5 + jitter) * size + interpolation)));
}

Image pack_face(const ImageView& picture, Landmarks& landmarks, const PackInfo& info) {
  const double margin = info.margin;
  const Affine to_face = compose({{{{1, 0, margin}, {0, 1, margin}}}}, registration(landmarks, info.size));
  std::vector<uint8_t> pixels;
  const StagedFace staged = stage_face(picture, to_face.inverse(), info.side(), pixels);
  Image part(staged.height, staged.width);
  part.rgb = std::move(pixels);
  const auto& m = staged.matrix;
  const Affine to_part{{{{m[0], m[1], m[2]}, {m[3], m[4], m[5]}}}};
  landmarks = to_face.apply(landmarks);
  return warp_image(part, to_part.inverse(), info.side(), info.side());
}

struct PackWriter::Checksum {
  XXH64_state_t state;
};

PackWriter::PackWriter(const std::filesystem::path& path, const PackInfo& info)
    : info_(info), data_(path), index_(path), index_checksum_(std::make_unique<Checksum>()) {
  XXH64_reset(&index_checksum_->state, 0);
  const nlohmann::json header = {{"aus", info.aus},
                                 {"size", info.size},
                                 {"margin", info.margin},
                                 {"pixels", info.quality > 0 ? "jpeg" : "rgb8"},
                                 {"quality", info.quality}};
  const std::string text = json_text(header);
  data_.append(kMagic);
  data_.append(raw(kVersion));
  data_.append(raw(static_cast<uint32_t>(text.size())));
  data_.append(text);
}

PackWriter::~PackWriter() = default;

void PackWriter::append_to_index(std::string_view bytes) {
  XXH64_update(&index_checksum_->state, bytes.data(), bytes.size());
  index_.append(bytes);
}

void PackWriter::add(const Image& face, const Landmarks& landmarks, const ManifestRow& row, const std::string& source) {
  const std::string jpeg = info_.quality > 0 ? encode_jpeg(face, info_.quality) : "";
  const std::string_view pixels =
      info_.quality > 0 ? jpeg : std::string_view(reinterpret_cast<const char*>(face.rgb.data()), face.rgb.size());
  data_.append(std::string((kAlignment - data_.size() % kAlignment) % kAlignment, '\0'));
  FixedPart fixed{};
  fixed.offset = data_.size();
  fixed.checksum = checksum(pixels);
  fixed.bytes = static_cast<uint32_t>(pixels.size());
  fixed.subject = number_of(row.subject, subjects_);
  fixed.source = number_of(source, sources_);
  fixed.line = row.line;
  data_.append(pixels);
  std::string entry(raw(fixed));
  for (const float intensity : row.intensities) entry += raw(intensity);
  for (const Point& point : landmarks) entry += raw(point);
  append_to_index(entry);
  ++count_;
}

void PackWriter::commit() {
  check(count_ > 0, "{}: there is no face to write", data_.path().string());
  append_to_index(json_text({{"subjects", subjects_}, {"sources", sources_}}));
  data_.append(std::string((kAlignment - data_.size() % kAlignment) % kAlignment, '\0'));
  Trailer trailer{};
  trailer.count = static_cast<uint64_t>(count_);
  trailer.index_offset = data_.size();
  trailer.index_bytes = index_.size();
  trailer.index_checksum = XXH64_digest(&index_checksum_->state);
  data_.append(index_);
  std::copy(kEnd.begin(), kEnd.end(), trailer.end.begin());
  data_.append(raw(trailer));
  data_.commit();
}

bool FacePack::is_pack(const std::filesystem::path& path) {
  std::array<char, kMagic.size()> begin{};
  std::ifstream(path, std::ios::binary).read(begin.data(), begin.size());
  return std::string_view(begin.data(), begin.size()) == kMagic;
}

FacePack::FacePack(const std::filesystem::path& path) : path_(path) {
  const std::string name = path.string();
  const int descriptor = open(name.c_str(), O_RDONLY | O_CLOEXEC);
  check(descriptor >= 0, "{}: cannot be read ({})", name, std::strerror(errno));
  struct stat status {};
  void* mapped = MAP_FAILED;
  if (fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0) {
    size_ = static_cast<uint64_t>(status.st_size);
    mapped = mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor, 0);
  }
  close(descriptor);
  check(mapped != MAP_FAILED, "{}: is not a file that can be mapped into memory, or it is empty", name);
  data_ = static_cast<const uint8_t*>(mapped);
  try {
    read_header();
    read_index();
  } catch (...) {
    munmap(mapped, size_);
    throw;
  }
}

FacePack::~FacePack() { munmap(const_cast<uint8_t*>(data_), size_); }

std::string_view FacePack::bytes(uint64_t offset, uint64_t count) const {
  return {reinterpret_cast<const char*>(data_) + offset, count};
}

void FacePack::read_header() {
  const std::string name = path_.string();
  constexpr uint64_t kFixed = kMagic.size() + 2 * sizeof(uint32_t);
  check(size_ >= kFixed && bytes(0, kMagic.size()) == kMagic, "{}: is not a pack of faces", name);
  Cursor cursor(bytes(kMagic.size(), kFixed - kMagic.size()));
  const auto version = cursor.take<uint32_t>(), length = cursor.take<uint32_t>();
  check(version == kVersion, "{}: is a pack of version {}, this program reads version {}; make it anew", name, version,
        kVersion);
  check(length <= size_ - kFixed, "{}: ends in its header, the file is truncated; {}", name, kPackAgain);
  try {
    const nlohmann::json header = nlohmann::json::parse(bytes(kFixed, length));
    info_.aus = header.at("aus").get<std::vector<std::string>>();
    info_.size = header.at("size").get<int>();
    info_.margin = header.at("margin").get<int>();
    info_.quality = header.at("quality").get<int>();
  } catch (const nlohmann::json::exception&) {
    fail("{}: its header is damaged; {}", name, kPackAgain);
  }
  constexpr int kLargest = 1 << 14;
  check(info_.size >= 1 && info_.size <= kLargest && info_.margin >= 0 && info_.margin <= kLargest &&
            info_.quality >= 0 && info_.quality <= 100 && !info_.aus.empty(),
        "{}: its header is damaged; {}", name, kPackAgain);
  records_begin_ = kFixed + length;
}

void FacePack::read_index() {
  const std::string name = path_.string();
  const auto check_whole = [&](bool whole) { check(whole, "{}: its index is damaged; {}", name, kPackAgain); };
  check(size_ >= records_begin_ + sizeof(Trailer) && bytes(size_ - kEnd.size(), kEnd.size()) == kEnd,
        "{}: ends before its index, the file is truncated; {}", name, kPackAgain);
  const auto trailer = Cursor(bytes(size_ - sizeof(Trailer), sizeof(Trailer))).take<Trailer>();
  const uint64_t end = size_ - sizeof(Trailer);
  check_whole(trailer.index_offset >= records_begin_ && trailer.index_offset <= end &&
              trailer.index_bytes == end - trailer.index_offset);
  const std::string_view index = bytes(trailer.index_offset, trailer.index_bytes);
  check_whole(checksum(index) == trailer.index_checksum);

  Cursor cursor(index);
  const uint64_t count = trailer.count;
  const size_t entry = index_entry_bytes(info_.aus.size());
  check_whole(count >= 1 && count <= cursor.rest().size() / entry);
  try {
    const nlohmann::json names = nlohmann::json::parse(cursor.rest().substr(count * entry));
    const auto subjects = names.at("subjects").get<std::vector<std::string>>();
    for (const auto& source : names.at("sources")) sources_.emplace_back(source.get<std::string>());
    const uint64_t pixel_bytes = static_cast<uint64_t>(info_.side()) * static_cast<uint64_t>(info_.side()) * 3;
    for (uint64_t i = 0; i < count; ++i) {
      const auto fixed = cursor.take<FixedPart>();
      check_whole(fixed.offset <= trailer.index_offset && fixed.bytes <= trailer.index_offset - fixed.offset &&
                  fixed.subject < subjects.size() && fixed.source < sources_.size() &&
                  (info_.quality > 0 || fixed.bytes == pixel_bytes));
      records_.push_back({fixed.offset, fixed.checksum, fixed.bytes});
      ManifestRow& row = rows_.emplace_back();
      row.image = name;
      row.subject = subjects[fixed.subject];
      row.line = fixed.line;
      row.frame = static_cast<int>(i);
      row.source = static_cast<int>(fixed.source);
      for (size_t k = 0; k < info_.aus.size(); ++k) {
        const auto intensity = cursor.take<float>();
        check_whole(intensity == kNotCoded || (intensity >= 0 && intensity <= 5));
        row.intensities.push_back(intensity);
      }
      row.landmarks = cursor.take<Landmarks>();
    }
  } catch (const nlohmann::json::exception&) {
    check_whole(false);
  }
  verified_ = std::vector<std::atomic<bool>>(records_.size());
}

Picture FacePack::picture(int face) const {
  const Record& record = records_[static_cast<size_t>(face)];
  const std::string_view content = bytes(record.offset, record.bytes);
  std::atomic<bool>& verified = verified_[static_cast<size_t>(face)];
  if (!verified.load(std::memory_order_relaxed)) {
    check(checksum(content) == record.checksum, "{}: face {} of {} is damaged; {}", path_.string(), face + 1, count(),
          kPackAgain);
    verified.store(true, std::memory_order_relaxed);
  }
  Picture picture;
  if (info_.quality == 0) {
    picture.view = {info_.side(), info_.side(), reinterpret_cast<const uint8_t*>(content.data())};
  } else {
    picture.owner = std::make_shared<const Image>(
        decode_image(content, fmt::format("{}: face {} of {}", path_.string(), face + 1, count())));
    picture.view = *picture.owner;
  }
  return picture;
}

void FacePack::release(int face) const {
  const Record& record = records_[static_cast<size_t>(face)];
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t begin = record.offset / page * page;
  madvise(const_cast<uint8_t*>(data_) + begin, record.offset + record.bytes - begin, MADV_DONTNEED);
}

void FacePack::check_margin(const AugmentationConfig& augmentation) const {
  const int wanted = pack_margin(augmentation, info_.size);
  check(
      wanted <= info_.margin,
      "{}: has a margin of {} pixels about its faces, but the settings in [augment] look up to {} pixels beyond them; "
      "pack again with these settings, or lower them",
      path_.string(), info_.margin, wanted);
}

Manifest read_pack(const std::filesystem::path& path) {
  auto pack = std::make_shared<FacePack>(path);
  Manifest faces;
  faces.path = path;
  faces.sources = std::move(pack->sources_);
  faces.aus = pack->info_.aus;
  faces.rows = std::move(pack->rows_);
  faces.pack = std::move(pack);
  return faces;
}

Manifest read_faces(const std::filesystem::path& path) {
  return FacePack::is_pack(path) ? read_pack(path) : read_manifest(path);
}

}  // namespace sandglass

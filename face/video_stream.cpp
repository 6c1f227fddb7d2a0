#include "face/video_stream.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/error.h"
#include "face/video.h"

#ifdef SANDGLASS_FFMPEG
#include <deque>
#include <fstream>
#include <set>
#include <thread>

#include "face/video_decoder.h"
#endif

namespace sandglass {

struct VideoStream::Reader {
  explicit Reader(const VideoStreamOptions& options) : options(options) {
    check(std::isfinite(options.start) && options.start >= 0, "a video is read from second {}, expected 0 or more",
          options.start);
    check(options.end > options.start, "a video is read from second {} to {}: the end must be after the start",
          options.start, options.end);
    check(options.every >= 1, "every {}th frame, expected 1 or more", options.every);
    check(std::isfinite(options.rate) && options.rate >= 0, "{} frames a second, expected 0 or more", options.rate);
    check(options.height >= 0 && options.width >= 0, "frames of {} x {} pixels, expected 0 or more", options.width,
          options.height);
    check(options.threads >= 1, "{} threads decode, expected 1 or more", options.threads);
  }
  virtual ~Reader() = default;

  virtual std::optional<VideoFrame> next() = 0;

  // Whether a frame with this number that is not before `start` is asked for.
  bool is_wanted(int64_t number) {
    if (!first) first = number;
    return (number - *first) % options.every == 0;
  }
  void check_interrupted() const { check(!options.interrupted || !*options.interrupted, "interrupted"); }

  const VideoStreamOptions options;
  int height = 0, width = 0;
  double rate = 0, duration = 0;
  int64_t total = 0;  // frames of the whole video by its header, 0: unknown
  bool has_audio = false;
  int64_t missed = 0;
  std::optional<int64_t> first;  // number of the first frame not before `start`
};

namespace {

constexpr double kPictureRate = 30;
constexpr double kTick = 1e-3;  // seconds between frames of which nothing else is known

class PictureReader final : public VideoStream::Reader {
 public:
  PictureReader(std::vector<std::filesystem::path> pictures, const VideoStreamOptions& options)
      : Reader(options), pictures_(std::move(pictures)) {
    rate = options.rate > 0 ? options.rate : kPictureRate;
    total = static_cast<int64_t>(pictures_.size());
    duration = static_cast<double>(total) / rate;
  }

  std::optional<VideoFrame> next() override {
    check_interrupted();
    while (number_ < total) {
      const int64_t number = number_++;
      const double seconds = static_cast<double>(number) / rate;
      if (seconds >= options.end) return std::nullopt;
      if (seconds >= options.start && is_wanted(number)) return read(number, seconds);
    }
    return std::nullopt;
  }

 private:
  VideoFrame read(int64_t number, double seconds) {
    VideoFrame frame{{}, number, seconds};
    try {
      frame.image = read_image(pictures_[static_cast<size_t>(number)]);
      height = frame.image.height;
      width = frame.image.width;
    } catch (const Error& error) {
      frame.error = error.what();
    }
    return frame;
  }

  const std::vector<std::filesystem::path> pictures_;
  int64_t number_ = 0;
};

#ifdef SANDGLASS_FFMPEG

VideoSource source_of(const std::string& name, const VideoStreamOptions& options) {
  VideoSource source{name, options.format, {}, options.threads, options.interrupted};
  if (source.format.empty() && name.starts_with("/dev/video")) source.format = "v4l2";
  std::string pixel_format = options.pixel_format;
  if (source.format == "rawvideo") {
    check(options.height > 0 && options.width > 0, "{}: raw frames need their size, as WIDTHxHEIGHT", name);
    if (pixel_format.empty()) pixel_format = "rgb24";
  }
  if (options.width > 0 && options.height > 0)
    source.settings.emplace_back("video_size", fmt::format("{}x{}", options.width, options.height));
  if (options.rate > 0) source.settings.emplace_back("framerate", fmt::format("{}", options.rate));
  if (!pixel_format.empty()) source.settings.emplace_back("pixel_format", pixel_format);
  return source;
}

bool is_key_frame(const AVFrame& frame) {
#ifdef AV_FRAME_FLAG_KEY
  return frame.flags & AV_FRAME_FLAG_KEY;
#else
  return frame.key_frame != 0;
#endif
}

// Whether a JPEG has its end.
bool is_whole_jpeg(std::string_view bytes) {
  const size_t end = bytes.rfind("\xFF\xD9"), begin = bytes.rfind("\xFF\xD8");
  return end != bytes.npos && (begin == bytes.npos || begin < end);
}

// Whether an MP4's last box (ISO/IEC 14496-12) says that there is more than the file has.
bool ends_in_a_box(const std::string& name) {
  std::error_code error;
  const uint64_t file_size = std::filesystem::file_size(name, error);
  std::ifstream file(name, std::ios::binary);
  for (uint64_t place = 0; !error && file_size - place >= 8;) {
    char head[16] = {};
    file.seekg(static_cast<std::streamoff>(place));
    file.read(head, sizeof(head));  // of the last box maybe fewer
    file.clear();
    const auto number = [&](size_t first, size_t bytes) {
      uint64_t value = 0;
      for (size_t i = first; i < first + bytes; ++i) value = value << 8 | static_cast<unsigned char>(head[i]);
      return value;
    };
    const bool is_box = std::all_of(head + 4, head + 8, [](char c) { return c >= ' ' && c <= '~'; });
    const uint64_t size = number(0, 4) == 1 ? number(8, 8) : number(0, 4);
    if (!is_box || size < 8) return false;  // all the rest, or something else behind the boxes
    if (size > file_size - place) return true;
    place += size;
  }
  return false;
}

// Frames are numbered by the packets that they come in: a packet holds one frame and says when it is shown, so a frame
// has as many before it as packets with earlier times were read, whether they could be decoded or not. Where that does
// not hold, the frames that come out of the decoder are counted.
class FileReader final : public VideoStream::Reader {
 public:
  FileReader(const std::string& name, const VideoStreamOptions& options);
  std::optional<VideoFrame> next() override;

 private:
  void hold_until_start();
  PacketPointer read_packet();
  void note_end(const AVPacket& packet);
  void send_packet();
  bool decode();
  bool number_frame();
  std::string early_end() const;
  void finish();

  double seconds_of(int64_t time) const {
    return (static_cast<double>(time) - static_cast<double>(zero_.value_or(time))) * unit_;
  }
  bool is_timed(const AVPacket& packet) const {
    return packet.pts != AV_NOPTS_VALUE && zero_ && packet.pts >= *zero_ && !(packet.flags & AV_PKT_FLAG_DISCARD);
  }

  VideoDecoder decoder_;
  const bool raw_jpegs_ = decoder_.is_format("mjpeg") || decoder_.is_format("jpeg_pipe");
  const double unit_;               // of the stream's times, in seconds
  std::optional<int64_t> zero_;     // time of the first frame that can be decoded
  std::deque<PacketPointer> held_;  // read, but not yet sent to the decoder
  bool begun_ = false, ended_ = false;

  bool by_packets_;                  // how frames are numbered
  std::multiset<int64_t> expected_;  // times of the packets whose frames have not come out of the decoder
  int64_t faults_ = 0;               // of the decoder, since the last frame

  int64_t number_ = -1;  // of the frame in the decoder
  double seconds_ = 0, longest_gap_ = 0;
  double offset_ = 0;  // of the times after the video's clock was set back

  // Where the file's packets end, in seconds of its own clock: those of the video, and all.
  double video_end_ = 0, any_end_ = 0;
  // Of the last packet of the video: its place in the file, and whether it is cut off.
  int64_t last_place_ = -1;
  bool last_is_cut_ = false;
  bool last_is_damaged_ = false;  // the last frame, in part
  bool is_damaged_ = false;       // or it builds on one that is, or is missing
  std::string fault_;             // why no more can be read
};

FileReader::FileReader(const std::string& name, const VideoStreamOptions& options)
    : Reader(options), decoder_(source_of(name, options)), unit_(av_q2d(decoder_.stream().time_base)) {
  const AVStream& stream = decoder_.stream();
  const AVCodecParameters& parameters = *stream.codecpar;
  // VP8 has packets that are never shown; those of interlaced video may hold half a frame.
  by_packets_ = parameters.codec_id != AV_CODEC_ID_VP8 &&
                (parameters.field_order == AV_FIELD_UNKNOWN || parameters.field_order == AV_FIELD_PROGRESSIVE);
  height = decoder_.size().height;
  width = decoder_.size().width;
  const AVRational average = stream.avg_frame_rate.num > 0 ? stream.avg_frame_rate : stream.r_frame_rate;
  if (average.num > 0 && average.den > 0) rate = av_q2d(average);
  if (stream.duration != AV_NOPTS_VALUE && stream.duration > 0) {
    duration = static_cast<double>(stream.duration) * unit_;
  } else if (decoder_.format->duration != AV_NOPTS_VALUE && decoder_.format->duration > 0) {
    duration = static_cast<double>(decoder_.format->duration) / AV_TIME_BASE;
  }
  // FFmpeg shortens the duration of an AVI to what is there, but not the number of frames.
  if (decoder_.is_format("avi")) duration = std::max(duration, static_cast<double>(stream.nb_frames) * unit_);
  total = stream.nb_frames > 0 ? stream.nb_frames : std::llround(std::min(duration * rate, 1e15));
  for (unsigned i = 0; i < decoder_.format->nb_streams; ++i)
    has_audio = has_audio || decoder_.format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
}

std::optional<VideoFrame> FileReader::next() {
  if (!begun_ && options.start > 0) hold_until_start();
  begun_ = true;
  while (!ended_) {
    ended_ = !decode();
    if (ended_) finish();
    ended_ = ended_ || seconds_ >= options.end;
    if (ended_ || seconds_ < options.start || !is_wanted(number_)) continue;
    VideoFrame frame{{}, number_, seconds_, "", is_damaged_};
    try {
      frame.image = decoder_.convert(number_);
    } catch (const Error& error) {
      frame.error = error.what();
    }
    return frame;
  }
  return std::nullopt;
}

// Reads up to `start` without decoding: packets are held from each key frame on, and dropped when another key frame
// that is not after `start` comes. So the frames are counted exactly, no index is needed, and a pipe does as well.
void FileReader::hold_until_start() {
  constexpr size_t kMostBytes = size_t{256} << 20;  // then what is held is decoded
  size_t bytes = 0;
  while (by_packets_ && bytes < kMostBytes) {
    PacketPointer packet = read_packet();
    if (!packet) return;
    const bool timed = packet->pts != AV_NOPTS_VALUE;
    const double seconds = timed ? seconds_of(packet->pts) : 0;
    if (timed && packet->flags & AV_PKT_FLAG_KEY && seconds <= options.start) {
      number_ += std::count_if(held_.begin(), held_.end(), [&](const auto& held) { return is_timed(*held); });
      held_.clear();
      bytes = 0;
    }
    bytes += static_cast<size_t>(packet->size);
    held_.push_back(std::move(packet));
    if (!timed || seconds >= options.start) return;
  }
}

// The next packet of the video; null at its end, which has its reason in fault_ if it is none of the file's.
PacketPointer FileReader::read_packet() {
  PacketPointer packet(ffmpeg().av_packet_alloc());
  check(packet != nullptr, "{}: not enough memory", decoder_.name());
  constexpr int kMostTries = 16;  // at a damaged place, behind which there may be more
  for (int tries = 1;;) {
    check_interrupted();
    const int code = ffmpeg().av_read_frame(decoder_.format.get(), packet.get());
    if (code == AVERROR(EAGAIN)) {  // a camera has nothing yet
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      continue;
    }
    check_interrupted();
    if (code < 0) {
      if (code != AVERROR_EOF) fault_ = ffmpeg_reason(code);
      if (code == AVERROR_INVALIDDATA && tries++ < kMostTries) continue;
      return nullptr;
    }
    fault_.clear();
    note_end(*packet);
    if (packet->stream_index == decoder_.stream_index && packet->size > 0) break;
    ffmpeg().av_packet_unref(packet.get());
  }
  last_is_cut_ =
      packet->flags & AV_PKT_FLAG_CORRUPT ||
      (raw_jpegs_ && !is_whole_jpeg({reinterpret_cast<char*>(packet->data), static_cast<size_t>(packet->size)}));
  last_place_ = packet->pos;
  if (!zero_ && packet->pts != AV_NOPTS_VALUE && packet->flags & AV_PKT_FLAG_KEY &&
      !(packet->flags & AV_PKT_FLAG_DISCARD)) {
    zero_ = packet->pts;
  }
  return packet;
}

void FileReader::note_end(const AVPacket& packet) {
  const int64_t time = packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts;
  if (time == AV_NOPTS_VALUE) return;
  const AVRational unit = decoder_.format->streams[packet.stream_index]->time_base;
  const double end = (static_cast<double>(time) + static_cast<double>(packet.duration)) * av_q2d(unit);
  any_end_ = std::max(any_end_, end);
  if (packet.stream_index == decoder_.stream_index) video_end_ = std::max(video_end_, end);
}

void FileReader::send_packet() {
  PacketPointer packet;
  if (!held_.empty()) {
    packet = std::move(held_.front());
    held_.pop_front();
  } else {
    packet = read_packet();
  }
  if (packet) {
    by_packets_ = by_packets_ && packet->pts != AV_NOPTS_VALUE;
    if (by_packets_ && is_timed(*packet)) expected_.insert(packet->pts);
  }
  const int code = ffmpeg().avcodec_send_packet(decoder_.codec.get(), packet.get());
  if (packet && code < 0) ++faults_;
}

// Puts the next frame into the decoder's `frame`; false at the end.
bool FileReader::decode() {
  for (;;) {
    const int code = ffmpeg().avcodec_receive_frame(decoder_.codec.get(), decoder_.frame.get());
    if (code == AVERROR_EOF) return false;
    if (code == 0 && number_frame()) return true;
    if (code == 0) continue;
    if (code != AVERROR(EAGAIN)) ++faults_;
    send_packet();
  }
}

// False: the frame comes too late, after one that is shown after it, as happens behind damage.
bool FileReader::number_frame() {
  const AVFrame& frame = *decoder_.frame;
  last_is_damaged_ = frame.decode_error_flags != 0 || frame.flags & AV_FRAME_FLAG_CORRUPT;
  by_packets_ = by_packets_ && frame.pts != AV_NOPTS_VALUE && zero_;  // some videos have no key frames
  const int64_t time = by_packets_ ? frame.pts : frame.best_effort_timestamp;
  int64_t left_out = std::exchange(faults_, 0);
  if (by_packets_) {
    const auto later = expected_.lower_bound(time);
    if (later == expected_.end() || *later != time) return false;
    left_out = std::distance(expected_.begin(), later);
    expected_.erase(expected_.begin(), std::next(later));
  }
  double seconds = seconds_ + (number_ >= 0 && rate > 0 ? 1 / rate : 0);
  if (time != AV_NOPTS_VALUE) {
    if (!zero_) zero_ = time;
    seconds = seconds_of(time) + offset_;
    if (number_ >= 0 && seconds <= seconds_) {  // the clock was set back, as where recordings were put together
      const double next = seconds_ + (rate > 0 ? 1 / rate : kTick);
      offset_ += next - seconds;
      seconds = next;
      by_packets_ = false;
      left_out = 0;
    }
  }
  const int64_t missing = first ? left_out : 0;  // before, they may be those that build on frames before a key frame
  missed += missing;
  is_damaged_ = last_is_damaged_ || (!is_key_frame(frame) && (is_damaged_ || missing > 0));
  if (number_ >= 0) longest_gap_ = std::max(longest_gap_, seconds - seconds_);
  number_ += 1 + left_out;
  seconds_ = seconds;
  return true;
}

// Why the video ends before it should; empty if it does not, as far as the file lets one know.
std::string FileReader::early_end() const {
  if (!fault_.empty()) return fault_;
  if (last_is_cut_ || last_is_damaged_) return "the last frame is cut off";
  const AVFormatContext& format = *decoder_.format;
  const AVStream& stream = decoder_.stream();
  if (format.duration_estimation_method == AVFMT_DURATION_FROM_STREAM && duration > 0) {
    // A container may state one duration for all that it holds, which FFmpeg then gives to each stream.
    constexpr double kSame = 2e-3;  // seconds
    const bool is_own = stream.duration != AV_NOPTS_VALUE && stream.duration > 0 &&
                        std::abs(duration - static_cast<double>(format.duration) / AV_TIME_BASE) > kSame;
    const int64_t own_begin = stream.start_time == AV_NOPTS_VALUE ? 0 : stream.start_time;
    const int64_t begin = format.start_time == AV_NOPTS_VALUE ? 0 : format.start_time;
    const double missing = duration + (is_own ? static_cast<double>(own_begin) * unit_ - video_end_
                                              : static_cast<double>(begin) / AV_TIME_BASE - any_end_);
    constexpr double kSeconds = 0.5, kGaps = 3;
    if (missing > std::max(kSeconds, kGaps * longest_gap_)) return fmt::format("its header says {:.2f} s", duration);
  }
  if (!decoder_.is_pipe() && decoder_.is_format("mp4") && ends_in_a_box(decoder_.name()))
    return "the last of its parts is cut off";
  // Packets of MPEG-TS have 188 bytes, with what some recorders add 192 or 204.
  if (decoder_.is_format("mpegts") && last_place_ >= 0) {
    const int64_t left = ffmpeg().avio_seek(format.pb, 0, SEEK_CUR) - last_place_;
    if (left % 188 != 0 && left % 192 != 0 && left % 204 != 0) return "the last packet is cut off";
  }
  return "";
}

// Throws Error if the video has broken off before its end.
void FileReader::finish() {
  if (first) missed += by_packets_ ? static_cast<int64_t>(expected_.size()) : faults_;
  check(number_ >= 0 || !decoder_.is_pipe(), "{}: has no frame that can be decoded{}", decoder_.name(), kNoJumps);
  const std::string fault = early_end();
  check(fault.empty(), "{}: breaks off after {} frames, at {:.2f} s ({}); the file is truncated or damaged",
        decoder_.name(), number_ + 1, seconds_, fault);
  check(number_ >= 0, "{}: has no frame that can be decoded", decoder_.name());
}

std::unique_ptr<VideoStream::Reader> make_reader(const std::string& source, const VideoStreamOptions& options) {
  return std::make_unique<FileReader>(source, options);
}

#else

std::unique_ptr<VideoStream::Reader> make_reader(const std::string& source, const VideoStreamOptions&) {
  Video without_ffmpeg(source);  // throws the Error that says so
  return nullptr;
}

#endif

}  // namespace

VideoStream::VideoStream(const std::string& source, const VideoStreamOptions& options)
    : reader_(make_reader(source, options)) {}
VideoStream::VideoStream(std::vector<std::filesystem::path> pictures, const VideoStreamOptions& options)
    : reader_(std::make_unique<PictureReader>(std::move(pictures), options)) {}
VideoStream::~VideoStream() = default;
VideoStream::VideoStream(VideoStream&&) noexcept = default;

std::optional<VideoFrame> VideoStream::next() { return reader_->next(); }
int VideoStream::height() const { return reader_->height; }
int VideoStream::width() const { return reader_->width; }
double VideoStream::rate() const { return reader_->rate; }
double VideoStream::duration() const { return reader_->duration; }
bool VideoStream::has_audio() const { return reader_->has_audio; }
int64_t VideoStream::missed() const { return reader_->missed; }

std::optional<int64_t> VideoStream::frame_count() const {
  const Reader& reader = *reader_;
  const VideoStreamOptions& options = reader.options;
  const bool is_part = options.start > 0 || std::isfinite(options.end);
  if (reader.total <= 0 || (is_part && reader.rate <= 0)) return std::nullopt;
  const auto frames_before = [&](double seconds) {
    if (seconds == 0) return int64_t{0};
    const double frames = std::ceil(seconds * reader.rate - 1e-6);
    return frames < static_cast<double>(reader.total) ? static_cast<int64_t>(frames) : reader.total;
  };
  const int64_t frames = frames_before(options.end) - frames_before(options.start);
  return (frames + options.every - 1) / options.every;
}

}  // namespace sandglass

#include "face/video.h"

#include "engine/error.h"

#ifdef SANDGLASS_FFMPEG

#include <algorithm>
#include <optional>
#include <vector>

#include "face/video_decoder.h"

namespace sandglass {
struct Video::State {
  explicit State(const std::filesystem::path& path) : name(path.string()) { open(); }

  void open();
  void build_index();
  bool decode_next();
  void seek(int64_t wanted);

  const std::string name;
  std::unique_ptr<VideoDecoder> decoder;
  PacketPointer packet{ffmpeg().av_packet_alloc()};
  std::optional<Image> last;  // frame number `next` - 1
  int64_t next = 0;           // number of the frame that the decoder gives next

  // What build_index() found. Where not all packets say when they are shown, frames are counted from the file's
  // beginning instead.
  bool indexed = false, timed = false;
  std::vector<int64_t> times;  // of all frames that are shown, rising, in the stream's unit
  std::vector<int64_t> keys;   // numbers of the frames at which decoding can begin, rising
};

// The threads of who reads are for different videos and pictures, so the decoder has one.
void Video::State::open() {
  check(packet != nullptr, "{}: not enough memory", name);
  decoder = std::make_unique<VideoDecoder>(VideoSource{.name = name, .format = ""});
  for (unsigned i = 0; i < decoder->format->nb_streams; ++i) {
    if (static_cast<int>(i) != decoder->stream_index) decoder->format->streams[i]->discard = AVDISCARD_ALL;
  }
  next = 0;
  last.reset();
}

void Video::State::build_index() {
  if (indexed) return;
  timed = true;
  std::vector<int64_t> key_times;
  while (ffmpeg().av_read_frame(decoder->format.get(), packet.get()) >= 0) {
    if (packet->stream_index == decoder->stream_index && packet->size > 0) {
      if (packet->pts == AV_NOPTS_VALUE) timed = false;
      if (packet->flags & AV_PKT_FLAG_KEY) key_times.push_back(packet->pts);
      if (!(packet->flags & AV_PKT_FLAG_DISCARD)) {  // others are decoded for the frames after them, and not shown
        times.push_back(packet->pts);
      }
    }
    ffmpeg().av_packet_unref(packet.get());
  }
  std::sort(times.begin(), times.end());
  std::sort(key_times.begin(), key_times.end());
  timed = timed && std::adjacent_find(times.begin(), times.end()) == times.end();
  for (const int64_t time : key_times) {
    keys.push_back(std::lower_bound(times.begin(), times.end(), time) - times.begin());
  }
  indexed = true;
  open();  // from the beginning again
}

// Decodes the frame with the number `next` into `frame` and steps on; false at the file's end. Where frames have times,
// the number is the one that the frame's time says: damaged frames before it may be missing.
bool Video::State::decode_next() {
  for (;;) {
    const int code = ffmpeg().avcodec_receive_frame(decoder->codec.get(), decoder->frame.get());
    if (code == 0) break;
    if (code == AVERROR_EOF) return false;
    check(code == AVERROR(EAGAIN), "{}: frame {} cannot be decoded ({})", name, next + 1, ffmpeg_reason(code));
    const int got = ffmpeg().av_read_frame(decoder->format.get(), packet.get());
    if (got < 0) {
      ffmpeg().avcodec_send_packet(decoder->codec.get(), nullptr);
      continue;
    }
    // A damaged packet's frame is missed when it is asked for.
    if (packet->stream_index == decoder->stream_index) ffmpeg().avcodec_send_packet(decoder->codec.get(), packet.get());
    ffmpeg().av_packet_unref(packet.get());
  }
  if (timed && decoder->frame->best_effort_timestamp != AV_NOPTS_VALUE) {
    const auto found = std::lower_bound(times.begin(), times.end(), decoder->frame->best_effort_timestamp);
    if (found != times.end()) next = found - times.begin();
  }
  ++next;
  return true;
}

// Makes the decoder give frame `wanted`, or one before it, next.
void Video::State::seek(int64_t wanted) {
  const auto after = std::upper_bound(keys.begin(), keys.end(), wanted);
  const bool has_key = timed && after != keys.begin();
  if (has_key) {
    const int64_t key = *(after - 1);
    if (next <= wanted && next >= key) return;
    if (ffmpeg().av_seek_frame(decoder->format.get(), decoder->stream_index, times[static_cast<size_t>(key)],
                               AVSEEK_FLAG_BACKWARD) >= 0) {
      ffmpeg().avcodec_flush_buffers(decoder->codec.get());
      next = key;
      last.reset();
      return;
    }
  }
  if (next > wanted) open();
}

Video::Video(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {}
Video::~Video() = default;

std::string Video::library_version() { return AV_STRINGIFY(LIBAVFORMAT_VERSION); }

int64_t Video::stated_frame_count() const { return state_->decoder->stream().nb_frames; }

int64_t Video::frame_count() {
  state_->build_index();
  return static_cast<int64_t>(state_->times.size());
}

Image Video::read(int64_t wanted) {
  State& state = *state_;
  state.build_index();
  const auto count = static_cast<int64_t>(state.times.size());
  check(wanted >= 0 && wanted < count, "{}: has no frame {}; it has {}", state.name, wanted + 1, count);
  if (state.last && state.next == wanted + 1) return *state.last;
  state.seek(wanted);
  bool found = state.decode_next();
  if (found && state.next > wanted + 1) {  // the jump went too far: count from the beginning
    state.open();
    found = state.decode_next();
  }
  while (found && state.next <= wanted) found = state.decode_next();
  check(found && state.next == wanted + 1, "{}: frame {} is damaged and cannot be decoded", state.name, wanted + 1);
  state.last = state.decoder->convert(wanted);
  return *state.last;
}

}  // namespace sandglass

#else

namespace sandglass {

struct Video::State {};

Video::Video(const std::filesystem::path& path) {
  fail(
      "{}: reading videos needs FFmpeg, which this build was made without; install libavformat-dev, libavcodec-dev and "
      "libswscale-dev and build again, or extract the frames as pictures",
      path.string());
}
Video::~Video() = default;

std::string Video::library_version() { return ""; }
int64_t Video::stated_frame_count() const { return 0; }
int64_t Video::frame_count() { return 0; }
Image Video::read(int64_t) { return {}; }

}  // namespace sandglass

#endif

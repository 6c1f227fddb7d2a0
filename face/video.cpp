#include "face/video.h"

#include "engine/error.h"

#ifdef SANDGLASS_FFMPEG

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "face/ffmpeg.h"
#include "face/jpeg.h"

namespace sandglass {
namespace {

std::string reason(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  ffmpeg().av_strerror(code, text, sizeof(text));
  return text;
}

struct CloseFormat {
  void operator()(AVFormatContext* context) const { ffmpeg().avformat_close_input(&context); }
};
struct FreeCodec {
  void operator()(AVCodecContext* context) const { ffmpeg().avcodec_free_context(&context); }
};
struct FreeFrame {
  void operator()(AVFrame* frame) const { ffmpeg().av_frame_free(&frame); }
};
struct FreePacket {
  void operator()(AVPacket* packet) const { ffmpeg().av_packet_free(&packet); }
};
struct FreeScaler {
  void operator()(SwsContext* context) const { ffmpeg().sws_freeContext(context); }
};

// Exif's number for a picture that is to be turned clockwise by so many degrees.
int orientation_of(const AVStream& stream) {
  const auto* matrix =
      reinterpret_cast<const int32_t*>(ffmpeg().av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, nullptr));
  if (!matrix) return 1;
  const double clockwise = -ffmpeg().av_display_rotation_get(matrix);
  if (!std::isfinite(clockwise)) return 1;
  const int quarter_turns = static_cast<int>(std::lround(clockwise / 90)) & 3;
  constexpr int kOrientations[] = {1, 6, 3, 8};
  return kOrientations[quarter_turns];
}

// swscale warns of the formats of JPEG's range; they are their plain twins with the full range.
AVPixelFormat without_range(AVPixelFormat format, bool& full_range) {
  full_range = true;
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
      return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
      return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
      return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
      return AV_PIX_FMT_YUV440P;
    default:
      full_range = false;
      return format;
  }
}

}  // namespace

struct Video::State {
  explicit State(const std::filesystem::path& path) : name(path.string()) { open(); }

  void open();
  void build_index();
  bool decode_next();
  void seek(int64_t wanted);
  Image convert();

  std::string name;
  std::unique_ptr<AVFormatContext, CloseFormat> format;
  std::unique_ptr<AVCodecContext, FreeCodec> codec;
  std::unique_ptr<AVFrame, FreeFrame> frame{ffmpeg().av_frame_alloc()};
  std::unique_ptr<AVPacket, FreePacket> packet{ffmpeg().av_packet_alloc()};
  std::unique_ptr<SwsContext, FreeScaler> scaler;
  std::optional<Image> last;  // frame number `next` - 1
  int stream = -1, orientation = 1;
  int64_t next = 0;  // number of the frame that the decoder gives next

  // What build_index() found. Where not all packets say when they are shown, frames are counted from the file's
  // beginning instead.
  bool indexed = false, timed = false;
  std::vector<int64_t> times;  // of all frames that are shown, rising, in the stream's unit
  std::vector<int64_t> keys;   // numbers of the frames at which decoding can begin, rising
};

void Video::State::open() {
  ffmpeg().av_log_set_level(AV_LOG_ERROR);
  std::error_code error;
  check(std::filesystem::is_regular_file(name, error), "{}: no such file", name);
  AVFormatContext* opened = nullptr;
  int code = ffmpeg().avformat_open_input(&opened, name.c_str(), nullptr, nullptr);
  check(code >= 0, "{}: is not a video ({})", name, reason(code));
  codec.reset();
  format.reset(opened);
  code = ffmpeg().avformat_find_stream_info(format.get(), nullptr);
  check(code >= 0, "{}: is not a video ({})", name, reason(code));
  const AVCodec* decoder = nullptr;
  stream = ffmpeg().av_find_best_stream(format.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &decoder, 0);
  check(stream >= 0 && decoder, "{}: has no pictures that can be decoded ({})", name, reason(stream));
  const AVStream& chosen = *format->streams[stream];
  for (unsigned i = 0; i < format->nb_streams; ++i) {
    if (static_cast<int>(i) != stream) format->streams[i]->discard = AVDISCARD_ALL;
  }
  orientation = orientation_of(chosen);
  codec.reset(ffmpeg().avcodec_alloc_context3(decoder));
  check(codec && frame && packet, "{}: not enough memory", name);
  check(ffmpeg().avcodec_parameters_to_context(codec.get(), chosen.codecpar) >= 0, "{}: has a broken header", name);
  codec->thread_count = 1;  // the threads of who reads are for different videos and pictures
  code = ffmpeg().avcodec_open2(codec.get(), decoder, nullptr);
  check(code >= 0, "{}: cannot be decoded ({})", name, reason(code));
  next = 0;
  last.reset();
}

void Video::State::build_index() {
  if (indexed) return;
  timed = true;
  std::vector<int64_t> key_times;
  while (ffmpeg().av_read_frame(format.get(), packet.get()) >= 0) {
    if (packet->stream_index == stream && packet->size > 0) {
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
    const int code = ffmpeg().avcodec_receive_frame(codec.get(), frame.get());
    if (code == 0) break;
    if (code == AVERROR_EOF) return false;
    check(code == AVERROR(EAGAIN), "{}: frame {} cannot be decoded ({})", name, next + 1, reason(code));
    const int got = ffmpeg().av_read_frame(format.get(), packet.get());
    if (got < 0) {
      ffmpeg().avcodec_send_packet(codec.get(), nullptr);
      continue;
    }
    // A damaged packet's frame is missed when it is asked for.
    if (packet->stream_index == stream) ffmpeg().avcodec_send_packet(codec.get(), packet.get());
    ffmpeg().av_packet_unref(packet.get());
  }
  if (timed && frame->best_effort_timestamp != AV_NOPTS_VALUE) {
    const auto found = std::lower_bound(times.begin(), times.end(), frame->best_effort_timestamp);
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
    if (ffmpeg().av_seek_frame(format.get(), stream, times[static_cast<size_t>(key)], AVSEEK_FLAG_BACKWARD) >= 0) {
      ffmpeg().avcodec_flush_buffers(codec.get());
      next = key;
      last.reset();
      return;
    }
  }
  if (next > wanted) open();
}

Image Video::State::convert() {
  bool full_range = false;
  const AVPixelFormat pixels = without_range(static_cast<AVPixelFormat>(frame->format), full_range);
  full_range = full_range || frame->color_range == AVCOL_RANGE_JPEG;
  check(frame->width > 0 && frame->height > 0, "{}: frame {} is empty", name, next);
  scaler.reset(ffmpeg().sws_getCachedContext(
      scaler.release(), frame->width, frame->height, pixels, frame->width, frame->height, AV_PIX_FMT_RGB24,
      SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT, nullptr, nullptr, nullptr));
  check(scaler != nullptr, "{}: frame {} has colours that cannot be converted", name, next);
  const int* coefficients =
      ffmpeg().sws_getCoefficients(frame->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_DEFAULT);
  ffmpeg().sws_setColorspaceDetails(scaler.get(), coefficients, full_range,
                                    ffmpeg().sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
  // swscale may write beyond a row's end, so rows are padded and then closed up.
  const int stride = (frame->width * 3 + 63) / 64 * 64;
  std::vector<uint8_t> rows(static_cast<size_t>(stride) * static_cast<size_t>(frame->height) + 64);
  uint8_t* planes[] = {rows.data()};
  const int strides[] = {stride};
  ffmpeg().sws_scale(scaler.get(), frame->data, frame->linesize, 0, frame->height, planes, strides);
  Image image(frame->height, frame->width);
  for (int y = 0; y < image.height; ++y) {
    std::copy_n(rows.data() + static_cast<size_t>(y) * static_cast<size_t>(stride), image.width * 3, image.at(y, 0));
  }
  return upright(std::move(image), orientation);
}

Video::Video(const std::filesystem::path& path) : state_(std::make_unique<State>(path)) {}
Video::~Video() = default;

std::string Video::library_version() { return AV_STRINGIFY(LIBAVFORMAT_VERSION); }

int64_t Video::stated_frame_count() const { return state_->format->streams[state_->stream]->nb_frames; }

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
  state.last = state.convert();
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

#include "face/video_writer.h"

#include "engine/error.h"

#ifdef SANDGLASS_FFMPEG

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/output_file.h"
#include "face/ffmpeg.h"

namespace sandglass {
namespace {

// A unit of time in which frames of all usual rates begin exactly, and the finest that MPEG-4 allows.
constexpr AVRational kTick{1, 60000};
constexpr int kLargestSide = 16384;

double seconds_of(int64_t time, AVRational unit) { return static_cast<double>(time) * av_q2d(unit); }

struct CloseOutput {
  void operator()(AVFormatContext* context) const {
    ffmpeg().avio_closep(&context->pb);
    ffmpeg().avformat_free_context(context);
  }
};

// The packets of a video's sound, in order.
class Sound {
 public:
  // Throws Error if there is no such video; one without sound has no stream().
  explicit Sound(const std::filesystem::path& path) {
    AVFormatContext* opened = nullptr;
    int code = ffmpeg().avformat_open_input(&opened, ffmpeg_file(path.string()).c_str(), nullptr, nullptr);
    check(code >= 0, "{}: is not a video whose sound could be copied ({})", path.string(), ffmpeg_reason(code));
    format_.reset(opened);
    code = ffmpeg().avformat_find_stream_info(format_.get(), nullptr);
    check(code >= 0, "{}: is not a video whose sound could be copied ({})", path.string(), ffmpeg_reason(code));
    const int pictures = ffmpeg().av_find_best_stream(format_.get(), AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
    const int sound = ffmpeg().av_find_best_stream(format_.get(), AVMEDIA_TYPE_AUDIO, -1, pictures, nullptr, 0);
    if (sound < 0) return;
    stream_ = format_->streams[sound];
    for (unsigned i = 0; i < format_->nb_streams; ++i) {
      if (static_cast<int>(i) != sound && static_cast<int>(i) != pictures) format_->streams[i]->discard = AVDISCARD_ALL;
    }
    if (pictures < 0) return;
    origin_ = first_shown(*format_->streams[pictures]);
    format_->streams[pictures]->discard = AVDISCARD_ALL;
  }

  const AVStream* stream() const { return stream_; }

  // From now on times count from `seconds` after the first picture, and what ends before is left out.
  void begin_at(double seconds) {
    begin_ = static_cast<int64_t>(std::llround((origin_ + seconds) / av_q2d(stream_->time_base)));
    // Where a file cannot be searched it is read from its beginning.
    ffmpeg().av_seek_frame(format_.get(), stream_->index, begin_, AVSEEK_FLAG_BACKWARD);
  }

  // The next packet, its times in the stream's unit; null at the end. It stays the next one until it is taken.
  AVPacket* next() {
    while (!waiting_) {
      ffmpeg().av_packet_unref(packet_.get());
      if (ffmpeg().av_read_frame(format_.get(), packet_.get()) < 0) return nullptr;
      if (packet_->stream_index != stream_->index || packet_->pts == AV_NOPTS_VALUE) continue;
      packet_->dts = packet_->pts -= begin_;
      // Damaged files have times that go back, which no container takes.
      if (packet_->pts + packet_->duration < 0 || packet_->pts <= last_) continue;
      last_ = packet_->pts;
      waiting_ = true;
    }
    return packet_.get();
  }
  void take() { waiting_ = false; }

 private:
  // When the first frame that can be decoded is shown, in seconds of the file's own clock: times count from there.
  // Where a recording begins between two key frames, it is the first of these.
  double first_shown(const AVStream& pictures) {
    int64_t time = pictures.start_time;
    bool first = true;
    while (ffmpeg().av_read_frame(format_.get(), packet_.get()) >= 0) {
      const bool is_picture = packet_->stream_index == pictures.index;
      const bool is_key = is_picture && packet_->flags & AV_PKT_FLAG_KEY;
      if (is_key && !first) time = packet_->pts;
      first = first && !is_picture;
      ffmpeg().av_packet_unref(packet_.get());
      if (is_key) break;
    }
    return time == AV_NOPTS_VALUE ? 0 : seconds_of(time, pictures.time_base);
  }

  InputPointer format_;
  PacketPointer packet_{ffmpeg().av_packet_alloc()};
  AVStream* stream_ = nullptr;
  double origin_ = 0;  // the time of the first frame, in the file's own clock
  int64_t begin_ = 0, last_ = std::numeric_limits<int64_t>::min();
  bool waiting_ = false;
};

}  // namespace

struct VideoWriter::State {
  State(const std::filesystem::path& path, int height, int width, const VideoWriterOptions& options);

  void open_encoder(const VideoWriterOptions& options);
  void open_sound(const std::filesystem::path& source);
  void open_file();
  void fill_frame(const ImageView& image);
  void encode(const AVFrame* picture);
  void write_sound(double until);
  void end_sound(const std::string& why);
  void check_written(int code) const {
    check(code >= 0, "{}: cannot be written ({}); the previous content, if any, is untouched", name,
          ffmpeg_reason(code));
  }

  std::string name;
  int height, width;  // of the pictures that are given
  OutputFile file;
  std::unique_ptr<AVFormatContext, CloseOutput> format;
  CodecPointer codec;
  FramePointer frame{ffmpeg().av_frame_alloc()};
  PacketPointer packet{ffmpeg().av_packet_alloc()};
  ScalerPointer scaler;
  std::vector<uint8_t> rows;  // the picture as swscale wants it: sides even, rows padded
  std::unique_ptr<Sound> sound;
  std::vector<std::string> remarks;
  AVStream *pictures = nullptr, *sounds = nullptr;
  double begin = 0;      // seconds of the first frame
  int64_t last = -1;     // ticks of the last frame, from the first one
  int64_t duration = 0;  // ticks
};

VideoWriter::State::State(const std::filesystem::path& path, int height, int width, const VideoWriterOptions& options)
    : name(path.string()), height(height), width(width), file(path) {
  check(height >= 1 && height <= kLargestSide && width >= 1 && width <= kLargestSide,
        "{}: a video of {} x {} pixels, expected sides from 1 to {}", name, width, height, kLargestSide);
  check(options.rate > 0 && std::isfinite(options.rate), "{}: {} frames a second, expected more than 0", name,
        options.rate);
  check(options.quality >= 0 && options.quality <= 51, "{}: quality {}, expected 0 (best) to 51", name,
        options.quality);
  AVFormatContext* made = nullptr;
  const int code =
      ffmpeg().avformat_alloc_output_context2(&made, nullptr, "mp4", ffmpeg_file(file.temporary()).c_str());
  check(code >= 0, "{}: FFmpeg cannot write MP4 ({})", name, ffmpeg_reason(code));
  format.reset(made);
  open_encoder(options);
  if (!options.sound.empty()) open_sound(options.sound);
  open_file();
}

void VideoWriter::State::open_encoder(const VideoWriterOptions& options) {
  const bool h264 = options.codec == VideoCodec::h264;
  const AVCodec* encoder = ffmpeg().avcodec_find_encoder_by_name(h264 ? "libx264" : "mpeg4");
  check(encoder, "{}: this FFmpeg has no encoder {}; install one that has it", name,
        h264 ? "libx264 for H.264" : "mpeg4");
  codec.reset(ffmpeg().avcodec_alloc_context3(encoder));
  check(codec && frame && packet, "{}: not enough memory", name);
  const double rate = std::clamp(options.rate, 1.0, 1000.0);
  codec->width = (width + 1) / 2 * 2;
  codec->height = (height + 1) / 2 * 2;
  codec->pix_fmt = AV_PIX_FMT_YUV420P;
  codec->time_base = kTick;
  codec->framerate = {static_cast<int>(std::lround(rate * 1000)), 1000};
  codec->gop_size = static_cast<int>(std::lround(2 * rate));  // players jump to key frames
  codec->thread_count = 0;                                    // the encoder's choice
  codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  // Players that ignore what a file says take large pictures for BT.709 and small ones for BT.601.
  const bool large = codec->height >= 720;
  codec->color_range = AVCOL_RANGE_MPEG;
  codec->colorspace = large ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
  codec->color_primaries = AVCOL_PRI_BT709;  // sRGB's, too
  codec->color_trc = AVCOL_TRC_BT709;
  FFmpegSettings settings;
  if (h264) {
    settings.set("preset", "veryfast");
    settings.set("crf", std::to_string(options.quality));
  } else {
    // The step of quantisation that x264 would take at this quality (its qp2qscale).
    codec->flags |= AV_CODEC_FLAG_QSCALE;
    codec->global_quality = static_cast<int>(FF_QP2LAMBDA * 0.85 * std::exp2((options.quality - 12) / 6.0));
  }
  int code = ffmpeg().avcodec_open2(codec.get(), encoder, settings.entries());
  check(code >= 0, "{}: the encoder for {} x {} pixels does not open ({})", name, width, height, ffmpeg_reason(code));

  pictures = ffmpeg().avformat_new_stream(format.get(), nullptr);
  check(pictures && ffmpeg().avcodec_parameters_from_context(pictures->codecpar, codec.get()) >= 0,
        "{}: not enough memory", name);
  pictures->time_base = kTick;
  pictures->avg_frame_rate = codec->framerate;

  frame->format = codec->pix_fmt;
  frame->width = codec->width;
  frame->height = codec->height;
  code = ffmpeg().av_frame_get_buffer(frame.get(), 0);
  scaler.reset(ffmpeg().sws_getCachedContext(nullptr, codec->width, codec->height, AV_PIX_FMT_RGB24, codec->width,
                                             codec->height, codec->pix_fmt, SWS_BILINEAR | SWS_ACCURATE_RND, nullptr,
                                             nullptr, nullptr));
  check(code >= 0 && scaler, "{}: not enough memory", name);
  ffmpeg().sws_setColorspaceDetails(scaler.get(), ffmpeg().sws_getCoefficients(SWS_CS_DEFAULT), 1,
                                    ffmpeg().sws_getCoefficients(large ? SWS_CS_ITU709 : SWS_CS_ITU601), 0, 0, 1 << 16,
                                    1 << 16);
}

void VideoWriter::State::open_sound(const std::filesystem::path& source) {
  sound = std::make_unique<Sound>(source);
  if (!sound->stream()) {
    sound.reset();
    return;
  }
  const AVCodecParameters& parameters = *sound->stream()->codecpar;
  if (ffmpeg().avformat_query_codec(format->oformat, parameters.codec_id, FF_COMPLIANCE_NORMAL) != 1 ||
      parameters.sample_rate <= 0) {
    end_sound(fmt::format("MP4 cannot hold {} as it is stored in {}", ffmpeg().avcodec_get_name(parameters.codec_id),
                          source.string()));
    return;
  }
  sounds = ffmpeg().avformat_new_stream(format.get(), nullptr);
  check(sounds && ffmpeg().avcodec_parameters_copy(sounds->codecpar, &parameters) >= 0, "{}: not enough memory", name);
  sounds->codecpar->codec_tag = 0;  // the source's container's
  sounds->time_base = sound->stream()->time_base;
}

void VideoWriter::State::open_file() {
  check_written(ffmpeg().avio_open(&format->pb, format->url, AVIO_FLAG_WRITE));
  FFmpegSettings settings;
  settings.set("movflags", "+faststart");  // the table of frames first: browsers begin before they have the whole file
  check_written(ffmpeg().avformat_write_header(format.get(), settings.entries()));
}

void VideoWriter::State::fill_frame(const ImageView& image) {
  // swscale may read beyond a row's end.
  const size_t stride = (static_cast<size_t>(codec->width) * 3 + 63) / 64 * 64;
  rows.resize(stride * static_cast<size_t>(codec->height) + 64);
  for (int y = 0; y < codec->height; ++y) {
    uint8_t* row = rows.data() + static_cast<size_t>(y) * stride;
    const uint8_t* from = image.at(std::min(y, image.height - 1), 0);
    std::copy_n(from, static_cast<size_t>(image.width) * 3, row);
    if (codec->width > image.width) std::copy_n(from + (image.width - 1) * 3, 3, row + image.width * 3);
  }
  check(ffmpeg().av_frame_make_writable(frame.get()) >= 0, "{}: not enough memory", name);
  const uint8_t* planes[] = {rows.data()};
  const int strides[] = {static_cast<int>(stride)};
  ffmpeg().sws_scale(scaler.get(), planes, strides, 0, codec->height, frame->data, frame->linesize);
}

// Hands a picture (null: the end) to the encoder and writes what it has finished.
void VideoWriter::State::encode(const AVFrame* picture) {
  int code = ffmpeg().avcodec_send_frame(codec.get(), picture);
  check(code >= 0, "{}: a frame cannot be encoded ({})", name, ffmpeg_reason(code));
  while ((code = ffmpeg().avcodec_receive_packet(codec.get(), packet.get())) >= 0) {
    write_sound(seconds_of(packet->dts, kTick));
    packet->duration = duration;  // only the last one's counts
    packet->stream_index = pictures->index;
    ffmpeg().av_packet_rescale_ts(packet.get(), kTick, pictures->time_base);
    check_written(ffmpeg().av_interleaved_write_frame(format.get(), packet.get()));
  }
  check(code == AVERROR(EAGAIN) || code == AVERROR_EOF, "{}: a frame cannot be encoded ({})", name,
        ffmpeg_reason(code));
}

// Copies the sound that begins before `until`, in seconds from the first frame.
void VideoWriter::State::write_sound(double until) {
  while (sound) {
    AVPacket* next = sound->next();
    if (!next || seconds_of(next->pts, sound->stream()->time_base) >= until) return;
    next->stream_index = sounds->index;
    next->pos = -1;
    ffmpeg().av_packet_rescale_ts(next, sound->stream()->time_base, sounds->time_base);
    const int code = ffmpeg().av_interleaved_write_frame(format.get(), next);
    sound->take();
    check_written(format->pb->error);
    if (code < 0) end_sound(fmt::format("it is damaged ({})", ffmpeg_reason(code)));
  }
}

void VideoWriter::State::end_sound(const std::string& why) {
  remarks.push_back(fmt::format("{}: {}: {}", name, sounds ? "the sound ends early" : "without sound", why));
  sound.reset();
}

VideoWriter::VideoWriter(const std::filesystem::path& path, int height, int width, const VideoWriterOptions& options)
    : state_(std::make_unique<State>(path, height, width, options)) {}
VideoWriter::~VideoWriter() = default;

void VideoWriter::add(const ImageView& image, double seconds) {
  State& state = *state_;
  check(image.height == state.height && image.width == state.width,
        "{}: a frame of {} x {} pixels in a video of {} x {}", state.name, image.width, image.height, state.width,
        state.height);
  check(std::isfinite(seconds), "{}: a frame without a time", state.name);
  if (state.last < 0) {
    state.begin = seconds;
    if (state.sound) state.sound->begin_at(seconds);
  }
  const int64_t time = static_cast<int64_t>(std::llround((seconds - state.begin) / av_q2d(kTick)));
  check(time > state.last, "{}: a frame at {:.4f} s after one at {:.4f} s; times must rise", state.name, seconds,
        state.begin + seconds_of(state.last, kTick));
  state.duration =
      state.last < 0 ? std::llround(1 / (av_q2d(state.codec->framerate) * av_q2d(kTick))) : time - state.last;
  state.last = time;
  state.fill_frame(image);
  state.frame->pts = time;
  state.encode(state.frame.get());
}

void VideoWriter::commit() {
  State& state = *state_;
  check(state.last >= 0, "{}: a video without a frame is not written", state.name);
  state.encode(nullptr);
  state.write_sound(seconds_of(state.last + state.duration, kTick));
  state.check_written(ffmpeg().av_write_trailer(state.format.get()));
  state.check_written(ffmpeg().avio_closep(&state.format->pb));
  state.file.commit();
}

const std::vector<std::string>& VideoWriter::remarks() const { return state_->remarks; }

}  // namespace sandglass

#else

namespace sandglass {

struct VideoWriter::State {
  std::vector<std::string> remarks;
};

VideoWriter::VideoWriter(const std::filesystem::path& path, int, int, const VideoWriterOptions&) {
  fail(
      "{}: writing videos needs FFmpeg, which this build was made without; install libavformat-dev, libavcodec-dev and "
      "libswscale-dev and build again, or draw overlays of pictures",
      path.string());
}
VideoWriter::~VideoWriter() = default;

void VideoWriter::add(const ImageView&, double) {}
void VideoWriter::commit() {}
const std::vector<std::string>& VideoWriter::remarks() const { return state_->remarks; }

}  // namespace sandglass

#endif

#ifdef SANDGLASS_FFMPEG

#include "face/video_decoder.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>

#include "engine/error.h"
#include "face/file_kinds.h"
#include "face/jpeg.h"

namespace sandglass {
namespace {

// Exif's number for how a picture is to be turned or mirrored. The matrix sends x, y to m0 x + m3 y, m1 x + m4 y; of
// what is no multiple of a quarter turn the nearest is taken.
int orientation_of(const AVStream& stream) {
  const auto* m =
      reinterpret_cast<const int32_t*>(ffmpeg().av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, nullptr));
  if (!m) return 1;
  const int64_t straight = std::abs(int64_t{m[0]}) + std::abs(int64_t{m[4]});
  const int64_t turned = std::abs(int64_t{m[1]}) + std::abs(int64_t{m[3]});
  if (straight >= turned) return m[0] >= 0 ? (m[4] >= 0 ? 1 : 4) : (m[4] >= 0 ? 2 : 3);
  return m[1] >= 0 ? (m[3] >= 0 ? 5 : 6) : (m[3] >= 0 ? 8 : 7);
}

// The size of pictures whose pixels are `aspect` times as wide as high, in square pixels: the longer side grows. So
// small a difference as rounding leaves is none, and what no video has is an error of the file's.
FrameSize in_square_pixels(FrameSize size, AVRational aspect) {
  if (aspect.num <= 0 || aspect.den <= 0) return size;
  constexpr double kLeast = 1.01, kMost = 8;
  const double wide = av_q2d(aspect), high = 1 / wide;
  if (wide > kLeast && wide < kMost) size.width = static_cast<int>(std::lround(size.width * wide));
  if (high > kLeast && high < kMost) size.height = static_cast<int>(std::lround(size.height * high));
  return size;
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

int is_interrupted(void* interrupted) {
  return interrupted && static_cast<const std::atomic<bool>*>(interrupted)->load();
}
// FFmpeg takes no pointer to const.
AVIOInterruptCB interruption(const std::atomic<bool>* interrupted) {
  return {is_interrupted, const_cast<std::atomic<bool>*>(interrupted)};
}

// The format of that name; libavdevice's are looked for where libavformat has none.
const AVInputFormat* find_format(const std::string& name) {
  if (const AVInputFormat* found = ffmpeg().av_find_input_format(name.c_str())) return found;
  load_ffmpeg_devices(name);
  const AVInputFormat* found = ffmpeg().av_find_input_format(name.c_str());
  check(found,
        "FFmpeg has no format '{}' to read videos from; `ffmpeg -demuxers` and `ffmpeg -devices` list what it has",
        name);
  return found;
}

}  // namespace

// FFmpeg's own reader of pipes waits without an end where nothing comes.
struct VideoDecoder::StandardInput {
  explicit StandardInput(const std::atomic<bool>* interrupted) : interrupted(interrupted) {
    constexpr int kBytes = 1 << 16;
    auto* buffer = static_cast<unsigned char*>(ffmpeg().av_malloc(kBytes));
    context = ffmpeg().avio_alloc_context(buffer, kBytes, 0, this, read, nullptr, nullptr);
    check(buffer && context, "standard input: not enough memory");
  }
  ~StandardInput() {
    ffmpeg().av_free(context->buffer);
    ffmpeg().avio_context_free(&context);
  }

  static int read(void* self, uint8_t* to, int bytes) {
    const auto& input = *static_cast<StandardInput*>(self);
    for (;;) {
      if (input.interrupted && *input.interrupted) return AVERROR_EXIT;
      pollfd waiting{STDIN_FILENO, POLLIN, 0};
      constexpr int kMilliseconds = 100;
      if (poll(&waiting, 1, kMilliseconds) <= 0) continue;
      const ssize_t got = ::read(STDIN_FILENO, to, static_cast<size_t>(bytes));
      if (got > 0) return static_cast<int>(got);
      if (got == 0) return AVERROR_EOF;
      if (errno != EINTR && errno != EAGAIN) return AVERROR(errno);
    }
  }

  const std::atomic<bool>* interrupted;
  AVIOContext* context = nullptr;
};

VideoDecoder::VideoDecoder(const VideoSource& source)
    : name_(source.name == "-" ? "standard input" : source.name), frame(ffmpeg().av_frame_alloc()) {
  open(source);
  choose_stream();
  open_decoder(source.threads);
}

VideoDecoder::~VideoDecoder() = default;

void VideoDecoder::open(const VideoSource& source) {
  const bool is_pipe = source.name == "-";
  const AVInputFormat* wanted = source.format.empty() ? nullptr : find_format(source.format);
  const bool is_file = !is_pipe && !(wanted && wanted->flags & AVFMT_NOFILE);
  if (is_file) {
    std::error_code error;
    check(std::filesystem::is_regular_file(source.name, error), "{}: no such file", name_);
    check(std::filesystem::file_size(source.name, error) > 0, "{}: is empty", name_);
  }
  AVFormatContext* opened = ffmpeg().avformat_alloc_context();
  check(opened, "{}: not enough memory", name_);
  opened->interrupt_callback = interruption(source.interrupted);
  if (is_pipe) {
    input_ = std::make_unique<StandardInput>(source.interrupted);
    opened->pb = input_->context;
  }
  if (wanted && wanted->flags & AVFMT_NOFILE) opened->flags |= AVFMT_FLAG_NONBLOCK;  // a camera must not make it wait
  const std::string address = is_file ? ffmpeg_file(source.name) : is_pipe ? "" : source.name;
  FFmpegSettings settings;
  for (const auto& [name, value] : source.settings) settings.set(name, value);
  int code = ffmpeg().avformat_open_input(&opened, address.c_str(), wanted, settings.entries());
  format.reset(opened);  // null where it failed
  const auto check_code = [&] {
    check(code != AVERROR_EXIT, "interrupted");
    const char* fault = is_pipe || has_extension(name_, video_extensions()) ? "is not a video, or damaged"
                        : is_file ? "is neither a JPEG, PNG or BMP picture nor a video that FFmpeg reads"
                                  : "cannot be opened";
    check(code >= 0, "{}: {} ({}){}", name_, fault, ffmpeg_reason(code), is_pipe ? kNoJumps : "");
  };
  check_code();
  check(wanted || !is_format("tty"), "{}: is a text, not a picture or a video", name_);  // which FFmpeg would paint
  if (const AVDictionaryEntry* left = settings.left(); left && wanted)
    fail("{}: the format '{}' has no setting {} = {}", name_, source.format, left->key, left->value);
  code = ffmpeg().avformat_find_stream_info(format.get(), nullptr);
  check_code();
}

void VideoDecoder::choose_stream() {
  stream_index = ffmpeg().av_find_best_stream(format.get(), AVMEDIA_TYPE_VIDEO, -1, -1, &kind_, 0);
  if (stream_index < 0 || !kind_) {
    for (unsigned i = 0; i < format->nb_streams; ++i) {
      const AVCodecParameters& parameters = *format->streams[i]->codecpar;
      char tag[AV_FOURCC_MAX_STRING_SIZE] = {};
      check(parameters.codec_type != AVMEDIA_TYPE_VIDEO,
            "{}: its video is of a kind that FFmpeg cannot decode here (codec {}, tag {})", name_,
            ffmpeg().avcodec_get_name(parameters.codec_id), ffmpeg().av_fourcc_make_string(tag, parameters.codec_tag));
    }
  }
  check(stream_index >= 0 && !(stream().disposition & AV_DISPOSITION_ATTACHED_PIC),
        "{}: has no video, only sound or other data", name_);
  orientation_ = orientation_of(stream());
}

void VideoDecoder::open_decoder(int threads) {
  codec.reset(ffmpeg().avcodec_alloc_context3(kind_));
  check(codec && frame, "{}: not enough memory", name_);
  check(ffmpeg().avcodec_parameters_to_context(codec.get(), stream().codecpar) >= 0, "{}: has a broken header", name_);
  codec->thread_count = threads;
  codec->max_pixels = kMaximumPixels;
  const int code = ffmpeg().avcodec_open2(codec.get(), kind_, nullptr);
  check(code >= 0, "{}: cannot be decoded ({})", name_, ffmpeg_reason(code));
}

bool VideoDecoder::is_format(std::string_view name) const {
  return fmt::format(",{},", format->iformat->name).find(fmt::format(",{},", name)) != std::string::npos;
}

// Width of a pixel over its height, of a frame or by the header.
AVRational VideoDecoder::pixel_aspect(AVFrame* of) const {
  return ffmpeg().av_guess_sample_aspect_ratio(format.get(), format->streams[stream_index], of);
}

FrameSize VideoDecoder::size() const {
  const AVCodecParameters& parameters = *stream().codecpar;
  FrameSize size = in_square_pixels({parameters.height, parameters.width}, pixel_aspect(nullptr));
  if (orientation_ >= 5) std::swap(size.height, size.width);
  return size;
}

Image VideoDecoder::convert(int64_t number) {
  bool full_range = false;
  const AVPixelFormat pixels = without_range(static_cast<AVPixelFormat>(frame->format), full_range);
  full_range = full_range || frame->color_range == AVCOL_RANGE_JPEG;
  check(frame->width > 0 && frame->height > 0, "{}: frame {} is empty", name_, number + 1);
  const auto [height, width] = in_square_pixels({frame->height, frame->width}, pixel_aspect(frame.get()));
  check(int64_t{height} * width <= kMaximumPixels, "{}: frame {} is {} x {} pixels, more than {} megapixels", name_,
        number + 1, width, height, kMaximumPixels / 1'000'000);
  scaler_.reset(ffmpeg().sws_getCachedContext(scaler_.release(), frame->width, frame->height, pixels, width, height,
                                              AV_PIX_FMT_RGB24, SWS_BILINEAR | SWS_ACCURATE_RND | SWS_FULL_CHR_H_INT,
                                              nullptr, nullptr, nullptr));
  check(scaler_ != nullptr, "{}: frame {} has colours that cannot be converted", name_, number + 1);
  const int* coefficients =
      ffmpeg().sws_getCoefficients(frame->colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_DEFAULT);
  ffmpeg().sws_setColorspaceDetails(scaler_.get(), coefficients, full_range,
                                    ffmpeg().sws_getCoefficients(SWS_CS_DEFAULT), 1, 0, 1 << 16, 1 << 16);
  // swscale may write beyond a row's end, so rows are padded and then closed up.
  const int stride = (width * 3 + 63) / 64 * 64;
  rows_.resize(static_cast<size_t>(stride) * static_cast<size_t>(height) + 64);
  uint8_t* planes[] = {rows_.data()};
  const int strides[] = {stride};
  ffmpeg().sws_scale(scaler_.get(), frame->data, frame->linesize, 0, frame->height, planes, strides);
  Image image(height, width);
  for (int y = 0; y < image.height; ++y) {
    std::copy_n(rows_.data() + static_cast<size_t>(y) * static_cast<size_t>(stride), image.width * 3, image.at(y, 0));
  }
  return upright(std::move(image), orientation_);
}

}  // namespace sandglass

#endif

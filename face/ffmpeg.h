// The functions of FFmpeg that this folder calls, loaded with the first video. With all that it needs FFmpeg is more
// than a hundred shared libraries: linked, they would make every start of the program a tenth of a second longer.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

namespace sandglass {

// clang-format off
#define SANDGLASS_AVUTIL(F) \
  F(av_dict_free) F(av_dict_get) F(av_dict_set) F(av_fourcc_make_string) F(av_frame_alloc) F(av_frame_free) \
  F(av_frame_get_buffer) F(av_frame_make_writable) F(av_free) F(av_log_set_level) F(av_malloc) F(av_strerror)
#define SANDGLASS_AVCODEC(F) \
  F(av_packet_alloc) F(av_packet_free) F(av_packet_rescale_ts) F(av_packet_unref) F(avcodec_alloc_context3) \
  F(avcodec_find_encoder_by_name) F(avcodec_flush_buffers) F(avcodec_free_context) F(avcodec_get_name) \
  F(avcodec_open2) F(avcodec_parameters_copy) F(avcodec_parameters_from_context) \
  F(avcodec_parameters_to_context) F(avcodec_receive_frame) F(avcodec_receive_packet) F(avcodec_send_frame) \
  F(avcodec_send_packet)
#define SANDGLASS_AVFORMAT(F) \
  F(av_find_best_stream) F(av_find_input_format) F(av_guess_sample_aspect_ratio) F(av_interleaved_write_frame) \
  F(av_read_frame) F(av_seek_frame) F(av_stream_get_side_data) F(av_write_trailer) F(avformat_alloc_context) \
  F(avformat_alloc_output_context2) F(avformat_close_input) F(avformat_find_stream_info) F(avformat_free_context) \
  F(avformat_new_stream) F(avformat_open_input) F(avformat_query_codec) F(avformat_write_header) \
  F(avio_alloc_context) F(avio_closep) F(avio_context_free) F(avio_open) F(avio_seek)
#define SANDGLASS_SWSCALE(F) \
  F(sws_freeContext) F(sws_getCachedContext) F(sws_getCoefficients) F(sws_scale) F(sws_setColorspaceDetails)
// clang-format on

/// Each function under its own name.
struct FFmpeg {
#define SANDGLASS_MEMBER(function) decltype(&::function) function = nullptr;
  SANDGLASS_AVUTIL(SANDGLASS_MEMBER)
  SANDGLASS_AVCODEC(SANDGLASS_MEMBER)
  SANDGLASS_AVFORMAT(SANDGLASS_MEMBER)
  SANDGLASS_SWSCALE(SANDGLASS_MEMBER)
#undef SANDGLASS_MEMBER
};

/// Loads the libraries at the first call. Throws Error naming one that is not there.
const FFmpeg& ffmpeg();

/// What FFmpeg says about an error's code.
std::string ffmpeg_reason(int code);

/// Calls one of FFmpeg's functions that free an object and clear its pointer.
template <auto FFmpeg::*kFree>
struct FreeByFFmpeg {
  template <typename Object>
  void operator()(Object* object) const {
    (ffmpeg().*kFree)(&object);
  }
};
struct FreeScaler {
  void operator()(SwsContext* context) const { ffmpeg().sws_freeContext(context); }
};
using InputPointer = std::unique_ptr<AVFormatContext, FreeByFFmpeg<&FFmpeg::avformat_close_input>>;
using CodecPointer = std::unique_ptr<AVCodecContext, FreeByFFmpeg<&FFmpeg::avcodec_free_context>>;
using FramePointer = std::unique_ptr<AVFrame, FreeByFFmpeg<&FFmpeg::av_frame_free>>;
using PacketPointer = std::unique_ptr<AVPacket, FreeByFFmpeg<&FFmpeg::av_packet_free>>;
using ScalerPointer = std::unique_ptr<SwsContext, FreeScaler>;

/// How FFmpeg takes a file's name, which may have colons.
std::string ffmpeg_file(const std::string& path);

/// Settings by name, as FFmpeg's functions take them; these remove those that they know.
class FFmpegSettings {
 public:
  FFmpegSettings() = default;
  ~FFmpegSettings() { ffmpeg().av_dict_free(&entries_); }
  FFmpegSettings(const FFmpegSettings&) = delete;
  FFmpegSettings& operator=(const FFmpegSettings&) = delete;
  void set(const char* name, const std::string& value) { ffmpeg().av_dict_set(&entries_, name, value.c_str(), 0); }
  AVDictionary** entries() { return &entries_; }
  /// One that is left, or null.
  const AVDictionaryEntry* left() const { return ffmpeg().av_dict_get(entries_, "", nullptr, AV_DICT_IGNORE_SUFFIX); }

 private:
  AVDictionary* entries_ = nullptr;
};

/// Adds the formats of libavdevice, cameras among them, to those that av_find_input_format knows. Throws Error naming
/// the `format` that is looked for if this library is not there.
void load_ffmpeg_devices(const std::string& format);

}  // namespace sandglass

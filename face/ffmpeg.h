// The functions of FFmpeg that reading and writing videos calls, loaded with the first video. With all that it needs
// FFmpeg is more than a hundred shared libraries: linked, they would make every start of the program a tenth of a
// second longer.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libswscale/swscale.h>
}

namespace sandglass {

// clang-format off
#define SANDGLASS_AVUTIL(F) \
  F(av_display_rotation_get) F(av_frame_alloc) F(av_frame_free) F(av_log_set_level) F(av_strerror)
#define SANDGLASS_AVCODEC(F) \
  F(av_packet_alloc) F(av_packet_free) F(av_packet_unref) F(avcodec_alloc_context3) F(avcodec_flush_buffers) \
  F(avcodec_free_context) F(avcodec_open2) F(avcodec_parameters_to_context) F(avcodec_receive_frame) \
  F(avcodec_send_packet)
#define SANDGLASS_AVFORMAT(F) \
  F(av_find_best_stream) F(av_read_frame) F(av_seek_frame) F(av_stream_get_side_data) F(avformat_close_input) \
  F(avformat_find_stream_info) F(avformat_open_input)
#define SANDGLASS_SWSCALE(F) \
  F(sws_freeContext) F(sws_getCachedContext) F(sws_getCoefficients) F(sws_scale) F(sws_setColorspaceDetails)

// For writing.
#define SANDGLASS_AVUTIL_WRITING(F) F(av_dict_free) F(av_dict_set) F(av_frame_get_buffer) F(av_frame_make_writable)
#define SANDGLASS_AVCODEC_WRITING(F) \
  F(av_packet_rescale_ts) F(avcodec_find_encoder_by_name) F(avcodec_get_name) F(avcodec_parameters_copy) \
  F(avcodec_parameters_from_context) F(avcodec_receive_packet) F(avcodec_send_frame)
#define SANDGLASS_AVFORMAT_WRITING(F) \
  F(av_interleaved_write_frame) F(av_write_trailer) F(avformat_alloc_output_context2) F(avformat_free_context) \
  F(avformat_new_stream) F(avformat_query_codec) F(avformat_write_header) F(avio_closep) F(avio_open)
// clang-format on

/// Each function under its own name.
struct FFmpeg {
#define SANDGLASS_MEMBER(function) decltype(&::function) function = nullptr;
  SANDGLASS_AVUTIL(SANDGLASS_MEMBER)
  SANDGLASS_AVCODEC(SANDGLASS_MEMBER)
  SANDGLASS_AVFORMAT(SANDGLASS_MEMBER)
  SANDGLASS_SWSCALE(SANDGLASS_MEMBER)
  SANDGLASS_AVUTIL_WRITING(SANDGLASS_MEMBER)
  SANDGLASS_AVCODEC_WRITING(SANDGLASS_MEMBER)
  SANDGLASS_AVFORMAT_WRITING(SANDGLASS_MEMBER)
#undef SANDGLASS_MEMBER
};

/// Loads the libraries at the first call. Throws Error naming one that is not there.
const FFmpeg& ffmpeg();

}  // namespace sandglass

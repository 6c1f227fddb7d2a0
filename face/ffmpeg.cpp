#ifdef SANDGLASS_FFMPEG

#include "face/ffmpeg.h"

#include <dlfcn.h>

#include "engine/error.h"

namespace sandglass {
namespace {

// The version that this program was compiled with: its structs are used.
class Library {
 public:
  explicit Library(const std::string& name) : name_(name), handle_(dlopen(name.c_str(), RTLD_NOW)) {
    check(handle_, "videos need {}, which could not be loaded ({}); install FFmpeg's libraries, or use pictures", name,
          dlerror());
  }
  template <typename Function>
  void find(Function& function, const char* name) const {
    function = reinterpret_cast<Function>(dlsym(handle_, name));
    check(function, "{} has no function {}: it is not the version that this program was compiled with", name_, name);
  }

 private:
  std::string name_;
  void* handle_;  // never closed: FFmpeg stays
};

FFmpeg load() {
  FFmpeg functions;
  const Library avutil("libavutil.so." AV_STRINGIFY(LIBAVUTIL_VERSION_MAJOR)),
      avcodec("libavcodec.so." AV_STRINGIFY(LIBAVCODEC_VERSION_MAJOR)),
      avformat("libavformat.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR)),
      swscale("libswscale.so." AV_STRINGIFY(LIBSWSCALE_VERSION_MAJOR));
#define SANDGLASS_FIND(library, function) library.find(functions.function, #function);
#define SANDGLASS_FIND_AVUTIL(function) SANDGLASS_FIND(avutil, function)
#define SANDGLASS_FIND_AVCODEC(function) SANDGLASS_FIND(avcodec, function)
#define SANDGLASS_FIND_AVFORMAT(function) SANDGLASS_FIND(avformat, function)
#define SANDGLASS_FIND_SWSCALE(function) SANDGLASS_FIND(swscale, function)
  SANDGLASS_AVUTIL(SANDGLASS_FIND_AVUTIL)
  SANDGLASS_AVCODEC(SANDGLASS_FIND_AVCODEC)
  SANDGLASS_AVFORMAT(SANDGLASS_FIND_AVFORMAT)
  SANDGLASS_SWSCALE(SANDGLASS_FIND_SWSCALE)
  functions.av_log_set_level(AV_LOG_QUIET);  // what fails is told by who calls
  return functions;
}

}  // namespace

const FFmpeg& ffmpeg() {
  static const FFmpeg functions = load();
  return functions;
}

std::string ffmpeg_reason(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  ffmpeg().av_strerror(code, text, sizeof(text));
  return text;
}

std::string ffmpeg_file(const std::string& path) { return "file:" + path; }

void load_ffmpeg_devices(const std::string& format) {
  // libavdevice has the version number of libavformat.
  const std::string name = "libavdevice.so." AV_STRINGIFY(LIBAVFORMAT_VERSION_MAJOR);
  void* const handle = dlopen(name.c_str(), RTLD_NOW);
  check(handle, "the format '{}' is none of libavformat's; cameras need {}, which could not be loaded ({})", format,
        name, dlerror());
  const auto add_formats = reinterpret_cast<void (*)()>(dlsym(handle, "avdevice_register_all"));
  check(add_formats, "{} has no function avdevice_register_all", name);
  add_formats();
}

}  // namespace sandglass

#endif

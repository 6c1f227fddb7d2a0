// Which pictures and videos a run reads: as the user names them, in the order in which their results appear.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace sandglass {

enum class InputKind {
  picture,
  video,    ///< what VideoStream opens by its path
  sequence  ///< pictures in files that are the frames of a video
};

/// One input, or why there is none to read.
struct Input {
  std::filesystem::path path;  ///< of a sequence its folder or the pattern of its names
  std::string error;
  InputKind kind = InputKind::picture;
  std::vector<std::filesystem::path> files = {};  ///< of a sequence: its frames
};

struct InputOptions {
  bool sequences = false;  ///< the pictures of each folder are the frames of one video
  bool videos = false;     ///< whatever is no folder is a video: what it is will be told to VideoStream
};

struct InputList {
  std::vector<Input> inputs;
  std::vector<std::string> remarks;  ///< what the user should know of them, a line each
};

/// Files stay as they are named, pictures or videos by their extension (file_kinds.h). One with another extension is a
/// picture if it begins like one, else a video: FFmpeg knows more of them than that list. `-` and /dev/video* are
/// videos. A folder stands for all pictures and videos below it (by extension; names that begin with a dot are left
/// out), sorted naturally by their path. A pattern like glob(3)'s stands for what matches it, in natural order, if the
/// shell has left it; one like printf's, as frame_%05d.png, for the sequence of the files with such names. A folder
/// without either, a pattern that nothing matches and a path that does not exist become inputs with an error.
///
/// With `sequences` pictures in the same folder become one sequence, in the place of the first and in their order; each
/// folder below a folder has its own.
InputList find_inputs(const std::vector<std::filesystem::path>& paths, const InputOptions& options = {});

}  // namespace sandglass

// The built program as a child process, and files for it to read.
#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "engine/error.h"
#include "face/image.h"
#include "model/weights.h"
#include "tests/temporary_folder.h"

namespace sandglass {

inline std::string content_of(const std::filesystem::path& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

/// A program that has ended. `code` is its exit code, 128 + the signal that ended it, or -1 if it was still running
/// after two minutes.
struct Finished {
  int code = 0;
  std::string out, err;
};

class ProgramTest : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    return temporary_.write(name, content).string();
  }
  bool exists(const std::string& name) const { return std::filesystem::exists(folder / name); }
  /// Files that a program has begun and not finished.
  std::vector<std::string> unfinished_files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
      if (entry.path().extension() == ".tmp") names.push_back(entry.path().string());
    return names;
  }

  /// The weights of a network of 64 x 64 pictures, small enough for a run in milliseconds.
  static Weights small_weights() {
    return initial_weights({.width = 16, .depth = 2, .heatmaps = 2, .input_size = 64}, {"AU06", "AU12"}, 3);
  }
  std::string write_small_weights(const std::string& name = "net.safetensors") const {
    write_weights(folder / name, small_weights());
    return path(name);
  }
  /// A square picture, to be read with --registered.
  std::string write_face(const std::string& name, int side = 64) const {
    Image image(side, side);
    for (size_t i = 0; i < image.rgb.size(); ++i)
      image.rgb[i] = static_cast<uint8_t>((i * i / 97 + name.size() * 31) % 251);
    write_image(folder / name, image);
    return path(name);
  }

  /// Starts `program` with its output going to files. `prepare` runs in the child.
  pid_t start(const std::vector<std::string>& arguments, const std::string& program = SANDGLASS_PROGRAM,
              const std::function<void()>& prepare = {}) const {
    std::vector<std::string> all{program};
    all.insert(all.end(), arguments.begin(), arguments.end());
    std::vector<char*> pointers;
    for (std::string& argument : all) pointers.push_back(argument.data());
    pointers.push_back(nullptr);
    const std::string out = path("stdout.txt"), err = path("stderr.txt");
    const pid_t child = fork();
    check(child >= 0, "cannot start a process");
    if (child > 0) return child;
    const int out_file = open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int err_file = open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(out_file, STDOUT_FILENO);
    dup2(err_file, STDERR_FILENO);
    if (prepare) prepare();
    execv(program.c_str(), pointers.data());
    _exit(127);
  }

  Finished wait(pid_t child) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(2);
    int status = 0;
    pid_t done;
    while ((done = waitpid(child, &status, WNOHANG)) == 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (done == 0) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      return {-1, content_of(folder / "stdout.txt"), content_of(folder / "stderr.txt")};
    }
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return {code, content_of(folder / "stdout.txt"), content_of(folder / "stderr.txt")};
  }

  Finished run(const std::vector<std::string>& arguments) const { return wait(start(arguments)); }

  const TemporaryFolder temporary_;
  const std::filesystem::path folder = temporary_.path();
};

/// One line of stderr, as every error is reported.
MATCHER_P(OneErrorLineWith, part, "") {
  const std::string& text = arg;
  return text.starts_with("sandglass: error: ") && text.ends_with('\n') && text.find('\n') == text.size() - 1 &&
         text.find(part) != text.npos;
}

}  // namespace sandglass

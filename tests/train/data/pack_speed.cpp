// How many faces a second come from a pack, in random order and augmented; run by hand.
// usage: pack_speed PACK [WORKERS [SECONDS [INPUT_SIZE]]]
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "engine/error.h"
#include "train/data/pack.h"
#include "train/loader.h"

namespace {

// A line of /proc/self/status, such as "RssAnon:     12345 kB".
std::string status_line(const std::string& name) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(name)) return line;
  }
  return name + ": unknown";
}

int measure(int count, char** arguments) {
  using namespace sandglass;
  const auto argument = [&](int i, int otherwise) { return count > i ? std::atoi(arguments[i]) : otherwise; };
  check(count > 1, "usage: pack_speed PACK [WORKERS [SECONDS [INPUT_SIZE]]]");
  const Manifest faces = read_faces(arguments[1]);
  LoaderOptions options;
  options.aus = faces.aus;
  options.table = default_au_table();
  options.batch = 32;
  options.workers = argument(2, 2);
  options.input_size = argument(4, faces.pack ? faces.pack->info().size : 256);
  options.augmentation = AugmentationConfig();
  Loader loader(faces, options);
  loader.start(0, int64_t{1} << 40);
  int64_t got = 0;
  const auto begin = std::chrono::steady_clock::now();
  for (int second = 1; second <= argument(3, 5); ++second) {
    while (std::chrono::steady_clock::now() - begin < std::chrono::seconds(second)) {
      got += static_cast<int64_t>(loader.next().rows.size());
    }
    fmt::print("{:.0f} faces/s; {}; {}\n", static_cast<double>(got) / second, status_line("RssAnon"),
               status_line("RssFile"));
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    return measure(count, arguments);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}

// How long the parts of face detection take: face_speed PICTURE...
// "found again" is what a video's frame costs between two whole searches: the search near the faces' last places, with
// everything around it.
// Prints the median of nine runs in milliseconds, as wall time and as processor time of all threads: on a machine that
// does other work too, the second is the steadier one.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <vector>

#include "face/detector.h"
#include "face/registration.h"

namespace {

struct Times {
  double wall, processor;
};

template <typename Action>
Times median_of(int runs, Action&& action) {
  std::vector<double> wall, processor;
  for (int run = 0; run < runs; ++run) {
    const auto begin = std::chrono::steady_clock::now();
    const clock_t processor_begin = clock();
    action();
    wall.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    processor.push_back(static_cast<double>(clock() - processor_begin) * 1e3 / CLOCKS_PER_SEC);
  }
  const auto median = [](std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  return {median(wall), median(processor)};
}

void print(const char* what, Times times) {
  std::printf("  %-37s %8.1f wall %8.1f processor\n", what, times.wall, times.processor);
}

}  // namespace

int main(int count, char** arguments) try {
  using namespace sandglass;
  print("load detector and landmark model", median_of(3, [] { FaceDetector detector; }));
  const FaceDetector one_thread({.threads = 1}), all_threads;
  for (int i = 1; i < count; ++i) {
    const Image image = read_image(arguments[i]);
    const std::vector<Face> faces = all_threads.detect(image);
    std::printf("%s: %d x %d, smallest face %.0f, %zu faces\n", arguments[i], image.width, image.height,
                FaceDetector::automatic_minimum_face(image.height, image.width), faces.size());
    print("read", median_of(9, [&] { read_image(arguments[i]); }));
    print("faces and landmarks, one thread", median_of(9, [&] { one_thread.detect(image); }));
    print("faces and landmarks, all threads", median_of(9, [&] { all_threads.detect(image); }));
    if (faces.empty()) continue;
    const std::vector<Face> largest(faces.begin(), faces.begin() + 1);
    print("largest face found again, one thread", median_of(9, [&] { one_thread.detect_near(image, largest); }));
    print("all faces found again, one thread", median_of(9, [&] { one_thread.detect_near(image, faces); }));
    print("register the largest face",
          median_of(9, [&] { warp_image(image, registration(faces[0].landmarks), 256, 256); }));
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "face_speed: error: %s\n", error.what());
  return 1;
}

// Memory that ends while threads look for faces is an error in the calling thread, and not the end of the program. In a
// program of its own, whose operator new can fail.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <new>

#include "face/box_detector.h"
#include "face/detector.h"
#include "tests/face/drawn_faces.h"

namespace {

std::atomic<long> calls{0}, failing{-1};  // the call that fails

}  // namespace

[[gnu::noinline]] void* operator new(size_t bytes) {
  if (calls++ == failing) throw std::bad_alloc();
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace sandglass {
namespace {

/// Lets one call after the other fail, some 40 of those that `search` makes.
template <typename Search>
void expect_an_error_wherever_memory_ends(const Search& search) {
  calls = 0;
  search();
  const long all = calls;
  int errors = 0;
  for (long call = 0; call < all; call += 1 + all / 40) {
    calls = 0;
    failing = call;
    try {
      search();
    } catch (const std::bad_alloc&) {
      ++errors;
    }
    failing = -1;
  }
  EXPECT_GT(errors, 20);
}

TEST(FaceMemory, BoxDetectorThrowsWhatItsThreadsThrow) {
  if (!BoxDetector::kAvailable) GTEST_SKIP() << "built without dlib";
  const BoxDetector detector;
  const DrawnFace faces[] = {{{60, 60}, 100}};
  const GreyImage image = grey_image(drawn_faces(120, 130, faces));
  expect_an_error_wherever_memory_ends([&] { EXPECT_EQ(detector.find(image, 0, 2).size(), 1u); });
}

TEST(FaceMemory, FaceDetectorThrowsWhatItsThreadsThrow) {
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib";
  const char* given = std::getenv("SANDGLASS_LANDMARK_MODEL");
  if (!given && !std::filesystem::exists("/usr/share/dlib/shape_predictor_68_face_landmarks.dat"))
    GTEST_SKIP() << "no landmark model (set SANDGLASS_LANDMARK_MODEL)";
  const FaceDetector detector({.minimum_face = 80, .threads = 2});
  const DrawnFace faces[] = {{{60, 60}, 100}, {{180, 60}, 100}};
  const Image image = drawn_faces(120, 240, faces);
  expect_an_error_wherever_memory_ends([&] { EXPECT_EQ(detector.detect(image).size(), 2u); });
}

}  // namespace
}  // namespace sandglass

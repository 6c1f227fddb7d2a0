#include "engine/file.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "tests/engine/support.h"

namespace sandglass {
namespace {

using testing::expect_error;
using testing::TemporaryFolder;

size_t files_in(const TemporaryFolder& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder.path()), {}));
}

TEST(File, ReadsBackWhatWasWritten) {
  const TemporaryFolder folder;
  std::string content(300000, '\0');
  Random random(1);
  for (char& c : content) c = static_cast<char>(random.below(256));
  for (const std::string& text : {std::string(), std::string("x"), std::string("a\0b\r\n\xff", 6), content}) {
    write_file(folder / "file", text);
    EXPECT_EQ(read_file(folder / "file"), text);
  }
  EXPECT_EQ(files_in(folder), 1u) << "temporary files were left behind";
}

TEST(File, ReadsNoDevicesAndNamesAnEmptyName) {
  expect_error([] { read_file("/dev/zero"); }, "/dev/zero: is a device, expected a file");
  expect_error([] { read_file(""); }, "the name of a file is empty");
}

TEST(File, ReadsPipes) {
  const TemporaryFolder folder;
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(folder / "pipe") << "content"; });
  EXPECT_EQ(read_file(folder / "pipe"), "content");
  writer.join();
}

TEST(File, WritingReplacesTheFileInsteadOfChangingIt) {
  const TemporaryFolder folder;
  write_file(folder / "file", "old");
  std::filesystem::create_hard_link(folder / "file", folder / "old name of the same file");
  write_file(folder / "file", "new");
  EXPECT_EQ(read_file(folder / "file"), "new");
  EXPECT_EQ(read_file(folder / "old name of the same file"), "old");
}

TEST(File, ReadingNamesWhatIsWrong) {
  const TemporaryFolder folder;
  expect_error([&] { read_file(folder / "missing"); }, (folder / "missing").string(), "no such file");
  expect_error([&] { read_file(folder.path()); }, folder.path().string(), "folder");
  write_file(folder / "secret", "x");
  std::filesystem::permissions(folder / "secret", std::filesystem::perms::none);
  if (geteuid() != 0) expect_error([&] { read_file(folder / "secret"); }, "secret", "cannot be read");
}

TEST(File, AFailingReadIsAnError) {
  if (!std::filesystem::exists("/proc/self/mem")) GTEST_SKIP() << "there is no /proc";
  expect_error([] { read_file("/proc/self/mem"); }, "/proc/self/mem");  // opens, but its first byte is not mapped
}

TEST(File, WritingNamesWhatIsWrong) {
  const TemporaryFolder folder;
  expect_error([&] { write_file(folder / "missing/file", "x"); }, "missing/file", "No such file or directory");
  std::filesystem::create_directory(folder / "folder");
  expect_error([&] { write_file(folder / "folder", "x"); }, "folder", "cannot be written");
  EXPECT_EQ(files_in(folder), 1u) << "temporary files were left behind";
}

// A limit on the size of files stands in for a full disk: write() fails half-way in the same manner.
TEST(File, AFullDiskLeavesTheOldContent) {
  const TemporaryFolder folder;
  write_file(folder / "file", "old");
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{5000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limited);
  expect_error([&] { write_file(folder / "file", std::string(100000, 'x')); }, "file", "File too large",
               "previous content");
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(read_file(folder / "file"), "old");
  EXPECT_EQ(files_in(folder), 1u) << "temporary files were left behind";
}

}  // namespace
}  // namespace sandglass

#include "engine/output_file.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using testing::ElementsAre;

TEST(OutputFile, AppearsAtOnce) {
  const TemporaryFolder folder;
  folder.write("out", "before");
  std::string expected;
  OutputFile file(folder / "out");
  for (int i = 0; i < 5000; ++i) {
    const std::string piece(static_cast<size_t>(i % 97), static_cast<char>('a' + i % 26));
    file.append(piece);
    expected += piece;
  }
  const std::string large(200'000, 'z');  // more than any buffer
  file.append(large);
  expected += large;
  EXPECT_EQ(file.size(), expected.size());
  EXPECT_EQ(folder.read("out"), "before");
  file.commit();
  EXPECT_EQ(folder.read("out"), expected);
  EXPECT_THAT(folder.files(), ElementsAre("out"));
}

TEST(OutputFile, LeavesNothingWithoutCommit) {
  const TemporaryFolder folder;
  folder.write("out", "before");
  { OutputFile(folder / "out").append(std::string(300'000, 'x')); }
  EXPECT_EQ(folder.read("out"), "before");
  EXPECT_THAT(folder.files(), ElementsAre("out"));
}

TEST(OutputFile, AppendsAnother) {
  const TemporaryFolder folder;
  OutputFile data(folder / "out"), file(folder / "out");  // both for the same path
  const std::string content = std::string(3'000'000, 'd') + "end";
  data.append(content);
  file.append("head ");
  file.append(data);
  file.append(" tail");
  file.commit();
  EXPECT_EQ(folder.read("out"), "head " + content + " tail");
}

TEST(OutputFile, FollowsALink) {
  const TemporaryFolder folder;
  folder.write("real", "old");
  std::filesystem::create_symlink("real", folder / "link");
  OutputFile file(folder / "link");
  file.append("new");
  file.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(folder.read("real"), "new");

  std::filesystem::create_symlink("later", folder / "dangling");
  OutputFile later(folder / "dangling");
  later.append("new");
  later.commit();
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "dangling"));
  EXPECT_EQ(folder.read("later"), "new");

  std::filesystem::create_symlink("loop", folder / "loop");
  EXPECT_THAT(error_of([&] { OutputFile in_circles(folder / "loop"); }),
              testing::HasSubstr("loop: cannot be written (Too many levels of symbolic links)"));
}

// Lines that could be written are worth something, where there is nothing else.
TEST(OutputFile, KeepsTheLinesThatFit) {
  const TemporaryFolder folder;
  folder.write("old", "whole");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit limited{200'000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &limited);
  const std::string line(999, 'x');
  const auto error_with = [&](const char* name, OutputFile::Content content) {
    OutputFile file(folder / name, content);
    EXPECT_NE(error_of([&] {
                for (int i = 0; i < 1000; ++i) file.append(line + '\n');
              }),
              "");
    return error_of([&] { file.commit(); });
  };
  const std::string lines = error_with("lines", OutputFile::Content::lines),
                    whole = error_with("whole", OutputFile::Content::whole),
                    old = error_with("old", OutputFile::Content::lines);
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_THAT(lines,
              testing::HasSubstr("lines: could not be written to its end (File too large); it has the lines up"));
  EXPECT_EQ(std::filesystem::file_size(folder / "lines") % 1000, 0u);
  EXPECT_GT(std::filesystem::file_size(folder / "lines"), 100'000u);
  EXPECT_THAT(whole, testing::HasSubstr("whole: cannot be written (File too large)"));
  EXPECT_FALSE(std::filesystem::exists(folder / "whole"));
  EXPECT_THAT(old, testing::HasSubstr("old: cannot be written (File too large); the previous content"));
  EXPECT_EQ(folder.read("old"), "whole");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);
}

TEST(OutputFile, SaysWhatCannotBeWritten) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { OutputFile file(folder / "absent/out"); }),
              testing::StartsWith((folder / "absent/out").string() + ": cannot be written"));
  EXPECT_THAT(error_of([&] { OutputFile file(folder.path()); }), testing::HasSubstr("is a folder"));
  EXPECT_THAT(error_of([&] { OutputFile file(""); }), testing::HasSubstr("is empty"));
  EXPECT_THAT(error_of([&] { OutputFile file("/dev/null"); }), testing::HasSubstr("is no file but a device"));
}

}  // namespace
}  // namespace sandglass

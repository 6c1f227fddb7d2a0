#include "engine/output_file.h"

#include <gmock/gmock.h>

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

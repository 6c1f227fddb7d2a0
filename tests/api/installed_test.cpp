#include "tests/cli/program.h"

namespace sandglass {
namespace {

// The lines of the examples say what `sandglass infer` writes as CSV, digit for digit.
TEST_F(ProgramTest, TheExamplesAgainstTheInstalledLibrarySayWhatInferSays) {
  const std::string weights = write_small_weights(), face = write_face("face.png", 100);
  ASSERT_EQ(run({"infer", "--weights", weights, "--registered", face, "--csv", path("out.csv")}).code, 0);
  const std::string csv = content_of(folder / "out.csv");
  std::istringstream fields(csv.substr(csv.find('\n') + 1));
  std::vector<std::string> row;
  for (std::string field; std::getline(fields, field, ',');) row.push_back(field);
  ASSERT_GE(row.size(), 14u) << csv;  // six columns, two intensities, two presences, two places
  row.back().pop_back();              // the line's end
  const std::string expected =
      fmt::format("{},0,AU06={} at {} {},AU12={} at {} {}\n", face, row[6], row[10], row[11], row[7], row[12], row[13]);

  std::filesystem::create_directories(folder / "out");
  const Finished finished = wait(start(
      {SANDGLASS_BUILD, SANDGLASS_BUILD_TYPE, SANDGLASS_LINK_STATIC, weights, face, path("out")}, SANDGLASS_SCRIPT));
  ASSERT_EQ(finished.code, 0) << finished.err;
  std::istringstream lines(finished.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_EQ(line + "\n", expected);
  EXPECT_EQ(count, std::string(SANDGLASS_LINK_STATIC) == "ON" ? 6 : 5);
}

}  // namespace
}  // namespace sandglass

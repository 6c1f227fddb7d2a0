#include <map>

#include "tests/cli/program.h"

namespace sandglass {
namespace {

// The lines of the examples say what `sandglass infer` writes as CSV, digit for digit.
TEST_F(ProgramTest, TheExamplesAgainstTheInstalledLibrarySayWhatInferSays) {
  const std::string weights = write_small_weights(), face = write_face("face.png", 100);
  ASSERT_EQ(run({"infer", "--weights", weights, "--registered", face, "--csv", path("out.csv")}).code, 0);
  std::istringstream csv(content_of(folder / "out.csv"));
  std::map<std::string, std::string> row;
  std::string header, values;
  std::getline(csv, header);
  std::getline(csv, values);
  std::istringstream names(header), fields(values);
  for (std::string name, field; std::getline(names, name, ',') && std::getline(fields, field, ',');) row[name] = field;
  const std::string expected = fmt::format("{},0,AU06={} at {} {},AU12={} at {} {}", face, row["AU06_r"], row["AU06_x"],
                                           row["AU06_y"], row["AU12_r"], row["AU12_x"], row["AU12_y"]);

  std::filesystem::create_directories(folder / "out");
  const Finished finished = wait(start(
      {SANDGLASS_BUILD, SANDGLASS_BUILD_TYPE, SANDGLASS_LINK_STATIC, weights, face, path("out")}, SANDGLASS_SCRIPT));
  ASSERT_EQ(finished.code, 0) << finished.err;
  std::istringstream lines(finished.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) EXPECT_EQ(line, expected);
  EXPECT_EQ(count, std::string(SANDGLASS_LINK_STATIC) == "ON" ? 7 : 5);
}

}  // namespace
}  // namespace sandglass

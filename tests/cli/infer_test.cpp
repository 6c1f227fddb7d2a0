#include <sys/resource.h>

#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>

#include "engine/safetensors.h"
#include "face/detector.h"
#include "face/registration.h"
#include "tests/cli/program.h"

namespace sandglass {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::vector<std::string> fields_of(const std::string& row) {
  std::vector<std::string> fields(1);
  for (const char letter : row) {
    if (letter == ',') {
      fields.emplace_back();
    } else {
      fields.back() += letter;
    }
  }
  return fields;
}

TEST_F(ProgramTest, InferGoesOnAfterABadInput) {
  const std::string weights = write_small_weights();
  for (const char* name : {"in/1.png", "in/10.png", "in/9.png"}) {
    std::filesystem::create_directories(folder / "in");
    write_face(name);
  }
  write("in/2.png", "broken");
  write("in/11.png", "");
  const Finished finished =
      run({"infer", "--weights", weights, "--registered", path("in"), path("absent.jpg"), "--csv", path("out.csv"),
           "--json", path("out.json"), "--heatmaps", path("out.safetensors"), "--overlay", path("overlay")});
  EXPECT_EQ(finished.code, 1);
  const std::vector<std::string> errors = lines_of(finished.err);
  ASSERT_EQ(errors.size(), 3u) << finished.err;
  EXPECT_THAT(errors[0], HasSubstr("sandglass: error: " + path("in/2.png") + ": is not a JPEG, PNG or BMP picture"));
  EXPECT_THAT(errors[1], HasSubstr(path("in/11.png") + ": is empty"));
  EXPECT_THAT(errors[2], HasSubstr(path("absent.jpg") + ": no such file"));
  EXPECT_THAT(finished.out, HasSubstr("3 pictures, 3 faces, 0 without a face, 3 failed"));

  const std::vector<std::string> rows = lines_of(content_of(folder / "out.csv"));
  ASSERT_EQ(rows.size(), 7u);
  const std::vector<std::string> order{"in/1.png", "in/2.png", "in/9.png", "in/10.png", "in/11.png", "absent.jpg"};
  for (size_t i = 0; i < order.size(); ++i) EXPECT_EQ(fields_of(rows[i + 1])[0], path(order[i]));
  EXPECT_EQ(fields_of(rows[2])[5], "0");
  EXPECT_EQ(fields_of(rows[3])[5], "1");

  const json results = json::parse(content_of(folder / "out.json"));
  ASSERT_EQ(results["inputs"].size(), 6u);
  EXPECT_THAT(results["inputs"][1]["error"].get<std::string>(), HasSubstr("is not a JPEG, PNG or BMP"));
  const TensorFile heatmaps = read_safetensors(folder / "out.safetensors");
  const HostTensor& maps = *heatmaps.find("heatmaps");
  EXPECT_THAT(maps.shape, testing::ElementsAre(3, 2, 16, 16));

  // All outputs say the same: the peak of the third input's second heatmap.
  const std::vector<float> values = maps.to_float();
  const float height = *std::max_element(values.begin() + 3 * 256, values.begin() + 4 * 256);
  const json& au = results["inputs"][2]["faces"][0]["aus"]["AU12"];
  EXPECT_FLOAT_EQ(au["height"].get<float>(), height);
  EXPECT_FLOAT_EQ(au["intensity"].get<float>(), std::clamp(height, 0.0f, 5.0f));
  EXPECT_EQ(fields_of(rows[3])[7], fmt::format("{:.3f}", std::clamp(height, 0.0f, 5.0f)));
  EXPECT_EQ(fields_of(rows[3])[12], fmt::format("{:.2f}", au["x"].get<float>()));
  EXPECT_THAT(finished.out,
              HasSubstr(fmt::format("9.png:  AU06 {}  AU12 {}", fields_of(rows[3])[6], fields_of(rows[3])[7])));

  for (const char* name : {"1", "9", "10"})
    EXPECT_GT(read_image(folder / "overlay" / (std::string(name) + ".jpg")).width, 500);
  EXPECT_FALSE(exists("overlay/2.jpg"));
  EXPECT_TRUE(unfinished_files().empty());
}

TEST_F(ProgramTest, InferWithoutHeatmapsStatesIntensitiesAlone) {
  write_face("face.png");
  Weights weights = small_weights();
  weights.config.head = Head::regression;
  write_weights(folder / "net.safetensors", weights);
  const std::vector<std::string> infer{"infer", "--weights", path("net.safetensors"), "--registered", path("face.png")};
  for (const std::string flag : {"--overlay", "--heatmaps"}) {
    std::vector<std::string> wrong = infer;
    wrong.insert(wrong.end(), {flag, path("maps")});
    const Finished refused = run(wrong);
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, OneErrorLineWith("states intensities and has no heatmaps; leave out " + flag));
  }
  std::vector<std::string> good = infer;
  good.insert(good.end(), {"--csv", path("out.csv")});
  const Finished finished = run(good);
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("AU06 "));
  const std::vector<std::string> fields = fields_of(lines_of(content_of(folder / "out.csv"))[1]);
  EXPECT_EQ(fields.size(), 14u);
  EXPECT_EQ(fields[10], "");
  EXPECT_THAT(run({"info", path("net.safetensors")}).out, HasSubstr("intensities: AU06, AU12"));
}

TEST_F(ProgramTest, InferGivesTheSameAloneAndInABatch) {
  const std::string weights = write_small_weights();
  std::vector<std::string> faces;
  for (int i = 0; i < 5; ++i) faces.push_back(write_face(std::string(static_cast<size_t>(i + 1), 'f') + ".png"));
  std::vector<std::string> together{"infer",   "--weights", weights, "--registered",
                                    "--batch", "4",         "--csv", path("all.csv")};
  together.insert(together.end(), faces.begin(), faces.end());
  ASSERT_EQ(run(together).code, 0);
  const std::vector<std::string> rows = lines_of(content_of(folder / "all.csv"));
  ASSERT_EQ(rows.size(), 6u);
  for (size_t i = 0; i < faces.size(); ++i) {
    ASSERT_EQ(run({"infer", "--weights", weights, "--registered", "--csv", path("one.csv"), "--force", faces[i]}).code,
              0);
    EXPECT_EQ(lines_of(content_of(folder / "one.csv")).at(1), rows[i + 1]);
  }
}

TEST_F(ProgramTest, InferTakesGivenLandmarks) {
  const std::string weights = write_small_weights();
  write_face("1.png", 256);
  std::string header = "image", row = "1.png", pts = "version: 1\nn_points: 68\n{\n";
  Landmarks landmarks;
  for (size_t i = 0; i < 68; ++i)
    landmarks[i] = {50.0f + static_cast<float>(i), 80.0f + static_cast<float>(i * i % 90)};
  for (size_t i = 0; i < 3; ++i) landmarks[static_cast<size_t>(kRegistrationLandmarks[i])] = kRegistrationPlaces[i];
  for (int i = 0; i < 68; ++i)
    header += fmt::format(",x_{}", i), row += fmt::format(",{}", landmarks[static_cast<size_t>(i)].x);
  for (int i = 0; i < 68; ++i)
    header += fmt::format(",y_{}", i), row += fmt::format(",{}", landmarks[static_cast<size_t>(i)].y);
  for (const Point p : landmarks) pts += fmt::format("{} {}\n", p.x + 1, p.y + 1);
  write("list.csv", header + "\n" + row + "\n");
  write("pts/1.pts", pts + "}\n");
  const auto result = [&](const std::vector<std::string>& how) {
    std::vector<std::string> arguments{"infer",  "--weights",      weights,  path("1.png"),
                                       "--json", path("out.json"), "--force"};
    arguments.insert(arguments.end(), how.begin(), how.end());
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 0) << finished.err;
    return json::parse(content_of(folder / "out.json"))["inputs"][0];
  };
  const json from_csv = result({"--landmarks", path("list.csv")}), from_pts = result({"--landmarks", path("pts")}),
             registered = result({"--registered"});
  EXPECT_EQ(from_csv["width"], 256);
  ASSERT_EQ(from_csv["faces"][0]["landmarks"].size(), 68u);
  EXPECT_TRUE(from_csv["faces"][0]["confidence"].is_null());
  for (const char* au : {"AU06", "AU12"}) {
    for (const char* value : {"height", "x", "y"}) {
      // This picture's face lies where registration puts it, so all three see the same.
      const double expected = from_csv["faces"][0]["aus"][au][value];
      EXPECT_NEAR(from_pts["faces"][0]["aus"][au][value].get<double>(), expected, 2e-3) << au << " " << value;
      EXPECT_NEAR(registered["faces"][0]["aus"][au][value].get<double>(), expected, 2e-3) << au << " " << value;
    }
  }
}

TEST_F(ProgramTest, InferLeavesCompleteFilesWhenInterrupted) {
  const std::string weights = write_small_weights(), face = write_face("face.png", 512);
  std::filesystem::create_directories(folder / "in");
  for (int i = 0; i < 3000; ++i) std::filesystem::create_symlink(face, folder / "in" / fmt::format("{}.png", i));
  write("out.csv", "before");
  const pid_t child = start({"infer", "--weights", weights, "--registered", path("in"), "--overlay", path("overlay"),
                             "--csv", path("out.csv"), "--force", "--json", path("out.json"), "--openface",
                             path("openface"), "--heatmaps", path("out.safetensors")});
  for (int i = 0; i < 5000 && !exists("overlay/3.jpg"); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  kill(child, SIGINT);
  const Finished finished = wait(child);
  EXPECT_EQ(finished.code, 1);
  EXPECT_THAT(finished.err, OneErrorLineWith("interrupted; the results so far are written"));
  const std::vector<std::string> rows = lines_of(content_of(folder / "out.csv"));
  ASSERT_GE(rows.size(), 4u);
  EXPECT_LT(rows.size(), 3000u);
  EXPECT_EQ(json::parse(content_of(folder / "out.json"))["inputs"].size(), rows.size() - 1);
  EXPECT_EQ(read_safetensors(folder / "out.safetensors").find("heatmaps")->shape[0], static_cast<int>(rows.size()) - 1);
  EXPECT_EQ(lines_of(content_of(folder / "openface/0.csv")).size(), 2u);
  EXPECT_TRUE(unfinished_files().empty());
}

TEST_F(ProgramTest, SynthLeavesNoUnfinishedFileWhenInterrupted) {
  const pid_t child = start({"synth", "--out", path("faces"), "--subjects", "1000", "--images-per-subject", "100"});
  for (int i = 0; i < 5000 && !exists("faces/s000_0003.jpg"); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  kill(child, SIGINT);
  const Finished finished = wait(child);
  EXPECT_EQ(finished.code, 1);
  EXPECT_THAT(finished.err, OneErrorLineWith("interrupted; " + path("faces/manifest.csv") + " is not written"));
  EXPECT_FALSE(exists("faces/manifest.csv"));
  for (const auto& entry : std::filesystem::directory_iterator(folder / "faces"))
    EXPECT_EQ(entry.path().extension(), ".jpg");
}

TEST_F(ProgramTest, InferReplacesNothingUnlessTold) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  const std::vector<std::string> infer{"infer", "--weights", weights, "--registered", face};
  const std::pair<std::string, std::string> outputs[] = {
      {"--csv", "out.csv"},         {"--json", "out.json"},
      {"--jsonl", "out.jsonl"},     {"--heatmaps", "out.safetensors"},
      {"--openface", "o/face.csv"}, {"--overlay", "o/face.jpg"}};
  for (const auto& [flag, file] : outputs) {
    std::filesystem::create_directories(folder / "o");
    write(file, "precious");
    std::vector<std::string> arguments = infer;
    arguments.insert(arguments.end(), {flag, file.starts_with("o/") ? path("o") : path(file)});
    const Finished refused = run(arguments);
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, OneErrorLineWith(path(file) + ": is there already; name another file, or give --force"));
    EXPECT_EQ(content_of(folder / file), "precious");
    arguments.push_back("--force");
    EXPECT_EQ(run(arguments).code, 0);
    EXPECT_NE(content_of(folder / file), "precious");
  }
}

TEST_F(ProgramTest, InferReadsTheActionUnitsThatAreAskedFor) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  const auto with = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"infer", "--weights", weights, "--registered", face, "--quiet", "--csv", "-"});
    return run(flags);
  };
  const std::vector<std::string> all = fields_of(lines_of(with({}).out).at(1));
  const Finished swapped = with({"--aus", "12,AU06", "--heatmaps", path("maps.safetensors"), "--overlay", path("o")});
  ASSERT_EQ(swapped.code, 0) << swapped.err;
  EXPECT_THAT(swapped.out, HasSubstr(",AU12_r,AU06_r,AU12_c,"));
  const std::vector<std::string> fields = fields_of(lines_of(swapped.out).at(1));
  EXPECT_EQ(fields[6], all[7]);
  EXPECT_EQ(fields[7], all[6]);
  EXPECT_EQ(read_safetensors(folder / "maps.safetensors").metadata.at("aus"), "AU12,AU06");
  EXPECT_EQ(fields_of(lines_of(with({"--aus", "AU12"}).out).at(1)).size(), 10u);
  EXPECT_THAT(with({"--aus", "AU12,AU99"}).err, OneErrorLineWith("reads AU06, AU12, not AU99; leave it out of --aus"));
  EXPECT_THAT(with({"--aus", "AU12,12"}).err, OneErrorLineWith("--aus names AU12 twice"));
}

// Networks of other trainers may name their maps otherwise.
TEST_F(ProgramTest, InferTakesANetworksOwnNames) {
  Weights weights = small_weights();
  weights.aus = {"map0", "AU6"};
  write_weights(folder / "net.safetensors", weights);
  const std::string face = write_face("face.png");
  const auto header = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"infer", "--weights", path("net.safetensors"), "--registered", face, "--csv", "-"});
    const Finished finished = run(flags);
    EXPECT_EQ(finished.code, 0) << finished.err;
    return lines_of(finished.out).at(0);
  };
  EXPECT_THAT(header({}), HasSubstr(",map0_r,AU6_r,"));
  EXPECT_THAT(header({"--aus", "AU06,map0"}), HasSubstr(",AU6_r,map0_r,"));
}

TEST_F(ProgramTest, InferNeverWritesOverWhatItReadsNorTwiceIntoAFile) {
  const std::string weights = write_small_weights(), face = write_face("face.jpg");
  const std::string before = content_of(face);
  const auto refused = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"infer", "--weights", weights, "--registered", face, "--force"});
    const Finished finished = run(flags);
    EXPECT_EQ(finished.code, 1);
    return finished.err;
  };
  EXPECT_THAT(refused({"--overlay", folder.string()}), OneErrorLineWith("face.jpg: is read, and would be replaced"));
  EXPECT_THAT(refused({"--heatmaps", weights}), OneErrorLineWith("is read, and would be replaced"));
  EXPECT_THAT(refused({"--csv", path("o"), "--json", path("./o")}), OneErrorLineWith("two results would go into"));
  EXPECT_EQ(content_of(face), before);
}

TEST_F(ProgramTest, InferWritesToStandardOutputForPipes) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  const std::vector<std::string> infer{"infer", "--weights", weights, "--registered", face};
  const auto with = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), infer.begin(), infer.end());
    return run(flags);
  };
  const Finished csv = with({"--csv", "-"}), lines = with({"--jsonl", "-", "--quiet"});
  ASSERT_EQ(csv.code, 0) << csv.err;
  EXPECT_EQ(lines_of(csv.out).size(), 2u);
  EXPECT_TRUE(csv.out.starts_with("input,frame,face_id,"));
  EXPECT_THAT(csv.err, HasSubstr("1 pictures, 1 faces"));
  ASSERT_EQ(lines_of(lines.out).size(), 2u);
  EXPECT_EQ(json::parse(lines_of(lines.out)[1])["faces"].size(), 1u);
  EXPECT_EQ(lines.err, "");
}

TEST_F(ProgramTest, InferSaysWhatIsWrongUsage) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"--csv", "-", "--json", "-"}, "only one of the results"},
      {{"--heatmaps", "-"}, "cannot be written to standard output"},
      {{"--overlay", path("o"), "--anonymize", "--max-faces", "1"},
       "would leave some open"},  // faces left out are seen
      {{"--anonymize"}, "give --overlay, too"},
      {{"--start", "5", "--end", "2"}, "--end: must be after --start"},
      {{"--min-face", "10"}, "--min-face: expected 40 or more, or 0"},
      {{"--aus", ""}, "--aus: a name is empty"},
  };
  for (const auto& [flags, part] : cases) {
    std::vector<std::string> arguments{"infer", "--weights", weights, "--registered", face};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 2) << part;
    EXPECT_THAT(finished.err, OneErrorLineWith(part));
    EXPECT_EQ(finished.out, "");
  }
}

TEST_F(ProgramTest, InferSaysWhichFlagsDoNothing) {
  const Finished finished = run({"infer", "--weights", write_small_weights(), "--registered", write_face("face.png"),
                                 "--smooth", "1", "--every", "2"});
  EXPECT_EQ(finished.code, 0);
  EXPECT_EQ(finished.err,
            "sandglass: note: --smooth does nothing here: it is about videos, and there are only pictures\n"
            "sandglass: note: --every does nothing here: it is about videos, and there are only pictures\n");
}

TEST_F(ProgramTest, InferThatReadsNothingReplacesNothing) {
  const std::string weights = write_small_weights();
  write("out.csv", "precious");
  const Finished finished = run({"infer", "--weights", weights, path("absent.mp4"), "--csv", path("out.csv"), "--json",
                                 path("out.json"), "--force"});
  EXPECT_EQ(finished.code, 1);
  EXPECT_THAT(finished.err, HasSubstr("note: nothing could be read, so no results are written"));
  EXPECT_THAT(finished.err, HasSubstr("error: " + path("absent.mp4") + ": no such file"));
  EXPECT_EQ(content_of(folder / "out.csv"), "precious");
  EXPECT_FALSE(exists("out.json"));
  EXPECT_TRUE(unfinished_files().empty());
}

// Lines that fit are kept, the rest is written, and each file that is not complete is named.
TEST_F(ProgramTest, InferOnAFullDiskKeepsWhatFits) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  std::vector<std::string> arguments{
      "infer",  "--weights",      weights,      "--registered",         "--quiet", "--csv", path("out.csv"),
      "--json", path("out.json"), "--heatmaps", path("out.safetensors")};
  arguments.insert(arguments.end(), 400, face);  // 80 bytes a row, 2 KiB a face's heatmaps
  const Finished finished = wait(start(arguments, SANDGLASS_PROGRAM, [] {
    const rlimit limit{300'000, 300'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
  }));
  EXPECT_EQ(finished.code, 1);
  ASSERT_EQ(lines_of(finished.err).size(), 1u) << finished.err;
  EXPECT_THAT(finished.err, OneErrorLineWith(path("out.safetensors") + ": cannot be written (File too large)"));
  EXPECT_FALSE(exists("out.safetensors"));
  const size_t rows = lines_of(content_of(folder / "out.csv")).size() - 1;
  EXPECT_GT(rows, 100u);
  EXPECT_LT(rows, 200u);
  EXPECT_EQ(json::parse(content_of(folder / "out.json"))["inputs"].size(), rows);
  EXPECT_TRUE(unfinished_files().empty());
}

// A video's frames, as pictures of their own and together; smoothed, against their own neutral level, in part.
TEST_F(ProgramTest, InferReadsAFolderAsAVideo) {
  const std::string weights = write_small_weights();
  std::filesystem::create_directories(folder / "in");
  for (int i = 0; i < 30; ++i) write_face(fmt::format("in/{:02}.png", i));
  const auto rows_with = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {"infer", "--weights", weights, "--registered", path("in"), "--csv", "-", "--quiet"});
    const Finished finished = run(flags);
    EXPECT_EQ(finished.code, 0) << finished.err;
    std::vector<std::vector<std::string>> rows;
    for (const std::string& line : lines_of(finished.out)) rows.push_back(fields_of(line));
    rows.erase(rows.begin());
    return rows;
  };
  const auto pictures = rows_with({}), frames = rows_with({"--sequence", "--rate", "10"}),
             part = rows_with({"--sequence", "--rate", "10", "--start", "0.1", "--end", "0.5", "--every", "2"}),
             smooth = rows_with({"--sequence", "--rate", "10", "--smooth", "1e6"}),
             above = rows_with({"--sequence", "--rate", "10", "--baseline", "0"}), mirrored = rows_with({"--mirror"});
  ASSERT_EQ(frames.size(), 30u);
  for (size_t i = 0; i < 30; ++i) {
    EXPECT_EQ(frames[i][0], path("in"));
    EXPECT_EQ(frames[i][1], std::to_string(i + 1));
    EXPECT_EQ(frames[i][2], "0");
    EXPECT_EQ(frames[i][3], fmt::format("{:.3f}", 0.1 * static_cast<double>(i)));
    EXPECT_EQ(pictures[i][1], "");
    for (size_t column = 6; column < frames[i].size(); ++column) EXPECT_EQ(frames[i][column], pictures[i][column]);
    EXPECT_EQ(smooth[i][7], frames[0][7]);  // the first frame's, for a million seconds
  }
  ASSERT_EQ(part.size(), 2u);
  EXPECT_EQ(part[0], frames[1]);
  EXPECT_EQ(part[1], frames[3]);
  EXPECT_NE(mirrored[0][7], pictures[0][7]);
  double least = 5;
  for (const auto& row : above) least = std::min(least, std::stod(row[7]));
  EXPECT_LT(least, 0.01);
  EXPECT_GT(std::stod(frames[0][7]), 0.01);
}

std::filesystem::path real_faces() {
  const char* given = std::getenv("SANDGLASS_REAL_DIR");
  return given != nullptr && *given != '\0' ? given : "../shared/real";
}

#define SKIP_WITHOUT_DETECTION()                                        \
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib"; \
  try {                                                                 \
    FaceDetector detector;                                              \
  } catch (const Error& error) {                                        \
    GTEST_SKIP() << error.what();                                       \
  }

TEST_F(ProgramTest, APictureWithoutAFaceIsNoError) {
  SKIP_WITHOUT_DETECTION();
  const std::string weights = write_small_weights();
  write_image(folder / "wall.png", Image(200, 300));
  write_image(folder / "dot.png", Image(1, 1));
  const Finished finished =
      run({"infer", "--weights", weights, path("wall.png"), path("dot.png"), "--csv", path("out.csv"), "--json",
           path("out.json"), "--heatmaps", path("out.safetensors"), "--overlay", path("o")});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_EQ(finished.err, "");
  EXPECT_THAT(finished.out, HasSubstr("wall.png: no face\n"));
  EXPECT_THAT(finished.out, HasSubstr("2 pictures, 0 faces, 2 without a face, 0 failed"));
  EXPECT_THAT(content_of(folder / "out.csv"), HasSubstr("wall.png,,,,,0,"));
  EXPECT_EQ(json::parse(content_of(folder / "out.json"))["inputs"][0]["faces"], json::array());
  EXPECT_EQ(read_safetensors(folder / "out.safetensors").find("heatmaps")->shape[0], 0);
  EXPECT_TRUE(exists("o/wall.jpg"));
}

TEST_F(ProgramTest, InferSaysThatTheLandmarkModelIsMissingOrBroken) {
  if (!FaceDetector::available()) GTEST_SKIP() << "built without dlib";
  const std::string weights = write_small_weights(), face = write_face("face.png");
  const auto with = [&](const std::string& model) {
    return run({"infer", "--weights", weights, face, "--landmark-model", model});
  };
  const Finished absent = with(path("absent.dat")), broken = with(write("broken.dat", "xyz"));
  EXPECT_EQ(absent.code, 1);
  EXPECT_THAT(absent.err, OneErrorLineWith("absent.dat"));
  EXPECT_EQ(broken.code, 1);
  EXPECT_THAT(broken.err, OneErrorLineWith("broken.dat"));
}

TEST_F(ProgramTest, InferFindsTheFaceInEachVideoFrame) {
  SKIP_WITHOUT_DETECTION();
  if (!std::filesystem::exists(real_faces() / "video"))
    GTEST_SKIP() << "no folder " << real_faces() << " (set SANDGLASS_REAL_DIR)";
  const Finished finished =
      run({"infer", "--weights", write_small_weights(), (real_faces() / "video").string(), "--json", path("out.json")});
  EXPECT_EQ(finished.code, 0) << finished.err;
  const json results = json::parse(content_of(folder / "out.json"));
  ASSERT_EQ(results["inputs"].size(), 24u);
  for (const json& input : results["inputs"]) {
    ASSERT_EQ(input["faces"].size(), 1u) << input["input"];
    const json& face = input["faces"][0];
    const json& box = face["box"];
    EXPECT_GT(face["confidence"].get<double>(), 0);
    EXPECT_NEAR((box["left"].get<double>() + box["right"].get<double>()) / 2, 255, 60);
    // The registration brings landmarks 8, 36 and 45 to their places: those of a 256-pixel face, here in 64 pixels.
    for (size_t i = 0; i < 3; ++i) {
      const json& point = face["landmarks"][static_cast<size_t>(kRegistrationLandmarks[i])];
      const json& map = face["registration"];
      const double x = point[0], y = point[1];
      EXPECT_NEAR(map[0][0].get<double>() * x + map[0][1].get<double>() * y + map[0][2].get<double>(),
                  (kRegistrationPlaces[i].x + 0.5) / 4 - 0.5, 1e-3);
      EXPECT_NEAR(map[1][0].get<double>() * x + map[1][1].get<double>() * y + map[1][2].get<double>(),
                  (kRegistrationPlaces[i].y + 0.5) / 4 - 0.5, 1e-3);
    }
  }
}

}  // namespace
}  // namespace sandglass

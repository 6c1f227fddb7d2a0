#include "infer/results.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/file.h"
#include "engine/safetensors.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

using nlohmann::json;
using testing::ElementsAre;

const std::vector<std::string> kAus{"AU06", "AU12"};

FacePrediction face(float first, float second) {
  FacePrediction made;
  made.left = 1.5f;
  made.top = 2;
  made.right = 101.25f;
  made.bottom = 99;
  made.confidence = 0.75f;
  made.landmarks.emplace();
  for (int i = 0; i < 68; ++i) (*made.landmarks)[static_cast<size_t>(i)] = {i + 0.1f, i * 2.0f};
  made.to_registered.m = {{{2, 0.5, -3}, {0, 1.5, 4}}};
  made.aus = {{first, {10, 20}, {12.344f, 55.5f}}, {second, {30, 40}, {-3.25f, 1000.126f}}};
  made.heatmaps.resize(2 * 4 * 4, first);
  made.heatmaps[5] = 7;
  return made;
}

std::vector<PicturePrediction> predictions() {
  std::vector<PicturePrediction> made(4);
  made[0].path = "a, b.jpg";
  made[0].width = 640;
  made[0].height = 480;
  made[0].faces = {face(1.23456f, 7.5f), face(-0.5f, 0.0004f)};
  made[0].faces[1].id = 1;
  made[0].faces[1].confidence.reset();
  made[0].faces[1].landmarks.reset();
  made[1].path = "empty.png";
  made[1].width = made[1].height = 8;
  made[2].path = "br\"oken\".png";
  made[2].error = "broken.png: is truncated";
  made[3].path = "last.png";
  made[3].width = made[3].height = 9;
  made[3].faces = {face(2, 3)};
  return made;
}

// Three frames of a video, the second without a face, and the video's end.
std::vector<PicturePrediction> video() {
  std::vector<PicturePrediction> made(4);
  for (size_t i = 0; i < made.size(); ++i) {
    made[i].input = 1;
    made[i].path = "v.mp4";
    made[i].width = made[i].height = 16;
    if (i < 3) made[i].frame = FrameTime{static_cast<int64_t>(i) + 7, 0.25 + 0.04 * static_cast<double>(i)};
  }
  made[0].faces = {face(1.996f, 0)};
  made[2].faces = {face(1.994f, 5)};
  made[2].faces[0].id = 3;
  made[3].error = "v.mp4: breaks off after frame 10";
  made[3].is_video_end = true;
  return made;
}

template <typename Writer>
void write_all(Writer& writer, const std::vector<PicturePrediction>& all = predictions()) {
  for (const PicturePrediction& prediction : all) writer.add(prediction);
  writer.commit();
}

// Of a network that states intensities there is nothing but those.
TEST(ResultWriters, LeavePlacesEmptyThatThereAreNot) {
  const TemporaryFolder folder;
  PicturePrediction prediction = predictions()[3];
  for (AuPrediction& au : prediction.faces[0].aus) au.has_place = false;
  CsvWriter csv(folder / "out.csv", kAus, 2);
  csv.add(prediction);
  csv.commit();
  EXPECT_EQ(read_file(folder / "out.csv"),
            "input,frame,face_id,timestamp,confidence,success,AU06_r,AU12_r,AU06_c,AU12_c,AU06_x,AU06_y,AU12_x,AU12_y\n"
            "last.png,,0,,0.750,1,2.000,3.000,1,1,,,,\n");
  JsonWriter writer(folder / "out.json", kAus, "program", "weights", JsonWriter::Layout::document);
  writer.add(prediction);
  writer.commit();
  const json au = json::parse(read_file(folder / "out.json"))["inputs"][0]["faces"][0]["aus"]["AU12"];
  EXPECT_EQ(au["intensity"], 3);
  EXPECT_TRUE(au["x"].is_null());
  EXPECT_TRUE(au["y"].is_null());
}

TEST(CsvWriter, WritesARowPerFaceAndOnePerPictureWithout) {
  const TemporaryFolder folder;
  CsvWriter writer(folder / "out.csv", kAus, 1.235);
  write_all(writer);
  EXPECT_EQ(folder.read("out.csv"),
            "input,frame,face_id,timestamp,confidence,success,AU06_r,AU12_r,AU06_c,AU12_c,AU06_x,AU06_y,AU12_x,AU12_y\n"
            "\"a, b.jpg\",,0,,0.750,1,1.235,5.000,1,1,12.34,55.50,-3.25,1000.13\n"
            "\"a, b.jpg\",,1,,,1,0.000,0.000,0,0,12.34,55.50,-3.25,1000.13\n"
            "empty.png,,,,,0,,,,,,,,\n"
            "\"br\"\"oken\"\".png\",,,,,0,,,,,,,,\n"
            "last.png,,0,,0.750,1,2.000,3.000,1,1,12.34,55.50,-3.25,1000.13\n");
}

TEST(CsvWriter, CountsAVideosFramesFromOne) {
  const TemporaryFolder folder;
  CsvWriter writer(folder / "out.csv", kAus, 2);
  write_all(writer, video());
  const std::string text = folder.read("out.csv");
  EXPECT_EQ(text.substr(text.find('\n') + 1),
            "v.mp4,8,0,0.250,0.750,1,1.996,0.000,0,0,12.34,55.50,-3.25,1000.13\n"
            "v.mp4,9,,0.290,,0,,,,,,,,\n"
            "v.mp4,10,3,0.330,0.750,1,1.994,5.000,0,1,12.34,55.50,-3.25,1000.13\n");
}

// A video of which nothing could be read has a row; one that has broken off has those of its frames.
TEST(CsvWriter, SaysWhichVideosCouldNotBeRead) {
  const TemporaryFolder folder;
  CsvWriter writer(folder / "out.csv", kAus, 2);
  PicturePrediction absent;
  absent.path = "absent.mp4";
  absent.error = "absent.mp4: no such file";
  absent.is_video_end = true;
  writer.add(absent);
  std::vector<PicturePrediction> frames = video();
  for (PicturePrediction& frame : frames) {
    frame.input = 1;
    writer.add(frame);
  }
  EXPECT_TRUE(frames.back().is_video_end);
  writer.commit();
  const std::string rows = folder.read("out.csv");
  EXPECT_THAT(rows, testing::HasSubstr("\nabsent.mp4,,,,,0,,,,,,,,\n"));
  EXPECT_EQ(std::count(rows.begin(), rows.end(), '\n'), 1 + 1 + 3);
}

TEST(OpenFaceWriter, WritesEachInputAsOpenFaceDoes) {
  const TemporaryFolder folder;
  OpenFaceWriter writer({folder / "a, b.csv", folder / "v.csv"}, kAus, 2);
  writer.add(predictions()[0]);
  write_all(writer, video());
  std::string points, zeros, places;
  for (const char axis : {'x', 'y'})
    for (int i = 0; i < 68; ++i) points += fmt::format(",{}_{}", axis, i);
  for (int i = 0; i < 68; ++i) places += fmt::format(",{}.1", i);
  for (int i = 0; i < 68; ++i) places += fmt::format(",{}.0", 2 * i);
  for (int i = 0; i < 2 * 68 + 4; ++i) zeros += ",0";
  const std::string aus = ",AU06_r,AU12_r,AU06_c,AU12_c\n";
  EXPECT_EQ(folder.read("v.csv"), "frame,face_id,timestamp,confidence,success" + points + aus +  //
                                      "8,0,0.250,0.75,1" + places + ",2.00,0.00,1.0,0.0\n" + "9,0,0.290,0.00,0" +
                                      zeros + "\n" + "10,3,0.330,0.75,1" + places + ",1.99,5.00,0.0,1.0\n");
  std::string no_places;
  for (int i = 0; i < 2 * 68; ++i) no_places += ",0.0";
  EXPECT_EQ(folder.read("a, b.csv"), "face,confidence" + points + aus +                 //
                                         "0,0.750" + places + ",1.23,5.00,0.0,1.0\n" +  //
                                         "1,1.000" + no_places + ",0.00,0.00,0.0,0.0\n");
}

TEST(JsonWriter, SaysEverything) {
  const TemporaryFolder folder;
  JsonWriter writer(folder / "out.json", kAus, "sandglass 1", "net\xFF.pth", JsonWriter::Layout::document);
  write_all(writer);
  const json file = json::parse(folder.read("out.json"));
  EXPECT_EQ(file["program"], "sandglass 1");
  EXPECT_EQ(file["aus"], json(kAus));
  ASSERT_EQ(file["inputs"].size(), 4u);
  const json& first = file["inputs"][0];
  EXPECT_EQ(first["input"], "a, b.jpg");
  EXPECT_EQ(first["width"], 640);
  EXPECT_EQ(first["height"], 480);
  ASSERT_EQ(first["faces"].size(), 2u);
  const json& found = first["faces"][0];
  EXPECT_EQ(found["box"], json({{"left", 1.5}, {"top", 2.0}, {"right", 101.25}, {"bottom", 99.0}}));
  EXPECT_EQ(found["confidence"], 0.75);
  ASSERT_EQ(found["landmarks"].size(), 68u);
  EXPECT_EQ(found["landmarks"][3], json({3.1, 6.0}));  // 3.1f as people write it, not 3.0999999046325684
  EXPECT_EQ(found["registration"], json({{2.0, 0.5, -3.0}, {0.0, 1.5, 4.0}}));
  EXPECT_EQ(found["aus"]["AU12"], json({{"intensity", 5.0}, {"height", 7.5}, {"x", -3.25}, {"y", 1000.126}}));
  EXPECT_EQ(first["faces"][1]["aus"]["AU06"]["intensity"], 0.0);
  EXPECT_EQ(first["faces"][1]["aus"]["AU06"]["height"], -0.5);
  EXPECT_TRUE(first["faces"][1]["confidence"].is_null());
  EXPECT_TRUE(first["faces"][1]["landmarks"].is_null());
  EXPECT_EQ(file["inputs"][1]["faces"], json::array());
  EXPECT_EQ(file["inputs"][2]["error"], "broken.png: is truncated");
  EXPECT_FALSE(file["inputs"][2].contains("faces"));
  EXPECT_EQ(folder.read("out.json").find("-0.0,"), std::string::npos);
}

TEST(JsonWriter, IsValidWithoutInputs) {
  const TemporaryFolder folder;
  JsonWriter writer(folder / "out.json", kAus, "p", "w", JsonWriter::Layout::document);
  writer.commit();
  EXPECT_EQ(json::parse(folder.read("out.json"))["inputs"], json::array());
}

TEST(JsonWriter, LinesHoldAPictureEach) {
  const TemporaryFolder folder;
  JsonWriter writer(folder / "out.jsonl", kAus, "p", "w", JsonWriter::Layout::lines);
  write_all(writer, video());
  std::vector<json> lines;
  std::istringstream text(folder.read("out.jsonl"));
  for (std::string line; std::getline(text, line);) lines.push_back(json::parse(line));
  ASSERT_EQ(lines.size(), 5u);
  EXPECT_EQ(lines[0], json({{"program", "p"}, {"weights", "w"}, {"aus", kAus}}));
  EXPECT_EQ(lines[3]["frame"], 10);
  EXPECT_EQ(lines[3]["timestamp"], 0.33);
  EXPECT_EQ(lines[3]["faces"][0]["face_id"], 3);
  EXPECT_EQ(lines[2]["faces"], json::array());
  EXPECT_EQ(lines[4], json({{"input", "v.mp4"}, {"error", "v.mp4: breaks off after frame 10"}}));
}

TEST(HeatmapWriter, WritesOneTensorThatSaysWhoseItIs) {
  const TemporaryFolder folder;
  {
    HeatmapWriter writer(folder / "out.safetensors", kAus, 4);
    for (const PicturePrediction& prediction : predictions()) writer.add(prediction);
    write_all(writer, video());
  }
  const TensorFile file = read_safetensors(folder / "out.safetensors");
  const auto tensor = [&](const std::string& name) {
    return *std::ranges::find(file.tensors, name, [](const auto& tensor) { return tensor.name; });
  };
  EXPECT_THAT(tensor("heatmaps").shape, ElementsAre(5, 2, 4, 4));
  std::vector<float> expected;
  for (const auto& all : {predictions(), video()})
    for (const PicturePrediction& prediction : all)
      for (const FacePrediction& one : prediction.faces)
        expected.insert(expected.end(), one.heatmaps.begin(), one.heatmaps.end());
  EXPECT_EQ(tensor("heatmaps").to_float(), expected);
  EXPECT_THAT(tensor("input").to_float(), ElementsAre(0, 0, 1, 2, 2));
  EXPECT_THAT(tensor("frame").to_float(), ElementsAre(0, 0, 0, 8, 10));
  EXPECT_THAT(tensor("timestamp").to_float(), ElementsAre(0, 0, 0, 0.25f, 0.33f));
  EXPECT_THAT(tensor("face_id").to_float(), ElementsAre(0, 1, 0, 0, 3));
  EXPECT_EQ(file.metadata.at("aus"), "AU06,AU12");
  EXPECT_EQ(json::parse(file.metadata.at("inputs")), json({"a, b.jpg", "last.png", "v.mp4"}));
  EXPECT_THAT(folder.files(), ElementsAre("out.safetensors"));
}

TEST(HeatmapWriter, NoFaceAtAllIsAnEmptyTensor) {
  const TemporaryFolder folder;
  HeatmapWriter writer(folder / "out.safetensors", kAus, 4);
  writer.add(predictions()[1]);
  writer.commit();
  for (const HostTensor& tensor : read_safetensors(folder / "out.safetensors").tensors)
    EXPECT_EQ(tensor.shape[0], 0) << tensor.name;
}

TEST(ResultText, HasTheNumbersOfTheCsv) {
  EXPECT_EQ(to_text(predictions()[0], kAus),
            "a, b.jpg face 0:  AU06 1.235  AU12 5.000\n"
            "a, b.jpg face 1:  AU06 0.000  AU12 0.000\n");
  EXPECT_EQ(to_text(predictions()[1], kAus), "empty.png: no face\n");
  EXPECT_EQ(to_text(predictions()[3], kAus), "last.png:  AU06 2.000  AU12 3.000\n");
  EXPECT_EQ(to_text(video()[2], kAus), "v.mp4 0.330 s:  AU06 1.994  AU12 5.000\n");
}

TEST(OutputPaths, AreDifferentForAllInputs) {
  const auto picture = InputKind::picture;
  const std::vector<Input> inputs{{"a/1.jpg", "", picture},
                                  {"b/1.jpg", "", picture},
                                  {"1.avi", "", InputKind::video},
                                  {"x/1_2.jpg", "", picture},
                                  {"2.tar.png", "", picture},
                                  {"-", "", InputKind::video},
                                  {"f_%05d.png", "", InputKind::sequence}};
  EXPECT_THAT(output_paths("out", inputs, ".jpg", ".mp4"),
              ElementsAre("out/1.jpg", "out/1_2.jpg", "out/1_3.mp4", "out/1_2_2.jpg", "out/2.tar.jpg",
                          "out/standard_input.mp4", "out/f_%05d.mp4"));
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "s.1");
  const std::vector<Input> folders{{folder / "s.1", "", InputKind::sequence},
                                   {folder / "s.1/.", "", InputKind::sequence}};
  EXPECT_THAT(output_paths("out", folders, ".jpg", ".mp4"), ElementsAre("out/s.1.mp4", "out/s.1_2.mp4"));
}

}  // namespace
}  // namespace sandglass

#include "infer/results.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

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

template <typename Writer>
void write_all(Writer& writer) {
  for (const PicturePrediction& prediction : predictions()) writer.add(prediction);
  writer.commit();
}

// Of a network that states intensities there is nothing but those.
TEST(ResultWriters, LeavePlacesEmptyThatThereAreNot) {
  const TemporaryFolder folder;
  PicturePrediction prediction = predictions()[3];
  for (AuPrediction& au : prediction.faces[0].aus) au.has_place = false;
  CsvWriter csv(folder / "out.csv", kAus);
  csv.add(prediction);
  csv.commit();
  EXPECT_EQ(read_file(folder / "out.csv"),
            "input,face,confidence,success,AU06_r,AU12_r,AU06_x,AU06_y,AU12_x,AU12_y\n"
            "last.png,0,0.750,1,2.000,3.000,,,,\n");
  JsonWriter writer(folder / "out.json", kAus, "program", "weights");
  writer.add(prediction);
  writer.commit();
  const json au = json::parse(read_file(folder / "out.json"))["inputs"][0]["faces"][0]["aus"]["AU12"];
  EXPECT_EQ(au["intensity"], 3);
  EXPECT_TRUE(au["x"].is_null());
  EXPECT_TRUE(au["y"].is_null());
}

TEST(CsvWriter, WritesARowPerFaceAndOnePerInputWithout) {
  const TemporaryFolder folder;
  CsvWriter writer(folder / "out.csv", kAus);
  write_all(writer);
  EXPECT_EQ(folder.read("out.csv"),
            "input,face,confidence,success,AU06_r,AU12_r,AU06_x,AU06_y,AU12_x,AU12_y\n"
            "\"a, b.jpg\",0,0.750,1,1.235,5.000,12.34,55.50,-3.25,1000.13\n"
            "\"a, b.jpg\",1,,1,0.000,0.000,12.34,55.50,-3.25,1000.13\n"
            "empty.png,,,0,,,,,,\n"
            "\"br\"\"oken\"\".png\",,,0,,,,,,\n"
            "last.png,0,0.750,1,2.000,3.000,12.34,55.50,-3.25,1000.13\n");
}

TEST(JsonWriter, SaysEverything) {
  const TemporaryFolder folder;
  JsonWriter writer(folder / "out.json", kAus, "sandglass 1", "net\xFF.pth");
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
  JsonWriter writer(folder / "out.json", kAus, "p", "w");
  writer.commit();
  EXPECT_EQ(json::parse(folder.read("out.json"))["inputs"], json::array());
}

TEST(HeatmapWriter, WritesOneTensorThatSaysWhoseItIs) {
  const TemporaryFolder folder;
  {
    HeatmapWriter writer(folder / "out.safetensors", kAus, 4);
    write_all(writer);
  }
  const TensorFile file = read_safetensors(folder / "out.safetensors");
  ASSERT_EQ(file.tensors.size(), 1u);
  EXPECT_EQ(file.tensors[0].name, "heatmaps");
  EXPECT_THAT(file.tensors[0].shape, ElementsAre(3, 2, 4, 4));
  std::vector<float> expected;
  for (const PicturePrediction& prediction : predictions())
    for (const FacePrediction& one : prediction.faces)
      expected.insert(expected.end(), one.heatmaps.begin(), one.heatmaps.end());
  EXPECT_EQ(file.tensors[0].to_float(), expected);
  EXPECT_EQ(file.metadata.at("aus"), "AU06,AU12");
  EXPECT_EQ(json::parse(file.metadata.at("inputs")), json({"a, b.jpg", "a, b.jpg", "last.png"}));
  EXPECT_EQ(json::parse(file.metadata.at("faces")), json({0, 1, 0}));
  EXPECT_EQ(json::parse(file.metadata.at("without_face")), json({"empty.png"}));
  EXPECT_EQ(json::parse(file.metadata.at("failed")), json({"br\"oken\".png"}));
  EXPECT_THAT(folder.files(), ElementsAre("out.safetensors"));
}

TEST(HeatmapWriter, NoFaceAtAllIsAnEmptyTensor) {
  const TemporaryFolder folder;
  HeatmapWriter writer(folder / "out.safetensors", kAus, 4);
  writer.add(predictions()[1]);
  writer.commit();
  EXPECT_THAT(read_safetensors(folder / "out.safetensors").tensors.at(0).shape, ElementsAre(0, 2, 4, 4));
}

TEST(ResultText, HasTheNumbersOfTheCsv) {
  EXPECT_EQ(to_text(predictions()[0], kAus),
            "a, b.jpg face 0:  AU06 1.235  AU12 5.000\n"
            "a, b.jpg face 1:  AU06 0.000  AU12 0.000\n");
  EXPECT_EQ(to_text(predictions()[1], kAus), "empty.png: no face\n");
  EXPECT_EQ(to_text(predictions()[3], kAus), "last.png:  AU06 2.000  AU12 3.000\n");
}

}  // namespace
}  // namespace sandglass

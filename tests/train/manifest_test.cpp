#include "train/manifest.h"

#include <gtest/gtest.h>

#include "engine/file.h"
#include "tests/temporary_folder.h"

namespace sandglass {
namespace {

Manifest parsed(const std::string& csv) {
  DataLog strict(true);
  return parse_manifest(csv, "data/m.csv", strict, false);
}

std::string parse_error(const std::string& csv) {
  return error_of([&] { parsed(csv); });
}

std::string landmark_header() {
  std::string header;
  for (const char axis : {'x', 'y'}) {
    for (int i = 0; i < 68; ++i) header += fmt::format(",{}_{}", axis, i);
  }
  return header;
}

// x_i = first + i, y_i = first + 100 + i.
std::string landmark_fields(double first) {
  std::string fields;
  for (int i = 0; i < 136; ++i) fields += fmt::format(",{}", first + (i < 68 ? i : i + 32));
  return fields;
}

TEST(Manifest, ReadsTheFormOfTheDocumentation) {
  const Manifest manifest = parsed("image,subject,AU06,AU12" + landmark_header() + "\na.jpg,F001,0,3.5" +
                                   landmark_fields(0.25) + "\nb/c.png,F002,,5" + std::string(136, ',') + "\n");
  EXPECT_EQ(manifest.aus, (std::vector<std::string>{"AU06", "AU12"}));
  ASSERT_EQ(manifest.rows.size(), 2u);
  EXPECT_EQ(manifest.rows[0].image, "a.jpg");
  EXPECT_EQ(manifest.rows[0].subject, "F001");
  EXPECT_EQ(manifest.rows[0].intensities, (std::vector<float>{0, 3.5f}));
  ASSERT_TRUE(manifest.rows[0].landmarks);
  EXPECT_EQ((*manifest.rows[0].landmarks)[67].x, 67.25f);
  EXPECT_EQ((*manifest.rows[0].landmarks)[0].y, 100.25f);
  EXPECT_EQ(manifest.rows[1].intensities, (std::vector<float>{kNotCoded, 5}));
  EXPECT_FALSE(manifest.rows[1].landmarks);
  EXPECT_EQ(manifest.rows[1].line, 3);
  EXPECT_EQ(manifest.image_path(manifest.rows[1]), "data/b/c.png");
  EXPECT_EQ(manifest.place(manifest.rows[1]), "data/m.csv, row 3");
  EXPECT_EQ(manifest.columns_of({"AU12", "AU06"}), (std::vector<int>{1, 0}));
  EXPECT_EQ(error_of([&] { manifest.columns_of({"AU17"}); }),
            "data/m.csv: no column 'AU17'; its AU columns are: AU06, AU12");
}

TEST(Manifest, TakesWhatCsvFilesAreLike) {
  const Manifest manifest = parsed(
      "\xEF\xBB\xBF AU12 ,note, image\t,au6,AU12_c\r\n"
      "2,\"says \"\"no\"\",\nor not\", \"a, b.jpg\" ,1,9\r\n"
      "\r\n"
      "0.5,, plain name.jpg ,,9");
  EXPECT_EQ(manifest.aus, (std::vector<std::string>{"AU12", "AU06"}));
  ASSERT_EQ(manifest.rows.size(), 2u);
  EXPECT_EQ(manifest.rows[0].image, "a, b.jpg");
  EXPECT_EQ(manifest.rows[0].intensities, (std::vector<float>{2, 1}));
  EXPECT_EQ(manifest.rows[0].subject, "");
  EXPECT_EQ(manifest.rows[1].image, "plain name.jpg");
  EXPECT_EQ(manifest.rows[1].intensities, (std::vector<float>{0.5f, kNotCoded}));
  EXPECT_EQ(manifest.rows[1].line, 5);
}

TEST(Manifest, ErrorsNameRowAndColumn) {
  EXPECT_EQ(
      parse_error("image,AU06\na.jpg,1\nb.jpg,9\n"),
      "data/m.csv, row 3, column 'AU06': \"9\" is not an intensity from 0 to 5 (leave it empty where the AU is not "
      "coded)");
  for (const char* value : {"-1", "nan", "inf", "1e999", "0x1", "2,", "two", "1 2"}) {
    EXPECT_NE(parse_error(fmt::format("image,AU06\na.jpg,{}\n", value)).find("row 2"), std::string::npos) << value;
  }
  EXPECT_EQ(parse_error("image,AU06\na.jpg\n"), "data/m.csv, row 2: 1 fields where the header has 2");
  EXPECT_EQ(parse_error("image,AU06\n,1\n"), "data/m.csv, row 2, column 'image': no picture is named");
  EXPECT_NE(parse_error("picture,AU06\n").find("row 1: no column 'image'"), std::string::npos);
  EXPECT_EQ(parse_error("image,AU06,AU6\n"), "data/m.csv, row 1: column 'AU06' occurs twice");
  EXPECT_EQ(parse_error("image,image\n"), "data/m.csv, row 1: column \"image\" occurs twice");
  EXPECT_NE(parse_error("").find("is empty"), std::string::npos);
  EXPECT_NE(parse_error("\xEF\xBB\xBF\n\n").find("is empty"), std::string::npos);
  EXPECT_EQ(parse_error("image,AU06\n\n"), "data/m.csv: has a header but no rows");
  EXPECT_NE(parse_error("image\n\"a.jpg\nb.jpg\n").find("row 2: a quoted field is never closed"), std::string::npos);
  EXPECT_NE(parse_error("image,AU06\n\"a\"b,1\n").find("row 2: text after a closing quote"), std::string::npos);
  EXPECT_NE(parse_error(std::string("\0\0\xff\xff", 4)).find("no column 'image'"), std::string::npos);
}

TEST(Manifest, LandmarksAreAllOrNone) {
  EXPECT_EQ(parse_error("image,x_0,x_1\na.jpg,1,2\n"), "data/m.csv, row 1: no column 'y_0' beside the other landmarks");
  const std::string header = "image" + landmark_header() + "\n";
  std::string fields = landmark_fields(1);
  EXPECT_NO_THROW(parsed(header + "a.jpg" + fields + "\n"));
  fields.erase(fields.rfind(',') + 1);  // y_67
  EXPECT_EQ(parse_error(header + "a.jpg" + fields + "\n"),
            "data/m.csv, row 2, column 'y_67': \"\" is not a place in pixels (leave all 136 empty where there are no "
            "landmarks)");
  EXPECT_NE(parse_error(header + "a.jpg" + fields + "1e30\n").find("column 'y_67'"), std::string::npos);
}

TEST(Manifest, FindsMissingPicturesUpFront) {
  const TemporaryFolder folder;
  write_file(folder / "here.jpg", "x");
  write_file(folder / "m.csv", "image\nhere.jpg\ngone.jpg\nhere.jpg\n.\n");
  const std::string error = error_of([&] { read_manifest(folder / "m.csv"); });
  EXPECT_EQ(error, fmt::format("{0}/m.csv, row 3: no such picture: {0}/gone.jpg", folder.path().string()));
  EXPECT_EQ(read_manifest(folder / "m.csv", false).rows.size(), 4u);
  write_file(folder / "good.csv", fmt::format("image\nhere.jpg\n{}\n", (folder / "here.jpg").string()));
  EXPECT_EQ(read_manifest(folder / "good.csv").rows.size(), 2u);
  EXPECT_NE(error_of([&] { read_manifest(folder / "none.csv"); }).find("none.csv: no such file"), std::string::npos);
}

TEST(Manifest, FramesOfVideosAreNumberedFromOne) {
  const Manifest manifest = parsed("image,frame,AU06\na.avi,1,0\na.avi,20,1\nb.png,,2\n");
  EXPECT_EQ(manifest.rows[0].frame, 0);
  EXPECT_EQ(manifest.rows[1].frame, 19);
  EXPECT_EQ(manifest.rows[2].frame, -1);
  for (const char* frame : {"0", "-1", "1.5", "x", "1e12"}) {
    EXPECT_NE(parse_error(fmt::format("image,frame\na.avi,{}\n", frame)).find("row 2, column 'frame': "),
              std::string::npos)
        << frame;
  }
  const TemporaryFolder folder;
  write_manifest(folder / "m.csv", manifest);
  const Manifest back = read_manifest(folder / "m.csv", false);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(back.rows[i].frame, manifest.rows[i].frame);
}

TEST(Manifest, ReadsBackWhatItWrites) {
  const TemporaryFolder folder;
  Manifest manifest;
  manifest.path = folder / "m.csv";
  manifest.aus = {"AU06", "AU25"};
  manifest.rows.resize(2);
  manifest.rows[0].image = " odd \"name\",\nof a file.jpg";
  manifest.rows[0].subject = "F001";
  manifest.rows[0].intensities = {0.1f, kNotCoded};
  manifest.rows[1].image = "b.jpg";
  manifest.rows[1].intensities = {5, 0};
  manifest.rows[1].landmarks.emplace();
  for (size_t i = 0; i < 68; ++i)
    (*manifest.rows[1].landmarks)[i] = {static_cast<float>(i) / 3, -1e-7f * static_cast<float>(i)};
  write_manifest(manifest.path, manifest);
  const Manifest back = read_manifest(manifest.path, false);
  EXPECT_EQ(back.aus, manifest.aus);
  ASSERT_EQ(back.rows.size(), 2u);
  for (size_t r = 0; r < 2; ++r) {
    EXPECT_EQ(back.rows[r].image, manifest.rows[r].image);
    EXPECT_EQ(back.rows[r].subject, manifest.rows[r].subject);
    EXPECT_EQ(back.rows[r].intensities, manifest.rows[r].intensities);
    ASSERT_EQ(back.rows[r].landmarks.has_value(), manifest.rows[r].landmarks.has_value());
  }
  for (size_t i = 0; i < 68; ++i) {
    EXPECT_EQ((*back.rows[1].landmarks)[i].x, (*manifest.rows[1].landmarks)[i].x);
    EXPECT_EQ((*back.rows[1].landmarks)[i].y, (*manifest.rows[1].landmarks)[i].y);
  }
  manifest.rows[1].landmarks.reset();
  write_manifest(manifest.path, manifest);
  EXPECT_EQ(read_file(manifest.path).find("x_0"), std::string::npos);
}

}  // namespace
}  // namespace sandglass

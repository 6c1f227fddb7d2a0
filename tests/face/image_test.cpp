#include "face/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/random.h"
#include "face/jpeg.h"
#include "tests/face/one_line_error.h"
#include "tests/temporary_folder.h"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

namespace sandglass {
namespace {

using testing::HasSubstr;

/// Smooth colours with some noise, so that no format can shrink it to nothing.
Image test_picture(int height, int width) {
  Image image(height, width);
  Random random(7);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const int noise = static_cast<int>(random.below(9));
      const int colour[3] = {x * 200 / width + noise, y * 200 / height + noise, (x + y) * 100 / (height + width) + 80};
      for (int channel = 0; channel < 3; ++channel) image.at(y, x)[channel] = static_cast<uint8_t>(colour[channel]);
    }
  }
  return image;
}

double mean_difference(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(int{a.rgb[i]} - int{b.rgb[i]});
  return sum / static_cast<double>(a.rgb.size());
}

class ImageTest : public testing::Test {
 protected:
  TemporaryFolder folder_;

  /// The bytes of the test picture as a file of the given format.
  std::string encoded(const std::string& extension, int height = 45, int width = 67) {
    write_image(folder_ / ("encoded" + extension), test_picture(height, width));
    return read_file(folder_ / ("encoded" + extension));
  }
  std::string read_error(const std::string& content) {
    const auto path = folder_.write("tested_picture", content);
    return one_line_error_of([&] { read_image(path); });
  }
};

TEST_F(ImageTest, LosslessFormatsReturnTheSamePixels) {
  for (const char* name : {"a.png", "a.bmp", "UPPER.PNG", "b.Bmp"}) {
    for (const auto& [height, width] : {std::pair{1, 1}, {1, 5}, {7, 1}, {33, 50}, {128, 61}}) {
      const Image image = test_picture(height, width);
      write_image(folder_ / name, image);
      const Image read = read_image(folder_ / name);
      EXPECT_EQ(read.height, height);
      EXPECT_EQ(read.width, width);
      EXPECT_EQ(read.rgb, image.rgb) << name << " " << height << " x " << width;
    }
  }
}

TEST_F(ImageTest, JpegIsCloseAndQualityMatters) {
  const Image image = test_picture(120, 90);
  write_image(folder_ / "high.jpg", image, 95);
  write_image(folder_ / "low.jpeg", image, 10);
  EXPECT_LT(mean_difference(image, read_image(folder_ / "high.jpg")), 3);
  EXPECT_LT(std::filesystem::file_size(folder_ / "low.jpeg"), std::filesystem::file_size(folder_ / "high.jpg") / 2);
}

TEST_F(ImageTest, ContentDecidesNotTheName) {
  const std::string png = encoded(".png");
  EXPECT_EQ(read_image(folder_.write("photo.jpg", png)).rgb, test_picture(45, 67).rgb);
}

TEST_F(ImageTest, GreyIsWidenedAndAlphaDropped) {
  const uint8_t grey[] = {0, 100, 255, 7};
  stbi_write_png((folder_ / "grey.png").c_str(), 2, 2, 1, grey, 2);
  EXPECT_EQ(read_image(folder_ / "grey.png").rgb,
            (std::vector<uint8_t>{0, 0, 0, 100, 100, 100, 255, 255, 255, 7, 7, 7}));
  const uint8_t grey_alpha[] = {9, 0, 200, 128};
  stbi_write_png((folder_ / "grey_alpha.png").c_str(), 2, 1, 2, grey_alpha, 4);
  EXPECT_EQ(read_image(folder_ / "grey_alpha.png").rgb, (std::vector<uint8_t>{9, 9, 9, 200, 200, 200}));
  const uint8_t rgba[] = {1, 2, 3, 0, 4, 5, 6, 255};
  stbi_write_png((folder_ / "rgba.png").c_str(), 2, 1, 4, rgba, 8);
  EXPECT_EQ(read_image(folder_ / "rgba.png").rgb, (std::vector<uint8_t>{1, 2, 3, 4, 5, 6}));
  stbi_write_jpg((folder_ / "grey.jpg").c_str(), 2, 2, 1, grey, 100);
  const Image read = read_image(folder_ / "grey.jpg");
  EXPECT_EQ(read.rgb.size(), 12u);
  EXPECT_EQ(read.rgb[0], read.rgb[2]);
}

TEST_F(ImageTest, BitmapsWithTheFirstRowOnTopAreRead) {
  std::string bmp = encoded(".bmp");
  int32_t height = -45;  // the height's place in the header; negative: rows from top to bottom
  std::memcpy(&bmp[22], &height, sizeof height);
  const Image read = read_image(folder_.write("top_down.bmp", bmp)), image = test_picture(45, 67);
  EXPECT_EQ(read.height, 45);
  EXPECT_TRUE(std::equal(image.at(44, 0), image.at(44, 0) + 67 * 3, read.at(0, 0)));
}

TEST_F(ImageTest, WrongFilesAreNamedInOneLine) {
  EXPECT_THAT(one_line_error_of([&] { read_image(folder_ / "none.jpg"); }), HasSubstr("none.jpg: no such file"));
  EXPECT_THAT(one_line_error_of([&] { read_image(folder_.path()); }), HasSubstr("is a folder"));
  EXPECT_THAT(read_error(""), HasSubstr("tested_picture: is empty"));
  EXPECT_THAT(read_error("hello, I am a text"), HasSubstr("not a JPEG, PNG or BMP"));
  EXPECT_THAT(read_error("GIF89a"), HasSubstr("not a JPEG, PNG or BMP"));
  EXPECT_THAT(read_error("\xFF\xD8\xFF"), HasSubstr("truncated or damaged"));
}

// stb answers reads beyond the end with zeros. A JPEG then fails at the missing end marker, a PNG at its chunks, but a
// BMP would come out with its last rows black: read_image counts any read beyond the end as an error.
TEST_F(ImageTest, TruncatedFilesAreErrorsAtEveryLength) {
  for (const char* extension : {".jpg", ".png", ".bmp"}) {
    const std::string whole = encoded(extension);
    for (size_t length = 1; length < whole.size(); length += length < 700 ? 1 : 37) {
      // The last chunk of a PNG (IEND, 12 bytes) holds nothing; stb wants its type but not its checksum.
      if (extension == std::string(".png") && length + 4 >= whole.size()) break;
      EXPECT_NE(read_error(whole.substr(0, length)), "") << extension << " cut to " << length << " of " << whole.size();
    }
  }
  const std::string jpeg = encoded(".jpg");
  EXPECT_NE(read_error(jpeg.substr(0, jpeg.size() - 1)), "");
  EXPECT_NE(read_error(jpeg.substr(0, jpeg.size() - 2)), "");
}

TEST_F(ImageTest, BytesAfterTheEndAreAllowed) {  // some phones append a second picture or a film
  for (const char* extension : {".jpg", ".png", ".bmp"}) {
    EXPECT_EQ(read_error(encoded(extension) + "more"), "") << extension;
    EXPECT_EQ(read_error(encoded(extension) + std::string(1000, '\0')), "") << extension;
  }
}

// Damage inside a JPEG's compressed data has no checksum to tell it by: such a file may come out as a wrong picture of
// the right size. In a PNG stb does not look at the checksums either.
TEST_F(ImageTest, DamagedFilesGiveAnErrorOrAPictureAndNeverCrash) {
  Random random(11);
  for (const char* extension : {".jpg", ".png", ".bmp"}) {
    const std::string whole = encoded(extension, 20, 30);
    for (int trial = 0; trial < 500; ++trial) {
      std::string damaged = whole;
      for (uint32_t i = 0; i <= random.below(4); ++i) {
        damaged[random.below(static_cast<uint32_t>(damaged.size()))] = static_cast<char>(random.below(256));
      }
      const auto path = folder_.write("damaged", damaged);
      try {
        const Image image = read_image(path);
        EXPECT_EQ(image.rgb.size(), static_cast<size_t>(image.height) * static_cast<size_t>(image.width) * 3);
      } catch (const Error& error) {
        EXPECT_THAT(error.what(), HasSubstr("damaged"));
      }
    }
  }
}

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
          static_cast<char>(value)};
}

/// A PNG file of one IDAT chunk. Checksums are left 0: stb does not look at them.
std::string png_file(uint32_t width, uint32_t height, const std::string& packed) {
  const std::string checksum(4, '\0');
  return "\x89PNG\r\n\x1A\n" + big_endian(13) + "IHDR" + big_endian(width) + big_endian(height) +
         std::string("\x08\x02\0\0\0", 5) + checksum + big_endian(static_cast<uint32_t>(packed.size())) + "IDAT" +
         packed + checksum + big_endian(0) + "IEND" + checksum;
}

TEST_F(ImageTest, SmallFilesCannotTakeAllMemoryOrTime) {
  EXPECT_THAT(read_error(png_file(10001, 10000, "x")), HasSubstr("10001 x 10000 pixels, more than 100 megapixels"));
  EXPECT_THAT(read_error(png_file(60000, 60000, "x")), HasSubstr("far too large"));

  std::vector<unsigned char> zeros(8 << 20);  // unpacks to 8 MB although the header says one pixel
  int packed_size = 0;
  unsigned char* packed = stbi_zlib_compress(zeros.data(), static_cast<int>(zeros.size()), &packed_size, 8);
  const std::string bomb(reinterpret_cast<char*>(packed), static_cast<size_t>(packed_size));
  std::free(packed);
  EXPECT_THAT(read_error(png_file(1, 1, bomb)), HasSubstr("cannot be decoded"));

  std::string jpeg = encoded(".jpg");
  std::string scans;
  for (int i = 0; i < 200; ++i) scans += std::string("\xFF\xDA\0\x02", 4);
  EXPECT_THAT(read_error(jpeg.insert(jpeg.size() - 2, scans)), HasSubstr("201 scans"));
}

/// An Exif segment with one entry, the orientation.
std::string exif_segment(int orientation, bool big_endian_exif) {
  const auto number = [&](uint32_t value, int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i) bytes += static_cast<char>(value >> 8 * (big_endian_exif ? count - 1 - i : i));
    return bytes;
  };
  const std::string tiff = (big_endian_exif ? "MM" : "II") + number(42, 2) + number(8, 4) + number(1, 2) +
                           number(0x0112, 2) + number(3, 2) + number(1, 4) +
                           number(static_cast<uint32_t>(orientation), 2) + number(0, 2) + number(0, 4);
  const std::string content = std::string("Exif\0\0", 6) + tiff;
  return std::string("\xFF\xE1") + big_endian(static_cast<uint32_t>(content.size() + 2)).substr(2) + content;
}

// The stored corners in the order top left, top right, bottom left, bottom right are A, B, C, D; the Exif standard says
// for each orientation which side of the scene the stored first row and first column are.
TEST_F(ImageTest, ExifOrientationTurnsThePicture) {
  const std::string shown[] = {"ABCD", "BADC", "DCBA", "CDAB", "ACBD", "CADB", "DBCA", "BDAC"};
  const uint8_t colours[4][3] = {{250, 20, 20}, {20, 250, 20}, {20, 20, 250}, {250, 250, 20}};
  Image stored(16, 32);
  for (int y = 0; y < 16; ++y) {
    for (int x = 0; x < 32; ++x) std::memcpy(stored.at(y, x), colours[(y >= 8) * 2 + (x >= 16)], 3);
  }
  write_image(folder_ / "stored.jpg", stored, 100);
  const std::string jpeg = read_file(folder_ / "stored.jpg");
  for (int orientation = 1; orientation <= 8; ++orientation) {
    for (const bool big : {false, true}) {
      std::string file = jpeg;
      file.insert(2, exif_segment(orientation, big));
      const Image image = read_image(folder_.write("turned.jpg", file));
      EXPECT_EQ(image.width, orientation <= 4 ? 32 : 16);
      std::string corners;
      for (const auto& [y, x] :
           {std::pair{1, 1}, {1, image.width - 2}, {image.height - 2, 1}, {image.height - 2, image.width - 2}}) {
        const uint8_t* pixel = image.at(y, x);
        corners += pixel[2] > 128 ? 'C' : pixel[0] > 128 && pixel[1] > 128 ? 'D' : pixel[0] > 128 ? 'A' : 'B';
      }
      EXPECT_EQ(corners, shown[orientation - 1]) << "orientation " << orientation;
    }
  }
}

// stb would write beyond its tables.
TEST_F(ImageTest, HuffmanTablesWithTooManyCodesAreErrors) {
  std::string jpeg = encoded(".jpg");
  const size_t table = jpeg.find("\xFF\xC4");
  ASSERT_NE(table, jpeg.npos);
  for (size_t i = 0; i < 16; ++i) jpeg[table + 5 + i] = '\xFF';
  EXPECT_THAT(read_error(jpeg), HasSubstr("a Huffman table of 4080 codes, at most 256"));
  jpeg = encoded(".jpg").replace(table, 0, std::string("\xFF\xC4\0\x04\0\0", 6));
  EXPECT_THAT(read_error(jpeg), HasSubstr("beyond its segment"));
}

TEST_F(ImageTest, JpegSegmentsAreThoseOfTheFile) {
  const std::string app(
      "\xFF\xE0\0\x05"
      "abc",
      7),
      scan("\xFF\xDA\0\x03s", 5);
  const std::string data(
      "1\xFF\0"
      "2\xFF\xD0"
      "3\xFF\xFF",
      9);  // a 0xFF, a restart, filling before the next marker
  const std::string file = "\xFF\xD8" + app + scan + data + std::string("\xFF\xC4\0\x02", 4) + scan + "4\xFF\xD9" + app;
  std::string found;
  for (const auto& [marker, content] : jpeg_segments(file)) found += fmt::format("{:02X}={} ", marker, content);
  EXPECT_EQ(found, "E0=abc DA=s C4= DA=s ");
  EXPECT_EQ(jpeg_segments(file.substr(0, 7)).at(0).content, "a");  // cut off
}

TEST_F(ImageTest, BrokenExifCountsAsNone) {
  const auto exif_orientation = [](std::string_view jpeg) { return sandglass::exif_orientation(jpeg_segments(jpeg)); };
  const std::string whole = "\xFF\xD8" + exif_segment(6, true);
  EXPECT_EQ(exif_orientation(whole), 6);
  for (size_t length = 0; length < 30; ++length) EXPECT_EQ(exif_orientation(whole.substr(0, length)), 1) << length;
  EXPECT_EQ(exif_orientation("\xFF\xD8" + exif_segment(9, true)), 1);
  EXPECT_EQ(exif_orientation("\xFF\xD8" + exif_segment(0, false)), 1);
  Random random(3);
  for (int trial = 0; trial < 5000; ++trial) {
    std::string damaged = whole;
    for (int i = 0; i < 3; ++i)
      damaged[random.below(static_cast<uint32_t>(damaged.size()))] = static_cast<char>(random.below(256));
    const int orientation = exif_orientation(damaged);
    EXPECT_TRUE(orientation >= 1 && orientation <= 8);
  }
}

TEST_F(ImageTest, WrongWritesSayWhyAndLeaveNothing) {
  const Image image = test_picture(4, 4);
  const auto write_error = [&](const std::string& name, const Image& picture, int quality = 90) {
    return one_line_error_of([&] { write_image(folder_ / name, picture, quality); });
  };
  EXPECT_THAT(write_error("a.gif", image), HasSubstr("a.gif: pictures are written as .png"));
  EXPECT_THAT(write_error("a", image), HasSubstr("not ''"));
  EXPECT_THAT(write_error("no/such/folder.png", image), HasSubstr("folder.png: cannot be written"));
  EXPECT_THAT(write_error("a.jpg", image, 0), HasSubstr("quality is 0"));
  EXPECT_THAT(write_error("a.png", Image()), HasSubstr("0 x 0"));
  Image wrong = image;
  wrong.width = 5;
  EXPECT_THAT(write_error("a.png", wrong), HasSubstr("holds 48 bytes"));
  EXPECT_THAT(write_error("a.jpg", Image(1, 70000)), HasSubstr("at most 65500"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

}  // namespace
}  // namespace sandglass

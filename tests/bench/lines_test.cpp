// Reading lists of operations.
#include "bench/kernels/lines.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "engine/error.h"
#include "tests/error_of.h"

namespace sandglass::bench {
namespace {

class Lines : public testing::Test {
 protected:
  std::vector<Line> read(const std::string& content) {
    std::ofstream(file_) << content;
    return read_lines(file_);
  }
  ~Lines() override { std::filesystem::remove(file_); }
  const std::filesystem::path file_ =
      std::filesystem::temp_directory_path() / ("sandglass_lines_" + std::to_string(getpid()));
};

TEST_F(Lines, are_read_with_their_numbers) {
  const auto lines = read(
      "# a comment\n[infer]\n  3 conv_forward/n1_h16_w12_c128_k64_r3_s3_stride1/bias/relu\n"
      "  1 peak/1x64x64x5\r\n\n[train]\n  2 peak/1x64x64x5\n 5 optimizer/3416208");
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].text(), "conv_forward/n1_h16_w12_c128_k64_r3_s3_stride1/bias/relu");
  EXPECT_EQ(lines[0].infer, 3);
  EXPECT_TRUE(lines[0].has("relu"));
  EXPECT_FALSE(lines[0].has("rel"));
  EXPECT_EQ(conv_shape(lines[0], 4), (ConvShape{4, 16, 12, 128, 64, 3, 3, 1, 1}));
  EXPECT_EQ(lines[1].infer, 1);
  EXPECT_EQ(lines[1].train, 2);
  EXPECT_EQ(map_shape(lines[1], 7), (Shape{7, 64, 64, 5}));
  EXPECT_EQ(count(lines[2]), 3416208);
}

TEST_F(Lines, max_pool_of_training_stores_the_places) {
  const auto lines = read("[infer]\n1 max_pool_forward/1x8x8x16\n[train]\n1 max_pool_forward/1x8x8x16\n");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_FALSE(lines[0].has("argmax"));
  EXPECT_TRUE(lines[1].has("argmax"));
}

TEST_F(Lines, errors_name_file_and_line) {
  EXPECT_NE(
      error_of([&] { read("[infer]\n1 peak/1x8x8x5\npeak/1x8x8x5\n"); }).find(file_.string() + ":3: 'peak/1x8x8x5'"),
      std::string::npos);
  EXPECT_NE(error_of([&] { read("1 peak\n"); }).find(":1: 'peak' is not OPERATION/SHAPE"), std::string::npos);
  EXPECT_NE(error_of([&] { read("0 peak/1x8x8x5\n"); }).find(":1: "), std::string::npos);
  EXPECT_NE(error_of([&] { read("1 peak//1x8x8x5\n"); }).find(":1: "), std::string::npos);
  EXPECT_NE(error_of([&] { read("# nothing\n"); }).find("no operation is in it"), std::string::npos);
}

TEST(Shapes, that_are_none_are_errors) {
  for (const char* shape :
       {"n1_h4", "n1_h64_w64_c128_k128_r3_s3_stride1x", "1x2x3x4", "", "n01_h64_w64_c1_k1_r3_s3_stride1"})
    EXPECT_NE(error_of([&] {
                conv_shape({"conv_forward", shape, {}}, 1);
              }).find("no shape of conv_forward"),
              std::string::npos)
        << shape;
  for (const char* shape : {"1x2x3", "1x2x3x4x5", "n1", "1x2x3x-4 "})
    EXPECT_NE(error_of([&] {
                map_shape({"peak", shape, {}}, 1);
              }).find("no shape of peak"),
              std::string::npos)
        << shape;
  for (const char* number : {"0", "-3", "12a", "1x2x3x4", "99999999999999999999"})
    EXPECT_NE(error_of([&] {
                count({"optimizer", number, {}});
              }).find("no shape of optimizer"),
              std::string::npos)
        << number;
}

TEST(Shapes, are_made_small) {
  EXPECT_EQ(small({"conv_forward", "n1_h256_w256_c3_k64_r7_s7_stride2", {"bias"}}).text(),
            "conv_forward/n1_h16_w16_c3_k16_r7_s7_stride2/bias");
  EXPECT_EQ(small({"peak", "1x64x64x5", {}}).text(), "peak/1x16x16x5");
  EXPECT_EQ(small({"batch_norm_finalize", "256", {}}).shape, "16");
  EXPECT_EQ(small({"optimizer", "3416208", {}}).shape, "1000");
}

TEST(Plain, convolutions_are_added_once) {
  std::vector<Line> lines{{"conv_forward", "n1_h8_w8_c8_k8_r1_s1_stride1", {"bias"}, 1, 0},
                          {"conv_forward", "n1_h8_w8_c8_k8_r1_s1_stride1", {"bias", "relu"}, 1, 0},
                          {"peak", "1x8x8x5", {}, 1, 0}};
  add_plain_convolutions(lines);
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[1].text(), "conv_forward/n1_h8_w8_c8_k8_r1_s1_stride1");
  EXPECT_EQ(lines[1].infer, 0);
}

}  // namespace
}  // namespace sandglass::bench

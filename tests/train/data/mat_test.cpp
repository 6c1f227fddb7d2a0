#include <gtest/gtest.h>
#include <matio.h>

#include <cmath>

#include "face/landmark_files.h"
#include "support.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

// A matrix `name` of count x 2: x is 10 i, y is 10 i + 1 for point i, but y of the chin, so that all do not lie on one
// line.
std::filesystem::path write_mat(const std::filesystem::path& path, const char* name, size_t count, double extra = 0) {
  std::filesystem::create_directories(path.parent_path());
  std::vector<double> values(count * 2);
  for (size_t i = 0; i < count; ++i) {
    values[i] = 10.0 * static_cast<double>(i) + extra;
    values[count + i] = 10.0 * static_cast<double>(i) + (i == 8 ? 500 : 1);
  }
  size_t dims[] = {count, 2};
  mat_t* file = Mat_CreateVer(path.c_str(), nullptr, MAT_FT_MAT5);
  matvar_t* variable = Mat_VarCreate(name, MAT_C_DOUBLE, MAT_T_DOUBLE, 2, dims, values.data(), 0);
  Mat_VarWrite(file, variable, MAT_COMPRESSION_ZLIB);
  Mat_VarFree(variable);
  Mat_Close(file);
  return path;
}

TEST(DisfaMat, SixtySixPointsAreTheSixtyEightWithoutTheInnerMouthCorners) {
  const TemporaryFolder folder;
  ASSERT_NE(mat_library_version(), "");
  const Landmarks landmarks = read_disfa_mat(write_mat(folder / "a.mat", "pts", 66));
  EXPECT_EQ(landmarks[59].x, 590);
  EXPECT_EQ(landmarks[61].x, 600);
  EXPECT_EQ(landmarks[63].y, 621);
  EXPECT_EQ(landmarks[65].x, 630);
  EXPECT_EQ(landmarks[67].y, 651);
  EXPECT_EQ(landmarks[60].x, landmarks[48].x);
  EXPECT_EQ(landmarks[64].y, landmarks[54].y);
  EXPECT_EQ(read_disfa_mat(write_mat(folder / "b.mat", "pts", 68))[60].x, 600);
}

TEST(DisfaMat, SaysWhatIsWrong) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { read_disfa_mat(folder / "none.mat"); }), HasSubstr("none.mat: no such file"));
  EXPECT_THAT(error_of([&] { read_disfa_mat(write(folder / "text.mat", "text")); }), HasSubstr("text.mat: "));
  EXPECT_THAT(error_of([&] { read_disfa_mat(write_mat(folder / "c.mat", "points", 66)); }),
              HasSubstr("has no matrix 'pts'"));
  EXPECT_THAT(error_of([&] { read_disfa_mat(write_mat(folder / "d.mat", "pts", 49)); }),
              HasSubstr("'pts' is 49 x 2, expected 66 x 2 or 68 x 2"));
  EXPECT_THAT(error_of([&] { read_disfa_mat(write_mat(folder / "e.mat", "pts", 66, NAN)); }),
              HasSubstr("point 1 is not finite"));
}

// DISFA's files count frames from 0, its labels from 1.
TEST(DisfaMat, BelongToTheFrameBefore) {
  const TemporaryFolder folder;
  write(folder / "ActionUnit_Labels/SN001/SN001_au1.txt", "1,0\n2,1\n3,2\n");
  write(folder / "Video/LeftVideoSN001_comp.avi", "not opened here");
  write_mat(folder / "Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat", "pts", 66, 0.5);
  write_mat(folder / "Landmark_Points/SN001/tmp_frame_lm/l00002_lm.mat", "pts", 66, 0.25);
  write(folder / "Landmark_Points/SN001/tmp_frame_lm/l00001_lm.mat", "damaged");
  DataConfig data;
  data.format = "disfa";
  data.path = folder.path().string();
  DataLog log;
  const DataSet set = read_data_set(data, "SN001", {"AU01"}, log);
  EXPECT_THAT(rows_of(set.faces),
              testing::ElementsAre("SN001:LeftVideoSN001_comp.avi#0:0", "SN001:LeftVideoSN001_comp.avi#2:2"));
  EXPECT_EQ((*set.faces.rows[0].landmarks)[0].x, 0.5f);
  EXPECT_EQ((*set.faces.rows[1].landmarks)[0].x, 0.25f);
  EXPECT_THAT(messages_of(log), HasSubstr("l00001_lm.mat: "));
}

}  // namespace
}  // namespace sandglass

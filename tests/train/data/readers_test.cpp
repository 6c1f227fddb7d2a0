#include <gtest/gtest.h>

#include <set>
#include <sstream>

#include "face/landmark_files.h"
#include "support.h"
#include "train/data/data_report.h"
#include "train/data/frame_codes.h"
#include "train/data/subjects.h"

namespace sandglass {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Aus = std::vector<std::string>;

DataConfig config_of(const std::string& format, const std::filesystem::path& path) {
  DataConfig data;
  data.format = format;
  data.path = path.string();
  return data;
}

TEST(Subjects, PresetsAreThePublishedSplits) {
  const Subjects train("bp4d-train"), development("bp4d-development");
  EXPECT_EQ(train.names().size(), 21u);
  EXPECT_EQ(development.names().size(), 20u);
  EXPECT_TRUE(train.has("F023") && train.has("M017") && !train.has("M018") && !train.has("F002"));
  EXPECT_TRUE(development.has("F022") && development.has("M018") && !development.has("F024"));
  std::set<std::string> all;
  for (const char* part : {"disfa-part1", "disfa-part2", "disfa-part3"}) {
    const Subjects subjects(part);
    EXPECT_EQ(subjects.names().size(), 9u);
    for (const std::string& name : subjects.names()) EXPECT_TRUE(all.insert(name).second) << name;
  }
  // The 27 subjects that DISFA has.
  EXPECT_EQ(all.size(), 27u);
  EXPECT_EQ(*all.begin(), "SN001");
  EXPECT_EQ(*all.rbegin(), "SN032");
  for (const char* absent : {"SN014", "SN015", "SN019", "SN020", "SN022"}) EXPECT_EQ(all.count(absent), 0u);
  EXPECT_THAT(Subjects(" a , disfa-part1").names(), testing::SizeIs(10));
  EXPECT_TRUE(Subjects("all").has("anyone"));
  EXPECT_THAT(error_of([] { Subjects("a,,b"); }), HasSubstr("separated by commas"));
}

class Bp4dTest : public testing::Test {
 protected:
  Bp4dTest() {
    codes("AU06", "F001_T1", "1,0\r\n2,3\r\n3,9\r\n10,5\r\n");
    codes("AU12", "F001_T1",
          "\xEF\xBB\xBF"
          "1,1\n2,2\n3,2\n10,\n");
    codes("AU06", "F002_T8", "7,4\n");
    codes("AU12", "F002_T8", "7,4\n");
    for (const char* name : {"F001/T1/0001.jpg", "F001/T1/002.JPG", "F001/T1/3.jpg", "F001/T1/10.jpg",
                             "F002/T8/00007.png", "F001/T1/notes.txt"}) {
      write(folder / "BP4D/BP4D-training" / name, "x");
    }
  }
  void codes(const std::string& au, const std::string& sequence, const std::string& text,
             const std::string& layout = "AU Intensity Codes3.0") const {
    write(folder / "BP4D" / layout / au / fmt::format("{}_{}.csv", sequence, au), text);
  }
  DataSet read(const std::string& subjects = "all", const Aus& aus = {"AU06", "AU12"}) {
    return read_data_set(data, subjects, aus, log);
  }

  TemporaryFolder folder;
  DataConfig data = config_of("bp4d", folder / "BP4D");
  DataLog log;
};

TEST_F(Bp4dTest, FramesMatchByNumberAndNotCodedOnesAreDropped) {
  const DataSet set = read();
  EXPECT_THAT(rows_of(set.faces), ElementsAre("F001:0001.jpg:01", "F001:002.JPG:32", "F002:00007.png:44"));
  EXPECT_EQ(count_of(log.left_out(), "not coded"), 2);  // a 9, and an empty code
  EXPECT_EQ(messages_of(log), "");
  EXPECT_EQ(set.labelled, 5);
  const DataCounts counts = count(set.faces);  // of those to use
  EXPECT_EQ(counts.without_landmarks, 3);
  EXPECT_EQ(counts.subjects, (std::map<std::string, int64_t>{{"F001", 2}, {"F002", 1}}));
  EXPECT_THAT(counts.intensities[0], ElementsAre(1, 0, 0, 1, 1, 0, 0));
  EXPECT_THAT(counts.intensities[1], ElementsAre(0, 1, 1, 0, 1, 0, 0));
  EXPECT_THAT(set.faces.place(set.faces.rows[1]), HasSubstr("AU06/F001_T1_AU06.csv, row 2"));
}

TEST_F(Bp4dTest, MaskKeepsFramesThatArePartlyCoded) {
  data.not_coded = "mask";
  EXPECT_THAT(rows_of(read().faces), ElementsAre("F001:0001.jpg:01", "F001:002.JPG:32", "F001:3.jpg:-2",
                                                 "F001:10.jpg:5-", "F002:00007.png:44"));
}

TEST_F(Bp4dTest, OneAuDoesNotCareAboutTheOthers) {
  EXPECT_THAT(rows_of(read("all", {"AU12"}).faces),
              ElementsAre("F001:0001.jpg:1", "F001:002.JPG:2", "F001:3.jpg:2", "F002:00007.png:4"));
}

TEST_F(Bp4dTest, SubjectsAndOtherSpellingsOfFolders) {
  std::filesystem::rename(folder / "BP4D/AU Intensity Codes3.0", folder / "BP4D/AU-Intensity-Codes3.0");
  std::filesystem::create_directories(folder / "full/labels/AUCoding");
  std::filesystem::rename(folder / "BP4D/AU-Intensity-Codes3.0", folder / "full/labels/AUCoding/AU_INT");
  std::filesystem::rename(folder / "BP4D/BP4D-training", folder / "full/pictures");
  data.path = (folder / "full").string();
  EXPECT_THAT(rows_of(read("bp4d-train").faces), ElementsAre("F001:0001.jpg:01", "F001:002.JPG:32"));
  EXPECT_EQ(count_of(log.problems(), "without labels"), 20);  // the other 20 of the training subjects
  EXPECT_THAT(messages_of(log), HasSubstr("has no labels of subject F003"));
  std::filesystem::rename(folder / "full/pictures", folder / "elsewhere");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("set data.pictures"));
  data.pictures = (folder / "elsewhere").string();
  EXPECT_EQ(read().faces.rows.size(), 3u);
}

TEST_F(Bp4dTest, FoldersWithoutPicturesHideNone) {
  write(folder / "BP4D/3DFeatures/F001/T1/0001.bnd", "x");
  write(folder / "BP4D/A_previews/F001/T1/0001.jpg", "x");
  EXPECT_EQ(read().faces.rows.size(), 3u);
  std::filesystem::remove_all(folder / "BP4D/A_previews");
  std::filesystem::rename(folder / "BP4D/BP4D-training", folder / "BP4D/pictures");
  EXPECT_EQ(read().faces.rows.size(), 3u);
  std::filesystem::remove_all(folder / "BP4D/pictures");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("has no folder with the pictures of subjects"));
  data.pictures = (folder / "BP4D/3DFeatures").string();
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("F001/T1: has no numbered pictures; set data.pictures"));
}

TEST_F(Bp4dTest, EachProblemIsNamedAndTheRestIsRead) {
  codes("AU06", "F001_T1", "1,0\n2,6\nx,1\n3,nan\n4,1,1\n10,5\n10,4\n11,2\n");
  codes("AU12", "F001_T1", "1,1\n10,1\n11,2\n");
  codes("AU06", "F003_T1", "1,1\n");  // no AU12, no pictures
  std::filesystem::create_directories(folder / "BP4D/BP4D-training/M001/T1");
  EXPECT_THAT(rows_of(read().faces), ElementsAre("F001:0001.jpg:01", "F001:10.jpg:51", "F002:00007.png:44"));
  const std::string said = messages_of(log), file = "AU06/F001_T1_AU06.csv, row ";
  EXPECT_THAT(said, HasSubstr(file + "2: the code \"6\" is not 0 to 5, or 9 for not coded"));
  EXPECT_THAT(said, HasSubstr(file + "3: \"x\" is not the number of a frame"));
  EXPECT_THAT(said, HasSubstr(file + "4: the code \"nan\" is not 0 to 5"));
  EXPECT_THAT(said, HasSubstr(file + "5: 3 fields, expected two: frame,code"));
  EXPECT_THAT(said, HasSubstr(file + "7: frame 10 occurs again (first in row 6)"));
  EXPECT_THAT(said, HasSubstr(file + "8: frame 11 has no picture in"));
  EXPECT_THAT(said, HasSubstr("F003 T1: has no file for AU12"));
  EXPECT_THAT(said, HasSubstr("BP4D-training/F003/T1: is no folder that can be read"));
  EXPECT_THAT(said, HasSubstr("has no labels of subject M001"));
  EXPECT_EQ(count_of(log.problems(), "intensity from 0 to 5"), 2);

  // Strictly, the first is the end.
  log = DataLog(true);
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("has no labels of subject M001"));
  std::filesystem::remove_all(folder / "BP4D/BP4D-training/M001");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("row 2: the code \"6\""));
}

TEST_F(Bp4dTest, NothingLeftIsAnError) {
  EXPECT_THAT(error_of([&] { read("all", {"AU01"}); }), HasSubstr("has none of the Action Units asked for (AU01)"));
  EXPECT_THAT(error_of([&] { read("M005"); }), HasSubstr("no frame is left to use: "));
  data.path = (folder / "none").string();
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("none: no such file or folder (data.path)"));
  std::filesystem::create_directory(folder / "none");
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("has no folder 'AU Intensity Codes3.0'"));
  const DataSet two = (data.path = (folder / "BP4D").string(), read("all", {"AU12", "AU17"}));
  EXPECT_THAT(two.faces.aus, ElementsAre("AU12"));
  EXPECT_THAT(log.remarks(), testing::Contains(HasSubstr("has no labels for AU17")));
}

TEST_F(Bp4dTest, LandmarksFromPtsFilesOfTheSamePath) {
  const Landmarks landmarks = test_landmarks(50, 40, 30, 0);
  write(folder / "pts/F001/T1/0001.pts", pts(landmarks));
  write(folder / "pts/00007.pts", pts(landmarks));
  write(folder / "pts/F001/T1/002.pts", "version: 1\r\nn_points: 66\r\n{\r\n");
  data.landmarks = (folder / "pts").string();
  const DataSet set = read();
  EXPECT_THAT(rows_of(set.faces), ElementsAre("F001:0001.jpg:01", "F002:00007.png:44"));
  for (const ManifestRow& row : set.faces.rows) {
    ASSERT_TRUE(row.landmarks);
    EXPECT_NEAR((*row.landmarks)[45].x, landmarks[45].x, 1e-4);
  }
  EXPECT_THAT(messages_of(log), HasSubstr("002.pts: line 2: has 66 points, expected the 68"));
  EXPECT_EQ(count(set.faces).without_landmarks, 0);  // frames 3 and 10 are not coded
  Landmarks flat = landmarks;
  flat[8] = flat[36];
  write(folder / "pts/00007.pts", pts(flat));
  EXPECT_EQ(read().faces.rows.size(), 1u);
  EXPECT_THAT(messages_of(log), HasSubstr("F002_T8_AU06.csv, row 1: landmarks 8, 36 and 45"));
  data.landmarks = (folder / "absent").string();
  EXPECT_THAT(error_of([&] { read(); }), HasSubstr("absent: no such folder (data.landmarks)"));
  std::filesystem::create_directory(folder / "absent");
  EXPECT_THAT(log.remarks(), testing::IsEmpty());
  read();
  EXPECT_THAT(log.remarks(), ElementsAre(HasSubstr("absent: has landmarks of none of the 5 frames (data.landmarks)")));
}

TEST(Disfa, LabelsAndVideosMeetByFrame) {
  const TemporaryFolder folder;
  for (const char* subject : {"SN001", "SN002", "SN004"}) {
    for (const int au : {1, 12}) {
      write(folder / "D/ActionUnit_Labels" / subject / fmt::format("{}_au{}.txt", subject, au),
            au == 1 ? "1,0\n2,1\n3,2\n" : "1,5\n2,0\n3,9\n");
    }
  }
  std::filesystem::remove(folder / "D/ActionUnit_Labels/SN004/SN004_au12.txt");
  for (const char* subject : {"SN001", "SN004"}) {
    write(folder / "D/Videos_LeftCamera" / fmt::format("LeftVideo{}_comp.avi", subject), "not opened here");
  }
  DataLog log;
  const DataConfig data = config_of("disfa", folder / "D");
  const DataSet set = read_data_set(data, "disfa-part1,SN004", {"AU12", "AU01"}, log);
  EXPECT_THAT(rows_of(set.faces),
              ElementsAre("SN001:LeftVideoSN001_comp.avi#0:50", "SN001:LeftVideoSN001_comp.avi#1:01"));
  const std::string said = messages_of(log);
  EXPECT_THAT(said, HasSubstr("SN001_au12.txt, row 3: the code \"9\" is not 0 to 5"));
  EXPECT_THAT(said, HasSubstr("D: has no video LeftVideoSN002_comp.avi"));
  EXPECT_THAT(said, HasSubstr("SN004_au12.txt: no such file"));
  EXPECT_EQ(count_of(log.problems(), "without labels"), 8);  // seven of part 1, and SN004's AU12
  EXPECT_EQ(count_of(log.left_out(), "not coded"), 4);       // SN001's frame 3, all of SN004
  EXPECT_THAT(error_of([&] { read_data_set(data, "all", {"AU10"}, log); }), HasSubstr("none of the Action Units"));
}

TEST(Frames, CodesOfSeveralAusAreMerged) {
  const std::vector<CodedFrame> frames = merge_codes({{{1, 0, 1}, {3, 2, 2}}, {}, {{2, 5, 1}, {3, 1, 2}, {9, 4, 3}}});
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_THAT(frames[0].intensities, ElementsAre(0, kNotCoded, kNotCoded));
  EXPECT_THAT(frames[1].intensities, ElementsAre(kNotCoded, kNotCoded, 5));
  EXPECT_THAT(frames[2].intensities, ElementsAre(2, kNotCoded, 1));
  EXPECT_EQ(frames[3].frame, 9);
  EXPECT_EQ(frames[3].line, 3);
}

class OpenFaceTest : public testing::Test {
 protected:
  OpenFaceTest() {
    for (const char* name : {"a_02.png", "a_04.png", "a_08.jpg"}) write(folder / "frames" / name, "x");
    data.pictures = (folder / "frames").string();
  }
  DataSet read(const std::string& csv, const Aus& aus = {"AU06", "AU12"}, const std::string& subjects = "all") {
    write(data.path, csv);
    return read_data_set(data, subjects, aus, log);
  }
  static std::string header(const std::string& comma) {
    std::string text = "frame,face_id,timestamp,confidence,success" + landmark_header() + ",AU06_r,AU12_r,AU12_c\n";
    for (size_t at = 0; (at = text.find(',', at)) != text.npos; at += comma.size()) text.replace(at, 1, comma);
    return text;
  }
  static std::string row(int frame, int success, const std::string& aus) {
    return fmt::format("{},0,0.0,0.98,{}{},{},1\n", frame, success,
                       landmark_fields(test_landmarks(60 + static_cast<float>(frame), 40, 30, 0)), aus);
  }

  TemporaryFolder folder;
  DataConfig data = config_of("openface", folder / "S01.csv");
  DataLog log;
};

TEST_F(OpenFaceTest, BothSeparatorsAndOrder) {
  for (const char* comma : {",", ", "}) {
    log = DataLog();
    const DataSet set =
        read(header(comma) + row(1, 1, "0.25,3") + row(2, 0, "0,0") + row(3, 1, "5,") + row(4, 1, "1,1"));
    EXPECT_THAT(rows_of(set.faces), ElementsAre("S01:a_02.png:0.253"));
    EXPECT_EQ((*set.faces.rows[0].landmarks)[8].x, test_landmarks(61, 40, 30, 0)[8].x);
    EXPECT_EQ(count_of(log.left_out(), "success 0"), 1);
    EXPECT_EQ(count_of(log.left_out(), "not coded"), 1);
    EXPECT_THAT(messages_of(log), HasSubstr("S01.csv, row 5: frame 4 has no picture in"));
  }
}

TEST_F(OpenFaceTest, PicturesAreCountedInNaturalOrder) {
  for (const char* name : {"b_2.png", "b_10.png", "b_1.png"}) write(folder / "natural" / name, "x");
  data.pictures = (folder / "natural").string();
  EXPECT_THAT(rows_of(read("frame,AU06\n1,1\n2,2\n3,3\n", {"AU06"}).faces),
              ElementsAre("S01:b_1.png:1", "S01:b_2.png:2", "S01:b_10.png:3"));
  EXPECT_THAT(log.remarks(), ElementsAre(HasSubstr("natural: 1 of 3 pictures have another number in their name than "
                                                   "their place, the first is b_10.png as frame 3; ")));
  write(folder / "natural/b_1_1.png", "x");  // not one number each
  log = DataLog();
  read("frame,AU06\n1,1\n", {"AU06"});
  EXPECT_THAT(log.remarks(), testing::IsEmpty());
}

TEST_F(OpenFaceTest, SeveralFacesInAFrame) {
  const auto face = [](int frame, int id, float x, int au) {
    return fmt::format("{},{}{},{}\n", frame, id, landmark_fields(test_landmarks(x, 40, 30, 0)), au);
  };
  const std::string text = "frame,face_id" + landmark_header() + ",AU06_r\n" + face(1, 0, 60, 1) + face(1, 1, 90, 2) +
                           face(2, 0, 60, 3) + face(2, 0, 61, 4);
  const DataSet set = read(text, {"AU06"});
  EXPECT_THAT(rows_of(set.faces), ElementsAre("S01:a_02.png:1", "S01:a_02.png:2", "S01:a_04.png:3"));
  EXPECT_NE((*set.faces.rows[0].landmarks)[8].x, (*set.faces.rows[1].landmarks)[8].x);
  EXPECT_EQ(messages_of(log), (folder / "S01.csv").string() + ", row 5: frame 2 occurs again (first in row 4)\n");

  for (const bool detect : {true, false}) {  // landmarks that are not used, and none
    log = DataLog();
    data.landmarks = detect ? "detect" : "";
    const std::string without = "frame,face_id,AU06_r\n1,0,1\n1,1,2\n2,0,3\n2,0,4\n";
    EXPECT_THAT(rows_of(read(detect ? text : without, {"AU06"}).faces), ElementsAre("S01:a_04.png:3"));
    EXPECT_THAT(messages_of(log), HasSubstr("row 2: frame 1 occurs again (face_id 0, 1); without landmarks in the file "
                                            "it is not known which face is meant\n"));
    EXPECT_EQ(count_of(log.problems(), "rows that cannot be read"), 3);
  }
  log = DataLog();
  const std::string people = "frame,subject,AU06\n1,x,1\n1,y,2\n2,y,3\n";
  EXPECT_THAT(rows_of(read(people, {"AU06"}, "y").faces), ElementsAre("y:a_04.png:3"));
  EXPECT_THAT(messages_of(log), HasSubstr("row 3: frame 1 occurs again (subject x, y); "));
}

TEST_F(OpenFaceTest, BlankLinesAndStrayQuotesCostNoMoreThanTheirRow) {
  const std::string text = "\nframe,subject,AU06\n1,S01,1\n2,\"S01,2\n3,S01,3\n";
  EXPECT_THAT(rows_of(read(text, {"AU06"}).faces), ElementsAre("S01:a_02.png:1", "S01:a_08.jpg:3"));
  EXPECT_THAT(messages_of(log), HasSubstr("S01.csv, row 4: a quoted field is never closed"));
  log = DataLog();
  const std::string paired = "frame,subject,AU06\n1,\"S01,1\n2,S01,2\n3,S01,\"3\"\n";
  EXPECT_THAT(rows_of(read(paired, {"AU06"}).faces), ElementsAre("S01:a_04.png:2", "S01:a_08.jpg:3"));
  EXPECT_THAT(messages_of(log), HasSubstr("S01.csv, row 2: text after a closing quote"));
}

TEST_F(OpenFaceTest, NumbersInNames) {
  data.frames = "number";
  EXPECT_THAT(rows_of(read("frame,AU6\n2,1\n4,2\n8,3\n", {"AU06"}).faces),
              ElementsAre("S01:a_02.png:1", "S01:a_04.png:2", "S01:a_08.jpg:3"));
  EXPECT_THAT(rows_of(read("frame,subject,AU06_r\n2,x,1\n4,y,2\n", {"AU06"}, "y").faces), ElementsAre("y:a_04.png:2"));
}

TEST_F(OpenFaceTest, AVideoAndItsFrames) {
  data.pictures = write(folder / "talk.mp4", "not opened here").string();
  EXPECT_THAT(rows_of(read("frame,AU06_r\n1,1\n20,2\n0,1\n", {"AU06"}).faces),
              ElementsAre("S01:talk.mp4#0:1", "S01:talk.mp4#19:2"));
  EXPECT_THAT(messages_of(log), HasSubstr("row 4: frame 0, but OpenFace numbers frames from 1"));
  data.landmarks = (folder / "pts").string();
  write(folder / "pts/talk/frame_020.pts", pts(test_landmarks(60, 40, 30, 0)));
  const DataSet set = read("frame,AU06_r\n1,1\n20,2\n", {"AU06"});
  EXPECT_FALSE(set.faces.rows[0].landmarks);
  EXPECT_TRUE(set.faces.rows[1].landmarks);
}

TEST_F(OpenFaceTest, AFolderOfFiles) {
  write(folder / "csv/S01.csv", "frame,AU06_r\n1,1\n");
  write(folder / "csv/S02.csv", "frame,AU06_r\n1,2\n");
  write(folder / "csv/S03.csv", "frame,AU06_r\n1,3\n");
  write(folder / "csv/S04.csv", "time,AU06_r\n1,3\n");
  write(folder / "media/S01/1.png", "x");
  write(folder / "media/S02.AVI", "x");
  write(folder / "media/S04.mkv", "x");
  data.path = (folder / "csv").string();
  data.pictures = (folder / "media").string();
  const DataSet set = read_data_set(data, "all", {"AU06"}, log);
  EXPECT_THAT(rows_of(set.faces), ElementsAre("S01:1.png:1", "S02:S02.AVI#0:2"));
  EXPECT_THAT(messages_of(log), HasSubstr("S03.csv: there is neither a folder of pictures nor a video named S03"));
  EXPECT_THAT(messages_of(log), HasSubstr("S04.csv, row 1: no column 'frame'"));
}

TEST_F(OpenFaceTest, BadRows) {
  const std::string text = header(",") + row(1, 1, "0,5.01") + row(1, 1, "-1,0") + row(1, 1, "1,2") + "1,2\n" +
                           row(2, 1, "nan,1") + "x" + row(2, 1, "1,1");
  std::string broken = row(3, 1, "1,1");
  broken.replace(broken.find("0.98,1,") + 7, 1, "nan");
  EXPECT_THAT(rows_of(read(text + broken).faces), ElementsAre("S01:a_02.png:12"));
  const std::string said = messages_of(log);
  EXPECT_THAT(said, HasSubstr("row 2, column 'AU12': \"5.01\" is not an intensity from 0 to 5"));
  EXPECT_THAT(said, HasSubstr("row 3, column 'AU06': \"-1\""));
  EXPECT_THAT(said, HasSubstr("row 5: 2 fields where the header has 144"));
  EXPECT_THAT(said, HasSubstr("row 6, column 'AU06': \"nan\""));
  EXPECT_THAT(said, HasSubstr("row 7, column 'frame': \"x2\" is not the number of a frame"));
  EXPECT_THAT(said, HasSubstr("row 8, column 'x_0': "));
  EXPECT_THAT(error_of([&] { read("frame,x_0,AU06\n1,2,3\n", {"AU06"}); }), HasSubstr("no column 'y_0'"));
  data.pictures.clear();
  EXPECT_THAT(error_of([&] { read(text); }), HasSubstr("data.pictures is empty"));
}

TEST(ManifestData, ProblemsAreListedAndSkipped) {
  const TemporaryFolder folder;
  write(folder / "a.jpg", "x");
  std::string csv = "image,subject,AU06\r\na.jpg,S1,1\r\na.jpg,S2,\r\na.jpg,S1\r\n";
  for (int i = 0; i < 5; ++i) csv += fmt::format("gone_{}.jpg,S1,2\r\n", i);
  write(folder / "m.csv", csv);
  DataLog log;
  DataConfig data = config_of("manifest", folder / "m.csv");
  const DataSet set = read_data_set(data, "all", {"AU06"}, log);
  EXPECT_THAT(rows_of(set.faces), ElementsAre("S1:a.jpg:1"));
  std::ostringstream out;
  log.print(out);
  EXPECT_THAT(out.str(), HasSubstr("problem: frames without a picture: 5\n"));
  EXPECT_THAT(out.str(), HasSubstr("gone_2.jpg\n  and 2 more (`sandglass data check --json FILE` lists them all)\n"));
  EXPECT_THAT(messages_of(log), HasSubstr("gone_4.jpg"));
  EXPECT_THAT(out.str(), testing::Not(HasSubstr("gone_3.jpg")));
  EXPECT_THAT(out.str(), HasSubstr("left out: frames in which one of the Action Units is not coded: 1\n"));
  EXPECT_THAT(messages_of(log), HasSubstr("m.csv, row 4: 2 fields where the header has 3"));
  log = DataLog();
  EXPECT_THAT(error_of([&] { read_data_set(data, "S9", {"AU06"}, log); }),
              HasSubstr("m.csv: no frame is left to use: "));
  EXPECT_THAT(messages_of(log), HasSubstr("has no labelled frames of subject 'S9'"));
}

TEST(ManifestData, OtherAusAndStrayQuotesCostNoRows) {
  const TemporaryFolder folder;
  write(folder / "a.jpg", "x");
  const std::string csv = "image,subject,AU06,AU12\na.jpg,S1,1,x\na.jpg,S1,\"2,0\na.jpg,S1,3,0\na.jpg,S1,x,0\n";
  const DataConfig data = config_of("manifest", write(folder / "m.csv", csv));
  DataLog log;
  EXPECT_THAT(rows_of(read_data_set(data, "all", {"AU06"}, log).faces), ElementsAre("S1:a.jpg:1", "S1:a.jpg:3"));
  EXPECT_THAT(messages_of(log), HasSubstr("row 3: a quoted field is never closed"));
  EXPECT_THAT(messages_of(log), HasSubstr("row 5, column 'AU06': \"x\""));
}

TEST(ManifestData, LandmarksFromImglab) {
  const TemporaryFolder folder;
  for (const char* name : {"a.jpg", "b.jpg", "c.jpg", "d.jpg"}) write(folder / name, "x");
  write(folder / "m.csv", "image,AU06\na.jpg,1\nb.jpg,2\nc.jpg,3\nd.jpg,4\n");
  const auto parts = [](int count, float x) {
    std::string text;
    const Landmarks landmarks = test_landmarks(x, 40, 30, 0);
    for (int i = 0; i < count; ++i) {
      const Point p = landmarks[static_cast<size_t>(i)];
      text += fmt::format("<part name='{:02}' x='{:.0f}' y='{:.0f}'/>", i, p.x, p.y);
    }
    return text;
  };
  const auto box = [&](int side, int count, float x = 60) {
    return fmt::format("<box top='1' left='1' width='{0}' height='{0}'>{1}</box>", side, parts(count, x));
  };
  const auto image = [](const std::string& name, const std::string& boxes) {
    return fmt::format("<image file='{}'>{}</image>", name, boxes);
  };
  write(folder / "faces.xml",
        "<?xml version='1.0'?><dataset><images>" + image("a.jpg", box(9, 68) + box(30, 68, 90) + box(20, 68)) +
            image("b.jpg", box(9, 67)) + image("d.jpg", box(9, 68) + box(10, 0)) + "</images></dataset>");
  DataConfig data = config_of("manifest", folder / "m.csv");
  data.landmarks = (folder / "faces.xml").string();
  DataLog log;
  DataSet set;
  try {
    set = read_data_set(data, "all", {"AU06"}, log);
  } catch (const Error& error) {
    GTEST_SKIP() << error.what();  // a build without dlib says so
  }
  EXPECT_THAT(rows_of(set.faces), ElementsAre(":a.jpg:1", ":c.jpg:3"));
  ASSERT_TRUE(set.faces.rows[0].landmarks);
  EXPECT_NEAR((*set.faces.rows[0].landmarks)[8].x, test_landmarks(90, 40, 30, 0)[8].x, 0.5);
  EXPECT_FALSE(set.faces.rows[1].landmarks);
  EXPECT_THAT(messages_of(log), HasSubstr("the largest box of " + (folder / "b.jpg").string() + " has 67 of the 68"));
  EXPECT_THAT(messages_of(log), HasSubstr("the largest box of " + (folder / "d.jpg").string() + " has 0 of the 68"));
  write(folder / "faces.xml", "<?xml version='1.0'?><dataset><images></images></dataset>");
  read_data_set(data, "all", {"AU06"}, log);
  EXPECT_THAT(log.remarks(), ElementsAre(HasSubstr("faces.xml: has landmarks of none of the 4 frames")));
}

TEST(CheckPictures, NamesTheOnesThatCannotBeRead) {
  const TemporaryFolder folder;
  Manifest faces = write_test_faces(folder.path(), 6);
  write(folder / "face_1.png", "");
  write(folder / "face_2.png", "text");
  const std::string whole = read_file(folder / "face_3.png");
  write(folder / "face_3.png", whole.substr(0, whole.size() / 2));  // its header is good
  const auto at = [&](float x) { return test_landmarks(x, 60, 30, 0); };
  faces.rows[4].landmarks = at(400);
  faces.rows[5].landmarks = at(-10);  // a part of this face is in the picture
  DataLog log;
  check_pictures(faces, 2, log);
  EXPECT_THAT(rows_of(faces), ElementsAre("S0:face_0.png:00", "S1:face_5.png:51"));
  EXPECT_THAT(messages_of(log), HasSubstr("face_3.png"));
  EXPECT_THAT(messages_of(log),
              HasSubstr("manifest.csv, row 6: the landmarks lie outside of the picture, which has 146 x 134 pixels"));
  EXPECT_EQ(count_of(log.problems(), "landmarks that cannot be used"), 1);
  EXPECT_THAT(messages_of(log), HasSubstr("face_1.png: is empty"));
  EXPECT_THAT(messages_of(log), HasSubstr("face_2.png: is not a JPEG, PNG or BMP picture"));
}

TEST(DataReport, TextAndJsonAgree) {
  const TemporaryFolder folder;
  write_test_faces(folder.path(), 7);
  write(folder / "face_5.png", "text");
  TrainingConfig config;
  config.data = config_of("manifest", folder / "manifest.csv");
  config.aus = {"AU06"};
  config.data.train = "S0,S1";
  EXPECT_EQ(to_json(check_data(config, "train", false))["usable"], 6);
  const DataReport report = check_data(config, "train", true);
  const nlohmann::json json = to_json(report);
  EXPECT_EQ(json["frames"], 6);
  EXPECT_EQ(json["usable"], 5);
  EXPECT_EQ(json["subjects"], (nlohmann::json{{"S0", 3}, {"S1", 2}}));
  EXPECT_EQ(json["intensities"]["AU06"]["4"], 1);
  EXPECT_EQ(json["intensities"]["AU06"]["5"], 0);  // face 5 is not to use
  EXPECT_EQ(json["problems"][0]["count"], 1);
  EXPECT_THAT(json["problems"][0]["messages"][0].get<std::string>(), HasSubstr("face_5.png"));
  std::ostringstream out;
  print(out, report);
  EXPECT_THAT(out.str(), HasSubstr("train (S0,S1): 6 labelled frames\n"));
  EXPECT_THAT(out.str(), HasSubstr("  AU06          1        1        1        1        1        0          0\n"));
  EXPECT_THAT(out.str(), HasSubstr("to use: 5 frames of 2 subjects\n  S0: 3\n  S1: 2\n"));
}

TEST(TrainingFaces, ComeFromFlagsOrSettingsButNotFromBoth) {
  const TemporaryFolder folder;
  const Manifest manifest = write_test_faces(folder.path(), 7);
  TrainingConfig config;
  std::ostringstream out;
  EXPECT_THAT(error_of([&] { read_training_faces("", {}, config, out); }), HasSubstr("no training faces are named"));
  EXPECT_EQ(read_training_faces(manifest.path, manifest.path, config, out).validation->rows.size(), 7u);
  config.data = config_of("manifest", manifest.path);
  config.aus = {"AU12"};
  EXPECT_THAT(error_of([&] { read_training_faces(manifest.path, {}, config, out); }), HasSubstr("named twice"));
  EXPECT_THAT(error_of([&] { read_training_faces("", manifest.path, config, out); }), HasSubstr("named twice"));
  EXPECT_FALSE(read_training_faces("", {}, config, out).validation);
  config.data.train = "S0,S1";
  config.data.validation = "S1,S2";
  const TrainingFaces faces = read_training_faces("", {}, config, out);
  EXPECT_EQ(faces.train.rows.size(), 6u);
  EXPECT_EQ(faces.validation->rows.size(), 4u);
  EXPECT_THAT(out.str(), HasSubstr("note: subject 'S1' is in the training and in the validation set"));
}

}  // namespace
}  // namespace sandglass

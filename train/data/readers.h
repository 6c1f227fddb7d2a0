// The readers of data sets, one file each. All give the same: the labelled frames of the chosen subjects as rows of a
// Manifest, each with its picture or video frame, its intensities (kNotCoded where there is none), and the file and row
// that say so. Landmarks only where the label file has them; what else is to be had is data_set.cpp's to add.
//
// What cannot be used goes to the DataLog. Throws Error where the data set as a whole cannot be read.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "train/config.h"
#include "train/data/data_log.h"
#include "train/data/subjects.h"
#include "train/manifest.h"

namespace sandglass {

struct DataRequest {
  const DataConfig& data;
  const Subjects& subjects;
  const std::vector<std::string>& aus;  ///< normalised; those that the data set does not have get no column
};

/// What a reader found.
struct DataFound {
  Manifest faces;
  std::filesystem::path pictures;   ///< the folder from which the pictures' paths are counted; empty for videos
  std::filesystem::path landmarks;  ///< where the data set keeps landmarks; empty: nowhere
};

/// BP4D in FERA 2015's layout and in that of the full release:
///   AU Intensity Codes3.0/AU06/F001_T1_AU06.csv   lines `frame,code`; 9: not coded
///   BP4D-training/F001/T1/2440.jpg                zero padding of the number varies
/// Both folders may lie up to three levels below data.path and be spelled with other punctuation; the pictures may lie
/// in data.pictures instead. Subjects are F001 ..., M001 ...
DataFound read_bp4d(const DataRequest& request, DataLog& log);

/// DISFA:
///   ActionUnit_Labels/SN001/SN001_au1.txt         lines `frame,intensity`, frames from 1
///   Videos_LeftCamera/LeftVideoSN001_comp.avi     anywhere up to two levels below data.path, or in data.pictures
///   Landmark_Points/SN001/tmp_frame_lm/SN001_0000_lm.mat    frames from 0 here
DataFound read_disfa(const DataRequest& request, DataLog& log);

/// A video or a folder of pictures, labelled by a CSV of OpenFace's form (columns AU06_r or AU06, x_0 ..., frame from
/// 1, counting pictures in natural order; success; face_id, where rows of one frame are different faces if they have
/// landmarks). data.path may be a folder of such files; then data.pictures is a folder with a video or a folder of
/// pictures of the same name for each. The subject is the column `subject`, or the CSV's name.
DataFound read_openface(const DataRequest& request, DataLog& log);

/// A manifest.
DataFound read_manifest_data(const DataRequest& request, DataLog& log);
/// A pack (train/data/pack.h).
DataFound read_pack_data(const DataRequest& request, DataLog& log);

}  // namespace sandglass

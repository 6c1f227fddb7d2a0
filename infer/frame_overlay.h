// Frames of a video with what was read from them, for people: the heat of all AUs on the faces, each AU in a colour of
// its own, and beside the frame a panel for each face with its intensities, now and over the last ten seconds.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "face/heat.h"
#include "infer/prediction.h"

namespace sandglass {

struct FrameOverlayOptions {
  /// Makes all faces of a frame unrecognisable. Where the last one of a face was a second ago at most, it is hidden
  /// there, too: a detector misses a face now and then. What it never finds stays visible.
  bool anonymous = false;
};

/// Draws the frames of one video, in their order. The result is the frame with a strip of panels: at its right, or
/// below a frame that is higher than wide. Sizes of text and bars follow from the frame's.
class FrameOverlay {
 public:
  /// For frames of `height` x `width` pixels; `aus` as Weights::aus. What would be wider or higher than 4096 pixels,
  /// the most that many players decode, is drawn smaller. Throws Error if a size is below 1 or there is no AU.
  FrameOverlay(int height, int width, std::vector<std::string> aus, const FrameOverlayOptions& options = {});

  /// Size of the drawn pictures in pixels, the same for the whole video; even numbers.
  int height() const { return canvas_.image().height; }
  int width() const { return canvas_.image().width; }

  /// Draws a frame whose image was kept; faces without heatmaps get bars alone. Up to four faces have panels, each at
  /// the same place as long as it is seen; the others have heat, box and number. A frame of another size than the
  /// video's is fitted into its place. What is returned is valid until the next call. Throws Error if the frame has no
  /// image or no time, or a face has another number of AUs.
  const Image& draw(const PicturePrediction& frame);

 private:
  struct Rectangle {
    float left = 0, top = 0, right = 0, bottom = 0;  // edges; pixel centres at whole numbers
  };
  struct Sample {
    double seconds = 0;
    std::vector<float> intensities;
  };
  // A face that was seen in the last ten seconds.
  struct Track {
    int id = 0, slot = -1;  // of the strip's panels; -1: none
    std::deque<Sample> samples;
    FacePrediction last;  // as it was seen last, without its heatmaps
  };

  void lay_out(int height, int width);
  void remember(const PicturePrediction& frame, double seconds);
  void give_slots(double seconds);
  void draw_picture(const Image& image);
  void draw_heat(const FacePrediction& face);
  void draw_marks(const FacePrediction& face);
  void draw_box(const FacePrediction& face);
  void draw_strip(double seconds, int64_t number);
  void draw_panel(const Track& track, const Rectangle& area, double seconds);
  void draw_row(const Track& track, size_t k, const Rectangle& area, double seconds, bool seen);
  void draw_chart(const Track& track, size_t k, const Rectangle& area, double seconds);
  Point place(Point in_frame) const;

  const std::vector<std::string> aus_;
  const FrameOverlayOptions options_;
  std::vector<Colour> colours_;             // of the AUs
  float unit_ = 1;                          // size of the drawing: 1 in a frame of 480 lines
  int frame_height_ = 0, frame_width_ = 0;  // the frame's place, at the top left
  Rectangle strip_;
  int most_slots_ = 1, slots_ = 1;  // panels that fit; that were needed so far
  Canvas canvas_{1, 1, {}};
  float scale_ = 1;  // of the present frame
  HeatLayer heat_;
  std::vector<Track> tracks_;
};

}  // namespace sandglass

// Sums over pictures from which every figure of agreement between prediction and label follows. Sums of groups of
// pictures can be added, so that a bootstrap never goes through the pictures again.
#pragma once

#include <cstdint>
#include <limits>

namespace sandglass {

/// What agrees how well in n pairs of a prediction p and a label l. A figure that is not defined is NaN, all are
/// without a pair.
class Agreement {
 public:
  /// Adds a pair. Each of the two counts as "present" from `threshold` on.
  void add(double prediction, double label, double threshold);
  /// Adds all pairs of `other`, each `times` times.
  void add(const Agreement& other, int times = 1);

  int64_t count() const { return count_; }
  /// ICC(3,1): two-way mixed effects, consistency, single rater (Shrout & Fleiss, "Intraclass correlations: uses in
  /// assessing rater reliability", Psychological Bulletin 86(2), 1979): (BMS - EMS) / (BMS + (k - 1) EMS) with the mean
  /// squares between pictures and of the residual. For the k = 2 raters p and l, with the sums of squares S about the
  /// means, BMS = (Spp + Sll + 2 Spl) / (2 (n - 1)) and EMS = (Spp + Sll - 2 Spl) / (2 (n - 1)), so that
  ///   ICC(3,1) = 2 Spl / (Spp + Sll)
  /// Not defined where all labels are equal: there is nothing to agree about. 0 where all predictions are equal.
  double icc() const;
  /// Spl / sqrt(Spp Sll). Not defined where all labels or all predictions are equal.
  double pearson() const;
  /// Means of (p - l)^2 and |p - l|.
  double mse() const;
  double mae() const;
  /// 2 TP / (2 TP + FP + FN) of presence. Not defined where neither labels nor predictions ever reach the threshold.
  double f1() const;

 private:
  struct Range {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    void include(double from, double to);
    bool is_one_value() const { return low == high; }
  };

  int64_t count_ = 0, true_positives_ = 0, false_positives_ = 0, false_negatives_ = 0;
  double p_ = 0, l_ = 0, pp_ = 0, ll_ = 0, pl_ = 0;  // sums of p, l, p p, l l, p l
  double squared_ = 0, absolute_ = 0;                // sums of (p - l)^2 and |p - l|
  Range predictions_, labels_;
};

}  // namespace sandglass

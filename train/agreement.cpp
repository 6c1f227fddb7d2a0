#include "train/agreement.h"

#include <algorithm>
#include <cmath>

namespace sandglass {
namespace {

constexpr double kNotDefined = std::numeric_limits<double>::quiet_NaN();

}  // namespace

void Agreement::Range::include(double from, double to) {
  low = std::min(low, from);
  high = std::max(high, to);
}

void Agreement::add(double prediction, double label, double threshold) {
  const double error = prediction - label;
  const bool predicted = prediction >= threshold, present = label >= threshold;
  ++count_;
  true_positives_ += predicted && present;
  false_positives_ += predicted && !present;
  false_negatives_ += !predicted && present;
  p_ += prediction;
  l_ += label;
  pp_ += prediction * prediction;
  ll_ += label * label;
  pl_ += prediction * label;
  squared_ += error * error;
  absolute_ += std::abs(error);
  predictions_.include(prediction, prediction);
  labels_.include(label, label);
}

void Agreement::add(const Agreement& other, int times) {
  if (times == 0 || other.count_ == 0) return;
  count_ += times * other.count_;
  true_positives_ += times * other.true_positives_;
  false_positives_ += times * other.false_positives_;
  false_negatives_ += times * other.false_negatives_;
  p_ += times * other.p_;
  l_ += times * other.l_;
  pp_ += times * other.pp_;
  ll_ += times * other.ll_;
  pl_ += times * other.pl_;
  squared_ += times * other.squared_;
  absolute_ += times * other.absolute_;
  predictions_.include(other.predictions_.low, other.predictions_.high);
  labels_.include(other.labels_.low, other.labels_.high);
}

double Agreement::icc() const {
  if (count_ == 0 || labels_.is_one_value()) return kNotDefined;
  if (predictions_.is_one_value()) return 0;  // exactly, where the sums may leave a rounding error
  const double n = static_cast<double>(count_);
  return 2 * (pl_ - p_ * l_ / n) / (pp_ - p_ * p_ / n + ll_ - l_ * l_ / n);
}

double Agreement::pearson() const {
  if (count_ == 0 || labels_.is_one_value() || predictions_.is_one_value()) return kNotDefined;
  const double n = static_cast<double>(count_);
  const double spp = pp_ - p_ * p_ / n, sll = ll_ - l_ * l_ / n;
  if (!(spp > 0 && sll > 0)) return kNotDefined;  // differences that rounding has swallowed
  return std::clamp((pl_ - p_ * l_ / n) / std::sqrt(spp * sll), -1.0, 1.0);
}

double Agreement::mse() const { return count_ == 0 ? kNotDefined : squared_ / static_cast<double>(count_); }

double Agreement::mae() const { return count_ == 0 ? kNotDefined : absolute_ / static_cast<double>(count_); }

double Agreement::f1() const {
  const int64_t twice = 2 * true_positives_, all = twice + false_positives_ + false_negatives_;
  return all == 0 ? kNotDefined : static_cast<double>(twice) / static_cast<double>(all);
}

}  // namespace sandglass

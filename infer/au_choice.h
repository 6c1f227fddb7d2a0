// Some of a network's Action Units, in another order.
#pragma once

#include <string>
#include <vector>

#include "infer/prediction.h"
#include "model/weights.h"

namespace sandglass {

class AuChoice {
 public:
  /// `asked`: names as "AU12", "au12" or "12"; none: all that the network reads, under its own names. Throws Error
  /// naming `source`, the weights' file, if the network does not read one of them, or if one is asked for twice.
  AuChoice(const std::vector<std::string>& asked, const Weights& weights, const std::string& source);

  const std::vector<std::string>& names() const { return names_; }

  /// Leaves these alone, in this order.
  void apply(PicturePrediction& prediction) const;

 private:
  std::vector<std::string> names_;
  std::vector<size_t> places_;  // in the network
};

}  // namespace sandglass

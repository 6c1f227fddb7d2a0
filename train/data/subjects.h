// Which people of a data set a run uses.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace sandglass {

/// A choice of subjects, as data.train and data.validation name it.
class Subjects {
 public:
  /// "all", or names and preset lists separated by commas. The presets:
  ///   bp4d-train, bp4d-development         FERA 2015's split: F and M with odd and with even numbers
  ///   disfa-part1, disfa-part2, disfa-part3  three parts of nine people; two train, the third validates. Source: the
  ///                                        lists of JAA-Net (Shao et al., ECCV 2018), which most papers share
  /// Throws Error if `text` is empty or has an empty name.
  explicit Subjects(std::string_view text);

  bool all() const { return all_; }
  bool has(std::string_view subject) const { return all_ || names_.find(subject) != names_.end(); }
  /// Empty if all.
  const std::set<std::string, std::less<>>& names() const { return names_; }

 private:
  bool all_ = false;
  std::set<std::string, std::less<>> names_;
};

}  // namespace sandglass

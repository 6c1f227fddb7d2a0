#include "train/data/data_log.h"

#include <fmt/ostream.h>

#include <algorithm>

namespace sandglass {
namespace {

constexpr size_t kPrintedOfAKind = 3;

DataLog::Kind& find_or_add(std::vector<DataLog::Kind>& kinds, std::string_view name) {
  const auto found = std::find_if(kinds.begin(), kinds.end(), [&](const auto& kind) { return kind.name == name; });
  if (found != kinds.end()) return *found;
  kinds.push_back({std::string(name), 0, {}});
  return kinds.back();
}

}  // namespace

void DataLog::problem(const DataProblem& problem) {
  if (strict_) throw problem;
  Kind& kind = find_or_add(problems_, problem.kind);
  ++kind.count;
  kind.messages.push_back(problem.what());
}

void DataLog::leave_out(const char* kind, int64_t count) {
  if (count > 0) find_or_add(left_out_, kind).count += count;
}

void DataLog::print(std::ostream& out) const {
  for (const std::string& remark : remarks_) fmt::print(out, "note: {}\n", remark);
  for (const Kind& kind : left_out_) fmt::print(out, "left out: {}: {}\n", kind.name, kind.count);
  for (const Kind& kind : problems_) {
    fmt::print(out, "problem: {}: {}\n", kind.name, kind.count);
    const size_t printed = std::min(kPrintedOfAKind, kind.messages.size());
    for (size_t i = 0; i < printed; ++i) fmt::print(out, "  {}\n", kind.messages[i]);
    const size_t more = kind.messages.size() - printed;
    if (more > 0) fmt::print(out, "  and {} more (`sandglass data check --json FILE` lists them all)\n", more);
  }
}

}  // namespace sandglass

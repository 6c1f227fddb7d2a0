#include "train/data/frame_codes.h"

#include <algorithm>

#include "engine/error.h"
#include "engine/file.h"
#include "engine/tensor_file.h"
#include "train/data/columns.h"
#include "train/manifest.h"

namespace sandglass {
namespace {

FrameCode read_code(const CsvRecord& record, const std::string& source, int not_coded) {
  const auto quoted = [&](size_t i) { return in_quotes(std::string(record.fields[i])); };
  if (record.fields.size() != 2) {
    reject(kBadRow, "{}, row {}: {} fields, expected two: frame,code", source, record.line, record.fields.size());
  }
  const std::optional<int> frame = parse_count(record.fields[0]);
  if (!frame) {
    reject(kBadRow, "{}, row {}: {} is not the number of a frame", source, record.line, quoted(0));
  }
  FrameCode code{*frame, kNotCoded, record.line};
  if (record.fields[1].empty()) return code;
  const auto value = parse_number(record.fields[1]);
  if (value && not_coded >= 0 && *value == not_coded) return code;
  if (!value || *value < 0 || *value > 5) {
    reject(kBadLabel, "{}, row {}: the code {} is not 0 to 5{}", source, record.line, quoted(1),
           not_coded >= 0 ? fmt::format(", or {} for not coded", not_coded) : "");
  }
  code.code = static_cast<float>(*value);
  return code;
}

}  // namespace

std::vector<FrameCode> read_frame_codes(const std::filesystem::path& path, int not_coded, DataLog& log) {
  const std::string text = read_file(path), source = path.string();
  CsvReader reader(text, source);
  CsvRecord record;
  std::vector<FrameCode> codes;
  for (bool more = true; more;) {
    const bool good = log.attempt(kBadRow, [&] {
      more = reader.next(record);
      if (more) codes.push_back(read_code(record, source, not_coded));
    });
    if (!good) reader.skip_line();
  }
  const auto by_frame = [](const FrameCode& a, const FrameCode& b) { return a.frame < b.frame; };
  std::stable_sort(codes.begin(), codes.end(), by_frame);
  const auto again = std::unique(codes.begin(), codes.end(), [&](const FrameCode& first, const FrameCode& second) {
    if (first.frame != second.frame) return false;
    log.problem(kBadRow, "{}, row {}: frame {} occurs again (first in row {})", source, second.line, second.frame,
                first.line);
    return true;
  });
  codes.erase(again, codes.end());
  return codes;
}

std::vector<CodedFrame> merge_codes(const std::vector<std::vector<FrameCode>>& codes) {
  std::vector<CodedFrame> frames;
  std::vector<size_t> at(codes.size());
  for (;;) {
    const FrameCode* next = nullptr;
    size_t first = 0;
    for (size_t i = 0; i < codes.size(); ++i) {
      if (at[i] == codes[i].size() || (next && codes[i][at[i]].frame >= next->frame)) continue;
      next = &codes[i][at[i]];
      first = i;
    }
    if (!next) return frames;
    CodedFrame& frame = frames.emplace_back();
    frame.frame = next->frame;
    frame.file = first;
    frame.line = next->line;
    frame.intensities.assign(codes.size(), kNotCoded);
    for (size_t i = 0; i < codes.size(); ++i) {
      if (at[i] == codes[i].size() || codes[i][at[i]].frame != frame.frame) continue;
      frame.intensities[i] = codes[i][at[i]++].code;
    }
  }
}

}  // namespace sandglass

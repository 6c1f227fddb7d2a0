#include "bench/kernels/contest.h"

namespace sandglass::bench {

std::string left_out(const std::string& text, const std::string& part) {
  const Line whole = parse_line(text), rest = parse_line(part);
  std::string options;
  for (const std::string& option : whole.options)
    if (!rest.has(option)) options += (options.empty() ? "without " : ", ") + option;
  return options;
}

const OperationTable& operations() {
  static const OperationTable table = [] {
    OperationTable all;
    add_conv(all);
    add_batch_norm(all);
    add_residual(all);
    add_max_pool(all);
    add_upsample(all);
    add_loss(all);
    add_peak(all);
    add_warp(all);
    add_optimizer(all);
    return all;
  }();
  return table;
}

}  // namespace sandglass::bench

#include "cli/network_flags.h"

#include "face/au_points.h"

namespace sandglass {

void add_network(CLI::App& app, NetworkFlags& flags) {
  app.add_option("--batch", flags.batch, "pictures a step (default: 1 for infer, the setting `batch` for train)")
      ->type_name("N")
      ->check(within(1, 4096));
  add_device(app, flags.device);
  add_config(app, flags.config);
}

TrainingNetworkOptions training_options(const TrainingConfig& config, int batch) {
  const AuTable table = config.au_points.empty() ? default_au_table() : read_au_table(config.au_points);
  size_t points = 1;
  for (const std::string& au : config.aus) points = std::max(points, table.find(au).places.size());
  TrainingNetworkOptions options;
  options.network = config.network();
  options.batch = batch;
  options.heatmap = config.heatmap(static_cast<int>(points));
  options.optimizer = config.optimizer_kind();
  options.loss = config.loss();
  options.max_pixel_bytes = pixel_bytes(config, batch);
  return options;
}

}  // namespace sandglass

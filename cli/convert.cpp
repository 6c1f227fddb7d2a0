#include <fmt/format.h>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "engine/error.h"
#include "engine/output_file.h"
#include "face/au_points.h"
#include "model/onnx_export.h"

namespace sandglass {
namespace {

struct ConvertFlags {
  std::filesystem::path in, out;
  std::vector<std::string> aus;
  int input_size = 0;
  bool keep_batch_norm = false, force = false;
};

int convert(const ConvertFlags& flags) {
  const bool onnx = flags.out.extension() == ".onnx";
  check(onnx || flags.out.extension() == ".safetensors",
        "{}: weights are written as .safetensors (PyTorch reads them with safetensors.torch.load_file) or .onnx",
        flags.out.string());
  check(onnx || !flags.keep_batch_norm, "{}: --keep-batch-norm is for .onnx; a .safetensors file always has batch norm",
        flags.out.string());
  check_not_there(flags.out, flags.force);
  Weights weights = read_weights(flags.in);
  if (!flags.aus.empty()) {
    check(flags.aus.size() == weights.aus.size(), "--aus names {} Action Units, but {} has {} heatmaps",
          flags.aus.size(), flags.in.string(), weights.aus.size());
    for (size_t k = 0; k < weights.aus.size(); ++k) weights.aus[k] = normalise_au_name(flags.aus[k]);
    check_au_names(weights.aus, "--aus");
  }
  if (flags.input_size > 0) weights.config.input_size = flags.input_size;
  weights.config.check();
  if (onnx) {
    OnnxModel model = to_onnx(weights, flags.keep_batch_norm);
    model.producer_version = kVersion;
    write_onnx(flags.out, model);
  } else {
    write_weights(flags.out, weights);
  }
  return 0;
}

}  // namespace

Command add_convert(CLI::App& program) {
  CLI::App* app = program.add_subcommand("convert", "Write weights as .safetensors, or the network as .onnx");
  auto flags = std::make_shared<ConvertFlags>();
  app->add_option("IN", flags->in, "weights in any format that Sandglass reads")->type_name("")->required();
  app->add_option("OUT", flags->out, "the .safetensors or .onnx file to write")->type_name("")->required();
  app->add_option("--aus", flags->aus, "names of the heatmaps' Action Units, where IN does not say them")
      ->type_name("AU06,AU10,...")
      ->delimiter(',')
      ->allow_extra_args(false);
  app->add_option("--input-size", flags->input_size, "pixels of the network's input, where IN does not say it")
      ->type_name("PIXELS")
      ->check(within(8, 4096));
  app->add_flag(
      "--keep-batch-norm", flags->keep_batch_norm,
      "in .onnx leave batch norm as nodes of its own, so that the weights can be read back, instead of folding "
      "it into the convolutions");
  add_force(*app, flags->force);
  return {app, [flags] { return convert(*flags); }};
}

}  // namespace sandglass

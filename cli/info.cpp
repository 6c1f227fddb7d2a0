#include <fmt/ranges.h>
#include <omp.h>
#include <toml++/impl/version.h>
#include <CLI/Version.hpp>

#include <cstdlib>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/build_info.h"
#include "cli/library_versions.h"
#include "cli/network_flags.h"
#include "engine/error.h"
#include "engine/onnx_file.h"
#include "face/detector.h"
#include "face/landmark_files.h"
#include "face/video.h"
#include "kernels/operation.h"
#include "model/inference_network.h"
#include "model/training_network.h"
#ifdef SANDGLASS_DLIB
#include <dlib/revision.h>
#endif
#ifdef SANDGLASS_LIBZIP
#include <zipconf.h>
#endif

namespace sandglass {
namespace {

struct InfoFlags {
  std::filesystem::path file;
  bool tensors = false, plan = false, operations = false;
  NetworkFlags network;
};

void print_program() {
  fmt::print("sandglass {}{}\n", kVersion, *kCommit ? fmt::format(" ({})", kCommit) : "");
  fmt::print("built with {}, {}{}{}\n\n", kCompiler, kBuildType,
             kNative ? ", for this kind of processor" : ", for any processor",
             *kSanitizers ? fmt::format(", sanitizers {}", kSanitizers) : "");
  fmt::print("devices\n");
  for (const DeviceKind kind : {DeviceKind::cpu, DeviceKind::cuda, DeviceKind::simt}) {
    const std::string reason = why_unavailable(kind);
    fmt::print("  {:<6}{}\n", name_of(kind), reason.empty() ? open_device(kind)->description() : "not here: " + reason);
  }

  fmt::print("\nlibraries\n");
  const auto print = [](const char* library, const std::string& version) {
    fmt::print("  {:<16}{}\n", library, version);
  };
  const auto print_or = [&](const char* library, const std::string& version, const char* consequence) {
    print(library, version.empty() ? fmt::format("left out of this build: {}", consequence) : version);
  };
  print_or("oneDNN", onednn_version(), "the cpu device has no convolutions, so no networks");
  print_or("cuDNN", cudnn_version_or_none(), "no --conv cudnn");
  print_or("cuBLAS", cublas_version_or_none(), "no --conv cublas");
#ifdef SANDGLASS_DLIB
  print("dlib", fmt::format("{}.{}", DLIB_MAJOR_VERSION, DLIB_MINOR_VERSION));
#else
  print("dlib", "left out of this build: faces are not found, landmarks must be given");
#endif
#ifdef SANDGLASS_LIBZIP
  print("libzip", LIBZIP_VERSION);
#else
  print("libzip", "left out of this build: PyTorch's zip files (.pth) cannot be read");
#endif
  print_or("ONNX", onnx_version(), "ONNX files are neither read nor written");
  print_or("FFmpeg", Video::library_version(), "videos cannot be read");
  print_or("matio", mat_library_version(), "DISFA's landmarks cannot be read");
#ifndef SANDGLASS_LIBJPEG
  print("libjpeg", "left out of this build: JPEG files are not written");
#endif
  print("{fmt}", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100));
  print("JSON for C++",
        fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH));
  print("toml++", fmt::format("{}.{}.{}", TOML_LIB_MAJOR, TOML_LIB_MINOR, TOML_LIB_PATCH));
  print("CLI11", CLI11_VERSION);
  print("OpenMP", fmt::format("{}, up to {} threads", _OPENMP, omp_get_max_threads()));

  fmt::print("\nlandmark model\n  ");
  try {
    const FaceDetector detector;
    fmt::print("found; pictures without given landmarks can be read\n");
  } catch (const Error& error) {
    fmt::print("{}\n", error.what());
  }
}

void print_network(const TensorFile& file, const std::string& source) {
  const Weights weights = from_tensors(file, source);
  const NetworkConfig& config = weights.config;
  fmt::print("  {} network: width {}, depth {}, input {} x {}, {} parameters\n", name_of(config.head), config.width,
             config.depth, config.input_size, config.input_size, ParameterTable(config).parameter_count());
  if (config.head == Head::regression)
    fmt::print("  intensities: {}\n", fmt::join(weights.aus, ", "));
  else
    fmt::print("  heatmaps: {} ({} x {})\n", fmt::join(weights.aus, ", "), config.map_size(), config.map_size());
  const auto run = file.metadata.find("sandglass.run");
  if (run == file.metadata.end()) return;
  const nlohmann::json position = nlohmann::json::parse(run->second, nullptr, false);
  if (position.is_object() && position.contains("step"))
    fmt::print("  checkpoint of a training run after step {}\n", position["step"].dump());
}

void print_file(const InfoFlags& flags) {
  const TensorFile file = read_tensor_file(flags.file);
  size_t bytes = 0;
  for (const HostTensor& tensor : file.tensors) bytes += tensor.bytes.size();
  fmt::print("{}\n  {} tensors, {:.1f} MiB\n", flags.file.string(), file.tensors.size(),
             static_cast<double>(bytes) / (1 << 20));
  try {
    print_network(file, "this file");
  } catch (const Error& error) {  // other files of tensors are welcome here, too
    fmt::print("  not the weights of a heatmap network ({})\n", error.what());
  }
  for (const auto& [key, value] : file.metadata) {
    if (key.starts_with("sandglass.")) continue;
    const size_t line = std::min(value.find('\n'), size_t{100});
    fmt::print("  {}: {}{}\n", in_quotes(key), value.substr(0, line), value.size() > line ? " ..." : "");
  }
  if (!flags.tensors) return;
  for (const HostTensor& tensor : file.tensors)
    fmt::print("  {:<40} {:<9} [{}]\n", tensor.name, name_of(tensor.type), fmt::join(tensor.shape, ", "));
}

// Makes the network that the flags ask for, with the configuration that they name, and hands it to `use`.
template <typename Use>
void with_network(const NetworkFlags& flags, const TrainingConfig& config, Device& device, const Use& use) {
  const int batch = flags.batch_size(config);
  const Weights weights = initial_weights(config.network(), config.aus, config.seed);
  if (flags.training())
    use(TrainingNetwork(device, training_options(config, batch), weights));
  else
    use(InferenceNetwork(device, weights, batch, pixel_bytes(config, batch)));
}

void print_plan(const NetworkFlags& flags) {
  const TrainingConfig config = flags.config.read();
  const auto device = open_device(flags.device);
  fmt::print("{}, width {}, depth {}, input {} x {}, {} heatmaps, batch {}, on {}\n", flags.mode, config.width,
             config.depth, config.input_size, config.input_size, config.aus.size(), flags.batch_size(config),
             name_of(device->kind()));
  with_network(flags, config, *device, [](const auto& network) {
    fmt::print("{}device memory in all, parameters included: {:.1f} MiB\n", network.plan().report(),
               static_cast<double>(network.device_bytes()) / (1 << 20));
  });
}

void print_operations(const NetworkFlags& flags) {
  const TrainingConfig config = flags.config.read();
  const auto device = open_device(flags.device);
  std::vector<std::string> log;
  operation_log = &log;
  with_network(flags, config, *device, [](const auto&) {});
  operation_log = nullptr;
  std::map<std::string, int> times;
  for (const std::string& operation : log) ++times[operation];
  for (const auto& [operation, count] : times) fmt::print("{:>3} {}\n", count, operation);
}

int info(const InfoFlags& flags) {
  if (flags.plan) {
    print_plan(flags.network);
  } else if (flags.operations) {
    print_operations(flags.network);
  } else if (!flags.file.empty()) {
    print_file(flags);
  } else {
    print_program();
  }
  return 0;
}

}  // namespace

Command add_info(CLI::App& program) {
  CLI::App* app =
      program.add_subcommand("info", "Show devices and libraries, what is in a file of weights, or a memory plan");
  auto flags = std::make_shared<InfoFlags>();
  CLI::Option* file =
      app->add_option("FILE", flags->file,
                      "weights or a checkpoint (.safetensors, .pth, .pth.tar, .onnx): show what it holds")
          ->type_name("");
  app->add_flag("--tensors", flags->tensors, "list its tensors, too")->needs(file);
  CLI::Option* plan =
      app->add_flag("--plan", flags->plan, "show where each buffer of a network lies in memory, and when it is in use")
          ->excludes(file);
  CLI::Option* operations =
      app->add_flag("--operations", flags->operations,
                    "list the operations that a network consists of, how often each is there, with shape and options")
          ->excludes(file)
          ->excludes(plan);
  app->add_option("--mode", flags->network.mode, "of --plan and --operations: infer or train")
      ->type_name("infer|train")
      ->check(one_of({"infer", "train"}))
      ->capture_default_str();
  add_network(*app, flags->network);
  const auto of_a_network = [=](const char* name) {
    app->get_option(name)->check(CLI::Validator(
        [=](std::string&) { return plan->count() || operations->count() ? "" : "it goes with --plan or --operations"; },
        ""));
  };
  for (const char* name : {"--mode", "--batch", "--device", "--config", "--set"}) of_a_network(name);
  return {app, [flags] { return info(*flags); }};
}

}  // namespace sandglass

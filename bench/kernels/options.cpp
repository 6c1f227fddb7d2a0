#include "bench/kernels/options.h"

#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <regex>

#include "bench/kernels/contest.h"
#include "bench/kernels/peers/cudnn.h"
#include "bench/kernels/peers/onednn.h"
#include "engine/error.h"

namespace sandglass::bench {
namespace {

constexpr const char* kAbout =
    "Times every operation of a network by itself, checks it against float64 first, and compares it with other\n"
    "libraries on the same data, by turns. Each row is one operation, precision, shape, options and library:\n"
    "  conv_forward/bf16/n32_h64_w64_c128_k128_r3_s3_stride1/transform/statistics/sandglass\n"
    "A peer that lacks an option of the operation is timed without it, and says so. Ratios are Sandglass's time / the\n"
    "peer's: medians of the ratios of neighbouring samples.";

constexpr const char* kExamples =
    "Examples:\n"
    "  sandglass_bench --device cuda --precisions bf16 --batches 32 --benchmark_out=kernels.json\n"
    "  sandglass_bench --batches 1 --benchmark_filter='conv_forward.*_r3_.*/(sandglass|onednn)$'\n"
    "  sandglass_bench --list --device simt --precisions bf16 --batches 32 --bandwidth 3000 --rate 798\n"
    "Ends with 0, 1 if a result was wrong or nothing could be measured, 2 for wrong usage.";

// As it can be pasted into a shell.
std::string quoted(const std::string& word) {
  const bool plain = !word.empty() && word.find_first_not_of(
                                          "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789_-./,=:") == std::string::npos;
  if (plain) return word;
  std::string text = "'";
  for (const char letter : word) text += letter == '\'' ? "'\\''" : std::string(1, letter);
  return text + "'";
}

std::string environment(DeviceKind device) {
  return device == DeviceKind::cuda ? "" : fmt::format("OMP_NUM_THREADS={} ", omp_get_max_threads());
}

}  // namespace

Libraries libraries_of(DeviceKind device) {
  Libraries all{{kSandglass}, {}};
  const auto add = [&all](const char* name, const std::string& missing) {
    if (missing.empty())
      all.there.push_back(name);
    else
      all.missing.push_back({name, missing});
  };
  if (device == DeviceKind::cpu) add("onednn", has_onednn() ? "" : "this build has no oneDNN");
  if (device == DeviceKind::cuda) {
    add("cudnn", why_unavailable(ConvLibrary::cudnn));
    add("cudnn_engines", has_cudnn() ? "" : why_unavailable(ConvLibrary::cudnn));
    add("cublas", why_unavailable(ConvLibrary::cublas));
  }
  return all;
}

std::string Options::repro_of(const std::string& name, Precision precision, int batch) const {
  std::string text = fmt::format("{}sandglass_bench --device {} --precisions {} --batches {}", environment(device),
                                 name_of(device), name_of(precision), batch);
  if (shapes != Options().shapes) text += " --shapes " + quoted(shapes.string());
  if (small) text += " --small";
  if (cold) text += " --cold";
  if (seconds != Options().seconds) text += fmt::format(" --seconds {:g}", seconds);
  return text + fmt::format(" --benchmark_filter='^{}$'", name);
}

std::optional<Options> parse_options(int argc, char** argv, int* exit_code) {
  Options options;
  std::string device = "auto";
  std::vector<std::string> precisions;
  CLI::App app(kAbout, "sandglass_bench");
  app.footer(kExamples);
  app.add_option("--device", device, "auto: cuda where there is a GPU, else cpu; simt is for trying the program out")
      ->check(CLI::IsMember({"auto", "cpu", "cuda", "simt"}))
      ->capture_default_str();
  app.add_option("--precisions", precisions, "fp32,tf32,bf16; default: all on cuda, else fp32")
      ->delimiter(',')
      ->check(CLI::IsMember({"fp32", "tf32", "bf16"}))
      ->type_name("LIST");
  app.add_option("--batches", options.batches, "pictures at once; default: 1,32 on cuda, 1,4 on cpu, 1 on simt")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 16))
      ->type_name("LIST");
  app.add_option(
         "--libraries", options.libraries,
         "sandglass, and on cpu onednn; on cuda cudnn (as --conv cudnn), cudnn_engines (its fastest engine, bare "
         "convolutions), cublas; default: all of the device")
      ->delimiter(',')
      ->check(CLI::IsMember({"sandglass", "onednn", "cudnn", "cudnn_engines", "cublas"}))
      ->type_name("LIST");
  app.add_option("--shapes", options.shapes, "a list as `sandglass info --operations` prints it")
      ->type_name("FILE")
      ->capture_default_str();
  app.add_flag("--small", options.small, "the same operations with small pictures and few channels");
  app.add_flag("--cold", options.cold,
               "each run takes other buffers, of at least twice the last cache's size in all; without it runs take the "
               "same buffers, and what fits into the caches stays there");
  app.add_option("--seconds", options.seconds, "to measure each row for")
      ->check(CLI::Range(0.0, 3600.0))
      ->type_name("S")
      ->capture_default_str();
  app.add_option("--bandwidth", options.gigabytes_per_s, "the memory's ceiling instead of a measured one")
      ->check(CLI::Range(1e-3, 1e9))
      ->type_name("GB/s");
  app.add_option("--rate", options.teraflops_per_s, "the arithmetic's ceiling instead of a measured one")
      ->check(CLI::Range(1e-6, 1e9))
      ->type_name("TFLOP/s");
  app.add_flag(
      "--list", options.list,
      "print each row's bytes, operations and least time and their sums for a network, and measure nothing but the "
      "ceilings");
  app.add_flag("--repro", options.repro, "print the command that repeats each row");
  app.add_option("--benchmark_filter", options.filter, "only rows whose name matches; -REGEX: those that do not")
      ->type_name("REGEX");
  app.add_option("--benchmark_out", options.out, "write context and rows here, renewed about every second")
      ->type_name("FILE.json");
  app.add_flag("--benchmark_list_tests", options.names, "print the rows' names");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    *exit_code = 0;
    return {};
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "sandglass_bench: error: {}; see sandglass_bench --help\n", one_line(error.what()));
    *exit_code = 2;
    return {};
  }
  std::vector<std::string> words;
  for (int i = 0; i < argc; ++i) words.push_back(quoted(i == 0 ? "sandglass_bench" : argv[i]));
  options.device = parse_device_kind(device);
  const std::string unavailable = why_unavailable(options.device);
  check(unavailable.empty(), "device '{}' is not available: {}", device, unavailable);
  options.command = fmt::format("{}{}", environment(options.device), fmt::join(words, " "));
  const bool gpu = options.device == DeviceKind::cuda;
  const auto usage_error = [exit_code](const std::string& what) {
    fmt::print(stderr, "sandglass_bench: error: {}; see sandglass_bench --help\n", one_line(what));
    *exit_code = 2;
    return std::optional<Options>();
  };
  try {
    std::regex(options.filter.substr(options.filter.starts_with("-")));
  } catch (const std::regex_error& error) {
    return usage_error(fmt::format("--benchmark_filter {}: no regular expression: {}", options.filter, error.what()));
  }
  if (options.cold && options.device == DeviceKind::simt)
    return usage_error("--cold is not for --device simt, whose times tell nothing of caches");
  if (precisions.empty())
    precisions = gpu ? std::vector<std::string>{"bf16", "tf32", "fp32"} : std::vector<std::string>{"fp32"};
  for (const std::string& precision : precisions) options.precisions.push_back(parse_precision(precision));
  if (options.batches.empty())
    options.batches = gpu ? std::vector{1, 32} : options.device == DeviceKind::cpu ? std::vector{1, 4} : std::vector{1};
  return options;
}

}  // namespace sandglass::bench

// sandglass_bench as a user runs it.
#include <nlohmann/json.hpp>

#include "engine/device.h"
#include "tests/cli/program.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

class Bench : public ProgramTest {
 protected:
  std::vector<std::string> small(std::vector<std::string> more) const {
    more.insert(more.begin(), {"--small", "--batches", "1", "--seconds", "0", "--bandwidth", "1", "--rate", "1"});
    return more;
  }
  static std::string one_line(const Finished& finished) {
    EXPECT_EQ(std::count(finished.err.begin(), finished.err.end(), '\n'), 1) << finished.err;
    return finished.err;
  }
};

// Each device that is there: all rows, right results, a file with all that it promises.
TEST_F(Bench, runs_and_writes_json) {
  for (const char* device : {"cpu", "simt"}) {
    if (!why_unavailable(device == std::string("cpu") ? DeviceKind::cpu : DeviceKind::simt).empty()) continue;
    const std::string file = path("out.json");
    const Finished finished = run(small({"--device", device, std::string("--benchmark_out=") + file}));
    EXPECT_EQ(finished.code, 0) << finished.out << finished.err;
    EXPECT_THAT(finished.out, HasSubstr("rows measured"));
    const auto json = nlohmann::json::parse(content_of(file));
    for (const char* field :
         {"date", "device", "description", "threads", "system", "version", "commit", "compiler", "onednn", "cudnn",
          "cublas", "cuda_driver", "last_level_cache_bytes", "clocks", "command", "cache", "ceilings_are"})
      EXPECT_TRUE(json["context"].contains(field)) << field;
    EXPECT_EQ(json["context"]["device"], device);
    std::set<std::string> operations;
    for (const auto& row : json["benchmarks"]) {
      operations.insert(row["operation"]);
      EXPECT_FALSE(row.value("wrong", false)) << row;
      EXPECT_THAT(row["repro"].get<std::string>(), HasSubstr(row["name"].get<std::string>()));
      if (row.contains("error_message")) continue;
      EXPECT_GT(row["real_time"], 0) << row;
      EXPECT_GT(row["bytes"], 0) << row;
    }
    EXPECT_EQ(operations.size(), 20u);
    EXPECT_TRUE(unfinished_files().empty());
  }
}

TEST_F(Bench, a_row_is_repeated_by_its_command) {
  const Finished finished =
      run(small({"--device", "cpu", "--repro", "--benchmark_filter", "^peak/fp32/1x16x16x5/plain/sandglass$"}));
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("sandglass_bench --device cpu --precisions fp32 --batches 1 --small --seconds 0 "
                                      "--benchmark_filter='^peak/fp32/1x16x16x5/plain/sandglass$'"));
  EXPECT_THAT(finished.out, HasSubstr("\n1 rows measured"));
}

TEST_F(Bench, a_filter_that_nothing_matches_is_an_error) {
  const Finished finished = run(small({"--device", "cpu", "--benchmark_filter=no_such_row"}));
  EXPECT_EQ(finished.code, 1);
  EXPECT_THAT(one_line(finished), HasSubstr("no row matches --benchmark_filter no_such_row"));
}

TEST_F(Bench, wrong_usage_ends_with_2) {
  for (const std::vector<std::string>& flags : std::vector<std::vector<std::string>>{{"--frobnicate"},
                                                                                     {"--device", "tpu"},
                                                                                     {"--batches", "0"},
                                                                                     {"--benchmark_filter", "(("},
                                                                                     {"--seconds", "x"}}) {
    const Finished finished = run(flags);
    EXPECT_EQ(finished.code, 2) << flags[0];
    EXPECT_THAT(one_line(finished), testing::StartsWith("sandglass_bench: error: "));
  }
  EXPECT_EQ(run({"--help"}).code, 0);
}

// The rest goes on, and the end of the report tells what was left out and why.
TEST_F(Bench, what_cannot_be_measured_is_listed) {
  const std::string list = write("list.txt",
                                 "[infer]\n 1 frobnicate/1x8x8x5\n 1 conv_forward/n1_h4\n 1 max_pool_forward/1x1x1x8\n"
                                 " 1 peak/1x8x8x5\n");
  const Finished finished = run({"--device", "cpu", "--batches", "1", "--seconds", "0", "--shapes", list, "--libraries",
                                 "sandglass,cublas", "--precisions", "fp32,bf16"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("\n1 rows measured"));
  EXPECT_THAT(finished.out, HasSubstr("moved"));  // the ceilings were measured
  EXPECT_THAT(finished.out, HasSubstr("left out: cublas: "));
  EXPECT_THAT(finished.out, HasSubstr("left out: bf16: the cpu device has no precision 'bf16'"));
  EXPECT_THAT(finished.out, HasSubstr("left out: frobnicate/1x8x8x5: no such operation"));
  EXPECT_THAT(finished.out, HasSubstr("left out: conv_forward/n1_h4: "));
  EXPECT_THAT(finished.out, HasSubstr("max_pool_forward: x is 1x1x1x8, it must be at least 2 pixels"));
  const Finished nowhere =
      run(small({"--device", "cpu", "--benchmark_filter", "^peak", "--benchmark_out", "/no/such/folder/x"}));
  EXPECT_EQ(nowhere.code, 1);
  EXPECT_THAT(one_line(nowhere), HasSubstr("/no/such/folder"));
  const Finished broken = run({"--device", "cpu", "--shapes", write("broken.txt", "[infer]\nx peak/1x8x8x5\n")});
  EXPECT_EQ(broken.code, 1);
  EXPECT_THAT(one_line(broken), HasSubstr("broken.txt:2: "));
}

TEST_F(Bench, lists_rows_and_their_least_times_without_measuring) {
  const Finished names = run(small({"--device", "cpu", "--benchmark_list_tests", "--benchmark_filter", "^peak"}));
  EXPECT_EQ(names.out, "peak/fp32/1x16x16x5/plain/sandglass\n");
  const Finished list = run(small({"--device", "cpu", "--list", "--benchmark_filter", "^gradient_norm"}));
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, HasSubstr("4.00 memory"));  // 1000 floats at 1 GB/s: 4 microseconds
}

}  // namespace
}  // namespace sandglass

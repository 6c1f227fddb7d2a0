// The commands one after the other, on tiny data.
#include <nlohmann/json.hpp>

#include <cmath>

#include "engine/onnx_file.h"
#include "engine/safetensors.h"
#include "tests/cli/program.h"

namespace sandglass {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST_F(ProgramTest, SyntheticFacesTrainEvaluateInfer) {
  const Finished synth =
      run({"synth", "--out", path("faces"), "--subjects", "2", "--images-per-subject", "6", "--size", "96"});
  ASSERT_EQ(synth.code, 0) << synth.err;
  const std::string manifest = path("faces/manifest.csv");
  ASSERT_TRUE(exists("faces/manifest.csv"));
  const Finished again = run({"synth", "--out", path("faces")});
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.err, OneErrorLineWith("manifest.csv exists already"));

  write("tiny.toml", "width = 16\ndepth = 2\ninput_size = 64\nepochs = 1\nbatch = 4\nworkers = 1\n");
  const std::vector<std::string> train{"train",     "--train",  manifest,          "--val", manifest, "--out",
                                       path("run"), "--config", path("tiny.toml"), "--set", "lr=1e-3"};
  const Finished trained = run(train);
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_THAT(trained.out, HasSubstr("ICC"));
  for (const char* name : {"config.toml", "metrics.jsonl", "best.safetensors", "last.safetensors"})
    EXPECT_TRUE(exists(std::string("run/") + name)) << name;
  EXPECT_THAT(content_of(folder / "run/config.toml"), HasSubstr("lr = 0.001"));
  const Finished refused = run(train);
  EXPECT_EQ(refused.code, 1);
  EXPECT_THAT(refused.err, OneErrorLineWith("holds a run already"));
  std::vector<std::string> resume = train;
  resume.push_back("--resume");
  EXPECT_EQ(run(resume).code, 0);

  const std::string weights = path("run/best.safetensors");
  EXPECT_THAT(run({"info", weights}).out, HasSubstr("width 16, depth 2, input 64 x 64"));
  EXPECT_THAT(run({"info", path("run/checkpoint.safetensors")}).out, HasSubstr("after step 3"));

  const Finished evaluated = run({"eval", "--weights", weights, "--data", manifest, "--json", path("eval.json")});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_THAT(evaluated.out, HasSubstr("AU12"));
  const json figures = json::parse(content_of(folder / "eval.json"));
  EXPECT_EQ(figures["pictures"], 12);
  EXPECT_TRUE(figures["aus"]["AU12"].contains("mse"));
  EXPECT_EQ(figures["intervals"]["over"], "2 subjects");
  const std::vector<std::string> to_csv{"eval", "--weights",   weights, "--data",     manifest, "--csv",
                                        "-",    "--bootstrap", "0",     "--misalign", "0,8"};
  const Finished table = run(to_csv);
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_TRUE(table.out.starts_with("au,misalignment_px,count,icc,")) << table.out;
  EXPECT_THAT(table.out, HasSubstr("\nmean,8,,"));

  EXPECT_THAT(trained.out, HasSubstr("report: " + path("run/report.html")));
  std::filesystem::remove(folder / "run/report.html");
  const Finished one = run({"report", path("run")});
  ASSERT_EQ(one.code, 0) << one.err;
  EXPECT_THAT(content_of(folder / "run/report.html"), HasSubstr("Predicted against coded intensity"));
  const Finished both = run({"report", path("run"), path("run/"), "--out", path("both.html")});
  ASSERT_EQ(both.code, 0) << both.err;
  EXPECT_THAT(content_of(folder / "both.html"), HasSubstr("2 runs compared"));
  write("both.html", "mine");
  std::vector<std::string> compare{"report", path("run"), path("run/"), "--out", path("both.html")};
  EXPECT_THAT(run(compare).err, OneErrorLineWith("both.html: is there already; name another file, or give --force"));
  EXPECT_EQ(content_of(folder / "both.html"), "mine");
  compare.push_back("--force");
  EXPECT_EQ(run(compare).code, 0);
  EXPECT_THAT(content_of(folder / "both.html"), HasSubstr("2 runs compared"));
  EXPECT_EQ(run({"report", path("run")}).code, 0);      // the run's own page
  const std::string odd = path("odd\xff.safetensors");  // a name that JSON cannot hold as it is
  std::filesystem::copy_file(weights, odd);
  EXPECT_EQ(run({"eval", "--weights", odd, "--data", manifest, "--json", path("odd.json")}).code, 0);
  EXPECT_EQ(json::parse(content_of(folder / "odd.json"))["pictures"], 12);

  const Finished inferred = run({"infer", "--weights", weights, path("faces"), "--landmarks", manifest, "--json",
                                 path("infer.json"), "--overlay", path("overlay")});
  ASSERT_EQ(inferred.code, 0) << inferred.err;
  const json results = json::parse(content_of(folder / "infer.json"));
  ASSERT_EQ(results["inputs"].size(), 12u);
  for (const json& input : results["inputs"]) {
    ASSERT_EQ(input["faces"].size(), 1u);
    EXPECT_EQ(input["faces"][0]["aus"].size(), 5u);
  }
  // What eval and infer say about the same pictures agrees: the mean squared error from infer's intensities and the
  // labels.
  std::istringstream rows(content_of(folder / "faces/manifest.csv"));
  std::string row;
  std::getline(rows, row);
  ASSERT_TRUE(row.starts_with("image,subject,AU06,"));
  double sum = 0;
  for (const json& input : results["inputs"]) {
    ASSERT_TRUE(std::getline(rows, row));
    std::istringstream fields(row);
    std::string image, subject, label;
    std::getline(fields, image, ',');
    std::getline(fields, subject, ',');
    std::getline(fields, label, ',');
    EXPECT_TRUE(input["input"].get<std::string>().ends_with(image));
    const double error = input["faces"][0]["aus"]["AU06"]["intensity"].get<double>() - std::stod(label);
    sum += error * error;
  }
  EXPECT_NEAR(sum / 12, figures["aus"]["AU06"]["mse"].get<double>(), 1e-4);
}

TEST_F(ProgramTest, DataIsCheckedAndPacked) {
  write_face("a.png");
  std::string header = "image,subject,AU12", fields;
  for (const char axis : {'x', 'y'}) {
    for (int i = 0; i < 68; ++i) {
      header += fmt::format(",{}_{}", axis, i);
      const double turn = 6.283 * i / 68;
      fields += fmt::format(",{:.1f}", 32 + 20 * (axis == 'x' ? std::cos(turn) : std::sin(turn)));
    }
  }
  std::string csv = header + "\n";
  for (int i = 0; i < 6; ++i) csv += fmt::format("a.png,S{},{}{}\n", i / 3, i, fields);
  write("m.csv", csv + "b.png,S1,2" + fields + "\n");
  const std::string toml =
      write("data.toml",
            "aus = [\"AU12\"]\nwidth = 8\ndepth = 1\ninput_size = 32\nbatch = 2\nepochs = 1\n"
            "[data]\nformat = \"manifest\"\npath = \"m.csv\"\ntrain = \"S0\"\nvalidation = \"S1\"\n");

  const Finished checked = run({"data", "check", toml, "--images", "--json", path("data.json")});
  ASSERT_EQ(checked.code, 0) << checked.err;
  EXPECT_THAT(checked.out, HasSubstr("train (S0): 3 labelled frames\n"));
  EXPECT_THAT(checked.out, HasSubstr("m.csv, row 8: no such picture: "));
  const json found = json::parse(content_of(folder / "data.json"))["data"];
  EXPECT_EQ(found[1]["usable"], 3);
  EXPECT_EQ(json::parse(run({"data", "check", toml, "--json", "-"}).out)["data"].size(), 2u);
  EXPECT_THAT(run({"data", "check", toml, "--set", "data.train=S0,S1"}).out,
              HasSubstr("note: subject 'S1' is in the training and in the validation set"));
  const Finished strict = run({"data", "check", toml, "--strict"});
  EXPECT_EQ(strict.code, 1);
  EXPECT_THAT(strict.err, OneErrorLineWith("m.csv, row 8: no such picture: "));

  const Finished packed = run({"data", "pack", toml, "--out", path("faces.pack")});
  ASSERT_EQ(packed.code, 0) << packed.err;
  EXPECT_THAT(packed.out, HasSubstr("6 faces of 2 subjects"));
  EXPECT_TRUE(unfinished_files().empty());
  std::vector<std::string> replace{"data", "pack", toml, "--out", path("faces.pack")};
  EXPECT_THAT(run(replace).err, OneErrorLineWith("faces.pack: is there already; name another file, or give --force"));
  replace.push_back("--force");
  EXPECT_EQ(run(replace).code, 0);
  replace[4] = path("m.csv");
  EXPECT_THAT(run(replace).err, OneErrorLineWith("m.csv: is read, and would be replaced by the pack"));
  const std::string pack = path("faces.pack"), run_dir = path("run");
  EXPECT_THAT(run({"train", "--train", pack, "--config", toml, "--out", run_dir}).err, OneErrorLineWith("named twice"));
  EXPECT_THAT(run({"train", "--out", run_dir}).err, OneErrorLineWith("no training faces are named"));
  const Finished trained =
      run({"train", "--train", pack, "--config", toml, "--set", "data.format=none", "--out", run_dir});
  ASSERT_EQ(trained.code, 0) << trained.err;
  const Finished evaluated = run({"eval", "--weights", path("run/best.safetensors"), "--data", pack});
  EXPECT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(run({"eval", "--weights", path("run/best.safetensors"), "--data", toml}).code, 0);
}

TEST_F(ProgramTest, ConvertKeepsEveryNumber) {
  const std::string weights = write_small_weights();
  const Finished finished = run({"convert", weights, path("copy.safetensors"), "--aus", "1,au2"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  const Weights before = read_weights(weights), after = read_weights(folder / "copy.safetensors");
  EXPECT_EQ(after.parameters, before.parameters);
  EXPECT_EQ(after.statistics, before.statistics);
  EXPECT_EQ(after.config, before.config);
  EXPECT_THAT(after.aus, testing::ElementsAre("AU01", "AU02"));
  ASSERT_EQ(run({"convert", path("copy.safetensors"), path("copy.safetensors"), "--force"}).code, 0);  // onto itself
  EXPECT_EQ(read_weights(folder / "copy.safetensors").parameters, before.parameters);
}

TEST_F(ProgramTest, OnnxWithItsBatchNormIsAsGoodAsTheWeights) {
  if (onnx_version().empty()) GTEST_SKIP() << "this build has no ONNX";
  const std::string weights = write_small_weights(), net = path("net.onnx"), face = write_face("face.png");
  const Finished finished = run({"convert", weights, net, "--keep-batch-norm"});
  ASSERT_EQ(finished.code, 0) << finished.err;
  ASSERT_EQ(run({"convert", net, path("copy.safetensors")}).code, 0);
  EXPECT_EQ(read_weights(folder / "copy.safetensors").parameters, read_weights(weights).parameters);
  for (const std::string& file : {weights, net})
    ASSERT_EQ(run({"infer", "--weights", file, "--registered", face, "--heatmaps", file + ".maps"}).code, 0);
  EXPECT_EQ(content_of(net + ".maps"), content_of(weights + ".maps"));
  EXPECT_THAT(run({"info", net}).out, HasSubstr("AU06, AU12 (16 x 16)"));

  ASSERT_EQ(run({"convert", weights, net, "--force"}).code, 0);  // folded
  EXPECT_THAT(run({"info", net, "--tensors"}).out, HasSubstr("\n  m0.b1_2.conv1.bias "));
}

TEST_F(ProgramTest, ConvertReadsPyTorchCheckpoints) {
  const char* given = std::getenv("SANDGLASS_PARITY_DIR");
  const std::filesystem::path parity = given != nullptr && *given != '\0' ? given : "../shared/parity";
  if (!std::filesystem::exists(parity / "weights.pth"))
    GTEST_SKIP() << "no folder " << parity << " (set SANDGLASS_PARITY_DIR)";
  for (const char* name : {"weights.pth", "weights.pth.tar"}) {
    const Finished finished = run({"convert", (parity / name).string(), path("copy.safetensors"), "--force"});
    ASSERT_EQ(finished.code, 0) << finished.err;
    const TensorFile before = read_tensor_file(parity / name), after = read_safetensors(folder / "copy.safetensors");
    for (const HostTensor& tensor : after.tensors) {
      ASSERT_TRUE(before.find(tensor.name)) << tensor.name;
      EXPECT_EQ(before.find(tensor.name)->to_float(), tensor.to_float()) << tensor.name;
      EXPECT_EQ(before.find(tensor.name)->shape, tensor.shape) << tensor.name;
    }
    EXPECT_EQ(after.tensors.size(), 279u);
  }
}

TEST_F(ProgramTest, BenchWritesItsFigures) {
  for (const char* mode : {"infer", "train"}) {
    const Finished finished = run({"bench", "--mode", mode, "--batch", "2", "--iterations", "5", "--set", "width=16",
                                   "--set", "input_size=64", "--json", path("bench.json")});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_THAT(finished.out, HasSubstr("median "));
    const json figures = json::parse(content_of(folder / "bench.json"));
    EXPECT_EQ(figures["mode"], mode);
    EXPECT_EQ(figures["batch"], 2);
    EXPECT_EQ(figures["device"], "cpu");
    EXPECT_EQ(figures["width"], 16);
    ASSERT_EQ(figures["times_ms"].size(), 5u);
    std::vector<double> times = figures["times_ms"];
    std::sort(times.begin(), times.end());
    EXPECT_EQ(figures["median_ms"], times[2]);
    EXPECT_EQ(figures["min_ms"], times[0]);
    EXPECT_NEAR(figures["images_per_s"].get<double>(), 2000 / times[2], 1e-6);
    for (const char* key : {"threads", "processor", "version", "commit", "onednn", "peak_resident_mib"})
      EXPECT_TRUE(figures.contains(key)) << key;
    EXPECT_FALSE(figures.contains("steps"));
  }
}

// The committed list of the paper's network, which benchmarks read, is what the program makes.
TEST_F(ProgramTest, InfoListsTheOperationsOfANetwork) {
  const std::string list = content_of("bench/shapes/hourglass.txt");
  for (const std::string mode : {"infer", "train"}) {
    const Finished finished = run({"info", "--operations", "--mode", mode, "--batch", "1", "--device", "cpu"});
    ASSERT_EQ(finished.code, 0) << finished.err;
    EXPECT_THAT(list, HasSubstr("[" + mode + "]\n" + finished.out));
  }
  EXPECT_THAT(list, HasSubstr("  1 conv_forward/n1_h256_w256_c3_k64_r7_s7_stride2/statistics/bias\n"));
  EXPECT_THAT(list, HasSubstr("  1 optimizer/"));
}

TEST_F(ProgramTest, BenchExplainsItsSteps) {
  const Finished finished =
      run({"bench", "--mode", "train", "--batch", "2", "--iterations", "1", "--set", "width=16", "--set",
           "input_size=64", "--explain", "--bandwidth", "10", "--rate", "0.1", "--json", path("bench.json")});
  ASSERT_EQ(finished.code, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("10 GB/s and 0.1 TFLOP/s"));
  const json steps = json::parse(content_of(folder / "bench.json"))["steps"];
  EXPECT_THAT(finished.out, HasSubstr(fmt::format("all {} steps", steps.size())));
  double last_gap = INFINITY;
  bool has_conv = false;
  for (const json& step : steps) {
    const double gap = step["measured_ms"].get<double>() - step["least_ms"].get<double>();
    EXPECT_LE(gap, last_gap);
    last_gap = gap;
    EXPECT_THAT(finished.out, HasSubstr("  " + step["name"].get<std::string>() + "\n"));
    const double moving = step["bytes"].get<double>() / 10e9, computing = step["operations"].get<double>() / 0.1e12;
    EXPECT_NEAR(step["least_ms"].get<double>(), 1e3 * std::max(moving, computing), 1e-9);
    // 2 pictures, 32 x 32 pixels of 4 channels from 7 x 7 x 3.
    if (step["name"] == "conv1 forward") {
      has_conv = true;
      EXPECT_EQ(step["operations"], 2.0 * 2 * 32 * 32 * 4 * 7 * 7 * 3);
    }
  }
  EXPECT_TRUE(has_conv);
}

}  // namespace
}  // namespace sandglass

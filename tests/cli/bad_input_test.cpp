// Broken files of every kind: each gives one line that names the file and what is wrong in it, code 1, and nothing
// else.
#include <cstring>

#include "engine/onnx_file.h"
#include "engine/safetensors.h"
#include "tests/cli/program.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

class BadInputTest : public ProgramTest {
 protected:
  // The run must fail with one line that has all of `parts`.
  void expect_error(const std::vector<std::string>& arguments, const std::vector<std::string>& parts) const {
    SCOPED_TRACE(testing::PrintToString(arguments));
    const Finished finished = run(arguments);
    EXPECT_EQ(finished.code, 1);
    for (const std::string& part : parts) EXPECT_THAT(finished.err, OneErrorLineWith(part));
    EXPECT_TRUE(unfinished_files().empty());
  }
};

TEST_F(BadInputTest, Weights) {
  const std::string face = write_face("face.png"), good = write_small_weights();
  const std::string bytes = content_of(good);
  TensorFile file = to_tensors(small_weights());
  const auto save = [&](const std::string& name) {
    write_safetensors(folder / name, file);
    return path(name);
  };
  struct Case {
    std::string file;
    std::vector<std::string> parts;
  };
  std::vector<Case> cases{
      {path("absent.safetensors"), {"absent.safetensors: no such file"}},
      {folder.string(), {"is a folder"}},
      {write("empty.pth", ""), {"empty.pth"}},
      {write("text.pth", "these are no weights"), {"text.pth: not a safetensors file nor a PyTorch checkpoint"}},
      {face, {"face.png: not a safetensors file nor a PyTorch checkpoint"}},
      {write("short.safetensors", bytes.substr(0, bytes.size() / 2)), {"short.safetensors", "truncated"}},
      {write("header.safetensors", bytes.substr(0, 100)), {"header.safetensors", "truncated"}},
      {write("few.safetensors", bytes.substr(0, 5)), {"few.safetensors"}},
  };
  std::swap(file.tensors[0].shape[2], file.tensors[0].shape[1]);
  cases.push_back({save("shape.safetensors"), {"'conv1.weight' has shape [4, 7, 3, 7], expected [4, 3, 7, 7]"}});
  file = to_tensors(small_weights());
  file.tensors.erase(file.tensors.begin() + 10);
  const std::string missing = to_tensors(small_weights()).tensors[10].name;
  cases.push_back({save("missing.safetensors"), {missing, "missing"}});
  file = to_tensors(small_weights());
  file.tensors.push_back(HostTensor::from_floats("classifier.weight", {1}, std::vector<float>{1}));
  cases.push_back({save("extra.safetensors"), {"classifier.weight"}});
  for (const Case& bad : cases) {
    expect_error({"infer", "--weights", bad.file, face, "--registered"}, bad.parts);
    expect_error({"convert", bad.file, path("out.safetensors")}, bad.parts);
    EXPECT_FALSE(exists("out.safetensors"));
  }
  expect_error({"eval", "--weights", path("absent.safetensors"), "--data", "m.csv"},
               {"absent.safetensors: no such file"});
  expect_error({"info", path("absent.safetensors")}, {"absent.safetensors: no such file"});
  expect_error({"info", "/dev/zero"}, {"/dev/zero: is a device"});
  expect_error({"infer", "--weights", "", face, "--registered"}, {"error: the name of a file is empty"});
  expect_error({"infer", "--weights", write_small_weights(), "", "--registered"},
               {"error: the name of a file is empty"});

  file = to_tensors(small_weights());
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(file.tensors[7].bytes.data(), &nan, sizeof nan);
  const std::string broken = save("nan.safetensors");
  const std::vector<std::string> parts{"nan.safetensors: tensor '" + file.tensors[7].name + "'", "not finite"};
  expect_error({"infer", "--weights", broken, face, "--registered"}, parts);
  expect_error({"eval", "--weights", broken, "--data", "m.csv"}, parts);
  expect_error({"convert", broken, path("out.safetensors")}, parts);
  EXPECT_FALSE(exists("out.safetensors"));
}

TEST_F(BadInputTest, WeightsCutAnywhere) {
  const std::string bytes = content_of(write_small_weights());
  for (size_t i = 0; i < 12; ++i) {
    const std::string cut = write("cut.safetensors", bytes.substr(0, i * bytes.size() / 12));
    expect_error({"convert", cut, path("out.safetensors")}, {"cut.safetensors"});
  }
}

TEST_F(BadInputTest, Onnx) {
  if (onnx_version().empty()) GTEST_SKIP() << "this build has no ONNX";
  const std::string weights = write_small_weights(), net = path("net.onnx"), face = write_face("face.png");
  expect_error({"convert", weights, path("out.safetensors"), "--keep-batch-norm"}, {"--keep-batch-norm is for .onnx"});
  expect_error({"convert", weights, path("absent/out.onnx")}, {"absent/out.onnx: cannot be written"});
  ASSERT_EQ(run({"convert", weights, net}).code, 0);
  expect_error({"convert", net, path("out.safetensors")}, {"net.onnx", "batch norm seems to be folded"});
  expect_error({"infer", "--weights", net, "--registered", face}, {"net.onnx", "batch norm seems to be folded"});
  expect_error({"convert", weights, net, "--keep-batch-norm"},
               {"net.onnx: is there already; name another file, or give --force to replace it"});
  ASSERT_EQ(run({"convert", weights, net, "--keep-batch-norm", "--force"}).code, 0);
  const std::string bytes = content_of(net);
  for (size_t i = 1; i < 6; ++i) {
    const std::string cut = write("cut.onnx", bytes.substr(0, i * bytes.size() / 6));
    expect_error({"convert", cut, path("out.onnx")}, {"cut.onnx: is damaged or truncated"});
  }
  EXPECT_FALSE(exists("out.onnx") || exists("out.safetensors"));
}

TEST_F(BadInputTest, Pictures) {
  const std::string weights = write_small_weights(), png = content_of(write_face("good.png")),
                    jpeg = content_of(write_face("good.jpg"));
  struct Case {
    std::string file, part;
  };
  const std::vector<Case> cases{
      {path("absent.png"), "absent.png: no such file"},
      {write("empty.png", ""), "empty.png: is empty"},
      {write("text.jpg", "no picture"), "text.jpg: is not a JPEG, PNG or BMP picture"},
      {weights, "is neither a JPEG, PNG or BMP picture nor a video"},
      {write("notes.txt", "no picture, but long enough that it might be one, or a film\n"), "notes.txt: is"},
      {write("cut.png", png.substr(0, png.size() / 2)), "cut.png"},
      {write("cut.jpg", jpeg.substr(0, jpeg.size() / 2)), "cut.jpg"},
      {write("head.png", png.substr(0, 20)), "head.png"},
      {write("film.mp4", "x"), "film.mp4: is not"},
      {write("folder/notes.txt", "x").substr(0, path("folder").size()), "this folder has no pictures"},
  };
  for (const Case& bad : cases)
    expect_error({"infer", "--quiet", "--weights", weights, "--registered", bad.file}, {bad.part});
  write_image(folder / "wide.png", Image(20, 30));
  expect_error({"infer", "--quiet", "--weights", weights, "--registered", path("wide.png")},
               {"wide.png: is 30 x 20 pixels; a registered face is a square"});
}

TEST_F(BadInputTest, Manifests) {
  const std::string weights = write_small_weights();
  write_face("1.png");
  std::string header = "image,subject,AU06,AU12", places;
  for (const char axis : {'x', 'y'})
    for (int i = 0; i < 68; ++i)
      header += fmt::format(",{}_{}", axis, i), places += fmt::format(",{}", (i * 13 + axis) % 50);
  struct Case {
    std::string content;
    std::vector<std::string> parts;
  };
  const std::vector<Case> cases{
      {"", {"empty"}},
      {header + "\n", {"row"}},
      {"subject,AU06\na,1\n", {"image"}},
      {header + "\n1.png,a,9,1" + places + "\n", {"row 2", "AU06"}},
      {header + "\n1.png,a,1,1" + places + "\n1.png,a,one,1" + places + "\n", {"row 3", "AU06"}},
      {header + "\nabsent.png,a,1,1" + places + "\n", {"row 2", "absent.png"}},
      {header + "\n1.png,a,1\n", {"row 2"}},
      {header + "\n1.png,a,1,1" + places.substr(0, places.size() - 3) + "\n", {"row 2"}},
      {std::string("image,AU06\n1.png,\0\0\n", 20), {"row 2"}},
      {"image,subject,AU99\n1.png,a,1\n", {"none of the network's Action Units"}},
  };
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.content.substr(0, 60));
    std::vector<std::string> parts = bad.parts;
    parts.push_back("manifest.csv");
    expect_error({"eval", "--weights", weights, "--data", write("manifest.csv", bad.content)}, parts);
  }
  expect_error({"eval", "--weights", weights, "--data", path("absent.csv")}, {"absent.csv: no such file"});
  expect_error({"train", "--train", path("absent.csv"), "--out", path("run")}, {"absent.csv: no such file"});
  EXPECT_FALSE(exists("run")) << "nothing was written";
}

TEST_F(BadInputTest, Reports) {
  expect_error({"report", path("absent")}, {"absent: no such folder"});
  write("no_run/notes.txt", "x");
  expect_error({"report", path("no_run")}, {"no_run: holds no training run", "metrics.jsonl"});
  write("run/metrics.jsonl", "{\"type\": \"train\", \"step\": \"many\", \"loss\": 1}\n");
  expect_error({"report", path("run")}, {"run/metrics.jsonl:1: not a record of a training run"});
  write("run/metrics.jsonl", "");
  expect_error({"report", path("run"), path("absent")}, {"absent: no such folder"});
  expect_error({"report", path("run"), "--out", path("absent/page.html")}, {"absent/page.html: cannot be written"});
  write("run/evaluation.json", "{}");
  expect_error({"report", path("run")}, {"run/evaluation.json: is not what `sandglass eval --json` writes"});
  expect_error({"eval", "--weights", write_small_weights(), "--data", "m.csv", "--bootstrap", "1"},
               {"one bootstrap sample has no interval"});
  expect_error({"eval", "--weights", write_small_weights(), "--data", "m.csv", "--au-points", path("absent.txt")},
               {"absent.txt: no such file"});
}

TEST_F(BadInputTest, Configurations) {
  const auto with = [&](const std::string& toml) {
    return std::vector<std::string>{
        "train", "--train", path("m.csv"), "--out", path("run"), "--config", write("settings.toml", toml)};
  };
  expect_error(with("epochss = 3"), {"settings.toml", "unknown key 'epochss'", "'epochs'"});
  expect_error(with("epochs = \"three\""), {"settings.toml", "epochs"});
  expect_error(with("epochs = -3"), {"settings.toml", "epochs"});
  expect_error(with("epochs = = 3"), {"settings.toml"});
  expect_error(with("width = 17"), {"width"});
  expect_error(with("aus = [\"smile\"]"), {"smile"});
  expect_error({"train", "--train", path("m.csv"), "--out", path("run"), "--config", path("absent.toml")},
               {"absent.toml: no such file"});
  expect_error({"train", "--train", path("m.csv"), "--out", path("run"), "--set", "learning_rate=1"},
               {"unknown key 'learning_rate'"});
  expect_error({"train", "--train", path("m.csv"), "--out", path("run"), "--set", "lr"}, {"lr"});
  expect_error({"bench", "--mode", "infer", "--set", "depth=99"}, {"depth"});
}

TEST_F(BadInputTest, Outputs) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  write("file", "x");
  for (const char* flag : {"--csv", "--json", "--heatmaps"}) {
    expect_error({"infer", "--weights", weights, "--registered", face, flag, path("absent/out")},
                 {path("absent/out") + ": cannot be written"});
    expect_error({"infer", "--weights", weights, "--registered", face, flag, folder.string()}, {"is a folder"});
  }
  expect_error({"infer", "--weights", weights, "--registered", face, "--overlay", path("file/in")}, {path("file/in")});
  expect_error({"convert", weights, path("out.pth")}, {"out.pth: weights are written as .safetensors"});
  expect_error({"convert", weights, path("absent/out.safetensors")}, {"absent/out.safetensors: cannot be written"});
  expect_error({"convert", weights, path("out.safetensors"), "--aus", "AU01"}, {"--aus names 1 Action Units"});
  expect_error({"convert", weights, path("out.safetensors"), "--aus", "AU01,au1"}, {"--aus: names \"AU01\" twice"});
  expect_error({"bench", "--mode", "infer", "--iterations", "1", "--set", "width=16", "--set", "input_size=64",
                "--json", path("absent/out")},
               {path("absent/out") + ": cannot be written"});
  expect_error({"synth", "--out", path("file")}, {path("file")});
}

// A file size limit is what a full disk looks like to a program.
TEST_F(BadInputTest, FullDiskLeavesWhatWasThere) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  write("out.safetensors", "precious");
  const auto limited = [] {
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
  };
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"convert", weights, path("out.safetensors"), "--force"},
        {"infer", "--weights", weights, "--registered", face, "--force", "--heatmaps", path("out.safetensors")}}) {
    const Finished finished = wait(start(arguments, SANDGLASS_PROGRAM, limited));
    EXPECT_EQ(finished.code, 1);
    EXPECT_THAT(finished.err, OneErrorLineWith("out.safetensors: cannot be written"));
    EXPECT_EQ(content_of(folder / "out.safetensors"), "precious");
    EXPECT_TRUE(unfinished_files().empty());
  }
}

TEST_F(BadInputTest, Landmarks) {
  const std::string weights = write_small_weights(), face = write_face("face.png");
  const auto with = [&](const std::string& landmarks) {
    return std::vector<std::string>{"infer", "--quiet", "--weights", weights, face, "--landmarks", landmarks};
  };
  expect_error(with(path("absent.csv")), {"absent.csv: no such file"});
  expect_error(with(path("absent.xml")), {"absent.xml"});
  expect_error(with(write("points.txt", "1 2")), {"points.txt: landmarks are read from"});
  expect_error(with(write("none.csv", "image,subject\nface.png,a\n")), {"none.csv: has no landmarks"});
  write("pts/face.pts", "version: 1\nn_points: 68\n{\n1 2\n");
  expect_error(with(path("pts")), {"face.png", "face.pts"});
  write("pts/other.pts", "");
  std::filesystem::remove(folder / "pts/face.pts");
  expect_error(with(path("pts")), {"face.png: has no landmarks"});
}

}  // namespace
}  // namespace sandglass

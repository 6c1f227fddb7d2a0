#include "tests/cli/program.h"

namespace sandglass {
namespace {

using testing::HasSubstr;

const std::vector<std::string> kCommands{"info",   "synth",   "data",  "train",      "eval",   "infer",
                                         "report", "convert", "bench", "experiment", "manual", "completion"};

TEST_F(ProgramTest, WrongUsageIsOneLineAndCode2) {
  struct Case {
    std::vector<std::string> arguments;
    std::string message;
  };
  const std::vector<Case> cases{
      {{}, "no command given"},
      {{""}, "no command given"},
      {{"--nonsense"}, "unexpected argument --nonsense"},
      {{"inferr"}, "unknown command 'inferr'; the commands are info, synth, data, train"},
      {{"infer"}, "required"},
      {{"infer", "a.png"}, "--weights is required"},
      {{"infer", "--weights"}, "--weights needs a value"},
      {{"infer", "--weights", "w", "a.png", "--nonsense"}, "unexpected argument --nonsense"},
      {{"infer", "--weights", "w", "a.png", "--batch"}, "--batch needs a value"},
      {{"infer", "--weights", "w", "a.png", "--batch", "0"}, "--batch: 0 is not from 1 to 1024"},
      {{"infer", "--weights", "w", "a.png", "--batch", "two"}, "--batch"},
      {{"infer", "--weights", "w", "a.png", "--batch", "1e99"}, "--batch"},
      {{"infer", "--weights", "w", "a.png", "--batch", "99999999999999999999"}, "--batch"},
      {{"infer", "--weights", "w", "a.png", "--workers", "-1"}, "--workers"},
      {{"infer", "--weights", "w", "a.png", "--min-face", "nan"}, "--min-face"},
      {{"infer", "--weights", "w", "a.png", "--device", "tpu"}, "--device: tpu not in"},
      {{"infer", "--weights", "w", "a.png", "--registered", "--landmarks", "l"}, "--registered"},
      {{"train", "--train", "m"}, "--out is required"},
      {{"data"}, "subcommand is required"},
      {{"data", "check"}, "CONFIG is required"},
      {{"data", "pack", "a.toml"}, "--out is required"},
      {{"data", "pack", "a.toml", "--out", "f", "--jpeg", "101"}, "101 is not from 1 to 100"},
      {{"eval", "--weights", "w"}, "--data is required"},
      {{"eval", "--weights", "w", "--data", "m", "--misalign", "2,41"}, "--misalign: 41 is not from 0 to 40"},
      {{"eval", "--weights", "w", "--data", "m", "--threshold", "0"}, "--threshold"},
      {{"eval", "--weights", "w", "--data", "m", "--bootstrap", "-5"}, "--bootstrap"},
      {{"report"}, "RUN_DIR is required"},
      {{"convert", "a"}, "OUT is required"},
      {{"convert", "a", "b", "c"}, "unexpected argument c"},
      {{"synth"}, "--out is required"},
      {{"synth", "--out", "x", "--size", "10"}, "--size"},
      {{"synth", "--out", "x", "--seed", "-1"}, "--seed"},
      {{"experiment"}, "FILE.toml is required"},
      {{"bench"}, "--mode is required"},
      {{"bench", "--mode", "sleep"}, "--mode: sleep not in"},
      {{"bench", "--mode", "infer", "--iterations", "0"}, "--iterations"},
      {{"bench", "--mode", "infer", "--bandwidth", "100"}, "--explain"},
      {{"bench", "--mode", "infer", "--explain", "--rate", "0"}, "--rate"},
      {{"completion"}, "SHELL is required"},
      {{"completion", "tcsh"}, "SHELL: tcsh not in"},
      {{"info", "--batch", "2"}, "--plan"},
      {{"info", "file", "--plan"}, "--plan"},
      {{"info", "--plan", "--operations"}, "--operations"},
      {{"info", "file", "--operations"}, "--operations"},
  };
  for (const Case& wrong : cases) {
    SCOPED_TRACE(testing::PrintToString(wrong.arguments));
    const Finished finished = run(wrong.arguments);
    EXPECT_EQ(finished.code, 2);
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.err, OneErrorLineWith(wrong.message));
    EXPECT_THAT(finished.err, HasSubstr("--help')"));
  }
}

TEST_F(ProgramTest, EveryCommandExplainsItself) {
  const Finished overview = run({"--help"});
  EXPECT_EQ(overview.code, 0);
  for (const std::string& command : kCommands) {
    EXPECT_THAT(overview.out, HasSubstr("\n  " + command + " "));
    const Finished help = run({command, "--help"});
    EXPECT_EQ(help.code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr("Usage: sandglass " + command));
    EXPECT_EQ(help.err, "");
  }
  EXPECT_THAT(run({"train", "--help"}).out, HasSubstr("\n  augment.rotation = "));
}

// The text from `begin` up to the next `end`; empty if it is not there.
std::string part(const std::string& text, const std::string& begin, const std::string& end) {
  const size_t from = text.find(begin);
  if (from == text.npos) return "";
  return text.substr(from, text.find(end, from + begin.size()) - from);
}

TEST_F(ProgramTest, ManualAndCompletionsHaveEveryCommandAndFlag) {
  std::string manual = run({"manual"}).out;
  for (size_t at = 0; (at = manual.find("\\-", at)) != manual.npos;) manual.erase(at, 1);
  const std::string bash = run({"completion", "bash"}).out, zsh = run({"completion", "zsh"}).out,
                    fish = run({"completion", "fish"}).out;
  std::vector<std::vector<std::string>> commands{{"data", "check"}, {"data", "pack"}};
  for (const std::string& command : kCommands) commands.push_back({command});
  for (std::vector<std::string> command : commands) {
    std::string name = "sandglass", function = "_sandglass";
    for (const std::string& word : command) name += " " + word, function += "_" + word;
    SCOPED_TRACE(name);
    const std::string page = part(manual, "\n.SS \\fB" + name + "\\fR", "\n.SS");
    const std::string bash_words = part(bash, "'" + name + ":-'*)", "\n"),
                      zsh_function = part(zsh, function + "()", "\n}");
    EXPECT_NE(page, "");
    EXPECT_THAT(bash, HasSubstr("'" + name + "'"));
    EXPECT_NE(zsh_function, "");
    EXPECT_THAT(fish, HasSubstr("'" + name + "'"));
    command.push_back("--help");
    std::istringstream help(run(command).out);
    for (std::string line; std::getline(help, line);) {
      if (!line.starts_with("  --")) continue;
      const std::string flag = line.substr(2, line.find_first_of(" ", 2) - 2);
      EXPECT_THAT(page, HasSubstr("\\fB" + flag + "\\fR"));
      EXPECT_THAT(bash_words + "'", testing::ContainsRegex("[ ']" + flag + "[ ']"));
      EXPECT_THAT(zsh_function, testing::ContainsRegex("'[*]?" + flag + "=?\\["));
      EXPECT_THAT(fish, HasSubstr("is " + name + "' -l " + flag.substr(2) + " "));
    }
  }
}

TEST_F(ProgramTest, BashCompletes) {
  const std::string script = write("sandglass.bash", run({"completion", "bash"}).out);
  const auto complete = [&](const std::string& words) {
    const std::string commands = "source " + script + "; COMP_WORDS=(" + words +
                                 "); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _sandglass; echo \"${COMPREPLY[*]}\"";
    return wait(start({"-c", commands}, "/bin/bash")).out;
  };
  EXPECT_EQ(complete("sandglass in"), "info infer\n");
  EXPECT_EQ(complete("sandglass data ''"), "check pack\n");
  EXPECT_EQ(complete("sandglass data pack --j"), "--jpeg\n");
  EXPECT_EQ(complete("sandglass infer a.mp4 --device c"), "cpu cuda\n");
  EXPECT_EQ(complete("sandglass infer --device = s"), "simt\n");  // how bash splits --device=s
  EXPECT_EQ(complete("sandglass completion z"), "zsh\n");
  EXPECT_EQ(complete("sandglass infer --weights n"), "\n");  // which leaves it to bash: files
  EXPECT_EQ(complete("sandglass infer info"), "\n");
}

TEST_F(ProgramTest, SaysItsVersion) {
  const Finished finished = run({"--version"});
  EXPECT_EQ(finished.code, 0);
  EXPECT_THAT(finished.out, testing::MatchesRegex("sandglass [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(ProgramTest, InfoShowsDevicesAndLibraries) {
  const Finished finished = run({"info"});
  EXPECT_EQ(finished.code, 0);
  for (const char* part : {"\n  cpu ", "\n  cuda ", "\n  simt ", "oneDNN", "landmark model"})
    EXPECT_THAT(finished.out, HasSubstr(part));
}

TEST_F(ProgramTest, InfoShowsWhatAFileHolds) {
  const std::string weights = write_small_weights();
  const Finished finished = run({"info", weights, "--tensors"});
  EXPECT_EQ(finished.code, 0) << finished.err;
  EXPECT_THAT(finished.out, HasSubstr("width 16, depth 2, input 64 x 64"));
  EXPECT_THAT(finished.out, HasSubstr("AU06, AU12 (16 x 16)"));
  EXPECT_THAT(finished.out, testing::ContainsRegex("\n  conv1\\.weight +float32 +\\[4, 3, 7, 7\\]\n"));
}

TEST_F(ProgramTest, InfoShowsThePlan) {
  for (const char* mode : {"infer", "train"}) {
    const Finished finished =
        run({"info", "--plan", "--mode", mode, "--set", "width=16", "--set", "input_size=64", "--batch", "2"});
    EXPECT_EQ(finished.code, 0) << finished.err;
    EXPECT_THAT(finished.out, HasSubstr("width 16, depth 4, input 64 x 64, 5 heatmaps, batch 2, on "));
    EXPECT_THAT(finished.out, HasSubstr("conv1"));
    EXPECT_THAT(finished.out, HasSubstr("without sharing"));
  }
}

TEST_F(ProgramTest, SaysThatStandardOutputIsFull) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full";
  const Finished finished = wait(start({"info"}, SANDGLASS_PROGRAM, [] {
    const int full = open("/dev/full", O_WRONLY);
    dup2(full, STDOUT_FILENO);
  }));
  EXPECT_EQ(finished.code, 1);
  EXPECT_THAT(finished.err, OneErrorLineWith(""));
}

TEST_F(ProgramTest, EndsInGoodOrderWhenNobodyReads) {
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"info", path("none")}, {"info", "--nonsense"}, {"--help"}}) {
    const Finished finished = wait(start(arguments, SANDGLASS_PROGRAM, [] {
      int ends[2];
      if (pipe(ends) != 0) _exit(127);
      close(ends[0]);
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
    }));
    EXPECT_LE(finished.code, 2) << arguments[0];
  }
}

TEST_F(ProgramTest, SaysThatTheProcessorIsAnother) {
#ifdef SANDGLASS_WRONG_PROGRAM
  if (__builtin_cpu_supports("xop")) GTEST_SKIP() << "this processor has the XOP instructions";
  const Finished finished = wait(start({}, SANDGLASS_WRONG_PROGRAM));
  EXPECT_EQ(finished.code, 1);
  EXPECT_EQ(finished.out, "");
  EXPECT_THAT(finished.err, OneErrorLineWith("XOP, which this one lacks; build it on this machine"));
#else
  GTEST_SKIP() << "not an x86-64 processor";
#endif
}

}  // namespace
}  // namespace sandglass

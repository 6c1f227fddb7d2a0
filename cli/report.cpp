#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "engine/file.h"
#include "engine/output_file.h"
#include "train/report/report.h"

namespace sandglass {

Command add_report(CLI::App& program) {
  CLI::App* app =
      program.add_subcommand("report", "Write one run's report again, or one page that compares several runs");
  struct Flags {
    std::vector<std::filesystem::path> runs;
    std::filesystem::path out;
    bool force = false;
  };
  auto flags = std::make_shared<Flags>();
  app->add_option("RUN_DIR", flags->runs, "folders of `sandglass train --out`")->required();
  app->add_option("--out", flags->out, "the page; otherwise report.html, of one run in its folder, of several here")
      ->type_name("FILE.html");
  add_force(*app, flags->force);
  return {app, [flags] {
            const std::vector<RunData> runs = read_runs(flags->runs);
            std::filesystem::path out = flags->out;
            if (out.empty() && runs.size() == 1) {
              out = runs[0].folder / "report.html";  // the run's own, which training rewrites, too
            } else {
              if (out.empty()) out = "report.html";
              check_not_there(out, flags->force);
            }
            write_file(out, report_page(runs));
            fmt::print("report: {}\n", out.string());
            return 0;
          }};
}

}  // namespace sandglass

// Trains in a process of its own, so that tests can kill it, stop it or fill its disk:
//   train_runner [--file-limit BYTES] [--resume] TRAIN VALIDATION|- RUN_DIR [key=value]...
// Exits 0 when finished, 3 when stopped by a signal, 1 with the error on stderr.
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <iostream>

#include "engine/error.h"
#include "train/training.h"

int main(int count, char** arguments) {
  std::vector<std::string> rest(arguments + 1, arguments + count);
  sandglass::TrainingOptions options;
  if (!rest.empty() && rest[0] == "--file-limit") {
    const rlim_t bytes = std::stoul(rest.at(1));
    const rlimit limit{bytes, bytes};
    setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);  // writing then fails with EFBIG, as on a full disk with ENOSPC
    rest.erase(rest.begin(), rest.begin() + 2);
  }
  if (!rest.empty() && rest[0] == "--resume") {
    options.resume = true;
    rest.erase(rest.begin());
  }
  options.train = rest.at(0);
  if (rest.at(1) != "-") options.validation = rest[1];
  options.run_dir = rest.at(2);
  options.settings.assign(rest.begin() + 3, rest.end());
  options.device.name = "cpu";
  try {
    return sandglass::train(options, std::cout).finished ? 0 : 3;
  } catch (const sandglass::Error& error) {
    std::cerr << error.what() << std::endl;
    return 1;
  }
}

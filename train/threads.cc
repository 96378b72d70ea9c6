#include "train/threads.h"

#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace ddnn::train {

void WaitWithoutSpinning(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = '\0';
  setenv("GOMP_SPINCOUNT", "1000", 1);
  execv(path, argv);
}

}  // namespace ddnn::train

// Loaded into ddnn-device by LD_PRELOAD: a section that crashes it when it is tried, from when the file
// $CRASH_IN_TRIALS_IF is there.
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

[[gnu::constructor]] static void CrashInTrials() {
  const char* marker = std::getenv("CRASH_IN_TRIALS_IF");
  if (marker == nullptr || access(marker, F_OK) != 0) return;
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  const std::string line((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (line.find("--try_bundle") != std::string::npos) raise(SIGSEGV);
}

#include "train/tune_process.h"

#include <malloc.h>
#include <sched.h>
#include <sys/auxv.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>

namespace ddnn::train {
namespace {

constexpr char kSpinCount[] = "30000";
constexpr int kLargestMmapThreshold = 32 << 20;  // glibc takes no larger one
constexpr int kKeptBytes = 1 << 30;

void StartAnewSpinningBriefly(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
  if (length <= 0) return;
  path[length] = '\0';
  setenv("GOMP_SPINCOUNT", kSpinCount, 1);
  execv(path, argv);
}

void KeepFreedMemory() {
  // Other arenas give their memory back whatever is said here.
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, kLargestMmapThreshold);
  mallopt(M_TRIM_THRESHOLD, kKeptBytes);
}

}  // namespace

void TuneProcess(char** argv) {
  StartAnewSpinningBriefly(argv);
  KeepFreedMemory();
}

int AllowedProcessors() {
  cpu_set_t allowed;
  // Fails where the machine has more processors than a cpu_set_t, 1024.
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) return CPU_COUNT(&allowed);
  return static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
}

bool ProcessorHasBfloat16() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__)
  return (getauxval(AT_HWCAP2) & HWCAP2_BF16) != 0;
#else
  return false;
#endif
}

}  // namespace ddnn::train

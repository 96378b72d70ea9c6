#define DDNN_KERNELS PortableKernels
#define DDNN_KERNELS_NAME "portable"
#define DDNN_LANES 4
#define DDNN_VECTORS 2
#include "train/plane_kernels.inc"

namespace ddnn::train {
namespace {

const PlaneKernels* Widest() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (Avx512Kernels() != nullptr && __builtin_cpu_supports("avx512f") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq")) {
    return Avx512Kernels();
  }
  if (Avx2Kernels() != nullptr && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    return Avx2Kernels();
  }
#endif
  return PortableKernels();
}

}  // namespace

const PlaneKernels& Kernels() {
  static const PlaneKernels& kernels = *Widest();
  return kernels;
}

}  // namespace ddnn::train

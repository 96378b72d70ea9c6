#if defined(__AVX512F__)
#define DDNN_KERNELS Avx512Kernels
#define DDNN_KERNELS_NAME "avx512"
#define DDNN_LANES 16
#define DDNN_VECTORS 6
#include "train/plane_kernels.inc"
#else
#include "train/plane_kernels.h"
namespace ddnn::train {
const PlaneKernels* Avx512Kernels() { return nullptr; }
}  // namespace ddnn::train
#endif

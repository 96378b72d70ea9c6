#if defined(__AVX2__)
#define DDNN_KERNELS Avx2Kernels
#define DDNN_KERNELS_NAME "avx2"
#define DDNN_LANES 8
#define DDNN_VECTORS 3
#include "train/plane_kernels.inc"
#else
#include "train/plane_kernels.h"
namespace ddnn::train {
const PlaneKernels* Avx2Kernels() { return nullptr; }
}  // namespace ddnn::train
#endif

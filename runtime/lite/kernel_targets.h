#ifndef DDNN_RUNTIME_LITE_KERNEL_TARGETS_H_
#define DDNN_RUNTIME_LITE_KERNEL_TARGETS_H_

// Which sets of instructions kernels are compiled for; to be included before foreach_target.h. The
// same for all files: UseKernelTarget() chooses one for all.

// VPOPCNTDQ is in this one.
#define HWY_WANT_AVX3_DL 1
#define HWY_WANT_SSE4 1
// Vectors without a size cannot be in arrays; a device has none of these.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)

#endif  // DDNN_RUNTIME_LITE_KERNEL_TARGETS_H_

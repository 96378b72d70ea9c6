#ifndef DDNN_TRAIN_PARALLEL_H_
#define DDNN_TRAIN_PARALLEL_H_

#include <ATen/Parallel.h>

// at::parallel_for is a template. Where LibTorch's threads are OpenMP's and this file is compiled
// without OpenMP, it runs on one thread and says nothing.
#if AT_PARALLEL_OPENMP && !defined(_OPENMP) && !defined(__SANITIZE_THREAD__)
#error "train needs -fopenmp: see train/CMakeLists.txt"
#endif

#endif  // DDNN_TRAIN_PARALLEL_H_

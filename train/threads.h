#ifndef DDNN_TRAIN_THREADS_H_
#define DDNN_TRAIN_THREADS_H_

namespace ddnn::train {

/// Call first in main. Starts this program anew with GOMP_SPINCOUNT set, unless the user chose how
/// OpenMP waits.
///
/// LibTorch's threads wait for each other several hundred times per step, by default spinning for
/// milliseconds: wherever another process wants one of the processors, training takes ten to
/// thirty times as long. OpenMP reads the variable before main, hence the new start. Where that
/// is not possible it just goes on.
void WaitWithoutSpinning(char** argv);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_THREADS_H_

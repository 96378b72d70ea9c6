#ifndef DDNN_TRAIN_TUNE_PROCESS_H_
#define DDNN_TRAIN_TUNE_PROCESS_H_

namespace ddnn::train {

/// Call first in main, before any thread. Two defaults of the C libraries suit training badly:
///
/// - LibTorch's OpenMP threads wait for each other several hundred times per step, by default
///   spinning for milliseconds: wherever another process wants one of the processors, training
///   takes ten to thirty times as long. Sleeping at once costs a fifth on an idle machine. So they
///   spin for about a tenth of a millisecond. OpenMP reads the variable before main, hence this
///   starts the program anew, unless the user chose how OpenMP waits; where that is not possible it
///   just goes on.
/// - Every tensor of some megabytes is mapped, zeroed by the kernel, and unmapped, each step. So
///   freed memory is kept.
void TuneProcess(char** argv);

/// The processors that this process may use: those that taskset, a cpuset or a Slurm task left it.
int AllowedProcessors();

/// Whether this processor multiplies bfloat16 itself; without, LibTorch does so slowly.
bool ProcessorHasBfloat16();

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_TUNE_PROCESS_H_

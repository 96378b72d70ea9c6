#ifndef DDNN_TRAIN_CHECKPOINT_H_
#define DDNN_TRAIN_CHECKPOINT_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "ddnn/v1/checkpoint.pb.h"

namespace ddnn::train {

/// Where ddnn-train keeps the checkpoint of the bundle `out`: "<out>.checkpoint".
std::string CheckpointPath(const std::string& out);

/// Writes beside `path`, waits for the disk, renames: whatever happens meanwhile, a whole
/// checkpoint is there, the new one or the one before.
absl::Status SaveCheckpoint(const std::string& path, const v1::Checkpoint& checkpoint);

/// Reads a checkpoint of at most `max_bytes`. NOT_FOUND without one; DATA_LOSS when any byte
/// differs from what was written, found before anything in the file is believed.
absl::StatusOr<v1::Checkpoint> LoadCheckpoint(const std::string& path, size_t max_bytes);

/// Every difference between two runs, as "field: there -> here; ..."; empty: there is none.
std::string DifferencesOf(const v1::TrainingRun& there, const v1::TrainingRun& here);

/// FAILED_PRECONDITION names every difference between the run of a checkpoint and this one.
absl::Status CheckSameRun(const std::string& path, const v1::TrainingRun& found,
                          const v1::TrainingRun& expected);

/// Removes a checkpoint and what killed runs left half written beside it. It may be gone already.
void RemoveCheckpoint(const std::string& path);

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_CHECKPOINT_H_

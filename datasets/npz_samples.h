#ifndef DDNN_DATASETS_NPZ_SAMPLES_H_
#define DDNN_DATASETS_NPZ_SAMPLES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "datasets/npy.h"

namespace ddnn {

/// The samples of an .npz: X [N, V, C, H, W], float32 from 0 to 1 or uint8, and y [N, V], int32 or
/// int64. Not safe to call from several threads.
class NpzSamples {
 public:
  static constexpr int kMaxLabel = 1 << 16;

  /// With `hold` all pixels are read now and kept, one byte each. Without, only labels are, and
  /// pixels are read as they are asked for, so that a device that plays a file need not hold it;
  /// what is wrong with them is then found by Read. INVALID_ARGUMENT names file and array, what was
  /// found and what was expected. Memory grows with what the file holds, not with what it claims.
  static absl::StatusOr<NpzSamples> Open(const std::string& path, bool hold);

  const std::string& path() const { return path_; }
  int64_t samples() const { return static_cast<int64_t>(labels_.size()) / views; }
  int64_t view_size() const { return int64_t{1} * channels * height * width; }
  /// In [0, kMaxLabel].
  int label(int64_t sample, int view) const { return labels_[sample * views + view]; }
  int largest_label() const;

  /// [V, C, H, W], bytes. Where they are not held, the next sample costs no more than itself, one
  /// before it all that are before that.
  absl::Status Read(int64_t sample, std::vector<uint8_t>* pixels);

  int views = 0, channels = 0, height = 0, width = 0;

 private:
  explicit NpzSamples(std::string path) : path_(std::move(path)) {}

  absl::Status Restart();
  absl::Status CheckPixels() const;
  absl::Status ReadLabels();
  absl::Status ReadNext(std::vector<uint8_t>* pixels);

  std::string path_;
  std::vector<int32_t> labels_;    // [N, V]
  std::vector<uint8_t> held_;      // [N, V, C, H, W], or empty
  std::unique_ptr<NpzFile> file_;  // before what reads from it
  std::unique_ptr<NpzArray> array_;
  int64_t next_ = 0;  // of `array_`
};

}  // namespace ddnn

#endif  // DDNN_DATASETS_NPZ_SAMPLES_H_

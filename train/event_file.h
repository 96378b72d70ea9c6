#ifndef DDNN_TRAIN_EVENT_FILE_H_
#define DDNN_TRAIN_EVENT_FILE_H_

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "ddnn/v1/event.pb.h"

namespace ddnn::train {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
uint32_t Crc32c(absl::string_view data);

/// One TFRecord: length (uint64, little endian), its masked CRC-32C, the data, its masked CRC-32C.
/// Masked: rotated right by 15 bits, plus 0xa282ead8, so that a record within a record is not
/// mistaken for one. Source: tensorflow/core/lib/io/record_writer.h.
std::string FrameRecord(absl::string_view data);

/// A file of scalars that TensorBoard reads: events.out.tfevents.<seconds>.<host>.<pid>.
///
/// What goes wrong while writing never stops whoever writes: the first error is kept in status(),
/// later events are dropped. Not safe to call from several threads at once.
class EventFile {
 public:
  using Scalars = std::vector<std::pair<std::string, double>>;

  /// Makes the folder if need be, and a new file in it. Errors name the path.
  static absl::StatusOr<std::unique_ptr<EventFile>> Create(const std::string& folder,
                                                           const std::string& host, int pid,
                                                           absl::Time now);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Says, before any Add, that steps from this one on are told in this file: what a run that was
  /// killed told of them, before its checkpoint was taken up, is void. TensorBoard looks for it in
  /// every file, also in the first.
  void Start(int64_t step, absl::Time now);
  /// All of one moment. What was added reaches the file at the latest with the first event ten
  /// seconds later, at Flush() or in the destructor.
  void Add(int64_t step, const Scalars& scalars, absl::Time now);
  void Flush();
  const absl::Status& status() const { return status_; }
  const std::string& path() const { return path_; }

 private:
  EventFile(std::FILE* file, std::string path) : file_(file), path_(std::move(path)) {}
  void Write(const v1::Event& event);
  void Fail(const char* what);

  std::FILE* file_;
  std::string path_;
  absl::Status status_;
  absl::Time flushed_ = absl::InfinitePast();
};

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_EVENT_FILE_H_

#ifndef DDNN_DEVICE_SPOOL_H_
#define DDNN_DEVICE_SPOOL_H_

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "device/spool_segment.h"

namespace ddnn {

struct SpoolOptions {
  std::string directory;
  uint32_t view = 0;
  int64_t max_bytes = int64_t{64} << 20;
  /// Largest payload, bytes. What is larger on the disk is damage.
  size_t max_record = 0;
};

struct SpoolCounters {
  uint64_t spooled = 0;                     ///< since it was opened
  uint64_t stored = 0;                      ///< taken out by Stored
  uint64_t waiting = 0;                     ///< in it now
  int64_t bytes = 0;                        ///< on disk
  int64_t damaged = 0;                      ///< bytes that could not be read
  std::map<std::string, uint64_t> dropped;  ///< by reason
};

/// Payloads on disk, oldest first, until somebody takes them out: a folder of segments
/// (spool_segment.h) bounded in bytes.
///
/// Append writes at once, so that what it took survives the process; Sync waits for the disk, so
/// that it survives a power loss. Every start begins a new segment with a name of chance, and a
/// segment is of one bundle and only appended to: no place is ever used twice, whatever was lost.
/// What a power loss cut off is cut off at the next Open; other damage is passed over, reported and
/// counted. After a power loss, what was taken out last may be there again. Beyond max_bytes the
/// oldest segment goes, whole. One process at a time. Not safe to call from several threads at
/// once.
class Spool {
 public:
  struct Item {
    std::string log;      ///< names its segment
    uint32_t number = 0;  ///< its place there, from 1
    uint32_t after = 0;   ///< the place before it that waits too; 0: none
    std::string bundle;   ///< under which it was appended
    std::string payload;
  };

  /// INVALID_ARGUMENT: max_bytes is too small for max_record. FAILED_PRECONDITION: another process
  /// has it, or it is of another view or version. Else as the file system says.
  static absl::StatusOr<std::unique_ptr<Spool>> Open(SpoolOptions options);
  ~Spool();

  /// \param bundle  SHA-256 of the one that it was made under, 32 raw bytes.
  /// Fails as the file system does, with the payload dropped and counted ("disk full", "disk
  /// error"); later ones are tried again.
  absl::Status Append(const std::string& bundle, const std::string& payload);
  /// Returns when the disk has what was appended.
  absl::Status Sync();

  /// The next one that was not handed out since Rewind; none: no more for now.
  std::optional<Item> Next();
  /// Next begins again, with the oldest that waits.
  void Rewind();
  /// Takes out all of this log up to `number`; how many these were.
  uint64_t Stored(const std::string& log, uint32_t number);
  /// Drops one, and counts it under this reason.
  void Discard(const std::string& log, uint32_t number, const std::string& reason);

  const SpoolCounters& counters() const { return counters_; }

 private:
  struct Segment {
    uint64_t file = 0;  ///< grows; the file's name
    SegmentHeader header;
    std::vector<SegmentRecord> records;  ///< those that wait
    int64_t bytes = 0;
  };

  explicit Spool(SpoolOptions options);
  std::string Path(uint64_t file) const;
  absl::Status Lock();
  absl::Status ReadFolder();
  absl::Status ReadOne(uint64_t file);
  absl::Status Begin(const std::string& bundle);
  absl::Status WriteToOpen(const std::string& bytes);
  void MakeRoom(int64_t bytes);
  void End();
  bool Load(Segment* segment);
  std::deque<Segment>::iterator Find(const std::string& log);
  void NoteStored(const Segment& segment, uint32_t number);
  void Remove(std::deque<Segment>::iterator segment);
  void Drop(std::deque<Segment>::iterator segment, const std::string& reason);

  const SpoolOptions options_;
  const int64_t segment_bytes_;
  int lock_ = -1;
  uint64_t next_file_ = 1;
  std::deque<Segment> segments_;  ///< oldest first; while open_ >= 0 the last is appended to
  int open_ = -1;
  uint32_t next_number_ = 1;
  bool unsynced_ = false;
  SpoolCounters counters_;

  // Next's place: a segment and the last number handed out; and that file's bytes.
  uint64_t reading_ = 0;
  uint32_t handed_out_ = 0;
  std::string loaded_;
};

}  // namespace ddnn

#endif  // DDNN_DEVICE_SPOOL_H_

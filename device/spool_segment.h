#ifndef DDNN_DEVICE_SPOOL_SEGMENT_H_
#define DDNN_DEVICE_SPOOL_SEGMENT_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace ddnn {

/// One file of a spool: a header, then records, only ever appended to.
///
///   header   "ddnnspl1", log [16], bundle [32], view u32, crc u32; stored u32, crc u32
///   record   mark u32, bytes u32, number u32, crc u32, payload
///
/// Numbers are little endian. Each `crc` is CRC-32 (zlib's): the first over all before it, the
/// others over the log's name and the fields beside them, so that nothing that was not written to
/// this log passes for one of its records, whatever the disk left there. `stored` is the one place
/// that is written again; where its sum is wrong it counts as 0.
struct SegmentHeader {
  std::string log;     ///< kLogNameBytes of chance: the segment's name everywhere
  std::string bundle;  ///< SHA-256, 32 raw bytes
  uint32_t view = 0;
};

inline constexpr size_t kLogNameBytes = 16;
inline constexpr size_t kSegmentHeaderBytes = 72;
inline constexpr size_t kStoredAt = 64;  ///< where EncodeStored's bytes are
inline constexpr size_t kRecordHeaderBytes = 16;

/// With nothing stored.
std::string EncodeHeader(const SegmentHeader& header);
/// That the records up to `number` are not wanted any more.
std::string EncodeStored(const std::string& log, uint32_t number);
/// \param number  place in the log, from 1.
std::string EncodeRecord(const std::string& log, uint32_t number, absl::string_view payload);

struct SegmentRecord {
  uint32_t number = 0;
  size_t begin = 0;  ///< of its payload in the file
  size_t bytes = 0;
};

/// What a file holds.
struct SegmentContents {
  SegmentHeader header;
  std::vector<SegmentRecord> records;  ///< numbers grow; all were written so, in full
  uint32_t stored = 0;
  size_t end = 0;  ///< behind the last of them
  /// Between records, and what follows the last one: nothing, or an append that was cut off, or
  /// damage.
  size_t damaged = 0;
  size_t tail = 0;
};

/// Finds every record that is whole, whatever is between them.
/// DATA_LOSS where the header does not check; FAILED_PRECONDITION for one of another version.
absl::StatusOr<SegmentContents> ReadSegment(absl::string_view file);

}  // namespace ddnn

#endif  // DDNN_DEVICE_SPOOL_SEGMENT_H_

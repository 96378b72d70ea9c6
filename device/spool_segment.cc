#include "device/spool_segment.h"

#include <zlib.h>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

constexpr char kFamily[] = "ddnnspl";
constexpr char kMagic[] = "ddnnspl1";
constexpr char kMark[] = "\xd1\x5e\xa1\x9c";
constexpr size_t kBundleBytes = 32;

void AppendU32(uint32_t value, std::string* out) {
  for (int shift = 0; shift < 32; shift += 8) out->push_back(static_cast<char>(value >> shift));
}

uint32_t U32(absl::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    value |= static_cast<uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  }
  return value;
}

uint32_t Crc(uint32_t crc, absl::string_view bytes) {
  return static_cast<uint32_t>(
      crc32(crc, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

// Over bytes, number and payload, which lie around the sum itself.
uint32_t RecordCrc(const std::string& log, absl::string_view lengths, absl::string_view payload) {
  return Crc(Crc(Crc(0, log), lengths), payload);
}

// A whole record at `at`.
bool RecordAt(absl::string_view file, const std::string& log, size_t at, SegmentRecord* record) {
  if (file.size() - at < kRecordHeaderBytes) return false;
  record->bytes = U32(file, at + 4);
  record->number = U32(file, at + 8);
  record->begin = at + kRecordHeaderBytes;
  if (record->bytes > file.size() - record->begin) return false;
  return U32(file, at + 12) ==
         RecordCrc(log, file.substr(at + 4, 8), file.substr(record->begin, record->bytes));
}

}  // namespace

std::string EncodeHeader(const SegmentHeader& header) {
  std::string out = absl::StrCat(kMagic, header.log, header.bundle);
  AppendU32(header.view, &out);
  AppendU32(Crc(0, out), &out);
  return out + EncodeStored(header.log, 0);
}

std::string EncodeStored(const std::string& log, uint32_t number) {
  std::string out;
  AppendU32(number, &out);
  AppendU32(Crc(Crc(0, log), out), &out);
  return out;
}

std::string EncodeRecord(const std::string& log, uint32_t number, absl::string_view payload) {
  std::string lengths;
  AppendU32(static_cast<uint32_t>(payload.size()), &lengths);
  AppendU32(number, &lengths);
  std::string out = absl::StrCat(absl::string_view(kMark, 4), lengths);
  AppendU32(RecordCrc(log, lengths, payload), &out);
  absl::StrAppend(&out, payload);
  return out;
}

absl::StatusOr<SegmentContents> ReadSegment(absl::string_view file) {
  constexpr size_t kSum = kStoredAt - 4;
  if (file.size() < kSegmentHeaderBytes || U32(file, kSum) != Crc(0, file.substr(0, kSum)) ||
      !absl::StartsWith(file, kFamily)) {
    return absl::DataLossError(absl::StrCat(file.size(), " bytes that do not begin as a spool's"));
  }
  if (!absl::StartsWith(file, kMagic)) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a spool of version \"", file.substr(0, sizeof(kMagic) - 1), "\", expected ", kMagic));
  }
  SegmentContents contents;
  contents.header.log = std::string(file.substr(8, kLogNameBytes));
  contents.header.bundle = std::string(file.substr(8 + kLogNameBytes, kBundleBytes));
  contents.header.view = U32(file, kSum - 4);
  const uint32_t stored = U32(file, kStoredAt);
  if (file.substr(kStoredAt, 8) == EncodeStored(contents.header.log, stored)) {
    contents.stored = stored;
  }
  contents.end = kSegmentHeaderBytes;
  uint32_t last = 0;
  const absl::string_view mark(kMark, 4);
  for (size_t at = file.find(mark, contents.end); at != absl::string_view::npos;) {
    SegmentRecord record;
    if (RecordAt(file, contents.header.log, at, &record) && record.number > last) {
      contents.damaged += at - contents.end;
      contents.end = record.begin + record.bytes;
      last = record.number;
      contents.records.push_back(record);
      at = file.find(mark, contents.end);
    } else {
      at = file.find(mark, at + 1);
    }
  }
  contents.tail = file.size() - contents.end;
  return contents;
}

}  // namespace ddnn

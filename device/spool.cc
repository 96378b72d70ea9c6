#include "device/spool.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <random>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "runtime/core/files.h"

namespace ddnn {
namespace {

constexpr int64_t kMaxSegmentBytes = 1 << 20;
// Of a file that calls itself a segment: one of the largest size and a record behind it.
constexpr int64_t kMaxFileBytes = 64 << 20;
constexpr char kSuffix[] = ".spool";

int64_t OnDisk(size_t payload) { return static_cast<int64_t>(kRecordHeaderBytes + payload); }

std::string RandomName() {
  std::random_device random;
  std::string name;
  while (name.size() < kLogNameBytes) name.push_back(static_cast<char>(random()));
  return name;
}

// Fewer, larger segments cost fewer files; more lose less at a time when the bound is reached.
int64_t SegmentBytes(const SpoolOptions& options) {
  return std::min(options.max_bytes / 16, kMaxSegmentBytes);
}

absl::Status ReadAll(const std::string& path, std::string* bytes) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return ErrnoToStatus(errno, path, "cannot be opened");
  struct stat stat;
  absl::Status status;
  if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_size > kMaxFileBytes) {
    status = absl::DataLossError(absl::StrCat(path, ": no file of a spool, or too large for one"));
  } else {
    bytes->resize(static_cast<size_t>(stat.st_size));
  }
  for (size_t at = 0; status.ok() && at < bytes->size();) {
    const ssize_t n = read(fd, &(*bytes)[at], bytes->size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) status = ErrnoToStatus(errno, path, "cannot be read");
    if (n == 0) bytes->resize(at);
    if (n > 0) at += static_cast<size_t>(n);
  }
  close(fd);
  return status;
}

bool IsFull(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

}  // namespace

Spool::Spool(SpoolOptions options)
    : options_(std::move(options)), segment_bytes_(SegmentBytes(options_)) {}

Spool::~Spool() {
  End();
  if (lock_ >= 0) close(lock_);
}

absl::StatusOr<std::unique_ptr<Spool>> Spool::Open(SpoolOptions options) {
  const int64_t least =
      4 * (static_cast<int64_t>(kSegmentHeaderBytes) + OnDisk(options.max_record));
  if (options.max_bytes < least) {
    return absl::InvalidArgumentError(absl::StrCat(options.directory, ": spool_bytes is ",
                                                   options.max_bytes, "; expected at least ", least,
                                                   " for samples of this network"));
  }
  absl::Status status = MakeFolders(options.directory);
  if (!status.ok()) return status;
  std::unique_ptr<Spool> spool(new Spool(std::move(options)));
  status = spool->Lock();
  if (status.ok()) status = spool->ReadFolder();
  if (!status.ok()) return status;
  spool->MakeRoom(0);
  return spool;
}

std::string Spool::Path(uint64_t file) const {
  return absl::StrFormat("%s/%012d%s", options_.directory, file, kSuffix);
}

absl::Status Spool::Lock() {
  const std::string path = options_.directory + "/lock";
  lock_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (lock_ < 0) return ErrnoToStatus(errno, path, "cannot be opened");
  if (flock(lock_, LOCK_EX | LOCK_NB) == 0) return absl::OkStatus();
  if (errno != EWOULDBLOCK) return ErrnoToStatus(errno, path, "cannot be locked");
  return absl::FailedPreconditionError(
      absl::StrCat(options_.directory, ": another process has this spool open"));
}

// ---- What is there at the start ----

absl::Status Spool::ReadFolder() {
  std::vector<uint64_t> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(options_.directory, error)) {
    const std::string name = entry.path().filename().string();
    absl::string_view digits = name;
    uint64_t file = 0;
    if (!absl::ConsumeSuffix(&digits, kSuffix) || !absl::SimpleAtoi(digits, &file)) continue;
    if (Path(file) == absl::StrCat(options_.directory, "/", name)) files.push_back(file);
  }
  if (error) return ErrnoToStatus(error.value(), options_.directory, "cannot be read");
  std::sort(files.begin(), files.end());
  for (uint64_t file : files) {
    absl::Status status = ReadOne(file);
    if (!status.ok()) return status;
    next_file_ = file + 1;
  }
  return absl::OkStatus();
}

absl::Status Spool::ReadOne(uint64_t file) {
  const std::string path = Path(file);
  std::string bytes;
  absl::Status status = ReadAll(path, &bytes);
  if (!status.ok() && !absl::IsDataLoss(status)) return status;
  absl::StatusOr<SegmentContents> contents =
      status.ok() ? ReadSegment(bytes) : absl::StatusOr<SegmentContents>(status);
  if (absl::IsFailedPrecondition(contents.status())) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": ", std::string(contents.status().message())));
  }
  if (!contents.ok()) {
    // A power loss between making a file and writing to it leaves an empty one, or zeros.
    spdlog::warn("{}: {}; removed", path, std::string(contents.status().message()));
    counters_.damaged += static_cast<int64_t>(bytes.size());
    unlink(path.c_str());
    return absl::OkStatus();
  }
  if (contents->header.view != options_.view) {
    return absl::FailedPreconditionError(absl::StrCat(options_.directory, ": the spool of view ",
                                                      contents->header.view,
                                                      "; this device is view ", options_.view));
  }
  const size_t lost = contents->damaged + contents->tail;
  if (lost > 0) {
    spdlog::warn("{}: {} bytes cannot be read: cut off by a power loss, or damaged", path, lost);
    counters_.damaged += static_cast<int64_t>(lost);
  }
  if (contents->tail > 0 && truncate(path.c_str(), static_cast<off_t>(contents->end)) != 0) {
    return ErrnoToStatus(errno, path, "cannot be cut");
  }
  Segment segment{file, contents->header, {}, static_cast<int64_t>(contents->end)};
  for (const SegmentRecord& record : contents->records) {
    if (record.number > contents->stored) segment.records.push_back(record);
  }
  counters_.waiting += segment.records.size();
  counters_.bytes += segment.bytes;
  segments_.push_back(std::move(segment));
  const auto last = std::prev(segments_.end());
  if (last->records.empty()) Remove(last);
  return absl::OkStatus();
}

// ---- In ----

absl::Status Spool::Begin(const std::string& bundle) {
  SegmentHeader header{RandomName(), bundle, options_.view};
  const std::string path = Path(next_file_);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoToStatus(errno, path, "cannot be made");
  open_ = fd;
  next_number_ = 1;
  segments_.push_back({next_file_++, header, {}, 0});
  absl::Status status = WriteToOpen(EncodeHeader(header));
  if (status.ok()) status = SyncFolder(options_.directory);
  if (!status.ok()) {
    const int error = errno;
    End();  // it is empty, and goes
    errno = error;
  }
  return status;
}

// All of it or, as far as the file system lets itself be told so, nothing. Leaves errno.
absl::Status Spool::WriteToOpen(const std::string& bytes) {
  Segment& segment = segments_.back();
  unsynced_ = true;
  for (size_t at = 0; at < bytes.size();) {
    const ssize_t n = write(open_, bytes.data() + at, bytes.size() - at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      // A part of a record is passed over by those who read; this gives its space back.
      if (ftruncate(open_, segment.bytes) != 0) spdlog::debug("cannot cut {}", Path(segment.file));
      errno = error;
      return ErrnoToStatus(error, Path(segment.file), "cannot be written");
    }
    at += static_cast<size_t>(n);
  }
  segment.bytes += static_cast<int64_t>(bytes.size());
  counters_.bytes += static_cast<int64_t>(bytes.size());
  return absl::OkStatus();
}

absl::Status Spool::Append(const std::string& bundle, const std::string& payload) {
  const int64_t size = OnDisk(payload.size());
  if (payload.size() > options_.max_record) {
    ++counters_.dropped["too large"];
    return absl::InvalidArgumentError(absl::StrCat(options_.directory, ": ", payload.size(),
                                                   " bytes, at most ", options_.max_record));
  }
  MakeRoom(size + static_cast<int64_t>(kSegmentHeaderBytes));
  if (open_ >= 0 && segments_.back().bytes + size > segment_bytes_ && next_number_ > 1) End();
  if (open_ >= 0 && segments_.back().header.bundle != bundle) End();
  absl::Status status = open_ >= 0 ? absl::OkStatus() : Begin(bundle);
  if (status.ok()) {
    const int64_t begin = segments_.back().bytes;
    status = WriteToOpen(EncodeRecord(segments_.back().header.log, next_number_, payload));
    if (status.ok()) {
      segments_.back().records.push_back(
          {next_number_++, static_cast<size_t>(begin) + kRecordHeaderBytes, payload.size()});
      ++counters_.spooled;
      ++counters_.waiting;
      return status;
    }
  }
  ++counters_.dropped[IsFull(errno) ? "disk full" : "disk error"];
  End();
  return status;
}

absl::Status Spool::Sync() {
  if (open_ < 0 || !unsynced_) return absl::OkStatus();
  unsynced_ = false;
  if (fdatasync(open_) == 0) return absl::OkStatus();
  return ErrnoToStatus(errno, Path(segments_.back().file), "cannot be synced");
}

// The last segment is not appended to any more.
void Spool::End() {
  if (open_ < 0) return;
  const absl::Status synced = Sync();
  if (!synced.ok()) spdlog::error("{}", std::string(synced.message()));
  close(open_);
  open_ = -1;
  if (segments_.back().records.empty()) Remove(std::prev(segments_.end()));
}

void Spool::MakeRoom(int64_t bytes) {
  while (counters_.bytes + bytes > options_.max_bytes && !segments_.empty()) {
    if (segments_.size() == 1) End();
    if (segments_.empty()) return;
    Drop(segments_.begin(), "full");
  }
}

void Spool::Drop(std::deque<Segment>::iterator segment, const std::string& reason) {
  counters_.dropped[reason] += segment->records.size();
  counters_.waiting -= segment->records.size();
  Remove(segment);
}

void Spool::Remove(std::deque<Segment>::iterator segment) {
  counters_.bytes -= segment->bytes;
  if (reading_ == segment->file) loaded_.clear();
  // Should it come back after a power loss, the root knows what it stored of it.
  if (unlink(Path(segment->file).c_str()) != 0) {
    spdlog::warn("{} cannot be removed", Path(segment->file));
  }
  segments_.erase(segment);
}

// ---- Out ----

// False: it is not what was written, and is gone.
bool Spool::Load(Segment* segment) {
  if (!loaded_.empty()) return true;
  absl::Status status = ReadAll(Path(segment->file), &loaded_);
  absl::StatusOr<SegmentContents> contents =
      status.ok() ? ReadSegment(loaded_) : absl::StatusOr<SegmentContents>(status);
  std::vector<SegmentRecord> whole;
  if (contents.ok() && contents->header.log == segment->header.log) {
    for (const SegmentRecord& record : contents->records) {
      if (record.number >= segment->records.front().number) whole.push_back(record);
    }
  }
  const uint64_t lost = segment->records.size() - std::min(segment->records.size(), whole.size());
  if (lost > 0) {
    spdlog::warn("{}: {} samples cannot be read any more", Path(segment->file), lost);
    counters_.dropped["damaged"] += lost;
    counters_.waiting -= lost;
    segment->records = std::move(whole);
  }
  if (segment->records.empty()) loaded_.clear();
  return !segment->records.empty();
}

std::optional<Spool::Item> Spool::Next() {
  for (size_t i = 0; i < segments_.size();) {
    Segment& segment = segments_[i];
    if (segment.file < reading_) {
      ++i;
      continue;
    }
    if (segment.file > reading_) {
      reading_ = segment.file;
      handed_out_ = 0;
      loaded_.clear();
    }
    const bool more = !segment.records.empty() && segment.records.back().number > handed_out_;
    if (!more) {
      ++i;
      continue;
    }
    // What is read is not written to.
    if (open_ >= 0 && i + 1 == segments_.size()) End();
    if (!Load(&segment)) {
      Remove(segments_.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    Item item;
    item.log = segment.header.log;
    item.bundle = segment.header.bundle;
    for (const SegmentRecord& record : segment.records) {
      if (record.number > handed_out_) {
        item.number = handed_out_ = record.number;
        item.payload = loaded_.substr(record.begin, record.bytes);
        return item;
      }
      item.after = record.number;
    }
  }
  return std::nullopt;
}

void Spool::Rewind() {
  reading_ = 0;
  handed_out_ = 0;
  loaded_.clear();
}

std::deque<Spool::Segment>::iterator Spool::Find(const std::string& log) {
  return std::find_if(segments_.begin(), segments_.end(),
                      [&](const Segment& segment) { return segment.header.log == log; });
}

uint64_t Spool::Stored(const std::string& log, uint32_t number) {
  const auto segment = Find(log);
  if (segment == segments_.end()) return 0;
  std::vector<SegmentRecord>& records = segment->records;
  const auto end = std::find_if(records.begin(), records.end(), [&](const SegmentRecord& record) {
    return record.number > number;
  });
  const uint64_t count = static_cast<uint64_t>(end - records.begin());
  if (count == 0) return 0;
  records.erase(records.begin(), end);
  counters_.stored += count;
  counters_.waiting -= count;
  const bool is_open = open_ >= 0 && segment == std::prev(segments_.end());
  if (records.empty() && !is_open) {
    Remove(segment);
  } else {
    NoteStored(*segment, number);
  }
  return count;
}

// Not waited for: should it get lost, they are sent again, and the root knows them.
void Spool::NoteStored(const Segment& segment, uint32_t number) {
  const std::string path = Path(segment.file), mark = EncodeStored(segment.header.log, number);
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  const ssize_t size = static_cast<ssize_t>(mark.size());
  if (fd < 0 || pwrite(fd, mark.data(), mark.size(), kStoredAt) != size) {
    spdlog::debug("{}: cannot note what is stored", path);
  }
  if (fd >= 0) close(fd);
}

void Spool::Discard(const std::string& log, uint32_t number, const std::string& reason) {
  const auto segment = Find(log);
  if (segment == segments_.end()) return;
  std::vector<SegmentRecord>& records = segment->records;
  const auto one = std::find_if(records.begin(), records.end(), [&](const SegmentRecord& record) {
    return record.number == number;
  });
  if (one == records.end()) return;
  records.erase(one);
  ++counters_.dropped[reason];
  --counters_.waiting;
  const bool is_open = open_ >= 0 && segment == std::prev(segments_.end());
  if (records.empty() && !is_open) Remove(segment);
}

}  // namespace ddnn

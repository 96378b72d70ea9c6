#include "train/event_file.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace ddnn::train {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, lowest bit first
constexpr uint32_t kMaskDelta = 0xa282ead8;
constexpr char kFileVersion[] = "brain.Event:2";
constexpr absl::Duration kFlushEvery = absl::Seconds(10);
constexpr int kTries = 1000;

std::array<uint32_t, 256> MakeTable() {
  std::array<uint32_t, 256> table;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (crc & 1 ? kPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}

void AppendLittleEndian(uint64_t value, int bytes, std::string* to) {
  for (int i = 0; i < bytes; ++i) to->push_back(static_cast<char>(value >> (8 * i)));
}

void AppendMaskedCrc(absl::string_view data, std::string* to) {
  const uint32_t crc = Crc32c(data);
  AppendLittleEndian(static_cast<uint32_t>(((crc >> 15) | (crc << 17)) + kMaskDelta), 4, to);
}

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

}  // namespace

uint32_t Crc32c(absl::string_view data) {
  static const std::array<uint32_t, 256> kTable = MakeTable();
  uint32_t crc = ~uint32_t{0};
  for (const char c : data) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  return ~crc;
}

std::string FrameRecord(absl::string_view data) {
  std::string record;
  record.reserve(data.size() + 16);
  AppendLittleEndian(data.size(), 8, &record);
  AppendMaskedCrc(absl::string_view(record).substr(0, 8), &record);
  absl::StrAppend(&record, data);
  AppendMaskedCrc(data, &record);
  return record;
}

absl::StatusOr<std::unique_ptr<EventFile>> EventFile::Create(const std::string& folder,
                                                             const std::string& host, int pid,
                                                             absl::Time now) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) {
    return absl::PermissionDeniedError(absl::StrCat(folder, ": ", error.message()));
  }
  const std::string base =
      absl::StrCat(folder, "/events.out.tfevents.", absl::ToUnixSeconds(now), ".", host, ".", pid);
  // A name that is taken (a run that was continued within the second) gets a number behind it.
  std::FILE* file = nullptr;
  std::string path = base;
  for (int i = 1; i < kTries; ++i) {
    file = std::fopen(path.c_str(), "wxb");
    if (file != nullptr || errno != EEXIST) break;
    path = absl::StrCat(base, ".", i);
  }
  if (file == nullptr) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": ", std::strerror(errno)));
  }
  std::unique_ptr<EventFile> events(new EventFile(file, std::move(path)));
  v1::Event version;
  version.set_wall_time(Seconds(now));
  version.set_file_version(kFileVersion);
  events->Write(version);
  events->Flush();
  events->flushed_ = now;
  if (!events->status().ok()) return events->status();
  return events;
}

EventFile::~EventFile() { std::fclose(file_); }

void EventFile::Start(int64_t step, absl::Time now) {
  v1::Event event;
  event.set_wall_time(Seconds(now));
  event.set_step(step);
  event.mutable_session_log()->set_status(v1::SessionLog::START);
  Write(event);
  Flush();
}

void EventFile::Add(int64_t step, const Scalars& scalars, absl::Time now) {
  v1::Event event;
  event.set_wall_time(Seconds(now));
  event.set_step(step);
  for (const auto& [tag, number] : scalars) {
    v1::EventSummary::Value* value = event.mutable_summary()->add_value();
    value->set_tag(tag);
    value->set_simple_value(static_cast<float>(number));
  }
  Write(event);
  if (now - flushed_ < kFlushEvery) return;
  flushed_ = now;
  Flush();
}

void EventFile::Write(const v1::Event& event) {
  if (!status_.ok()) return;
  const std::string record = FrameRecord(event.SerializeAsString());
  if (std::fwrite(record.data(), 1, record.size(), file_) != record.size()) Fail("writing");
}

void EventFile::Flush() {
  if (status_.ok() && std::fflush(file_) != 0) Fail("writing");
}

void EventFile::Fail(const char* what) {
  status_ =
      absl::ResourceExhaustedError(absl::StrCat(path_, ": ", what, ": ", std::strerror(errno)));
}

}  // namespace ddnn::train

#include "cloud/hard_store.h"

#include <algorithm>
#include <utility>

namespace ddnn {

absl::StatusOr<std::unique_ptr<HardStore>> HardStore::Open(HardStoreOptions options) {
  auto database = HardDatabase::Open(options.path, options.max_bytes);
  if (!database.ok()) return database.status();
  return std::unique_ptr<HardStore>(new HardStore(std::move(options), *std::move(database)));
}

HardStore::HardStore(HardStoreOptions options, std::unique_ptr<HardDatabase> database)
    : options_(std::move(options)), database_(std::move(database)) {
  writer_ = std::thread([this] { WriteLoop(); });
}

HardStore::~HardStore() {
  {
    MutexLock lock(&queue_mutex_);
    stopping_ = true;
  }
  queue_changed_.SignalAll();
  writer_.join();
}

bool HardStore::Queue(HardWrite write, std::function<void(uint32_t)> stored) {
  {
    MutexLock lock(&queue_mutex_);
    if (waiting_.size() >= options_.max_waiting) {
      if (stored == nullptr) ++dropped_;  // else it comes again
      return false;
    }
    waiting_.push_back(std::move(write));
    if (stored != nullptr) to_tell_.push_back(std::move(stored));
    ++queued_;
  }
  queue_changed_.SignalAll();
  return true;
}

bool HardStore::Keep(HardRecord record) {
  record.time = options_.now();
  return Queue(std::move(record));
}

void HardStore::KeepAlone(HardAlone alone, std::function<void(uint32_t)> stored) {
  // A clock that is ahead would keep the sample on top of every list.
  alone.record.time = std::min(alone.record.time, options_.now());
  Queue(std::move(alone), std::move(stored));
}

bool HardStore::KeepPixels(SampleKey sample, std::vector<std::pair<int, std::string>> pixels) {
  return Queue(HardPictures{sample, std::move(pixels)});
}

void HardStore::Flush() {
  MutexLock lock(&queue_mutex_);
  const uint64_t target = queued_;
  while (done_ < target) queue_changed_.Wait(&queue_mutex_);
}

void HardStore::WriteLoop() {
  for (;;) {
    std::vector<HardWrite> batch;
    std::vector<std::function<void(uint32_t)>> to_tell;
    {
      MutexLock lock(&queue_mutex_);
      while (!stopping_ && waiting_.empty()) queue_changed_.Wait(&queue_mutex_);
      if (waiting_.empty()) return;
      batch.swap(waiting_);
      to_tell.swap(to_tell_);
    }
    absl::Status status;
    std::vector<uint32_t> stored;
    {
      MutexLock lock(&database_mutex_);
      status = database_->Write(batch, &stored);
    }
    for (size_t i = 0; status.ok() && i < to_tell.size(); ++i) {
      if (stored[i] > 0) to_tell[i](stored[i]);
    }
    {
      MutexLock lock(&queue_mutex_);
      done_ += batch.size();
      if (!status.ok()) {
        dropped_ += batch.size() - to_tell.size();
        if (write_error_.ok()) write_error_ = status;
      }
    }
    queue_changed_.SignalAll();
  }
}

absl::StatusOr<HardPage> HardStore::List(const HardFilter& filter, int page_size,
                                         const std::optional<HardCursor>& after) {
  MutexLock lock(&database_mutex_);
  return database_->List(filter, page_size, after);
}

absl::StatusOr<HardRecord> HardStore::Get(int64_t id) {
  MutexLock lock(&database_mutex_);
  return database_->Get(id);
}

absl::StatusOr<HardRecord> HardStore::Label(int64_t id, const std::string& label) {
  MutexLock lock(&database_mutex_);
  absl::Status status = database_->SetLabel(id, label);
  if (!status.ok()) return status;
  return database_->Get(id);
}

absl::StatusOr<std::optional<HardRecord>> HardStore::Next(int64_t after_id, bool only_labelled) {
  MutexLock lock(&database_mutex_);
  return database_->Next(after_id, only_labelled);
}

HardStoreCounters HardStore::counters() {
  HardStoreCounters counters;
  {
    MutexLock lock(&database_mutex_);
    counters.database = database_->counters();
  }
  MutexLock lock(&queue_mutex_);
  counters.dropped = dropped_;
  return counters;
}

absl::Status HardStore::write_error() {
  MutexLock lock(&queue_mutex_);
  return write_error_;
}

}  // namespace ddnn

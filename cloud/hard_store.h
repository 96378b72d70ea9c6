#ifndef DDNN_CLOUD_HARD_STORE_H_
#define DDNN_CLOUD_HARD_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cloud/hard_database.h"
#include "runtime/node/mutex.h"

namespace ddnn {

struct HardStoreOptions {
  std::string path;
  int64_t max_bytes = int64_t{256} << 20;
  /// Writes that may wait for the disk; one more is dropped and counted.
  size_t max_waiting = 1024;
  std::function<absl::Time()> now = absl::Now;
};

struct HardStoreCounters {
  HardDatabaseCounters database;
  uint64_t dropped = 0;  ///< the queue was full, or the disk failed
};

/// The root's hard samples, behind a thread of its own that does all writing.
///
/// Keep, KeepAlone and KeepPixels never wait for the disk, so gRPC and node threads may call them.
/// The others do wait, for a disk access and at most one batch of writes: call them from a thread
/// that may. Safe to call from several threads.
class HardStore {
 public:
  /// Errors as in HardDatabase::Open.
  static absl::StatusOr<std::unique_ptr<HardStore>> Open(HardStoreOptions options);
  /// Writes what still waits.
  ~HardStore();
  HardStore(const HardStore&) = delete;
  HardStore& operator=(const HardStore&) = delete;

  /// Queues a sample; its time is set here. False: dropped.
  bool Keep(HardRecord record);
  /// Queues a sample that a device kept while it was alone. Once the disk has it, or had it before,
  /// `stored` is called on the writer's thread with the place up to which its log is stored; not
  /// called where that failed, or where one before it has not come: the device sends it again.
  void KeepAlone(HardAlone alone, std::function<void(uint32_t)> stored);
  /// Queues pictures for the newest sample of that key. False: dropped.
  bool KeepPixels(SampleKey sample, std::vector<std::pair<int, std::string>> pixels);
  /// Returns when all that was queued before is written (or has failed).
  void Flush();

  absl::StatusOr<HardPage> List(const HardFilter& filter, int page_size,
                                const std::optional<HardCursor>& after);
  absl::StatusOr<HardRecord> Get(int64_t id);
  /// Gives the sample as it is afterwards. An empty label takes it back.
  absl::StatusOr<HardRecord> Label(int64_t id, const std::string& label);
  /// For exports: the oldest sample with a larger id; none at the end.
  absl::StatusOr<std::optional<HardRecord>> Next(int64_t after_id, bool only_labelled);

  HardStoreCounters counters();
  /// The first error of a write, if any.
  absl::Status write_error();

 private:
  HardStore(HardStoreOptions options, std::unique_ptr<HardDatabase> database);
  bool Queue(HardWrite write, std::function<void(uint32_t)> stored = nullptr);
  void WriteLoop();

  const HardStoreOptions options_;
  Mutex database_mutex_;  // never held together with queue_mutex_
  const std::unique_ptr<HardDatabase> database_ ABSL_PT_GUARDED_BY(database_mutex_);

  Mutex queue_mutex_;
  CondVar queue_changed_;
  std::vector<HardWrite> waiting_ ABSL_GUARDED_BY(queue_mutex_);
  /// One for each HardAlone that waits, in turn.
  std::vector<std::function<void(uint32_t)>> to_tell_ ABSL_GUARDED_BY(queue_mutex_);
  uint64_t queued_ ABSL_GUARDED_BY(queue_mutex_) = 0;
  uint64_t done_ ABSL_GUARDED_BY(queue_mutex_) = 0;
  uint64_t dropped_ ABSL_GUARDED_BY(queue_mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(queue_mutex_) = false;
  absl::Status write_error_ ABSL_GUARDED_BY(queue_mutex_);

  std::thread writer_;
};

}  // namespace ddnn

#endif  // DDNN_CLOUD_HARD_STORE_H_

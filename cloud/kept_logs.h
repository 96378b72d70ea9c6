#ifndef DDNN_CLOUD_KEPT_LOGS_H_
#define DDNN_CLOUD_KEPT_LOGS_H_

#include <cstdint>
#include <string>

namespace SQLite {
class Database;
}

namespace ddnn {

/// How much of each device's logs is stored, in two tables of the store's database: a place in a
/// log is stored once. Calls throw SQLite::Exception and belong into the transaction that stores
/// the sample.
class KeptLogs {
 public:
  /// Of each view's logs the newest so many are remembered: whoever comes with a view's older ones
  /// again could only be a device that kept them for as many restarts.
  static constexpr int kMaxLogsPerView = 1024;

  /// Makes the tables.
  static void Create(SQLite::Database* database);

  explicit KeptLogs(SQLite::Database* database) : database_(*database) {}

  /// Up to which place the log is stored; 0: nothing of it.
  uint32_t StoredUpTo(int view, const std::string& log);
  void SetStoredUpTo(int view, const std::string& log, uint32_t number);

  /// Notes that a sample of the store is one that a device answered alone, with this exit.
  void Mark(int64_t sample, const std::string& exit);

 private:
  SQLite::Database& database_;
};

}  // namespace ddnn

#endif  // DDNN_CLOUD_KEPT_LOGS_H_

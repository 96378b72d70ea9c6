#include "cloud/kept_logs.h"

#include <SQLiteCpp/SQLiteCpp.h>

namespace ddnn {
namespace {

// `id` grows with every new log.
constexpr char kSchema[] = R"(
CREATE TABLE logs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  view INTEGER NOT NULL,
  log BLOB NOT NULL,
  number INTEGER NOT NULL,
  UNIQUE (view, log)
);
CREATE INDEX logs_by_age ON logs(view, id);
CREATE TABLE alone (
  sample INTEGER PRIMARY KEY,
  exit TEXT NOT NULL
);
)";

void BindLog(SQLite::Statement& statement, int view, const std::string& log) {
  statement.bind(1, view);
  statement.bindNoCopy(2, log.data(), static_cast<int>(log.size()));
}

}  // namespace

void KeptLogs::Create(SQLite::Database* database) { database->exec(kSchema); }

uint32_t KeptLogs::StoredUpTo(int view, const std::string& log) {
  SQLite::Statement find(database_, "SELECT number FROM logs WHERE view = ? AND log = ?");
  BindLog(find, view, log);
  return find.executeStep() ? static_cast<uint32_t>(find.getColumn(0).getInt64()) : 0;
}

void KeptLogs::SetStoredUpTo(int view, const std::string& log, uint32_t number) {
  SQLite::Statement update(database_, "UPDATE logs SET number = ?3 WHERE view = ?1 AND log = ?2");
  BindLog(update, view, log);
  update.bind(3, static_cast<int64_t>(number));
  if (update.exec() > 0) return;
  SQLite::Statement insert(database_, "INSERT INTO logs (view, log, number) VALUES (?1, ?2, ?3)");
  BindLog(insert, view, log);
  insert.bind(3, static_cast<int64_t>(number));
  insert.exec();
  SQLite::Statement forget(database_,
                           "DELETE FROM logs WHERE view = ?1 AND id <= (SELECT id FROM logs WHERE "
                           "view = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)");
  forget.bind(1, view);
  forget.bind(2, kMaxLogsPerView);
  forget.exec();
}

void KeptLogs::Mark(int64_t sample, const std::string& exit) {
  SQLite::Statement insert(database_, "INSERT INTO alone (sample, exit) VALUES (?, ?)");
  insert.bind(1, sample);
  insert.bindNoCopy(2, exit);
  insert.exec();
}

}  // namespace ddnn

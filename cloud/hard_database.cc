#include "cloud/hard_database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cloud/kept_logs.h"

namespace ddnn {
namespace {

constexpr int32_t kApplicationId = 0x44444e4e;  // "DDNN"
constexpr int kSchemaVersion = 2;
// A sample that a device was in doubt about is one of the root's own if that was stored so close to
// it; the two clocks need not agree better.
constexpr int64_t kSameTimeUs = 60 * 1000000;

// `features` comes last: a list reads only the columns before it, never the overflow pages behind.
// The indices hold all that a filter looks at but the label.
constexpr char kSchema[] = R"(
CREATE TABLE samples (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  stream INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  time_us INTEGER NOT NULL,
  class_index INTEGER NOT NULL,
  class_name TEXT NOT NULL,
  entropy REAL NOT NULL,
  presence INTEGER NOT NULL,
  label TEXT NOT NULL,
  bundle_sha256 TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  scores BLOB NOT NULL,
  features BLOB NOT NULL
);
CREATE INDEX samples_by_key ON samples(stream, sequence);
CREATE INDEX samples_by_time ON samples(time_us, entropy);
CREATE INDEX samples_by_class ON samples(class_name, time_us, entropy);
CREATE TABLE pixels (
  sample INTEGER NOT NULL,
  view INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (sample, view)
);
)";

constexpr char kColumns[] =
    "id, stream, sequence, time_us, class_index, class_name, entropy, presence, label, "
    "bundle_sha256, scores, (SELECT exit FROM alone WHERE sample = id)";

// A null pointer would be stored as NULL, which the schema refuses.
void BindBlob(SQLite::Statement& statement, int index, const void* data, size_t size) {
  statement.bindNoCopy(index, size == 0 ? "" : data, static_cast<int>(size));
}

std::string Blob(const SQLite::Column& column) {
  const int size = column.getBytes();
  return size == 0 ? std::string() : std::string(static_cast<const char*>(column.getBlob()), size);
}

HardRecord ReadRow(SQLite::Statement& row) {
  HardRecord record;
  record.id = row.getColumn(0).getInt64();
  record.sample.stream = static_cast<uint32_t>(row.getColumn(1).getInt64());
  record.sample.sequence = static_cast<uint64_t>(row.getColumn(2).getInt64());
  record.time = absl::FromUnixMicros(row.getColumn(3).getInt64());
  record.class_index = row.getColumn(4).getInt();
  record.class_name = row.getColumn(5).getString();
  record.entropy = static_cast<float>(row.getColumn(6).getDouble());
  record.presence = static_cast<uint64_t>(row.getColumn(7).getInt64());
  record.label = row.getColumn(8).getString();
  record.bundle_sha256 = row.getColumn(9).getString();
  const std::string scores = Blob(row.getColumn(10));
  record.scores.resize(scores.size() / sizeof(float));
  if (!record.scores.empty()) {
    std::memcpy(record.scores.data(), scores.data(), record.scores.size() * sizeof(float));
  }
  record.alone = !row.getColumn(11).isNull();
  if (record.alone) record.exit = row.getColumn(11).getString();
  return record;
}

int64_t PixelBytes(const std::vector<std::pair<int, std::string>>& pixels) {
  int64_t bytes = 0;
  for (const auto& [view, data] : pixels) bytes += static_cast<int64_t>(data.size());
  return bytes;
}

int64_t Bytes(const HardRecord& record) {
  return HardDatabase::kRowBytes +
         static_cast<int64_t>(record.scores.size() * sizeof(float) + record.features.size()) +
         PixelBytes(record.pixels);
}

absl::Status ToStatus(const std::string& path, const SQLite::Exception& error) {
  switch (error.getErrorCode()) {
    case SQLITE_NOTADB:
      return absl::DataLossError(absl::StrCat(path, ": not an SQLite database"));
    case SQLITE_CORRUPT:
      return absl::DataLossError(absl::StrCat(path, ": damaged database (", error.what(), ")"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::FailedPreconditionError(
          absl::StrCat(path, ": another process has this store open"));
    case SQLITE_CANTOPEN:
      return absl::NotFoundError(absl::StrCat(
          path, ": cannot be opened or created; does its folder exist and may it be written?"));
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return absl::PermissionDeniedError(absl::StrCat(path, ": may not be written"));
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(absl::StrCat(path, ": the disk is full"));
    default:
      return absl::InternalError(absl::StrCat(path, ": ", error.what()));
  }
}

void BindFilter(const HardFilter& filter, SQLite::Statement& statement) {
  if (filter.since) statement.bind(":since", absl::ToUnixMicros(*filter.since));
  if (filter.until) statement.bind(":until", absl::ToUnixMicros(*filter.until));
  if (!filter.class_name.empty()) statement.bind(":class", filter.class_name);
  if (filter.min_entropy > 0) statement.bind(":entropy", static_cast<double>(filter.min_entropy));
}

std::string Where(const HardFilter& filter) {
  std::string where = " WHERE 1";
  if (filter.since) absl::StrAppend(&where, " AND time_us >= :since");
  if (filter.until) absl::StrAppend(&where, " AND time_us < :until");
  if (!filter.class_name.empty()) absl::StrAppend(&where, " AND class_name = :class");
  if (filter.min_entropy > 0) absl::StrAppend(&where, " AND entropy >= :entropy");
  if (filter.only_labelled) absl::StrAppend(&where, " AND label != ''");
  if (filter.only_unlabelled) absl::StrAppend(&where, " AND label = ''");
  return where;
}

}  // namespace

class HardDatabase::Impl {
 public:
  Impl(const std::string& path, int64_t max_bytes)
      : path_(path),
        max_bytes_(max_bytes),
        db_(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE) {}

  absl::Status Prepare();

  template <typename F>
  auto Guard(F f) -> decltype(f()) {
    try {
      return f();
    } catch (const SQLite::Exception& error) {
      return ToStatus(path_, error);
    } catch (const std::exception& error) {
      return absl::InternalError(absl::StrCat(path_, ": ", error.what()));
    }
  }

  bool Insert(const HardRecord& record);
  bool Insert(const HardPictures& pictures);
  bool Insert(const HardAlone& alone);
  int64_t FindOwn(const HardRecord& record);
  void InsertPixels(int64_t id, const std::vector<std::pair<int, std::string>>& pixels);
  void Evict();
  absl::StatusOr<HardPage> List(const HardFilter& filter, int page_size,
                                const std::optional<HardCursor>& after);
  int64_t Total(const HardFilter& filter);
  void ReadPixels(HardRecord* record, bool with_data);
  std::optional<HardRecord> ReadWhole(SQLite::Statement& row);

  const std::string path_;
  const int64_t max_bytes_;
  SQLite::Database db_;
  HardDatabaseCounters counters_;

 private:
  absl::Status CheckKind();
};

// An empty file is a new store; anything else must be one of ours, of this version.
absl::Status HardDatabase::Impl::CheckKind() {
  const int32_t application = db_.execAndGet("PRAGMA application_id").getInt();
  const int version = db_.execAndGet("PRAGMA user_version").getInt();
  if (application == 0 && db_.execAndGet("SELECT count(*) FROM sqlite_master").getInt() == 0) {
    SQLite::Transaction transaction(db_);
    db_.exec(kSchema);
    KeptLogs::Create(&db_);
    db_.exec(absl::StrCat("PRAGMA application_id = ", kApplicationId));
    db_.exec(absl::StrCat("PRAGMA user_version = ", kSchemaVersion));
    transaction.commit();
    return absl::OkStatus();
  }
  if (application != kApplicationId) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": an SQLite database, but not a store of hard samples"));
  }
  if (version == 1) {  // there was nothing about logs
    SQLite::Transaction transaction(db_);
    KeptLogs::Create(&db_);
    db_.exec(absl::StrCat("PRAGMA user_version = ", kSchemaVersion));
    transaction.commit();
    return absl::OkStatus();
  }
  if (version != kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": a store of schema version ",
                                                      version, "; this program reads version ",
                                                      kSchemaVersion));
  }
  return absl::OkStatus();
}

absl::Status HardDatabase::Impl::Prepare() {
  // Exclusive: counters in memory stay true, and no shared-memory file is needed.
  db_.exec("PRAGMA locking_mode = EXCLUSIVE");
  db_.exec("PRAGMA journal_mode = WAL");
  db_.exec("PRAGMA synchronous = NORMAL");
  db_.exec("PRAGMA journal_size_limit = 4194304");
  absl::Status kind = CheckKind();
  if (!kind.ok()) return kind;
  const std::string check = db_.execAndGet("PRAGMA quick_check(1)").getString();
  if (check != "ok") {
    return absl::DataLossError(absl::StrCat(path_, ": damaged database (", check, ")"));
  }
  SQLite::Statement sums(db_, "SELECT count(*), coalesce(sum(bytes), 0) FROM samples");
  sums.executeStep();
  counters_.samples = sums.getColumn(0).getInt64();
  counters_.bytes = sums.getColumn(1).getInt64();
  SQLite::Transaction transaction(db_);
  Evict();
  transaction.commit();
  return absl::OkStatus();
}

// False: refused, and counted.
bool HardDatabase::Impl::Insert(const HardRecord& record) {
  const int64_t bytes = Bytes(record);
  if (bytes > max_bytes_) {
    ++counters_.refused;
    return false;
  }
  SQLite::Statement insert(
      db_,
      "INSERT INTO samples (stream, sequence, time_us, class_index, class_name, entropy, presence, "
      "label, bundle_sha256, bytes, scores, features) VALUES (?,?,?,?,?,?,?,?,?,?,?,?)");
  insert.bind(1, record.sample.stream);
  insert.bind(2, static_cast<int64_t>(record.sample.sequence));
  insert.bind(3, absl::ToUnixMicros(record.time));
  insert.bind(4, record.class_index);
  insert.bindNoCopy(5, record.class_name);
  insert.bind(6, static_cast<double>(record.entropy));
  insert.bind(7, static_cast<int64_t>(record.presence));
  insert.bindNoCopy(8, record.label);
  insert.bindNoCopy(9, record.bundle_sha256);
  insert.bind(10, Bytes(record) - PixelBytes(record.pixels));
  BindBlob(insert, 11, record.scores.data(), record.scores.size() * sizeof(float));
  BindBlob(insert, 12, record.features.data(), record.features.size());
  insert.exec();
  ++counters_.samples;
  counters_.bytes += bytes - PixelBytes(record.pixels);
  const int64_t id = db_.getLastInsertRowid();
  InsertPixels(id, record.pixels);
  if (record.alone) KeptLogs(&db_).Mark(id, record.exit);
  return true;
}

bool HardDatabase::Impl::Insert(const HardPictures& pictures) {
  SQLite::Statement find(db_,
                         "SELECT id, bytes FROM samples WHERE stream = ? AND sequence = ? "
                         "AND id NOT IN (SELECT sample FROM alone) ORDER BY id DESC LIMIT 1");
  find.bind(1, pictures.sample.stream);
  find.bind(2, static_cast<int64_t>(pictures.sample.sequence));
  if (!find.executeStep() ||
      find.getColumn(1).getInt64() + PixelBytes(pictures.pixels) > max_bytes_) {
    ++counters_.refused;
    return false;
  }
  const int64_t id = find.getColumn(0).getInt64();
  find.reset();
  InsertPixels(id, pictures.pixels);
  return true;
}

// The root's own sample of that key and view, stored about the same time; 0: none.
int64_t HardDatabase::Impl::FindOwn(const HardRecord& record) {
  SQLite::Statement find(
      db_,
      "SELECT id FROM samples WHERE stream = ?1 AND sequence = ?2 AND bundle_sha256 = ?3 AND "
      "(presence & ?4) != 0 AND abs(time_us - ?5) <= ?6 AND "
      "id NOT IN (SELECT sample FROM alone) ORDER BY id DESC LIMIT 1");
  find.bind(1, record.sample.stream);
  find.bind(2, static_cast<int64_t>(record.sample.sequence));
  find.bindNoCopy(3, record.bundle_sha256);
  find.bind(4, static_cast<int64_t>(record.presence));
  find.bind(5, absl::ToUnixMicros(record.time));
  find.bind(6, kSameTimeUs);
  return find.executeStep() ? find.getColumn(0).getInt64() : 0;
}

bool HardDatabase::Impl::Insert(const HardAlone& alone) {
  KeptLogs logs(&db_);
  const uint32_t stored = logs.StoredUpTo(alone.view, alone.log);
  if (alone.number <= stored) {
    ++counters_.repeated;
    return false;
  }
  if (alone.after > stored) return false;  // it comes again, behind that one
  const int64_t own = alone.in_doubt ? FindOwn(alone.record) : 0;
  if (own == 0) {
    counters_.alone += Insert(alone.record);
  } else {
    ++counters_.repeated;
    InsertPixels(own, alone.record.pixels);
  }
  logs.SetStoredUpTo(alone.view, alone.log, alone.number);
  return own == 0;
}

void HardDatabase::Impl::InsertPixels(int64_t id,
                                      const std::vector<std::pair<int, std::string>>& pixels) {
  int64_t added = 0;
  for (const auto& [view, data] : pixels) {
    SQLite::Statement before(db_, "SELECT length(data) FROM pixels WHERE sample = ? AND view = ?");
    before.bind(1, id);
    before.bind(2, view);
    if (before.executeStep()) added -= before.getColumn(0).getInt64();
    before.reset();
    SQLite::Statement insert(db_, "INSERT OR REPLACE INTO pixels VALUES (?,?,?)");
    insert.bind(1, id);
    insert.bind(2, view);
    BindBlob(insert, 3, data.data(), data.size());
    insert.exec();
    added += static_cast<int64_t>(data.size());
  }
  if (added == 0) return;
  SQLite::Statement update(db_, "UPDATE samples SET bytes = bytes + ? WHERE id = ?");
  update.bind(1, added);
  update.bind(2, id);
  update.exec();
  counters_.bytes += added;
}

void HardDatabase::Impl::Evict() {
  while (counters_.bytes > max_bytes_ && counters_.samples > 0) {
    SQLite::Statement oldest(db_, "SELECT id, bytes FROM samples ORDER BY id LIMIT 1");
    if (!oldest.executeStep()) return;
    const int64_t id = oldest.getColumn(0).getInt64();
    const int64_t bytes = oldest.getColumn(1).getInt64();
    oldest.reset();
    for (const char* sql :
         {"DELETE FROM pixels WHERE sample = ?", "DELETE FROM alone WHERE sample = ?",
          "DELETE FROM samples WHERE id = ?"}) {
      SQLite::Statement remove(db_, sql);
      remove.bind(1, id);
      remove.exec();
    }
    counters_.bytes -= bytes;
    --counters_.samples;
    ++counters_.evicted;
  }
}

void HardDatabase::Impl::ReadPixels(HardRecord* record, bool with_data) {
  SQLite::Statement rows(db_, with_data
                                  ? "SELECT view, data FROM pixels WHERE sample = ? ORDER BY view"
                                  : "SELECT view FROM pixels WHERE sample = ? ORDER BY view");
  rows.bind(1, record->id);
  while (rows.executeStep()) {
    record->pixels.emplace_back(rows.getColumn(0).getInt(),
                                with_data ? Blob(rows.getColumn(1)) : std::string());
  }
}

// The row holds kColumns and features.
std::optional<HardRecord> HardDatabase::Impl::ReadWhole(SQLite::Statement& row) {
  if (!row.executeStep()) return std::nullopt;
  HardRecord record = ReadRow(row);
  record.features = Blob(row.getColumn(12));
  ReadPixels(&record, true);
  return record;
}

int64_t HardDatabase::Impl::Total(const HardFilter& filter) {
  SQLite::Statement count(db_, absl::StrCat("SELECT count(*) FROM samples", Where(filter)));
  BindFilter(filter, count);
  count.executeStep();
  return count.getColumn(0).getInt64();
}

absl::StatusOr<HardPage> HardDatabase::Impl::List(const HardFilter& filter, int page_size,
                                                  const std::optional<HardCursor>& after) {
  std::string sql = absl::StrCat("SELECT ", kColumns, " FROM samples", Where(filter));
  if (after) absl::StrAppend(&sql, " AND (time_us, id) < (:time_us, :id)");
  absl::StrAppend(&sql, " ORDER BY time_us DESC, id DESC LIMIT :limit");
  SQLite::Statement rows(db_, sql);
  BindFilter(filter, rows);
  if (after) {
    rows.bind(":time_us", after->time_us);
    rows.bind(":id", after->id);
  }
  // One more than asked for tells whether there is another page.
  rows.bind(":limit", static_cast<int64_t>(page_size) + 1);
  HardPage page;
  bool more = false;
  while (rows.executeStep()) {
    if (static_cast<int>(page.samples.size()) == page_size) {
      more = true;
      break;
    }
    page.samples.push_back(ReadRow(rows));
  }
  for (HardRecord& record : page.samples) ReadPixels(&record, false);
  if (more) {
    const HardRecord& last = page.samples.back();
    page.next = HardCursor{absl::ToUnixMicros(last.time), last.id};
  }
  page.total = Total(filter);
  return page;
}

HardDatabase::HardDatabase(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HardDatabase::~HardDatabase() = default;

absl::StatusOr<std::unique_ptr<HardDatabase>> HardDatabase::Open(const std::string& path,
                                                                 int64_t max_bytes) {
  if (max_bytes <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": store_bytes is ", max_bytes, "; expected more than 0"));
  }
  try {
    auto impl = std::make_unique<Impl>(path, max_bytes);
    absl::Status status = impl->Prepare();
    if (!status.ok()) return status;
    return std::unique_ptr<HardDatabase>(new HardDatabase(std::move(impl)));
  } catch (const SQLite::Exception& error) {
    return ToStatus(path, error);
  }
}

absl::Status HardDatabase::Write(absl::Span<const HardWrite> writes,
                                 std::vector<uint32_t>* stored) {
  const HardDatabaseCounters before = impl_->counters_;
  const auto is_alone = [](const HardWrite& write) {
    return std::holds_alternative<HardAlone>(write);
  };
  const bool durable = std::any_of(writes.begin(), writes.end(), is_alone);
  absl::Status status = impl_->Guard([&]() -> absl::Status {
    // In WAL mode only FULL waits for the disk at a commit.
    impl_->db_.exec(durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
    SQLite::Transaction transaction(impl_->db_);
    for (const HardWrite& write : writes) {
      std::visit([this](const auto& value) { impl_->Insert(value); }, write);
      impl_->Evict();
      const auto* alone = std::get_if<HardAlone>(&write);
      if (alone == nullptr || stored == nullptr) continue;
      stored->push_back(KeptLogs(&impl_->db_).StoredUpTo(alone->view, alone->log));
    }
    transaction.commit();
    return absl::OkStatus();
  });
  if (!status.ok()) impl_->counters_ = before;
  return status;
}

absl::StatusOr<HardPage> HardDatabase::List(const HardFilter& filter, int page_size,
                                            const std::optional<HardCursor>& after) {
  return impl_->Guard(
      [&]() -> absl::StatusOr<HardPage> { return impl_->List(filter, page_size, after); });
}

absl::StatusOr<HardRecord> HardDatabase::Get(int64_t id) {
  return impl_->Guard([&]() -> absl::StatusOr<HardRecord> {
    SQLite::Statement row(
        impl_->db_, absl::StrCat("SELECT ", kColumns, ", features FROM samples WHERE id = ?"));
    row.bind(1, id);
    std::optional<HardRecord> record = impl_->ReadWhole(row);
    if (!record) return absl::NotFoundError(absl::StrCat("no hard sample has id ", id));
    return *std::move(record);
  });
}

absl::Status HardDatabase::SetLabel(int64_t id, const std::string& label) {
  return impl_->Guard([&]() -> absl::Status {
    SQLite::Statement update(impl_->db_, "UPDATE samples SET label = ? WHERE id = ?");
    update.bind(1, label);
    update.bind(2, id);
    if (update.exec() == 0) return absl::NotFoundError(absl::StrCat("no hard sample has id ", id));
    return absl::OkStatus();
  });
}

absl::StatusOr<std::optional<HardRecord>> HardDatabase::Next(int64_t after_id, bool only_labelled) {
  return impl_->Guard([&]() -> absl::StatusOr<std::optional<HardRecord>> {
    SQLite::Statement row(
        impl_->db_, absl::StrCat("SELECT ", kColumns, ", features FROM samples WHERE id > ?",
                                 only_labelled ? " AND label != ''" : "", " ORDER BY id LIMIT 1"));
    row.bind(1, after_id);
    return impl_->ReadWhole(row);
  });
}

const HardDatabaseCounters& HardDatabase::counters() const { return impl_->counters_; }

}  // namespace ddnn

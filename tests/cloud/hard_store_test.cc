#include <SQLiteCpp/SQLiteCpp.h>
#include <signal.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/cloud/hard_store_folder.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(HardStoreTest, GivesBackEveryFieldAfterARestart) {
  const uint64_t sequence = ~uint64_t{0} - 1;
  HardRecord record = Record(sequence, 0);
  record.sample.stream = ~uint32_t{0};
  record.presence = ~uint64_t{0};
  {
    auto store = OpenStore();
    ASSERT_TRUE(store->Keep(record));
    ASSERT_TRUE(store->KeepPixels(record.sample, {{2, "two"}, {0, std::string("\0x", 2)}}));
  }
  auto store = OpenStore();
  auto got = store->Get(1);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_EQ(got->sample, record.sample);
  EXPECT_EQ(got->time, now_);
  EXPECT_EQ(got->class_index, record.class_index);
  EXPECT_EQ(got->class_name, record.class_name);
  EXPECT_EQ(got->entropy, record.entropy);
  EXPECT_EQ(got->presence, record.presence);
  EXPECT_EQ(got->scores, record.scores);
  EXPECT_EQ(got->features, "");
  EXPECT_EQ(got->bundle_sha256, "ab");
  EXPECT_THAT(got->pixels, ElementsAre(std::make_pair(0, std::string("\0x", 2)),
                                       std::make_pair(2, std::string("two"))));
}

TEST_F(HardStoreTest, EvictsTheOldestWithTheirPicturesOnceTheBoundIsReached) {
  constexpr int64_t kOne = HardDatabase::kRowBytes + 12 + 100;
  auto store = OpenStore(3 * kOne + 50);
  for (uint64_t i = 0; i < 3; ++i) store->Keep(Record(i));
  store->Flush();
  EXPECT_EQ(store->counters().database.bytes, 3 * kOne);
  store->KeepPixels({3, 1}, {{0, std::string(51, 'p')}});
  store->Flush();
  EXPECT_THAT(Sequences(store.get()), ElementsAre(1, 2));
  store->Keep(Record(3));
  store->Keep(Record(4));
  store->Flush();
  EXPECT_THAT(Sequences(store.get()), ElementsAre(2, 3, 4));
  EXPECT_EQ(store->counters().database.bytes, 3 * kOne);
  EXPECT_EQ(store->counters().database.evicted, 2u);
  store.reset();
  SQLite::Database raw(path());
  EXPECT_EQ(raw.execAndGet("SELECT count(*) FROM pixels").getInt(), 0);
}

TEST_F(HardStoreTest, TheFileStaysNearTheBound) {
  constexpr int64_t kBound = 1 << 20;
  auto store = OpenStore(kBound);
  for (uint64_t i = 0; i < 4000; ++i) {
    HardRecord record = Record(i, 900 + i % 700);
    record.pixels = {{0, std::string(1024, 'a')}};
    store->Keep(record);
    if (i % 500 == 499) store->Flush();
  }
  store->Flush();
  EXPECT_GT(store->counters().database.evicted, 3000u);
  int64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    bytes += static_cast<int64_t>(entry.file_size());
  }
  // Data, its indices, and the write-ahead log of a batch of 500 samples.
  EXPECT_LT(bytes, 2 * kBound + (8 << 20));
}

TEST_F(HardStoreTest, RefusesASampleLargerThanTheWholeBound) {
  auto store = OpenStore(2000);
  store->Keep(Record(1));
  store->Keep(Record(2, 3000));
  store->KeepPixels({3, 1}, {{0, std::string(3000, 'p')}});
  store->KeepPixels({3, 99}, {{0, "nobody"}});
  store->Flush();
  EXPECT_THAT(Sequences(store.get()), ElementsAre(1));
  EXPECT_EQ(store->counters().database.refused, 3u);
}

TEST_F(HardStoreTest, ASmallerBoundOnRestartEvicts) {
  {
    auto store = OpenStore();
    for (uint64_t i = 0; i < 10; ++i) store->Keep(Record(i));
  }
  auto store = OpenStore(2 * (HardDatabase::kRowBytes + 112));
  EXPECT_THAT(Sequences(store.get()), ElementsAre(8, 9));
}

TEST_F(HardStoreTest, PagesNewestFirstWithoutGapsWhileSamplesArrive) {
  auto store = OpenStore();
  for (uint64_t i = 0; i < 10; ++i) {
    if (i % 2 == 0) now_ += absl::Seconds(1);  // pairs share a time
    store->Keep(Record(i));
  }
  store->Flush();
  std::vector<uint64_t> seen;
  std::optional<HardCursor> cursor;
  uint64_t fresh = 100;
  do {
    auto page = store->List({}, 3, cursor);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->samples.size(), 3u);
    for (const HardRecord& record : page->samples) seen.push_back(record.sample.sequence);
    cursor = page->next;
    now_ += absl::Seconds(1);
    store->Keep(Record(fresh++));
    store->Flush();
  } while (cursor);
  EXPECT_THAT(seen, ElementsAre(9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
}

TEST_F(HardStoreTest, AFullLastPageHasNoNext) {
  auto store = OpenStore();
  for (uint64_t i = 0; i < 4; ++i) store->Keep(Record(i));
  store->Flush();
  auto page = store->List({}, 4, std::nullopt);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->samples.size(), 4u);
  EXPECT_FALSE(page->next.has_value());
  EXPECT_EQ(page->total, 4);
}

TEST_F(HardStoreTest, LabelsAndTakesThemBack) {
  auto store = OpenStore();
  store->Keep(Record(1));
  store->Keep(Record(2));
  store->Flush();
  auto labelled = store->Label(2, "shirt");
  ASSERT_TRUE(labelled.ok());
  EXPECT_EQ(labelled->label, "shirt");
  HardFilter filter;
  filter.only_labelled = true;
  auto page = store->List(filter, 10, std::nullopt);
  ASSERT_EQ(page->samples.size(), 1u);
  EXPECT_EQ(page->samples[0].sample.sequence, 2u);
  auto next = store->Next(0, true);
  EXPECT_EQ((*next)->id, 2);
  ASSERT_TRUE(store->Label(2, "").ok());
  EXPECT_EQ(store->List(filter, 10, std::nullopt)->total, 0);
  EXPECT_EQ(store->Label(3, "shirt").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(store->Get(77).status().message(), "no hard sample has id 77");
}

TEST_F(HardStoreTest, PicturesGoToTheNewestSampleOfTheirKeyAndReplaceTheViewsBefore) {
  auto store = OpenStore();
  store->Keep(Record(1));
  store->Keep(Record(1));
  store->KeepPixels({3, 1}, {{0, "first"}});
  store->KeepPixels({3, 1}, {{0, "again!"}});
  store->Flush();
  EXPECT_TRUE(store->Get(1)->pixels.empty());
  EXPECT_THAT(store->Get(2)->pixels, ElementsAre(std::make_pair(0, std::string("again!"))));
  EXPECT_EQ(store->counters().database.bytes, 2 * (HardDatabase::kRowBytes + 112) + 6);
}

TEST_F(HardStoreTest, KeepsFinishedWritesWhenTheProcessIsKilled) {
  EXPECT_EXIT(
      {
        auto store = OpenStore();
        for (uint64_t i = 0; i < 50; ++i) store->Keep(Record(i));
        store->Flush();
        raise(SIGKILL);
      },
      ::testing::KilledBySignal(SIGKILL), "");
  auto store = OpenStore();
  EXPECT_EQ(store->counters().database.samples, 50);
}

TEST_F(HardStoreTest, DropsAndCountsWhenTheQueueIsFull) {
  HardStoreOptions options = Options();
  options.max_waiting = 0;
  auto store = HardStore::Open(options);
  ASSERT_TRUE(store.ok());
  EXPECT_FALSE((*store)->Keep(Record(1)));
  EXPECT_FALSE((*store)->KeepPixels({3, 1}, {{0, "p"}}));
  EXPECT_EQ((*store)->counters().dropped, 2u);
}

TEST_F(HardStoreTest, RefusesAFileThatIsNoDatabase) {
  std::ofstream(path()) << std::string(5000, 'x');
  auto store = HardStore::Open(Options());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(store.status().message()),
              AllOf(HasSubstr(path()), HasSubstr("not an SQLite database")));
}

TEST_F(HardStoreTest, RefusesAnotherKindOfDatabaseAndLeavesItAlone) {
  {
    SQLite::Database other(path(), SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    other.exec("CREATE TABLE mine (a); INSERT INTO mine VALUES (1)");
  }
  auto store = HardStore::Open(Options());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(store.status().message()), HasSubstr("not a store of hard samples"));
  SQLite::Database other(path());
  EXPECT_EQ(other.execAndGet("SELECT count(*) FROM sqlite_master").getInt(), 1);
}

TEST_F(HardStoreTest, RefusesAnotherSchemaVersionByNumber) {
  OpenStore();
  SQLite::Database(path(), SQLite::OPEN_READWRITE).exec("PRAGMA user_version = 7");
  auto store = HardStore::Open(Options());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(store.status().message()),
              AllOf(HasSubstr(path()), HasSubstr("version 7"), HasSubstr("version 2")));
}

TEST_F(HardStoreTest, RefusesADamagedDatabase) {
  {
    auto store = OpenStore();
    for (uint64_t i = 0; i < 200; ++i) store->Keep(Record(i, 1000));
  }
  {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(5 * 4096);
    file << std::string(8 * 4096, '\x5a');
  }
  auto store = HardStore::Open(Options());
  EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(store.status().message()),
              AllOf(HasSubstr(path()), HasSubstr("damaged")));
}

TEST_F(HardStoreTest, RefusesAFolderThatIsNotThereAndABoundOfNothing) {
  HardStoreOptions options = Options();
  options.path = (directory_ / "no" / "such.db").string();
  EXPECT_THAT(std::string(HardStore::Open(options).status().message()), HasSubstr(options.path));
  EXPECT_EQ(HardStore::Open(Options(0)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(HardStoreTest, OneProcessAtATimeHasTheFile) {
  auto store = OpenStore();
  auto second = HardStore::Open(Options());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("another process"));
}

// A plain list of what must be in the store, with the same bound.
struct Model {
  int64_t max_bytes = 0;
  std::deque<HardRecord> records;

  static int64_t Bytes(const HardRecord& record) {
    int64_t bytes = HardDatabase::kRowBytes + 4 * record.scores.size() + record.features.size();
    for (const auto& [view, data] : record.pixels) bytes += data.size();
    return bytes;
  }
  void Evict() {
    int64_t total = 0;
    for (const HardRecord& record : records) total += Bytes(record);
    for (; total > max_bytes; records.pop_front()) total -= Bytes(records.front());
  }
  void KeepPixels(uint64_t sequence, const std::string& data) {
    for (auto it = records.rbegin(); it != records.rend(); ++it) {
      if (it->sample.sequence != sequence) continue;
      it->pixels = {{1, data}};
      return Evict();
    }
  }
  std::vector<int64_t> List(const HardFilter& filter) const {
    std::vector<std::pair<absl::Time, int64_t>> keys;
    for (const HardRecord& r : records) {
      if ((filter.since && r.time < *filter.since) || (filter.until && r.time >= *filter.until) ||
          (!filter.class_name.empty() && r.class_name != filter.class_name) ||
          r.entropy < filter.min_entropy || (filter.only_labelled && r.label.empty()) ||
          (filter.only_unlabelled && !r.label.empty())) {
        continue;
      }
      keys.emplace_back(r.time, r.id);
    }
    std::sort(keys.rbegin(), keys.rend());
    std::vector<int64_t> ids;
    for (const auto& key : keys) ids.push_back(key.second);
    return ids;
  }
};

HardFilter RandomFilter(std::mt19937* random) {
  auto below = [random](int n) { return static_cast<int>((*random)() % n); };
  HardFilter filter;
  if (below(2)) filter.since = absl::FromUnixSeconds(1000 + below(100));
  if (below(2)) filter.until = absl::FromUnixSeconds(1000 + below(200));
  if (below(2)) filter.class_name = absl::StrCat("class", below(4));
  if (below(2)) filter.min_entropy = static_cast<float>(below(8)) / 8;
  if (below(3) == 0) filter.only_labelled = true;
  if (below(3) == 0) filter.only_unlabelled = true;
  return filter;
}

TEST_F(HardStoreTest, RandomOperationsAgreeWithAModelInMemory) {
  std::mt19937 random(20170605);
  auto below = [&random](int n) { return static_cast<int>(random() % n); };
  Model model{40000, {}};
  auto store = OpenStore(model.max_bytes);
  int64_t id = 0;
  for (int step = 0; step < 1500; ++step) {
    switch (below(8)) {
      case 0: {
        const std::string data(1 + below(500), 'p');
        const uint64_t sequence = below(200);
        store->KeepPixels({3, sequence}, {{1, data}});
        model.KeepPixels(sequence, data);
        break;
      }
      case 1: {
        const int64_t which = 1 + below(static_cast<int>(id) + 1);
        const std::string label = below(3) ? "cat" : "";
        store->Flush();
        auto labelled = store->Label(which, label);
        auto it = std::find_if(model.records.begin(), model.records.end(),
                               [which](const HardRecord& r) { return r.id == which; });
        ASSERT_EQ(labelled.ok(), it != model.records.end());
        if (labelled.ok()) it->label = label;
        break;
      }
      case 2:
        if (below(10) == 0) {
          store.reset();
          store = OpenStore(model.max_bytes);
        }
        break;
      default: {
        HardRecord record = Record(below(200), below(2000));
        record.entropy = static_cast<float>(below(8)) / 8;
        now_ += absl::Seconds(below(3) - 1);  // the clock may go back
        store->Keep(record);
        record.time = now_;
        record.id = ++id;
        model.records.push_back(record);
        model.Evict();
      }
    }
    if (step % 10 != 0) continue;
    store->Flush();
    const HardFilter filter = RandomFilter(&random);
    std::vector<int64_t> ids;
    std::optional<HardCursor> cursor;
    const int page_size = 1 + below(20);
    do {
      auto page = store->List(filter, page_size, cursor);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const HardRecord& record : page->samples) ids.push_back(record.id);
      EXPECT_EQ(page->total, static_cast<int64_t>(model.List(filter).size()));
      cursor = page->next;
    } while (cursor);
    ASSERT_EQ(ids, model.List(filter)) << "step " << step;
  }
  EXPECT_GT(store->counters().database.evicted, 0u);
}

}  // namespace
}  // namespace ddnn

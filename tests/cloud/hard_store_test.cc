#include "cloud/hard_store.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "cloud/kept_logs.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class HardStoreTest : public ::testing::Test {
 protected:
  HardStoreTest() {
    std::string name = ::testing::TempDir() + "/hard_store_XXXXXX";
    directory_ = mkdtemp(name.data());
  }
  ~HardStoreTest() override { std::filesystem::remove_all(directory_); }

  std::string path() const { return (directory_ / "hard.db").string(); }
  HardStoreOptions Options(int64_t max_bytes = 1 << 20) {
    HardStoreOptions options;
    options.path = path();
    options.max_bytes = max_bytes;
    options.now = [this] { return now_; };
    return options;
  }
  std::unique_ptr<HardStore> OpenStore(int64_t max_bytes = 1 << 20) {
    auto store = HardStore::Open(Options(max_bytes));
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }

  std::filesystem::path directory_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
};

HardRecord Record(uint64_t sequence, size_t feature_bytes = 100) {
  HardRecord record;
  record.sample = {3, sequence};
  record.class_index = static_cast<int>(sequence % 3);
  record.class_name = absl::StrCat("class", sequence % 3);
  record.entropy = 0.5f;
  record.presence = 0b101;
  record.scores = {1.5f, -2.0f, 0.25f};
  record.features = std::string(feature_bytes, static_cast<char>(sequence));
  record.bundle_sha256 = "ab";
  return record;
}

// View 2's, as it comes from its device; sequence 100 + number.
HardAlone Alone(uint32_t number, uint32_t after, uint64_t sequence = 0) {
  HardAlone alone;
  alone.view = 2;
  alone.log = std::string("\0a log of chance", 16);
  alone.number = number;
  alone.after = after;
  alone.record = Record(sequence != 0 ? sequence : 100 + number);
  alone.record.presence = 0b100;
  alone.record.alone = true;
  alone.record.exit = "local";
  alone.record.time = absl::FromUnixSeconds(1000);
  return alone;
}

// What the device is told; 0: nothing.
uint32_t KeepAlone(HardStore* store, const HardAlone& alone) {
  uint32_t told = 0;
  store->KeepAlone(alone, [&told](uint32_t number) { told = number; });
  store->Flush();
  return told;
}

std::vector<uint64_t> Sequences(HardStore* store) {
  std::vector<uint64_t> sequences;
  int64_t id = 0;
  for (;;) {
    auto next = store->Next(id, false);
    EXPECT_TRUE(next.ok()) << next.status();
    if (!next.ok() || !next->has_value()) return sequences;
    id = (*next)->id;
    sequences.push_back((*next)->sample.sequence);
  }
}

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

TEST_F(HardStoreTest, TakesAStoreOfVersion1WithAllThatIsInIt) {
  OpenStore()->Keep(Record(1));
  {
    SQLite::Database old(path(), SQLite::OPEN_READWRITE);
    old.exec("DROP TABLE logs; DROP TABLE alone; PRAGMA user_version = 1");
  }
  auto store = OpenStore();
  bool told = false;
  store->KeepAlone(Alone(1, 0), [&](uint32_t) { told = true; });
  store->Flush();
  EXPECT_TRUE(told);
  EXPECT_FALSE(store->Get(1)->alone);
  EXPECT_TRUE(store->Get(2)->alone);
}

// ---- What devices kept while they were alone ----

TEST_F(HardStoreTest, StoresWhatADeviceKeptWithItsOwnTimeAndAnswer) {
  auto store = OpenStore();
  HardAlone alone = Alone(1, 0);
  alone.record.time = now_ - absl::Hours(3);
  alone.record.pixels = {{2, "picture"}};
  EXPECT_EQ(KeepAlone(store.get(), alone), 1u);
  auto got = store->Get(1);
  ASSERT_TRUE(got.ok()) << got.status();
  EXPECT_TRUE(got->alone);
  EXPECT_EQ(got->exit, "local");
  EXPECT_EQ(got->time, now_ - absl::Hours(3));
  EXPECT_EQ(got->pixels[0].second, "picture");
  EXPECT_EQ(store->counters().database.alone, 1u);
  alone = Alone(2, 1);
  alone.record.time = now_ + absl::Hours(3);
  EXPECT_EQ(KeepAlone(store.get(), alone), 2u);
  EXPECT_EQ(store->Get(2)->time, now_) << "no clock is believed about the future";
}

TEST_F(HardStoreTest, StoresEachPlaceOfALogOnceHoweverOftenItComes) {
  auto store = OpenStore();
  EXPECT_EQ(KeepAlone(store.get(), Alone(1, 0)), 1u);
  EXPECT_EQ(KeepAlone(store.get(), Alone(1, 0)), 1u);
  EXPECT_EQ(KeepAlone(store.get(), Alone(2, 1)), 2u);
  EXPECT_EQ(KeepAlone(store.get(), Alone(1, 0)), 2u);
  store.reset();
  store = OpenStore();
  EXPECT_EQ(KeepAlone(store.get(), Alone(2, 1)), 2u);
  EXPECT_THAT(Sequences(store.get()), ElementsAre(101, 102));
  EXPECT_EQ(store->counters().database.repeated, 1u);
}

TEST_F(HardStoreTest, DoesNotTakeAPlaceBeforeTheOneBeforeItHasCome) {
  auto store = OpenStore();
  EXPECT_EQ(KeepAlone(store.get(), Alone(3, 2)), 0u) << "not told";
  EXPECT_EQ(KeepAlone(store.get(), Alone(2, 0)), 2u) << "1 was lost, or is stored elsewhere";
  EXPECT_EQ(KeepAlone(store.get(), Alone(5, 4)), 2u);
  EXPECT_EQ(KeepAlone(store.get(), Alone(3, 2)), 3u);
  EXPECT_THAT(Sequences(store.get()), ElementsAre(102, 103));
}

TEST_F(HardStoreTest, ConfusesNeitherLogsNorViews) {
  auto store = OpenStore();
  HardAlone other_log = Alone(1, 0), other_view = Alone(1, 0);
  other_log.log = std::string("\0another log....", 16);
  other_view.view = 4;
  for (const HardAlone& alone : {Alone(1, 0), other_log, other_view}) {
    EXPECT_EQ(KeepAlone(store.get(), alone), 1u);
  }
  EXPECT_EQ(store->counters().database.samples, 3);
}

TEST_F(HardStoreTest, KnowsWhatItStoredOfALogAfterTheSampleIsGone) {
  auto store = OpenStore(2 * (HardDatabase::kRowBytes + 112));
  for (uint32_t i = 1; i <= 3; ++i) KeepAlone(store.get(), Alone(i, i - 1));
  EXPECT_THAT(Sequences(store.get()), ElementsAre(102, 103));
  EXPECT_EQ(KeepAlone(store.get(), Alone(1, 0)), 3u);
  EXPECT_THAT(Sequences(store.get()), ElementsAre(102, 103));
  SQLite::Database raw((store.reset(), path()));
  EXPECT_EQ(raw.execAndGet("SELECT count(*) FROM alone").getInt(), 2);
}

TEST_F(HardStoreTest, ForgetsOnlyTheOldestLogsOfAView) {
  auto store = OpenStore(64 << 20);
  HardAlone mine = Alone(1, 0), other = Alone(1, 0);
  other.view = 4;
  KeepAlone(store.get(), mine);
  for (int i = 0; i <= KeptLogs::kMaxLogsPerView; ++i) {
    other.log = absl::StrCat("log ", i);
    other.log.resize(16);
    store->KeepAlone(other, [](uint32_t) {});
    if (i % 500 == 0) store->Flush();
  }
  store->Flush();
  EXPECT_EQ(KeepAlone(store.get(), mine), 1u) << "nobody's but its own view's";
  store.reset();
  SQLite::Database raw(path());
  EXPECT_EQ(raw.execAndGet("SELECT count(*) FROM logs WHERE view = 4").getInt(),
            KeptLogs::kMaxLogsPerView);
  EXPECT_EQ(raw.execAndGet("SELECT count(*) FROM logs WHERE view = 2").getInt(), 1);
  EXPECT_EQ(raw.execAndGet("SELECT count(*) FROM samples").getInt(), KeptLogs::kMaxLogsPerView + 2);
}

TEST_F(HardStoreTest, TakesASampleThatMayHaveComeThroughForTheOneItStoredItself) {
  auto store = OpenStore();
  HardRecord own = Record(101);
  own.presence = 0b111;
  store->Keep(own);
  HardAlone alone = Alone(1, 0);
  alone.record.pixels = {{2, "picture"}};
  alone.record.time = now_ - absl::Seconds(2);
  alone.in_doubt = true;
  EXPECT_EQ(KeepAlone(store.get(), alone), 1u);
  EXPECT_THAT(Sequences(store.get()), ElementsAre(101));
  EXPECT_THAT(store->Get(1)->pixels, ElementsAre(std::make_pair(2, std::string("picture"))));
  EXPECT_FALSE(store->Get(1)->alone);
  // Without doubt, of a view that was not there, of another time or another bundle: it is another.
  alone = Alone(2, 1, 101);
  EXPECT_EQ(KeepAlone(store.get(), alone), 2u);
  for (uint32_t i = 3; i <= 5; ++i) {
    alone = Alone(i, i - 1, 101);
    alone.in_doubt = true;
    if (i == 3) alone.record.presence = 0b1000;
    if (i == 4) alone.record.time = now_ - absl::Minutes(5);
    if (i == 5) alone.record.bundle_sha256 = "cd";
    EXPECT_EQ(KeepAlone(store.get(), alone), i);
  }
  EXPECT_EQ(store->counters().database.samples, 5);
}

TEST_F(HardStoreTest, PicturesOfTheRootsOwnSamplesDoNotGoToThoseOfDevices) {
  auto store = OpenStore();
  store->Keep(Record(101));
  KeepAlone(store.get(), Alone(1, 0));
  store->KeepPixels({3, 101}, {{0, "late"}});
  store->Flush();
  EXPECT_EQ(store->Get(1)->pixels.size(), 1u);
  EXPECT_TRUE(store->Get(2)->pixels.empty());
}

TEST_F(HardStoreTest, IsDoneWithASampleLargerThanItsBound) {
  auto store = OpenStore(2000);
  HardAlone alone = Alone(1, 0);
  alone.record.features = std::string(3000, 'f');
  EXPECT_EQ(KeepAlone(store.get(), alone), 1u) << "it would come for ever";
  EXPECT_EQ(store->counters().database.refused, 1u);
}

TEST_F(HardStoreTest, LeavesADeviceWithItsSampleWhereTheQueueIsFull) {
  HardStoreOptions options = Options();
  options.max_waiting = 0;
  auto store = HardStore::Open(options);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(KeepAlone(store->get(), Alone(1, 0)), 0u);
  EXPECT_EQ((*store)->counters().dropped, 0u);
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

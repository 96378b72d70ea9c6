#include "cloud/kept_logs.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/cloud/hard_store_folder.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;

using KeptLogsTest = HardStoreTest;

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

TEST_F(KeptLogsTest, TakesAStoreOfVersion1WithAllThatIsInIt) {
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

TEST_F(KeptLogsTest, StoresWhatADeviceKeptWithItsOwnTimeAndAnswer) {
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

TEST_F(KeptLogsTest, StoresEachPlaceOfALogOnceHoweverOftenItComes) {
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

TEST_F(KeptLogsTest, DoesNotTakeAPlaceBeforeTheOneBeforeItHasCome) {
  auto store = OpenStore();
  EXPECT_EQ(KeepAlone(store.get(), Alone(3, 2)), 0u) << "not told";
  EXPECT_EQ(KeepAlone(store.get(), Alone(2, 0)), 2u) << "1 was lost, or is stored elsewhere";
  EXPECT_EQ(KeepAlone(store.get(), Alone(5, 4)), 2u);
  EXPECT_EQ(KeepAlone(store.get(), Alone(3, 2)), 3u);
  EXPECT_THAT(Sequences(store.get()), ElementsAre(102, 103));
}

TEST_F(KeptLogsTest, ConfusesNeitherLogsNorViews) {
  auto store = OpenStore();
  HardAlone other_log = Alone(1, 0), other_view = Alone(1, 0);
  other_log.log = std::string("\0another log....", 16);
  other_view.view = 4;
  for (const HardAlone& alone : {Alone(1, 0), other_log, other_view}) {
    EXPECT_EQ(KeepAlone(store.get(), alone), 1u);
  }
  EXPECT_EQ(store->counters().database.samples, 3);
}

TEST_F(KeptLogsTest, KnowsWhatItStoredOfALogAfterTheSampleIsGone) {
  auto store = OpenStore(2 * (HardDatabase::kRowBytes + 112));
  for (uint32_t i = 1; i <= 3; ++i) KeepAlone(store.get(), Alone(i, i - 1));
  EXPECT_THAT(Sequences(store.get()), ElementsAre(102, 103));
  EXPECT_EQ(KeepAlone(store.get(), Alone(1, 0)), 3u);
  EXPECT_THAT(Sequences(store.get()), ElementsAre(102, 103));
  SQLite::Database raw((store.reset(), path()));
  EXPECT_EQ(raw.execAndGet("SELECT count(*) FROM alone").getInt(), 2);
}

TEST_F(KeptLogsTest, ForgetsOnlyTheOldestLogsOfAView) {
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

TEST_F(KeptLogsTest, TakesASampleThatMayHaveComeThroughForTheOneItStoredItself) {
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

TEST_F(KeptLogsTest, PicturesOfTheRootsOwnSamplesDoNotGoToThoseOfDevices) {
  auto store = OpenStore();
  store->Keep(Record(101));
  KeepAlone(store.get(), Alone(1, 0));
  store->KeepPixels({3, 101}, {{0, "late"}});
  store->Flush();
  EXPECT_EQ(store->Get(1)->pixels.size(), 1u);
  EXPECT_TRUE(store->Get(2)->pixels.empty());
}

TEST_F(KeptLogsTest, IsDoneWithASampleLargerThanItsBound) {
  auto store = OpenStore(2000);
  HardAlone alone = Alone(1, 0);
  alone.record.features = std::string(3000, 'f');
  EXPECT_EQ(KeepAlone(store.get(), alone), 1u) << "it would come for ever";
  EXPECT_EQ(store->counters().database.refused, 1u);
}

TEST_F(KeptLogsTest, LeavesADeviceWithItsSampleWhereTheQueueIsFull) {
  HardStoreOptions options = Options();
  options.max_waiting = 0;
  auto store = HardStore::Open(options);
  ASSERT_TRUE(store.ok());
  EXPECT_EQ(KeepAlone(store->get(), Alone(1, 0)), 0u);
  EXPECT_EQ((*store)->counters().dropped, 0u);
}

}  // namespace
}  // namespace ddnn

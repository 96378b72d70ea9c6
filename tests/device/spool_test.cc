#include "device/spool.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

void WriteAll(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Payload i, of a length and bytes that no other has.
const std::string kBundle(32, 'b');

std::string Payload(int i, size_t bytes = 40) {
  std::string payload = absl::StrCat("payload ", i, " ");
  payload.resize(bytes + static_cast<size_t>(i % 7), static_cast<char>(i * 31));
  return payload;
}

class SpoolTest : public ::testing::Test {
 protected:
  SpoolTest() {
    std::string name = ::testing::TempDir() + "/spool_XXXXXX";
    root_ = mkdtemp(name.data());
    options_.directory = (root_ / "spool").string();
    options_.view = 2;
    options_.max_bytes = 64 << 10;
    options_.max_record = 1000;
  }
  ~SpoolTest() override { fs::remove_all(root_); }

  std::unique_ptr<Spool> Open() {
    auto spool = Spool::Open(options_);
    EXPECT_TRUE(spool.ok()) << spool.status();
    return spool.ok() ? *std::move(spool) : nullptr;
  }
  std::string WhyNot() { return std::string(Spool::Open(options_).status().message()); }

  std::vector<fs::path> Files() {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(options_.directory)) {
      if (entry.path().extension() == ".spool") files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    return files;
  }

  fs::path root_;
  SpoolOptions options_;
};

std::vector<std::string> Rest(Spool* spool) {
  std::vector<std::string> payloads;
  while (auto item = spool->Next()) payloads.push_back(item->payload);
  return payloads;
}

void Fill(Spool* spool, int begin, int end, size_t bytes = 40) {
  for (int i = begin; i < end; ++i) ASSERT_TRUE(spool->Append(kBundle, Payload(i, bytes)).ok());
}

std::vector<std::string> Payloads(int begin, int end, size_t bytes = 40) {
  std::vector<std::string> payloads;
  for (int i = begin; i < end; ++i) payloads.push_back(Payload(i, bytes));
  return payloads;
}

TEST_F(SpoolTest, HandsOutWhatWasAppendedOldestFirst) {
  auto spool = Open();
  Fill(spool.get(), 0, 5);
  EXPECT_EQ(Rest(spool.get()), Payloads(0, 5));
  EXPECT_FALSE(spool->Next().has_value());
  Fill(spool.get(), 5, 7);
  EXPECT_EQ(Rest(spool.get()), Payloads(5, 7));
  spool->Rewind();
  EXPECT_EQ(Rest(spool.get()), Payloads(0, 7));
  EXPECT_EQ(spool->counters().waiting, 7u);
}

TEST_F(SpoolTest, KeepsEverythingOverARestart) {
  {
    auto spool = Open();
    Fill(spool.get(), 0, 5);
    EXPECT_TRUE(spool->Sync().ok());
  }
  auto spool = Open();
  EXPECT_EQ(spool->counters().waiting, 5u);
  EXPECT_EQ(spool->counters().damaged, 0);
  Fill(spool.get(), 5, 6);
  EXPECT_EQ(Rest(spool.get()), Payloads(0, 6));
}

TEST_F(SpoolTest, KeepsWhatItTookWhenTheProcessIsKilled) {
  EXPECT_EXIT(
      {
        auto spool = Open();
        Fill(spool.get(), 0, 50);
        raise(SIGKILL);
      },
      ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EQ(Rest(Open().get()), Payloads(0, 50));
}

TEST_F(SpoolTest, NamesPlacesAndThoseBeforeThatWaitToo) {
  auto spool = Open();
  Fill(spool.get(), 0, 3);
  const auto first = spool->Next(), second = spool->Next();
  EXPECT_EQ(first->log.size(), kLogNameBytes);
  EXPECT_EQ(second->log, first->log);
  EXPECT_EQ(first->number, 1u);
  EXPECT_EQ(first->after, 0u);
  EXPECT_EQ(second->number, 2u);
  EXPECT_EQ(second->after, 1u);
  EXPECT_EQ(spool->Stored(first->log, 2), 2u);
  const auto third = spool->Next();
  EXPECT_EQ(third->number, 3u);
  EXPECT_EQ(third->after, 0u);
}

TEST_F(SpoolTest, NeverUsesAPlaceTwice) {
  std::string log;
  {
    auto spool = Open();
    Fill(spool.get(), 0, 2);
    log = spool->Next()->log;
    EXPECT_EQ(spool->Stored(log, 2), 2u);
  }
  auto spool = Open();
  Fill(spool.get(), 2, 3);
  EXPECT_NE(spool->Next()->log, log);
}

TEST_F(SpoolTest, TakesOutWhatIsStoredForGoodAndOnlyThat) {
  {
    auto spool = Open();
    Fill(spool.get(), 0, 5);
    const std::string log = spool->Next()->log;
    EXPECT_EQ(spool->Stored(log, 3), 3u);
    EXPECT_EQ(spool->Stored(log, 3), 0u);
    EXPECT_EQ(spool->Stored(std::string(16, 'x'), 3), 0u);
    EXPECT_EQ(spool->counters().waiting, 2u);
    EXPECT_EQ(spool->counters().stored, 3u);
  }
  auto spool = Open();
  EXPECT_EQ(Rest(spool.get()), Payloads(3, 5));
  spool->Rewind();
  spool->Stored(spool->Next()->log, 5);
  EXPECT_EQ(spool->counters().bytes, 0);
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(SpoolTest, DiscardsOneAndLeavesItOutOfTheOrder) {
  auto spool = Open();
  Fill(spool.get(), 0, 3);
  spool->Next();
  const auto second = spool->Next();
  spool->Discard(second->log, 2, "why");
  EXPECT_EQ(spool->Next()->after, 1u);
  EXPECT_EQ(spool->counters().dropped.at("why"), 1u);
  EXPECT_EQ(spool->counters().waiting, 2u);
}

TEST_F(SpoolTest, StaysWithinItsBoundByDroppingTheOldest) {
  auto spool = Open();
  const int kMany = 1000;
  for (int i = 0; i < kMany; ++i) {
    ASSERT_TRUE(spool->Append(kBundle, Payload(i, 300)).ok());
    ASSERT_LE(spool->counters().bytes, options_.max_bytes);
  }
  int64_t on_disk = 0;
  for (const fs::path& file : Files()) on_disk += static_cast<int64_t>(fs::file_size(file));
  EXPECT_EQ(on_disk, spool->counters().bytes);
  EXPECT_GT(on_disk, options_.max_bytes * 3 / 4);
  const int dropped = static_cast<int>(spool->counters().dropped.at("full"));
  EXPECT_EQ(Rest(spool.get()), Payloads(dropped, kMany, 300));
  EXPECT_EQ(spool->counters().waiting, static_cast<uint64_t>(kMany - dropped));
  spool.reset();
  options_.max_bytes /= 4;
  spool = Open();
  EXPECT_LE(spool->counters().bytes, options_.max_bytes);
  EXPECT_EQ(Rest(spool.get()).back(), Payload(kMany - 1, 300));
}

TEST_F(SpoolTest, DropsWhatIsBeingReadWhenItIsTheOldest) {
  auto spool = Open();
  Fill(spool.get(), 0, 10, 300);
  ASSERT_TRUE(spool->Next().has_value());
  Fill(spool.get(), 10, 1000, 300);
  const int dropped = static_cast<int>(spool->counters().dropped.at("full"));
  EXPECT_EQ(Rest(spool.get()), Payloads(dropped, 1000, 300));
}

TEST_F(SpoolTest, TellsOfAFullDiskAndGoesOnWhenThereIsRoom) {
  auto spool = Open();
  Fill(spool.get(), 0, 3);
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = fs::file_size(Files().back()) + 20;  // a part of a record fits
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_FALSE(spool->Append(kBundle, Payload(3)).ok());
  small.rlim_cur = 10;  // nothing does
  setrlimit(RLIMIT_FSIZE, &small);
  EXPECT_FALSE(spool->Append(kBundle, Payload(4)).ok());
  setrlimit(RLIMIT_FSIZE, &before);
  Fill(spool.get(), 5, 6);
  EXPECT_EQ(spool->counters().dropped.at("disk full"), 2u);
  EXPECT_EQ(spool->counters().waiting, 4u);
  spool.reset();
  spool = Open();
  EXPECT_EQ(spool->counters().damaged, 0);
  EXPECT_THAT(Rest(spool.get()), ElementsAre(Payload(0), Payload(1), Payload(2), Payload(5)));
}

TEST_F(SpoolTest, RefusesASecondUserAnotherViewAndABoundThatHoldsNothing) {
  {
    auto spool = Open();
    Fill(spool.get(), 0, 1);
    EXPECT_THAT(WhyNot(), AllOf(HasSubstr(options_.directory), HasSubstr("another process")));
  }
  options_.view = 3;
  EXPECT_THAT(WhyNot(), AllOf(HasSubstr("view 2"), HasSubstr("this device is view 3")));
  options_.view = 2;
  options_.max_bytes = 4000;
  EXPECT_THAT(WhyNot(), AllOf(HasSubstr("spool_bytes is 4000"), HasSubstr("at least 4352")));
  options_.max_bytes = 64 << 10;
  EXPECT_EQ(Rest(Open().get()), Payloads(0, 1));
  options_.directory = (root_ / "file").string();
  WriteAll(options_.directory, "in the way");
  EXPECT_THAT(WhyNot(), HasSubstr(options_.directory));
}

TEST_F(SpoolTest, SaysUnderWhichBundleEachWasAppended) {
  const std::string bundles = "bbcbc";
  {
    auto spool = Open();
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(spool->Append(std::string(32, bundles[i]), Payload(i)).ok());
    }
  }
  auto spool = Open();
  ASSERT_TRUE(spool->Append(std::string(32, bundles[4]), Payload(4)).ok());
  for (int i = 0; i < 5; ++i) {
    const auto item = spool->Next();
    ASSERT_TRUE(item.has_value());
    EXPECT_EQ(item->payload, Payload(i));
    EXPECT_EQ(item->bundle, std::string(32, bundles[i])) << i;
  }
}

TEST_F(SpoolTest, RefusesALaterVersionAndLeavesItAlone) {
  {
    auto spool = Open();
    Fill(spool.get(), 0, 1);
  }
  // As a later program would write it: another version, and a sum that is right.
  std::string bytes = ReadAll(Files()[0]);
  bytes[7] = '2';
  const uint32_t sum = static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(kStoredAt - 4)));
  for (int i = 0; i < 4; ++i) bytes[kStoredAt - 4 + i] = static_cast<char>(sum >> (8 * i));
  WriteAll(Files()[0], bytes);
  EXPECT_THAT(WhyNot(), AllOf(HasSubstr(Files()[0].string()), HasSubstr("ddnnspl2")));
  EXPECT_EQ(ReadAll(Files()[0]), bytes);
}

TEST_F(SpoolTest, PassesOverFilesThatAreNotItsOwn) {
  fs::create_directories(options_.directory);
  for (const char* name : {"README", "1.spool", "x.spool", "000000000001.spool.old"}) {
    WriteAll(fs::path(options_.directory) / name, "mine");
  }
  auto spool = Open();
  Fill(spool.get(), 0, 1);
  EXPECT_EQ(Rest(spool.get()), Payloads(0, 1));
  EXPECT_EQ(ReadAll(fs::path(options_.directory) / "1.spool"), "mine");
}

// What a power loss or a bad disk makes of a spool: one file changed, the others whole.
class DamagedSpoolTest : public SpoolTest {
 protected:
  static constexpr int kBefore = 3, kIn = 6, kAfter = 2;

  DamagedSpoolTest() {
    for (int begin : {0, kBefore, kBefore + kIn}) {
      auto spool = Open();
      Fill(spool.get(), begin, begin == 0 ? kBefore : begin == kBefore ? kBefore + kIn : kAll);
    }
    files_ = Files();
    EXPECT_EQ(files_.size(), 3u);
    for (const fs::path& file : files_) whole_.push_back(ReadAll(file));
    const auto contents = ReadSegment(whole_[1]);
    EXPECT_TRUE(contents.ok());
    records_ = contents->records;
  }
  static constexpr int kAll = kBefore + kIn + kAfter;

  // Opens the spool with `bytes` in place of the middle file, and gives what is left of that one,
  // as numbers of payloads. Everything else must be there, in order, and nothing wrong.
  std::vector<int> Left(const std::string& bytes) {
    for (size_t i = 0; i < files_.size(); ++i) WriteAll(files_[i], i == 1 ? bytes : whole_[i]);
    auto spool = Open();
    if (spool == nullptr) return {};
    std::vector<int> left, others;
    const std::vector<std::string> all = Payloads(0, kAll);
    for (const std::string& payload : Rest(spool.get())) {
      const auto found = std::find(all.begin(), all.end(), payload);
      EXPECT_NE(found, all.end()) << "a wrong payload";
      const int i = static_cast<int>(found - all.begin());
      (i >= kBefore && i < kBefore + kIn ? left : others).push_back(i - kBefore);
    }
    EXPECT_EQ(others, (std::vector<int>{-3, -2, -1, 6, 7}));
    EXPECT_TRUE(std::is_sorted(left.begin(), left.end()));
    EXPECT_EQ(spool->counters().waiting, left.size() + others.size());
    return left;
  }
  // Of the middle file: records that end at or before this byte.
  int WholeBefore(size_t byte) const {
    return static_cast<int>(std::count_if(
        records_.begin(), records_.end(),
        [byte](const SegmentRecord& record) { return record.begin + record.bytes <= byte; }));
  }

  std::vector<fs::path> files_;
  std::vector<std::string> whole_;
  std::vector<SegmentRecord> records_;
};

TEST_F(DamagedSpoolTest, CutAtAnyByteHasAllRecordsBeforeIt) {
  for (size_t size = 0; size <= whole_[1].size(); ++size) {
    const std::vector<int> left = Left(whole_[1].substr(0, size));
    ASSERT_EQ(static_cast<int>(left.size()), WholeBefore(size)) << "cut at " << size;
    for (size_t i = 0; i < left.size(); ++i) ASSERT_EQ(left[i], static_cast<int>(i));
    // The torn record is cut off, so that it is reported once.
    if (fs::exists(files_[1])) {
      const auto again = ReadSegment(ReadAll(files_[1]));
      ASSERT_TRUE(again.ok()) << again.status();
      ASSERT_EQ(again->tail, 0u);
    }
  }
}

TEST_F(DamagedSpoolTest, CutAtAnyByteAndFilledWithZerosIsTheSame) {
  for (size_t size = 0; size < whole_[1].size(); ++size) {
    std::string bytes = whole_[1].substr(0, size);
    bytes.resize(whole_[1].size());
    // A record that ends in zeros may be whole.
    ASSERT_GE(static_cast<int>(Left(bytes).size()), WholeBefore(size)) << "cut at " << size;
  }
}

TEST_F(DamagedSpoolTest, WithAnyByteChangedLosesAtMostTheRecordThatItIsIn) {
  std::mt19937 random(5);
  for (size_t at = 0; at < whole_[1].size(); ++at) {
    std::string bytes = whole_[1];
    bytes[at] = static_cast<char>(bytes[at] ^ (1 + random() % 255));
    const std::vector<int> left = Left(bytes);
    if (at < kStoredAt) {
      ASSERT_THAT(left, IsEmpty()) << "a header that does not check, byte " << at;
    } else if (at < kSegmentHeaderBytes) {
      ASSERT_EQ(static_cast<int>(left.size()), kIn) << "byte " << at;
    } else {
      std::vector<int> expected = {0, 1, 2, 3, 4, 5};
      expected.erase(expected.begin() + WholeBefore(at));
      ASSERT_EQ(left, expected) << "byte " << at;
    }
  }
}

TEST_F(DamagedSpoolTest, WithBytesMissingOrAddedAnywhereLosesAtMostTheRecordThatTheyAreIn) {
  std::mt19937 random(6);
  for (size_t at = kSegmentHeaderBytes; at < whole_[1].size(); ++at) {
    std::string shorter = whole_[1], longer = whole_[1];
    shorter.erase(at, 1 + random() % 3);
    longer.insert(at, std::string(1 + random() % 3, static_cast<char>(random())));
    ASSERT_GE(Left(shorter).size(), kIn - 2u) << "byte " << at;
    ASSERT_GE(Left(longer).size(), kIn - 1u) << "byte " << at;
  }
}

TEST_F(DamagedSpoolTest, HoldsNothingOfOtherFilesThatTheDiskPutThere) {
  // Blocks of an older segment behind this one's: whole records, but of another log.
  EXPECT_EQ(Left(whole_[1] + whole_[0].substr(kSegmentHeaderBytes)).size(), 6u);
  EXPECT_THAT(
      Left(whole_[1].substr(0, kSegmentHeaderBytes) + whole_[0].substr(kSegmentHeaderBytes)),
      IsEmpty());
  // A payload that looks like a record of another log, or is one of this log once more.
  const SegmentRecord& first = records_[0];
  const std::string again =
      whole_[1].substr(kSegmentHeaderBytes, first.begin + first.bytes - kSegmentHeaderBytes);
  EXPECT_EQ(Left(whole_[1] + again).size(), 6u);
}

TEST_F(DamagedSpoolTest, WhileItIsOpenLosesWhatIsDamagedAndCountsIt) {
  for (size_t i = 0; i < files_.size(); ++i) WriteAll(files_[i], whole_[i]);
  auto spool = Open();
  std::string bytes = whole_[1];
  bytes[records_[1].begin] ^= 1;
  WriteAll(files_[1], bytes);
  fs::remove(files_[2]);
  EXPECT_EQ(Rest(spool.get()).size(), static_cast<size_t>(kAll - 1 - kAfter));
  EXPECT_EQ(spool->counters().dropped.at("damaged"), static_cast<uint64_t>(1 + kAfter));
  EXPECT_EQ(spool->counters().waiting, static_cast<uint64_t>(kAll - 1 - kAfter));
}

}  // namespace
}  // namespace ddnn

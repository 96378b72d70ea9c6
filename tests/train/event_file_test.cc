// Event files read back by a reader of their own: byte by byte, with a CRC computed bit by bit.

#include "train/event_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "train/training_log.h"

namespace ddnn::train {
namespace {

uint32_t SlowCrc(const std::string& data) {
  uint32_t crc = 0xffffffff;
  for (const char c : data) {
    for (int bit = 0; bit < 8; ++bit) {
      const bool low = (crc ^ (static_cast<uint8_t>(c) >> bit)) & 1;
      crc = (crc >> 1) ^ (low ? 0x82f63b78u : 0u);
    }
  }
  return crc ^ 0xffffffff;
}

uint64_t Number(const std::string& bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
  }
  return value;
}

uint32_t Unmask(uint32_t masked) {
  const uint32_t rotated = masked - 0xa282ead8u;
  return (rotated >> 17) | (rotated << 15);
}

std::vector<v1::Event> ReadEvents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string all((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<v1::Event> events;
  for (size_t at = 0; at < all.size();) {
    if (all.size() - at < 16) {
      ADD_FAILURE() << path << " ends within a record";
      break;
    }
    const std::string length = all.substr(at, 8);
    EXPECT_EQ(Unmask(Number(all.substr(at + 8, 4))), SlowCrc(length));
    const std::string data = all.substr(at + 12, Number(length));
    EXPECT_EQ(data.size(), Number(length));
    EXPECT_EQ(Unmask(Number(all.substr(at + 12 + data.size(), 4))), SlowCrc(data));
    v1::Event event;
    EXPECT_TRUE(event.ParseFromString(data));
    events.push_back(event);
    at += 16 + data.size();
  }
  return events;
}

class EventFileTest : public ::testing::Test {
 protected:
  EventFileTest() {
    std::string name = ::testing::TempDir() + "/ddnn_events.XXXXXX";
    folder_ = mkdtemp(&name[0]);
  }
  ~EventFileTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<EventFile> Open(const std::string& folder) {
    auto events = EventFile::Create(folder, "box", 42, now_);
    EXPECT_TRUE(events.ok()) << events.status();
    return *std::move(events);
  }

  std::string folder_;
  absl::Time now_ = absl::FromUnixSeconds(1700000000) + absl::Milliseconds(250);
};

TEST_F(EventFileTest, ChecksumsAreThoseOfTheStandard) {
  // RFC 3720, appendix B.4.
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST_F(EventFileTest, AnEmptyRecordHasTheBytesThatTensorFlowWrites) {
  // The masked CRC of eight zero bytes and of nothing.
  EXPECT_EQ(FrameRecord(""), std::string("\0\0\0\0\0\0\0\0\x29\x03\x98\x07\xd8\xea\x82\xa2", 16));
}

TEST_F(EventFileTest, ScalarsComeBackAsTheyWereAdded) {
  std::unique_ptr<EventFile> file = Open(folder_ + "/a/b");
  const std::string path = file->path();
  EXPECT_EQ(path, folder_ + "/a/b/events.out.tfevents.1700000000.box.42");
  file->Add(7, {{"loss", 0.5}, {"accuracy/local", 1.0 / 3}}, now_ + absl::Seconds(1));
  file->Add(int64_t{1} << 40, {{"loss", -2}}, now_ + absl::Seconds(2));
  EXPECT_TRUE(file->status().ok());
  file.reset();
  const std::vector<v1::Event> events = ReadEvents(path);
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_DOUBLE_EQ(events[0].wall_time(), 1700000000.25);
  EXPECT_DOUBLE_EQ(events[1].wall_time(), 1700000001.25);
  EXPECT_EQ(events[1].step(), 7);
  ASSERT_EQ(events[1].summary().value_size(), 2);
  EXPECT_EQ(events[1].summary().value(0).tag(), "loss");
  EXPECT_EQ(events[1].summary().value(0).simple_value(), 0.5f);
  EXPECT_EQ(events[1].summary().value(1).tag(), "accuracy/local");
  EXPECT_EQ(events[1].summary().value(1).simple_value(), 1.0f / 3);
  EXPECT_EQ(events[2].step(), int64_t{1} << 40);
}

TEST_F(EventFileTest, OnTheWireTheFieldsAreTensorBoards) {
  v1::Event event;
  event.set_wall_time(1);
  event.set_step(3);
  event.mutable_summary()->add_value()->set_tag("t");
  event.mutable_summary()->mutable_value(0)->set_simple_value(1);
  // 1: double, 2: varint, 5: message { 1: message { 1: string, 2: float } }
  EXPECT_EQ(event.SerializeAsString(), std::string("\x09\0\0\0\0\0\0\xf0\x3f"
                                                   "\x10\x03"
                                                   "\x2a\x0a"
                                                   "\x0a\x08"
                                                   "\x0a\x01t"
                                                   "\x15\0\0\x80\x3f",
                                                   23));
}

TEST_F(EventFileTest, OnTheWireAStartIsTensorBoards) {
  v1::Event event;
  event.set_step(3);
  event.mutable_session_log()->set_status(v1::SessionLog::START);
  // 7: message { 1: START }
  EXPECT_EQ(event.SerializeAsString(), "\x10\x03\x3a\x02\x08\x01");
}

TEST_F(EventFileTest, ASecondRunOfTheSameSecondGetsAFileOfItsOwn) {
  std::unique_ptr<EventFile> first = Open(folder_), second = Open(folder_);
  EXPECT_EQ(second->path(), first->path() + ".1");
}

TEST_F(EventFileTest, CanBeReadWhileItIsWritten) {
  std::unique_ptr<EventFile> file = Open(folder_);
  EXPECT_EQ(ReadEvents(file->path()).size(), 1u);
  file->Add(1, {{"a", 1}}, now_ + absl::Seconds(1));
  file->Add(2, {{"a", 1}}, now_ + absl::Seconds(11));
  EXPECT_EQ(ReadEvents(file->path()).size(), 3u);
  file->Add(3, {{"a", 1}}, now_ + absl::Seconds(12));
  file->Flush();
  EXPECT_EQ(ReadEvents(file->path()).size(), 4u);
}

TEST_F(EventFileTest, SaysWhereItCannotWrite) {
  std::ofstream(folder_ + "/file") << "x";
  const auto events = EventFile::Create(folder_ + "/file", "box", 42, now_);
  EXPECT_THAT(std::string(events.status().message()), ::testing::HasSubstr(folder_ + "/file"));
}

TEST_F(EventFileTest, AFullDiskIsRememberedAndStopsNobody) {
  std::unique_ptr<EventFile> file = Open(folder_);
  signal(SIGXFSZ, SIG_IGN);
  rlimit before = {};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small = {100, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  for (int step = 0; step < 10; ++step) {
    file->Add(step, {{"a", 1}}, now_);
    file->Flush();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  signal(SIGXFSZ, SIG_DFL);
  EXPECT_TRUE(absl::IsResourceExhausted(file->status())) << file->status();
  EXPECT_THAT(std::string(file->status().message()), ::testing::HasSubstr(file->path()));
}

// Drives a log through an epoch of 25 steps of 4 samples, one exit, 10 binary weights.
class TrainingLogTest : public EventFileTest {
 protected:
  std::map<int64_t, std::map<std::string, float>> Train() {
    std::unique_ptr<EventFile> file = Open(folder_);
    const std::string path = file->path();
    TrainingLog log(std::move(file));
    v1::EpochRecord record;
    record.set_epoch(1);
    record.set_binary_weights(10);
    record.add_exit()->set_exit("local");
    ProgressReport report;
    report.record = &record;
    log.OnBatch(report, now_);
    for (int step = 1; step <= 25; ++step) {
      record.set_steps(step);
      record.set_samples(4 * step);
      record.set_loss_sum(record.loss_sum() + 4 * (step <= 10 ? 3.0 : 2.0));
      record.set_flipped(record.flipped() + (step <= 10 ? 5 : 1));
      record.set_learning_rate(step / 100.0);
      record.mutable_exit(0)->set_counted(2 * step);
      record.mutable_exit(0)->set_right(step <= 10 ? 0 : 2 * (step - 10));
      record.mutable_exit(0)->set_loss_sum(step);
      report.step = step;
      report.stepping = step * absl::Milliseconds(100);
      report.waited = std::max(step - 10, 0) * absl::Milliseconds(25);
      now_ += absl::Milliseconds(500);
      log.OnBatch(report, now_);
    }
    report.epoch = 1;
    report.binary_weights = 10;
    report.flipped = record.flipped();
    report.exit_names = {"local"};
    report.exit_loss = report.exit_accuracy = {0.25};
    report.calibration_loss = {0.75};
    report.calibration_accuracy = {0.5};
    report.calibration_stopped_at_half = {0.125};
    log.OnEpoch(report, now_);
    std::map<int64_t, std::map<std::string, float>> scalars;
    const std::vector<v1::Event> events = ReadEvents(path);
    EXPECT_EQ(events[1].step(), 1);
    EXPECT_EQ(events[1].session_log().status(), v1::SessionLog::START);
    for (const v1::Event& event : events) {
      for (const auto& value : event.summary().value()) {
        scalars[event.step()][value.tag()] = value.simple_value();
      }
    }
    return scalars;
  }
};

TEST_F(TrainingLogTest, TellsOfTheStepsSinceTheLastTime) {
  auto scalars = Train();
  EXPECT_EQ(scalars.size(), 3u);  // steps 10, 20 and the epoch's end
  EXPECT_EQ(scalars[10]["train/loss"], 3);
  EXPECT_EQ(scalars[20]["train/loss"], 2);
  EXPECT_EQ(scalars[25]["train/loss"], 2);
  EXPECT_EQ(scalars[10]["train/accuracy/local"], 0);
  EXPECT_EQ(scalars[20]["train/accuracy/local"], 1);
  EXPECT_EQ(scalars[20]["train/loss/local"], 0.5f);
  EXPECT_EQ(scalars[20]["train/samples_per_second"], 8);
  EXPECT_FLOAT_EQ(scalars[20]["train/learning_rate"], 0.2f);
  EXPECT_EQ(scalars[10]["train/waiting_for_data"], 0);
  EXPECT_EQ(scalars[20]["train/waiting_for_data"], 0.25f);
  EXPECT_EQ(scalars[10]["train/binary_weights_flipped_per_step"], 0.5f);
  EXPECT_FLOAT_EQ(scalars[20]["train/binary_weights_flipped_per_step"], 0.1f);
}

TEST_F(TrainingLogTest, TellsOfTheCalibrationSplitAfterAnEpoch) {
  auto scalars = Train();
  EXPECT_EQ(scalars[25]["epoch/number"], 1);
  EXPECT_EQ(scalars[25]["epoch/binary_weight_flips"], 65);
  EXPECT_EQ(scalars[25]["calibration/accuracy/local"], 0.5f);
  EXPECT_EQ(scalars[25]["calibration/loss/local"], 0.75f);
  EXPECT_EQ(scalars[25]["calibration/exit_fraction_at_threshold_0.5/local"], 0.125f);
}

TEST_F(TrainingLogTest, TakesUpAHalfFinishedEpochWhereItStopped) {
  std::unique_ptr<EventFile> file = Open(folder_);
  const std::string path = file->path();
  TrainingLog log(std::move(file));
  v1::EpochRecord record;
  record.set_epoch(4);
  record.set_steps(1000);
  record.set_samples(4000);
  record.set_loss_sum(8000);
  ProgressReport report;
  report.record = &record;
  report.step = 4000;
  log.OnBatch(report, now_);
  record.set_steps(1010);
  record.set_samples(4040);
  record.set_loss_sum(8040);
  report.step = 4010;
  log.OnBatch(report, now_ + absl::Seconds(4));
  log.OnEpoch(report, now_ + absl::Seconds(4));
  const std::vector<v1::Event> events = ReadEvents(path);
  ASSERT_GE(events.size(), 3u);
  // What the run before told of steps behind its checkpoint is void.
  EXPECT_EQ(events[1].step(), 4001);
  EXPECT_EQ(events[1].session_log().status(), v1::SessionLog::START);
  EXPECT_EQ(events[2].step(), 4010);
  EXPECT_EQ(events[2].summary().value(0).tag(), "train/loss");
  EXPECT_EQ(events[2].summary().value(0).simple_value(), 1);
  EXPECT_EQ(events[2].summary().value(2).tag(), "train/samples_per_second");
  EXPECT_EQ(events[2].summary().value(2).simple_value(), 10);
}

}  // namespace
}  // namespace ddnn::train

#include "runtime/node/executor.h"

#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// What an engine saw, and what it does with inputs called "bad", "throw" and "short".
struct Log {
  std::vector<std::vector<std::string>> batches;
  std::vector<std::thread::id> threads;
};

class LoggingEngine : public Engine {
 public:
  explicit LoggingEngine(Log* log) : log_(log) {}

  absl::StatusOr<std::vector<SectionOutput>> Run(absl::Span<const SectionInput> batch) override {
    log_->threads.push_back(std::this_thread::get_id());
    log_->batches.emplace_back();
    std::vector<SectionOutput> outputs;
    for (const SectionInput& input : batch) {
      log_->batches.back().push_back(input.pixels);
      outputs.push_back(SectionOutput{"out of " + input.pixels, {}});
    }
    for (const SectionInput& input : batch) {
      if (input.pixels == "bad") return absl::InvalidArgumentError("bad input");
      if (input.pixels == "throw") throw std::runtime_error("on purpose");
      if (input.pixels == "throw an int") throw 7;
      if (input.pixels == "short") outputs.pop_back();
    }
    return outputs;
  }

  absl::StatusOr<std::vector<float>> RunScores(absl::Span<const float> joined) override {
    if (joined.empty()) throw std::runtime_error("on purpose");
    return std::vector<float>{joined[0] + 1};
  }

 private:
  Log* const log_;
};

// Holds the worker thread in a job until it is opened, so that what is submitted meanwhile waits.
// Must outlive the executor.
class Gate {
 public:
  explicit Gate(Executor* executor) {
    const absl::Status ok = executor->SubmitJob([this] {
      reached_.set_value();
      opened_.get_future().wait();
    });
    EXPECT_TRUE(ok.ok()) << ok;
    reached_.get_future().wait();
  }
  void Open() { opened_.set_value(); }

 private:
  std::promise<void> reached_, opened_;
};

Executor::Options Sizes(int max_queue, int max_batch) {
  Executor::Options options;
  options.max_queue = max_queue;
  options.max_batch = max_batch;
  return options;
}

class ExecutorTest : public ::testing::Test {
 protected:
  std::unique_ptr<Executor> Make(int max_queue = 100, int max_batch = 100) {
    return std::make_unique<Executor>(std::make_unique<LoggingEngine>(&log_),
                                      Sizes(max_queue, max_batch));
  }
  absl::Status Submit(Executor* executor, const std::string& input) {
    return executor->Submit(SectionInput{input, {}}, [this,
                                                      input](absl::StatusOr<SectionOutput> output) {
      done_.push_back(output.ok() ? output->features : input + ": " + output.status().ToString());
    });
  }

  // Written on the worker thread; read once the executor is gone.
  Log log_;
  std::vector<std::string> done_;
};

TEST_F(ExecutorTest, FinishesWhatIsQueuedBeforeItEnds) {
  auto executor = Make();
  for (const char* input : {"a", "b", "c"}) ASSERT_TRUE(Submit(executor.get(), input).ok());
  executor.reset();
  EXPECT_THAT(done_, ElementsAre("out of a", "out of b", "out of c"));
}

TEST_F(ExecutorTest, RunsWhatWaitsAsOneBatch) {
  auto executor = Make();
  Gate gate(executor.get());
  for (const char* input : {"a", "b", "c"}) ASSERT_TRUE(Submit(executor.get(), input).ok());
  gate.Open();
  executor.reset();
  EXPECT_THAT(log_.batches, ElementsAre(ElementsAre("a", "b", "c")));
}

TEST_F(ExecutorTest, BatchesNoMoreThanItMay) {
  auto executor = Make(100, 2);
  Gate gate(executor.get());
  for (const char* input : {"a", "b", "c", "d", "e"}) {
    ASSERT_TRUE(Submit(executor.get(), input).ok());
  }
  gate.Open();
  executor.reset();
  EXPECT_THAT(log_.batches,
              ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d"), ElementsAre("e")));
}

TEST_F(ExecutorTest, KeepsTheOrderOfDifferentWork) {
  auto executor = Make();
  Gate gate(executor.get());
  ASSERT_TRUE(Submit(executor.get(), "a").ok());
  ASSERT_TRUE(executor
                  ->SubmitScores({41},
                                 [this](absl::StatusOr<std::vector<float>> scores) {
                                   done_.push_back(std::to_string(static_cast<int>(scores->at(0))));
                                 })
                  .ok());
  ASSERT_TRUE(Submit(executor.get(), "b").ok());
  ASSERT_TRUE(executor->SubmitJob([this] { done_.push_back("job"); }).ok());
  ASSERT_TRUE(Submit(executor.get(), "c").ok());
  gate.Open();
  executor.reset();
  EXPECT_THAT(done_, ElementsAre("out of a", "42", "out of b", "job", "out of c"));
  EXPECT_THAT(log_.batches, ElementsAre(ElementsAre("a"), ElementsAre("b"), ElementsAre("c")));
}

TEST_F(ExecutorTest, RefusesWhatItsQueueHasNoRoomFor) {
  auto executor = Make(2);
  Gate gate(executor.get());
  EXPECT_TRUE(Submit(executor.get(), "a").ok());
  EXPECT_TRUE(Submit(executor.get(), "b").ok());
  const absl::Status full = Submit(executor.get(), "c");
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(full.ToString(), HasSubstr("2 wait"));
  EXPECT_EQ(executor->SubmitJob([] {}).code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(executor->SubmitScores({}, {}).code(), absl::StatusCode::kResourceExhausted);
  gate.Open();
  executor.reset();
  EXPECT_THAT(done_, ElementsAre("out of a", "out of b"));
}

TEST_F(ExecutorTest, HasRoomForAProbeInAFullQueue) {
  auto executor = Make(1, 1);
  Gate gate(executor.get());
  EXPECT_TRUE(Submit(executor.get(), "a").ok());
  bool probed = false;
  EXPECT_TRUE(executor->SubmitProbe([&] { probed = true; }).ok());
  EXPECT_EQ(Submit(executor.get(), "b").code(), absl::StatusCode::kResourceExhausted);
  gate.Open();
  executor.reset();
  EXPECT_TRUE(probed);
  EXPECT_THAT(done_, ElementsAre("out of a"));
}

TEST_F(ExecutorTest, HasRoomForOneAtLeast) {
  auto executor = Make(0, 0);
  Gate gate(executor.get());
  EXPECT_TRUE(Submit(executor.get(), "a").ok());
  gate.Open();
  executor.reset();
  EXPECT_THAT(done_, ElementsAre("out of a"));
}

TEST_F(ExecutorTest, FailsOneBadInputAlone) {
  auto executor = Make();
  Gate gate(executor.get());
  for (const char* input : {"a", "bad", "c"}) ASSERT_TRUE(Submit(executor.get(), input).ok());
  gate.Open();
  executor.reset();
  EXPECT_THAT(done_, ElementsAre("out of a", "bad: INVALID_ARGUMENT: bad input", "out of c"));
}

TEST_F(ExecutorTest, DoesNotRunABadInputTwiceThatCameAlone) {
  auto executor = Make();
  ASSERT_TRUE(Submit(executor.get(), "bad").ok());
  executor.reset();
  EXPECT_THAT(log_.batches, ElementsAre(ElementsAre("bad")));
}

TEST_F(ExecutorTest, OutlivesAnEngineThatThrows) {
  auto executor = Make(100, 1);
  for (const char* input : {"throw", "throw an int", "b"}) {
    ASSERT_TRUE(Submit(executor.get(), input).ok());
  }
  absl::Status scores;
  ASSERT_TRUE(executor
                  ->SubmitScores({},
                                 [&scores](absl::StatusOr<std::vector<float>> joined) {
                                   scores = joined.status();
                                 })
                  .ok());
  executor.reset();
  EXPECT_THAT(done_, ElementsAre("throw: INTERNAL: the engine threw: on purpose",
                                 HasSubstr("INTERNAL: the engine threw something"), "out of b"));
  EXPECT_EQ(scores.code(), absl::StatusCode::kInternal);
}

TEST_F(ExecutorTest, TakesNoMissingOutputs) {
  auto executor = Make();
  ASSERT_TRUE(Submit(executor.get(), "short").ok());
  executor.reset();
  EXPECT_THAT(done_, ElementsAre("short: INTERNAL: the engine gave 0 outputs, expected 1"));
}

TEST_F(ExecutorTest, WithoutAnEngineRunsJobsOnly) {
  Executor::Options options;
  auto executor = std::make_unique<Executor>(nullptr, options);
  ASSERT_TRUE(Submit(executor.get(), "a").ok());
  ASSERT_TRUE(executor
                  ->SubmitScores({1},
                                 [this](absl::StatusOr<std::vector<float>> scores) {
                                   done_.push_back(scores.status().ToString());
                                 })
                  .ok());
  ASSERT_TRUE(executor->SubmitJob([this] { done_.push_back("job"); }).ok());
  executor.reset();
  EXPECT_THAT(done_, ElementsAre(HasSubstr("FAILED_PRECONDITION"), HasSubstr("FAILED_PRECONDITION"),
                                 "job"));
}

TEST_F(ExecutorTest, LetsWhatIsDoneSubmitAgain) {
  auto executor = Make();
  std::promise<void> second;
  ASSERT_TRUE(
      executor
          ->SubmitJob([&] { EXPECT_TRUE(executor->SubmitJob([&] { second.set_value(); }).ok()); })
          .ok());
  second.get_future().wait();
  executor.reset();
}

TEST_F(ExecutorTest, CallsTheEngineFromOneThread) {
  auto executor = Make();
  std::vector<std::thread> submitters;
  for (int i = 0; i < 4; ++i) {
    submitters.emplace_back([&] {
      for (int k = 0; k < 20; ++k) EXPECT_TRUE(Submit(executor.get(), "a").ok());
    });
  }
  for (std::thread& submitter : submitters) submitter.join();
  executor.reset();
  EXPECT_EQ(done_.size(), 80u);
  for (std::thread::id id : log_.threads) EXPECT_EQ(id, log_.threads.front());
  EXPECT_NE(log_.threads.front(), std::this_thread::get_id());
}

}  // namespace
}  // namespace ddnn

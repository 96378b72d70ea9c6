#include "runtime/node/executor.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

// An engine must return a status; should one throw all the same, the worker thread survives it.
template <typename F>
auto WithoutExceptions(F&& call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::exception& error) {
    return absl::InternalError(absl::StrCat("the engine threw: ", error.what()));
  } catch (...) {
    return absl::InternalError("the engine threw something that is no std::exception");
  }
}

absl::Status NoEngine() {
  return absl::FailedPreconditionError("this node has no layers, so it runs no section");
}

}  // namespace

Executor::Executor(std::unique_ptr<Engine> engine, Options options)
    : engine_(std::move(engine)),
      options_{std::max(1, options.max_queue), std::max(1, options.max_batch)},
      worker_([this] { Loop(); }) {}

Executor::~Executor() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
  }
  changed_.SignalAll();
  worker_.join();
}

absl::Status Executor::Submit(SectionInput input, OutputDone done) {
  return Add(SectionWork{std::move(input), std::move(done)});
}

absl::Status Executor::SubmitScores(std::vector<float> joined, ScoresDone done) {
  return Add(ScoresWork{std::move(joined), std::move(done)});
}

absl::Status Executor::SubmitJob(std::function<void()> job) { return Add(JobWork{std::move(job)}); }

absl::Status Executor::SubmitProbe(std::function<void()> probe) {
  return Add(JobWork{std::move(probe)}, /*always=*/true);
}

absl::Status Executor::Add(Work work, bool always) {
  {
    MutexLock lock(&mutex_);
    if (ending_) return absl::UnavailableError("the executor is ending");
    if (!always && queue_.size() >= static_cast<size_t>(options_.max_queue)) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the executor's queue is full: ", queue_.size(), " wait"));
    }
    queue_.push_back(std::move(work));
  }
  changed_.SignalAll();
  return absl::OkStatus();
}

void Executor::Loop() {
  for (;;) {
    std::vector<Work> batch;
    {
      MutexLock lock(&mutex_);
      while (queue_.empty() && !ending_) changed_.Wait(&mutex_);
      if (queue_.empty()) return;
      batch = TakeBatch();
    }
    RunBatch(std::move(batch));
  }
}

// Section inputs from the head of the queue go together; anything else goes alone.
std::vector<Executor::Work> Executor::TakeBatch() {
  std::vector<Work> batch;
  do {
    batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  } while (std::holds_alternative<SectionWork>(batch.back()) && !queue_.empty() &&
           std::holds_alternative<SectionWork>(queue_.front()) &&
           batch.size() < static_cast<size_t>(options_.max_batch));
  return batch;
}

void Executor::RunBatch(std::vector<Work> batch) {
  if (auto* scores = std::get_if<ScoresWork>(&batch.front())) {
    scores->done(WithoutExceptions([&]() -> absl::StatusOr<std::vector<float>> {
      if (engine_ == nullptr) return NoEngine();
      return engine_->RunScores(scores->joined);
    }));
  } else if (auto* job = std::get_if<JobWork>(&batch.front())) {
    job->job();
  } else {
    RunSections(std::move(batch));
  }
}

void Executor::RunSections(std::vector<Work> batch) {
  std::vector<SectionInput> inputs;
  inputs.reserve(batch.size());
  for (Work& work : batch) inputs.push_back(std::move(std::get<SectionWork>(work).input));
  auto run = [this](absl::Span<const SectionInput> some) {
    return WithoutExceptions([&]() -> absl::StatusOr<std::vector<SectionOutput>> {
      if (engine_ == nullptr) return NoEngine();
      auto outputs = engine_->Run(some);
      if (outputs.ok() && outputs->size() != some.size()) {
        return absl::InternalError(
            absl::StrCat("the engine gave ", outputs->size(), " outputs, expected ", some.size()));
      }
      return outputs;
    });
  };
  auto outputs = run(inputs);
  for (size_t i = 0; i < batch.size(); ++i) {
    OutputDone& done = std::get<SectionWork>(batch[i]).done;
    if (outputs.ok()) {
      done(std::move((*outputs)[i]));
      continue;
    }
    // One bad input must not fail the others it happened to travel with.
    auto alone = batch.size() == 1 ? absl::StatusOr<std::vector<SectionOutput>>(outputs.status())
                                   : run(absl::MakeConstSpan(&inputs[i], 1));
    if (alone.ok()) {
      done(std::move(alone->front()));
    } else {
      done(alone.status());
    }
  }
}

}  // namespace ddnn

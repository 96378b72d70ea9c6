#ifndef DDNN_RUNTIME_NODE_EXECUTOR_H_
#define DDNN_RUNTIME_NODE_EXECUTOR_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "runtime/core/engine.h"
#include "runtime/node/mutex.h"

namespace ddnn {

/// The one place from which forward passes run: a bounded queue before one worker thread, which
/// takes up to max_batch waiting inputs into one Engine::Run.
///
/// Work is done in the order in which it was submitted. Every accepted piece is finished and its
/// `done` called exactly once, on the worker thread, with no lock held; so `done` may submit again.
/// Safe to call from several threads at once. The engine is called from the worker thread only.
class Executor {
 public:
  struct Options {
    int max_queue = 1024;  ///< pieces of work that wait; at least 1
    int max_batch = 32;    ///< inputs in one Engine::Run; at least 1
  };
  using OutputDone = std::function<void(absl::StatusOr<SectionOutput>)>;
  using ScoresDone = std::function<void(absl::StatusOr<std::vector<float>>)>;

  /// \param engine  may be null (a node without layers): then only jobs run, the rest fails with
  /// FAILED_PRECONDITION.
  Executor(std::unique_ptr<Engine> engine, Options options);
  /// Finishes what is queued. Must not run on the worker thread.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Each returns RESOURCE_EXHAUSTED when the queue is full, and UNAVAILABLE once the executor
  /// ends; `done` is then not called.
  absl::Status Submit(SectionInput input, OutputDone done);
  /// CC of the children's scores: Engine::RunScores.
  absl::Status SubmitScores(std::vector<float> joined, ScoresDone done);
  /// Anything else that runs a forward pass, such as the whole network for a query.
  absl::Status SubmitJob(std::function<void()> job);
  /// A job that tells that the worker still works. It finds a place in a full queue too: being
  /// busy is not being stuck. One at a time, please. UNAVAILABLE as above.
  absl::Status SubmitProbe(std::function<void()> probe);

 private:
  struct SectionWork {
    SectionInput input;
    OutputDone done;
  };
  struct ScoresWork {
    std::vector<float> joined;
    ScoresDone done;
  };
  struct JobWork {
    std::function<void()> job;
  };
  using Work = std::variant<SectionWork, ScoresWork, JobWork>;

  absl::Status Add(Work work, bool always = false);
  void Loop();
  std::vector<Work> TakeBatch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunBatch(std::vector<Work> batch);
  void RunSections(std::vector<Work> batch);

  const std::unique_ptr<Engine> engine_;
  const Options options_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Work> queue_ ABSL_GUARDED_BY(mutex_);
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread worker_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NODE_EXECUTOR_H_

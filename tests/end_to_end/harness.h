#ifndef DDNN_TESTS_END_TO_END_HARNESS_H_
#define DDNN_TESTS_END_TO_END_HARNESS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/core/bundle.h"
#include "tools/local/child_process.h"

namespace ddnn {

/// A folder of its own that goes with the object.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// build/bin/NAME
std::string Program(const std::string& name);

/// What a program did that has ended.
struct Ran {
  int exit_code = -1;
  std::vector<std::string> output;  ///< stdout, by lines
  std::string errors;               ///< stderr
};

/// Runs a program to its end; kills it, and fails the test, after `patience`.
Ran Run(const std::vector<std::string>& argv, absl::Duration patience = absl::Minutes(1));

/// A program that goes on, with what it printed so far.
class Running {
 public:
  explicit Running(const std::vector<std::string>& argv);
  /// Waits for a line of stdout with this in it, and returns it; fails the test, returning "",
  /// when the program ends without one or after a minute.
  std::string WaitForLine(const std::string& part);
  /// What it wrote to stderr so far.
  std::string Errors() const;
  /// Passes over what was printed until now.
  void SkipLines();
  /// Waits for its end, and fails the test if that takes longer than `patience`.
  Ran Finish(absl::Duration patience = absl::Minutes(1));
  void Signal(int number) { process_->Signal(number); }
  bool running() { return process_ != nullptr && !process_->ended(); }
  pid_t pid() const { return process_->pid(); }

 private:
  TestFolder folder_;
  std::unique_ptr<ChildProcess> process_;
  std::vector<std::string> lines_;
  size_t next_ = 0;  // line that WaitForLine looks at first
};

/// "127.0.0.1:PORT" that an edge or the cloud says it listens at.
std::string AddressOf(Running* node);

/// A data spec of `test_items` small made-up pictures in ten classes, in the layout of MNIST, and
/// five times as many to train on: "fashion-mnist:DIR". "six-cameras:" in front makes six views.
std::string WriteItems(const TestFolder& folder, int test_items);

/// A bundle of random weights for a spec of the source tree ("models/figure2/e.textproto"), with
/// thresholds at which about `stay` of the samples that come to an early exit stop there.
Bundle MakeBundle(const std::string& network, const std::string& data, double stay, uint64_t seed);
/// The same, saved as DIR/`name`; returns its path.
std::string SaveRandomBundle(const TestFolder& folder, const std::string& name,
                             const std::string& network, const std::string& data, double stay,
                             uint64_t seed);

/// Reads a file of JSON, or of JSON lines.
v1::RunSummary ReadSummary(const std::string& path);
std::vector<v1::AnswerRecord> ReadAnswers(const std::string& path);
v1::NodeStats ReadStats(const std::string& path);

/// Process numbers of everything whose command line holds `part`.
std::vector<pid_t> ProcessesWith(const std::string& part);

}  // namespace ddnn

#endif  // DDNN_TESTS_END_TO_END_HARNESS_H_

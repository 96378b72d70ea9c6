#ifndef DDNN_RUNTIME_UPDATE_UPDATER_H_
#define DDNN_RUNTIME_UPDATE_UPDATER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "ddnn/v1/bundle_service.pb.h"
#include "runtime/net/clock.h"
#include "runtime/update/bundle_service.h"
#include "runtime/update/generations.h"

namespace ddnn {

/// What the updaters of children and root have in common: a thread that sees to the versions of
/// this node and to what the children are told.
///
/// How a bundle takes another's place: the root starts it beside the old one and tells its
/// children, which fetch it, try it, start it and join with it, and tell theirs. A node is ready
/// when all of its children that are connected with the old one are, and have joined with the new
/// one. When the root is, it names for each stream the sequence at which frames change over. The
/// old version of a node ends when no sample is under way and no child connected. See
/// docs/updates.md.
class Updater {
 public:
  struct Options {
    /// Runs a bundle's own section where a crash does no harm; an error says what happened.
    std::function<absl::Status(const SharedFiles& files)> try_bundle;
    /// Frames (at the root: answers) are the new bundle's from now on.
    std::function<void(const SharedFiles& files)> on_preferred;
    /// What is to be done is looked at so often, and when something is heard.
    absl::Duration tick = absl::Milliseconds(250);
    /// Nodes that have not taken a bundle by then are left behind, or hold it back: see the roots'.
    absl::Duration limit = absl::Minutes(2);
    /// For tests; must not run backwards, as the wall clock may.
    Clock now = SteadyClock();
  };

  /// `generations` and `service` (null in the device tier) must outlive it.
  Updater(Options options, Generations* generations, BundleService* service);
  virtual ~Updater();

  void Start();
  /// Ends the thread; nothing is called back after it returned. Call it before the destructor.
  virtual void Stop();

 protected:
  /// Called by the thread, with no lock held.
  virtual void Step() = 0;
  /// From any thread: Step is due now.
  void Wake();

  /// Tries a bundle (unless it ran before) and starts it beside what runs.
  absl::Status StartBeside(const SharedFiles& files, bool with_trial = true);
  bool Runs(const std::string& sha256) const;
  /// Whether all children that are connected with other versions have joined with this one and
  /// said that they are ready; if not, `missing` names them. `positions` gets what they said.
  bool ChildrenReady(const std::string& sha256, std::string* missing,
                     std::map<uint32_t, v1::StreamPosition>* positions);
  /// What children said of a bundle counts for this attempt at it only.
  void ForgetReady();
  /// Ends versions that are not among these as soon as nothing needs them, or after the limit.
  void EndOthers(const std::set<std::string>& wanted);
  /// Tells the children, if that is news.
  void Publish(const v1::Published& published);
  /// What children reported since the last call: refusals.
  std::deque<v1::BundleReport> TakeRefusals();

  const Options options_;
  Generations* const generations_;
  BundleService* const service_;

 private:
  void Loop();
  void Heard(const v1::BundleReport& report);

  struct Ready {
    v1::BundleReport report;
    absl::Time when;
  };
  static constexpr size_t kMaxRefusals = 256, kMaxReady = 256;

  std::mutex mu_;
  std::condition_variable changed_;
  bool woken_ = false, stopping_ = false;
  std::map<std::string, Ready> ready_;  // by node
  std::deque<v1::BundleReport> refusals_;
  std::thread thread_;

  // The thread's own.
  std::string published_;
  std::map<std::string, absl::Time> unwanted_since_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_UPDATER_H_

#ifndef DDNN_RUNTIME_UPDATE_CHILD_UPDATER_H_
#define DDNN_RUNTIME_UPDATE_CHILD_UPDATER_H_

#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "runtime/update/kept_bundles.h"
#include "runtime/update/parent_link.h"
#include "runtime/update/updater.h"

namespace ddnn {

/// Keeps a device or an edge on the bundle that its parent publishes.
///
/// A bundle that cannot be used here (it does not come whole, fails its checks, or fails when it is
/// tried) is refused: what runs goes on, the root is told, and that bundle is not tried again.
class ChildUpdater : public Updater {
 public:
  struct ChildOptions {
    FindPlace place;
    /// The parent runs another network, whose bundle is kept by now: this process must start again.
    std::function<void(const absl::Status& why)> on_other_network;
    absl::Duration fetch_limit = absl::Minutes(10);
    /// Between two attempts at what may still come.
    absl::Duration retry = absl::Seconds(2);
    /// A bundle that has run so long is not blamed for a crash any more.
    absl::Duration prove_time = absl::Seconds(30);
  };

  /// `parent` and `kept` must outlive it too.
  ChildUpdater(Options options, ChildOptions child, Generations* generations,
               BundleService* service, ParentLink* parent, KeptBundles* kept);

  void Start();
  void Stop() override;

 private:
  void Step() override;
  void Follow();
  // Makes a bundle run, or says why not; false until then.
  bool Ensure(const std::string& sha256, bool is_current);
  absl::StatusOr<SharedFiles> Fetch(const std::string& sha256);
  absl::Status TakeUp(const SharedFiles& files, bool is_current);
  void Refuse(const std::string& sha256, const std::string& reason, bool remember);
  void Prefer(const v1::Published& wanted);
  void SavePreferred();
  void PublishDown(const v1::Published& wanted, const std::string& running_next);
  void ReportReady(const std::string& next, std::map<uint32_t, v1::StreamPosition> positions);
  void ForwardRefusals();
  void Prove();
  std::string OwnName() const;
  // False as long as the pace of a stream is not known.
  bool OwnPositions(std::map<uint32_t, v1::StreamPosition>* positions);

  const ChildOptions child_;
  ParentLink* const parent_;
  KeptBundles* const kept_;
  std::thread follower_;

  std::mutex mu_;
  v1::Published wanted_;  // empty: not heard yet
  uint64_t calls_ = 0;    // of Current that began

  // The updater's thread's own.
  uint64_t seen_calls_ = 0;
  std::string ready_told_;  // the bundle that the parent was told this node is ready for
  std::map<std::string, absl::Time> retry_at_;
  SharedFiles fetched_;
  std::deque<v1::BundleReport> to_report_;
  std::set<std::string> refusal_told_;
  absl::Time prove_at_;
  bool restart_ = false;    // what is kept is for the next start
  bool leftovers_ = false;  // bundles may be kept that are of no use any more
  struct Pace {
    uint64_t next;     // where the stream was
    absl::Time when;   // then
    double rate = -1;  // before that; negative: not known yet
  };
  std::map<uint32_t, Pace> pace_;  // by stream
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_CHILD_UPDATER_H_

#ifndef DDNN_RUNTIME_UPDATE_GENERATIONS_H_
#define DDNN_RUNTIME_UPDATE_GENERATIONS_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "ddnn/v1/report.pb.h"
#include "runtime/core/engine.h"
#include "runtime/net/listener.h"
#include "runtime/net/node_host.h"
#include "runtime/net/tier_router.h"
#include "runtime/update/bundle_files.h"

namespace ddnn {

/// That a bundle can take another's place while the tree runs: the same network but for weights and
/// thresholds. FAILED_PRECONDITION names what is not the same.
absl::Status CheckSameNetwork(const Bundle& running, const Bundle& next);

/// Hears one version and passes all on to an observer of the whole node, which outlives it.
class PassingObserver : public NodeObserver {
 public:
  explicit PassingObserver(NodeObserver* node) : node_(node) {}
  void OnAnswer(const Answer& answer) override { node_->OnAnswer(answer); }
  void OnHard(const KeepHard& hard) override { node_->OnHard(hard); }
  void OnPixels(const KeepPixels& pixels) override { node_->OnPixels(pixels); }
  void OnAlone(const KeepAlone& alone) override { node_->OnAlone(alone); }
  void OnKeptAck(const v1::KeptAck& ack) override { node_->OnKeptAck(ack); }
  void OnKept(const v1::KeptSample& kept) override { node_->OnKept(kept); }
  void OnRefused(const absl::Status& why) override { node_->OnRefused(why); }
  void OnParent(bool up) override { node_->OnParent(up); }
  void OnTreeReady() override { node_->OnTreeReady(); }

 private:
  NodeObserver* const node_;
};

/// One node in several versions: a NodeHost per bundle, two at most, side by side behind one port.
/// Each sample is worked on by the version that its frame was offered to, from its first word to
/// its answer. Stands where a NodeHost would. Safe to call from several threads.
class Generations : public FrameSink {
 public:
  struct Options {
    /// Options of the host that runs a bundle, without `router`. `listen` is served here, and must
    /// be the same for all.
    std::function<absl::StatusOr<NodeHost::Options>(const SharedFiles& files)> host;
    EngineFactory factory = nullptr;
    /// Who hears what happens in one version. Calls of all versions come one at a time; they must
    /// not offer frames. That the parent is lost is told by the last that had joined it.
    std::function<std::unique_ptr<NodeObserver>(const SharedFiles& files)> observer;
    /// Served beside the tier service; must outlive this.
    std::vector<grpc::Service*> services;
  };

  /// One version, as it is now.
  struct Version {
    SharedFiles files;
    bool parent_up = false;
    std::vector<bool> children;  ///< connected, by slot
    int under_way = 0;
  };

  static constexpr size_t kMost = 2;

  /// Starts with one version, to which frames go.
  static absl::StatusOr<std::unique_ptr<Generations>> Start(Options options, SharedFiles first);
  /// As Stop.
  ~Generations() override;

  int port() const;

  /// Starts one more version. Nothing happens if that bundle runs. RESOURCE_EXHAUSTED while two
  /// run; FAILED_PRECONDITION for another network.
  absl::Status Add(SharedFiles files);
  /// Frames go to this version, which runs: of each stream from a sequence on, at once where none
  /// is named. Before, they go to the one that they went to so far.
  void Prefer(const std::string& sha256, std::map<uint32_t, uint64_t> from);
  /// The version that frames go to, or will.
  SharedFiles preferred() const;
  /// Ends a version if it is not preferred and nothing needs it: no sample is under way, no child
  /// connected, no stream's frames still go to it. With `now`, whatever needs it: its samples get
  /// the best answer there is. True if it does not run any more.
  bool End(const std::string& sha256, bool now = false);

  std::vector<Version> versions() const;
  /// By stream, the sequence after the last one offered.
  std::map<uint32_t, uint64_t> next_sequences() const;

  absl::Status Offer(SampleKey sample, std::string pixels) override;
  absl::Status OfferAbsent(SampleKey sample) override;
  void OfferShed(SampleKey sample, const std::string& reason) override;
  int under_way() const override;
  /// As NodeHost's: up by the version that runs this bundle, if one does; down by each.
  void SendKept(const std::string& sha256, v1::KeptSample kept);
  void AckKept(const v1::KeptAck& ack);
  void Drain(absl::Duration limit) override;
  void Stop();

  /// As NodeHost::WhenWorking, of the newest version.
  void WhenWorking(std::function<void()> done);
  /// Of all versions that there were; the children's clocks as the newest knows them.
  v1::NodeStats Stats() const;
  /// The preferred version's; good while that runs.
  Executor* executor();

 private:
  class Observer;
  struct One;
  using OnePtr = std::shared_ptr<One>;

  explicit Generations(Options options);
  absl::Status AddFirst(SharedFiles first);
  OnePtr StartOne(SharedFiles files, absl::Status* status);
  OnePtr FindLocked(const std::string& sha256) const;
  // For a frame; it is not ended before Offered.
  OnePtr Take(SampleKey sample);
  void Offered(const OnePtr& one);
  void StopOne(const OnePtr& one);
  std::vector<OnePtr> all() const;

  const Options options_;
  TierRouter router_;
  Listener listener_;
  std::mutex observer_mu_;  // held while an observer is told something
  int parents_up_ = 0;      // versions that have joined it, as far as observers were told

  mutable std::mutex mu_;
  std::vector<OnePtr> ones_;  // the newest last
  OnePtr preferred_;
  std::map<uint32_t, uint64_t> from_;  // of streams that have not come to it yet
  std::map<uint32_t, uint64_t> next_;
  std::vector<OnePtr> ending_;  // neither in ones_ any more nor in ended_ yet
  v1::NodeStats ended_;         // of versions that ended
  bool stopped_ = false;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_GENERATIONS_H_

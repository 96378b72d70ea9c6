#ifndef DDNN_RUNTIME_UPDATE_ROOT_UPDATER_H_
#define DDNN_RUNTIME_UPDATE_ROOT_UPDATER_H_

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/update/updater.h"

namespace ddnn {

/// Publishes a bundle when its folder is replaced, and decides for the whole tree.
///
/// All views change over together or none does: a bundle that a node refuses, or that a connected
/// node has not taken within the limit, is withdrawn everywhere. One that is refused after the
/// change (a process died of it) gives way to the one before, in the same way that it came.
class RootUpdater : public Updater {
 public:
  struct RootOptions {
    std::string folder;
    /// The folder is looked at so often; what is found twice alike is read.
    absl::Duration watch = absl::Seconds(2);
    /// Streams change over so long after the last node is ready: the news must reach all before.
    absl::Duration ahead = absl::Seconds(2);
  };

  RootUpdater(Options options, RootOptions root, Generations* generations, BundleService* service);

  /// What was refused since the start, one line each, the latest last; at most 16.
  std::vector<std::string> refusals() const;

 private:
  void Step() override;
  void Look();
  std::string Stamp() const;
  void Prepare();
  void ChangeOver();
  void Hear(const v1::BundleReport& report);
  void Withdraw(const std::string& reason, bool remember = true);
  void Note(const std::string& sha256, const std::string& reason);

  const RootOptions root_;
  mutable std::mutex mu_;
  std::vector<std::string> refusals_;

  // The updater's thread's own.
  v1::Published published_;
  SharedFiles current_, next_, previous_;
  bool going_back_ = false;  // next_ ran before
  absl::Time next_since_, looked_ = absl::InfinitePast();
  std::string seen_stamp_, done_stamp_;
  std::set<std::string> refused_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_UPDATE_ROOT_UPDATER_H_

#include "runtime/update/child_bundles.h"

#include <utility>

#include "runtime/update/trial.h"

namespace ddnn {

ChildBundles::ChildBundles(std::unique_ptr<KeptBundles> kept, const std::string& parent,
                           FindPlace place)
    : kept_(std::move(kept)), parent_(parent), place_(std::move(place)) {}

ChildBundles::~ChildBundles() { Stop(); }

absl::StatusOr<std::unique_ptr<ChildBundles>> ChildBundles::Open(const std::string& state,
                                                                 const std::string& parent,
                                                                 FindPlace place) {
  absl::StatusOr<std::unique_ptr<KeptBundles>> kept = KeptBundles::Open(state);
  if (!kept.ok()) return kept.status();
  return std::unique_ptr<ChildBundles>(
      new ChildBundles(*std::move(kept), parent, std::move(place)));
}

// It is kept by then.
absl::Status ChildBundles::Try(const SharedFiles& files) const {
  return TryInProcess(kept_->PathOf(files->bundle.sha256_hex()), files->tier, files->node);
}

absl::StatusOr<SharedFiles> ChildBundles::First() {
  FirstBundleOptions options;
  options.try_bundle = [this](const SharedFiles& files) { return Try(files); };
  return FirstBundle(kept_.get(), &parent_, place_, options);
}

void ChildBundles::Follow(Generations* generations, BundleService* service, absl::Duration limit,
                          std::function<void(const absl::Status& why)> other_network) {
  Updater::Options options;
  options.try_bundle = [this](const SharedFiles& files) { return Try(files); };
  options.limit = limit;
  ChildUpdater::ChildOptions child;
  child.place = place_;
  child.on_other_network = std::move(other_network);
  updater_ = std::make_unique<ChildUpdater>(std::move(options), std::move(child), generations,
                                            service, &parent_, kept_.get());
  updater_->Start();
}

void ChildBundles::Stop() {
  if (updater_ != nullptr) updater_->Stop();
}

}  // namespace ddnn

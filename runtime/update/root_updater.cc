#include "runtime/update/root_updater.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <cmath>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/core/bundle_layout.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;

std::string Short(const SharedFiles& files) { return files->bundle.sha256_hex().substr(0, 12); }

}  // namespace

RootUpdater::RootUpdater(Options options, RootOptions root, Generations* generations,
                         BundleService* service)
    : Updater(std::move(options), generations, service),
      root_(std::move(root)),
      current_(generations->preferred()) {
  published_.set_bundle_sha256(current_->bundle.sha256);
}

void RootUpdater::Step() {
  for (const v1::BundleReport& report : TakeRefusals()) Hear(report);
  const bool alone = next_ == nullptr && generations_->versions().size() == 1;
  if (alone && options_.now() - looked_ >= root_.watch) {
    looked_ = options_.now();
    Look();
  }
  if (next_ != nullptr) Prepare();
  if (next_ == nullptr) ForgetReady();
  EndOthers({current_->bundle.sha256, next_ == nullptr ? "" : next_->bundle.sha256});
  Publish(published_);
}

// Changes whenever a file of the bundle does.
std::string RootUpdater::Stamp() const {
  std::string stamp;
  const auto add = [&stamp](const std::string& path) {
    struct stat info;
    if (stat(path.c_str(), &info) != 0) return absl::StrAppend(&stamp, path, ": none\n");
    absl::StrAppend(&stamp, path, ": ", info.st_ino, " ", info.st_size, " ", info.st_mtim.tv_sec,
                    ".", info.st_mtim.tv_nsec, "\n");
  };
  add(absl::StrCat(root_.folder, "/", kManifestName));
  std::set<std::string> sections;
  std::error_code error;
  for (fs::directory_iterator at(absl::StrCat(root_.folder, "/", kSectionsFolder), error), end;
       !error && at != end && sections.size() < 4096; at.increment(error)) {
    sections.insert(at->path().string());
  }
  for (const std::string& path : sections) add(path);
  return stamp;
}

void RootUpdater::Look() {
  std::string stamp = Stamp();
  // Somebody may still be copying.
  if (std::exchange(seen_stamp_, stamp) != stamp || stamp == done_stamp_) return;
  const bool first = done_stamp_.empty();
  done_stamp_ = stamp;
  const auto place = [this](const NetworkPlan& plan) {
    return std::make_pair(plan.root_tier(), 0);
  };
  absl::StatusOr<SharedFiles> files = ReadBundleFiles(root_.folder, place);
  if (Stamp() != stamp) {
    done_stamp_ = "changing";
    return;
  }
  if (!files.ok()) return Note("", std::string(files.status().message()));
  const std::string& sha256 = (*files)->bundle.sha256;
  if (sha256 == current_->bundle.sha256) return;
  if (refused_.count(sha256) != 0) {
    if (!first) spdlog::warn("bundle {} was refused before", Short(*files));
    return;
  }
  spdlog::info("bundle {} is published", Short(*files));
  next_ = *std::move(files);
  next_since_ = options_.now();
  going_back_ = false;
}

// Brings `next_` a step further.
void RootUpdater::Prepare() {
  const std::string& sha256 = next_->bundle.sha256;
  if (!Runs(sha256)) {
    const absl::Status status = StartBeside(next_, !going_back_);
    if (absl::IsResourceExhausted(status)) return;
    if (!status.ok()) return Withdraw(std::string(status.message()));
  }
  published_.set_next_sha256(sha256);
  std::string missing;
  std::map<uint32_t, v1::StreamPosition> positions;
  if (ChildrenReady(sha256, &missing, &positions)) {
    published_.clear_from();
    for (const auto& [stream, position] : positions) {
      // A stream may have become faster.
      const double ahead = 2 * position.rate() * absl::ToDoubleSeconds(root_.ahead);
      (*published_.mutable_from())[stream] = position.next() + static_cast<uint64_t>(ahead) + 1;
    }
    return ChangeOver();
  }
  if (options_.now() - next_since_ > options_.limit) {
    // Published once more, it is tried once more.
    Withdraw(absl::StrCat("not ready within ", absl::FormatDuration(options_.limit), ": ", missing),
             /*remember=*/false);
  }
}

void RootUpdater::ChangeOver() {
  spdlog::info("bundle {} takes the place of {}", Short(next_), Short(current_));
  published_.set_bundle_sha256(next_->bundle.sha256);
  published_.clear_next_sha256();
  previous_ = std::exchange(current_, std::exchange(next_, nullptr));
  if (refused_.count(previous_->bundle.sha256) != 0) previous_ = nullptr;
  generations_->Prefer(current_->bundle.sha256, {});
  if (options_.on_preferred) options_.on_preferred(current_);
}

void RootUpdater::Hear(const v1::BundleReport& report) {
  const std::string reason = absl::StrCat(report.node(), ": ", report.reason());
  if (next_ != nullptr && next_->bundle.sha256 == report.bundle_sha256()) return Withdraw(reason);
  if (!refused_.insert(report.bundle_sha256()).second) return;
  Note(report.bundle_sha256(), reason);
  if (current_->bundle.sha256 != report.bundle_sha256()) return;
  if (previous_ == nullptr || next_ != nullptr) {
    spdlog::error("bundle {} stays: there is none to go back to", Short(current_));
    return;
  }
  spdlog::warn("going back to bundle {}", Short(previous_));
  next_ = std::exchange(previous_, nullptr);
  next_since_ = options_.now();
  going_back_ = true;
}

void RootUpdater::Withdraw(const std::string& reason, bool remember) {
  Note(next_->bundle.sha256, reason);
  if (remember) refused_.insert(next_->bundle.sha256);
  next_.reset();
  published_.clear_next_sha256();
}

void RootUpdater::Note(const std::string& sha256, const std::string& reason) {
  const std::string line = absl::StrCat(
      sha256.empty() ? root_.folder : absl::StrCat("bundle ", ToHex(sha256).substr(0, 12)),
      " is refused: ", reason);
  spdlog::error("{}", line);
  std::lock_guard<std::mutex> lock(mu_);
  refusals_.push_back(line);
  if (refusals_.size() > 16) refusals_.erase(refusals_.begin());
}

std::vector<std::string> RootUpdater::refusals() const {
  std::lock_guard<std::mutex> lock(mu_);
  return refusals_;
}

}  // namespace ddnn

#include "runtime/update/child_updater.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/net/protocol.h"

namespace ddnn {
namespace {

constexpr absl::Duration kReportLimit = absl::Seconds(5);
constexpr size_t kMostReports = 64;
// Seconds over which the rate of a stream is taken.
constexpr double kPaceWindow = 1;

std::string Short(const std::string& sha256) { return ToHex(sha256).substr(0, 12); }

// What another attempt may change.
bool MayPass(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

}  // namespace

ChildUpdater::ChildUpdater(Options options, ChildOptions child, Generations* generations,
                           BundleService* service, ParentLink* parent, KeptBundles* kept)
    : Updater(std::move(options), generations, service),
      child_(std::move(child)),
      parent_(parent),
      kept_(kept),
      prove_at_(options_.now() + child_.prove_time) {}

void ChildUpdater::Start() {
  follower_ = std::thread([this] { Follow(); });
  Updater::Start();
}

void ChildUpdater::Stop() {
  parent_->Cancel();
  if (follower_.joinable()) follower_.join();
  Updater::Stop();
  if (kept_->state().starts() == 0) return;
  // It was asked to end: no crash to be counted.
  v1::KeptState state = kept_->state();
  state.set_starts(0);
  kept_->Save(state).IgnoreError();
}

void ChildUpdater::Follow() {
  absl::Duration backoff = absl::Milliseconds(100);
  do {
    {
      std::lock_guard<std::mutex> lock(mu_);
      ++calls_;
    }
    const absl::Status ended = parent_->Follow([&](const v1::Published& published) {
      {
        std::lock_guard<std::mutex> lock(mu_);
        wanted_ = published;
      }
      backoff = absl::Milliseconds(100);
      Wake();
    });
    spdlog::debug("{} publishes no bundles now: {}", parent_->target(), ended.ToString());
    backoff = std::min(backoff * 2, child_.retry);
  } while (parent_->Wait(backoff));
}

void ChildUpdater::Step() {
  v1::Published wanted;
  {
    std::lock_guard<std::mutex> lock(mu_);
    wanted = wanted_;
    if (std::exchange(seen_calls_, calls_) != calls_) {
      // Another parent may listen now.
      ready_told_.clear();
      refusal_told_.clear();
    }
  }
  ForwardRefusals();
  std::map<uint32_t, v1::StreamPosition> positions;
  const bool pace_known = OwnPositions(&positions);
  if (wanted.bundle_sha256().empty()) {
    wanted.set_bundle_sha256(generations_->preferred()->bundle.sha256);
  } else if (Ensure(wanted.bundle_sha256(), /*is_current=*/true)) {
    Prefer(wanted);
  }
  std::string next = wanted.next_sha256();
  if (!next.empty() && !Ensure(next, /*is_current=*/false)) next.clear();
  PublishDown(wanted, next);
  EndOthers({wanted.bundle_sha256(), wanted.next_sha256()});
  if (next.empty()) {
    ready_told_.clear();
    ForgetReady();
  } else if (pace_known) {
    ReportReady(next, std::move(positions));
  }
  SavePreferred();
  Prove();
}

bool ChildUpdater::Ensure(const std::string& sha256, bool is_current) {
  if (Runs(sha256)) return true;
  for (const v1::RefusedBundle& refused : kept_->state().refused()) {
    if (refused.bundle() != ToHex(sha256)) continue;
    Refuse(sha256, refused.reason(), /*remember=*/false);
    return false;
  }
  const auto wait = retry_at_.find(sha256);
  if (wait != retry_at_.end() && options_.now() < wait->second) return false;
  absl::StatusOr<SharedFiles> files = Fetch(sha256);
  absl::Status status = files.status();
  if (status.ok()) status = TakeUp(*files, is_current);
  if (status.ok()) {
    retry_at_.erase(sha256);
    fetched_.reset();
    return true;
  }
  if (!MayPass(status)) {
    Refuse(sha256, std::string(status.message()), /*remember=*/true);
    return false;
  }
  spdlog::log(wait == retry_at_.end() ? spdlog::level::info : spdlog::level::debug,
              "bundle {} is not here yet: {}", Short(sha256), status.ToString());
  if (retry_at_.size() > kMostReports) retry_at_.clear();
  retry_at_[sha256] = options_.now() + child_.retry;
  return false;
}

absl::StatusOr<SharedFiles> ChildUpdater::Fetch(const std::string& sha256) {
  if (fetched_ != nullptr && fetched_->bundle.sha256 == sha256) return fetched_;
  absl::StatusOr<SharedFiles> files = kept_->Read(ToHex(sha256), child_.place);
  if (!files.ok()) {
    files =
        parent_->Fetch(sha256, child_.place, generations_->preferred().get(), child_.fetch_limit);
  }
  if (files.ok()) fetched_ = *files;
  return files;
}

absl::Status ChildUpdater::TakeUp(const SharedFiles& files, bool is_current) {
  const std::string name = files->bundle.sha256_hex();
  const absl::Status same = CheckSameNetwork(generations_->preferred()->bundle, files->bundle);
  if (!same.ok() && !is_current) return same;
  absl::Status kept = kept_->Keep(*files);
  leftovers_ = true;
  if (!kept.ok()) {
    // Full disks get room again; but the root need not wait for that.
    Refuse(files->bundle.sha256, std::string(kept.message()), /*remember=*/false);
    return absl::UnavailableError(kept.message());
  }
  if (same.ok()) return StartBeside(files);
  v1::KeptState state = kept_->state();
  state.set_bundle(name);
  state.clear_before();
  kept = kept_->Save(state);
  restart_ = kept.ok();
  if (kept.ok() && child_.on_other_network) child_.on_other_network(same);
  return absl::UnavailableError(same.message());
}

void ChildUpdater::Refuse(const std::string& sha256, const std::string& reason, bool remember) {
  if (remember) {
    v1::KeptState state = kept_->state();
    v1::RefusedBundle* refused = state.add_refused();
    refused->set_bundle(ToHex(sha256));
    refused->set_reason(reason);
    while (state.refused_size() > 16) state.mutable_refused()->DeleteSubrange(0, 1);
    if (absl::Status saved = kept_->Save(state); !saved.ok()) {
      spdlog::error("{}", saved.ToString());
    }
  }
  if (!refusal_told_.insert(sha256).second) return;
  spdlog::error("bundle {} is refused: {}", Short(sha256), reason);
  v1::BundleReport report;
  report.set_bundle_sha256(sha256);
  report.set_node(OwnName());
  report.set_refused(true);
  report.set_reason(reason);
  to_report_.push_back(std::move(report));
}

void ChildUpdater::Prefer(const v1::Published& wanted) {
  const SharedFiles before = generations_->preferred();
  if (before->bundle.sha256 == wanted.bundle_sha256()) return;
  generations_->Prefer(wanted.bundle_sha256(), {wanted.from().begin(), wanted.from().end()});
  const SharedFiles now = generations_->preferred();
  spdlog::info("bundle {} takes the place of {}", now->bundle.sha256_hex().substr(0, 12),
               before->bundle.sha256_hex().substr(0, 12));
  prove_at_ = options_.now() + child_.prove_time;
  if (options_.on_preferred) options_.on_preferred(now);
}

// The disk may take its time: only once the children know from which sample on they change over.
void ChildUpdater::SavePreferred() {
  const std::string name = generations_->preferred()->bundle.sha256_hex();
  v1::KeptState state = kept_->state();
  if (state.bundle() == name || restart_) return;
  state.set_before(state.bundle());
  state.set_bundle(name);
  state.set_starts(0);
  if (absl::Status saved = kept_->Save(state); !saved.ok()) spdlog::error("{}", saved.ToString());
}

void ChildUpdater::PublishDown(const v1::Published& wanted, const std::string& running_next) {
  const std::string preferred = generations_->preferred()->bundle.sha256;
  v1::Published down;
  down.set_bundle_sha256(preferred);
  if (preferred == wanted.bundle_sha256()) *down.mutable_from() = wanted.from();
  for (const Generations::Version& version : generations_->versions()) {
    // Children come once the way up is there.
    if (version.files->bundle.sha256 == running_next && version.parent_up) {
      down.set_next_sha256(running_next);
    }
  }
  Publish(down);
}

void ChildUpdater::ReportReady(const std::string& next,
                               std::map<uint32_t, v1::StreamPosition> positions) {
  if (ready_told_ == next) return;
  bool joined = false;
  for (const Generations::Version& version : generations_->versions()) {
    joined = joined || (version.files->bundle.sha256 == next && version.parent_up);
  }
  std::string missing;
  if (!joined || !ChildrenReady(next, &missing, &positions)) return;
  v1::BundleReport report;
  report.set_bundle_sha256(next);
  report.set_node(OwnName());
  for (const auto& [stream, position] : positions) {
    if (report.position_size() < kMaxPositions) *report.add_position() = position;
  }
  if (parent_->Report(report, kReportLimit).ok()) ready_told_ = next;
}

void ChildUpdater::ForwardRefusals() {
  for (v1::BundleReport& report : TakeRefusals()) to_report_.push_back(std::move(report));
  while (to_report_.size() > kMostReports) to_report_.pop_front();
  while (!to_report_.empty()) {
    const absl::Status told = parent_->Report(to_report_.front(), kReportLimit);
    if (!told.ok() && MayPass(told)) return;
    to_report_.pop_front();
  }
}

void ChildUpdater::Prove() {
  if (options_.now() < prove_at_) return;
  if (!kept_->state().before().empty()) {
    v1::KeptState state = kept_->state();
    state.clear_before();
    state.clear_starts();
    if (!kept_->Save(state).ok()) return;
    leftovers_ = true;
  }
  if (!leftovers_ || generations_->versions().size() > 1) return;
  kept_->Forget({generations_->preferred()->bundle.sha256_hex(), kept_->state().bundle()});
  leftovers_ = false;
}

std::string ChildUpdater::OwnName() const {
  const SharedFiles files = generations_->preferred();
  return NodeName(files->bundle.plan, files->tier, files->node);
}

// Of a device: where its camera is, and how fast it goes.
bool ChildUpdater::OwnPositions(std::map<uint32_t, v1::StreamPosition>* positions) {
  bool known = true;
  const absl::Time now = options_.now();
  for (const auto& [stream, next] : generations_->next_sequences()) {
    Pace& pace = pace_.emplace(stream, Pace{next, now}).first->second;
    const double seconds = absl::ToDoubleSeconds(now - pace.when);
    const double rate = static_cast<double>(next - pace.next) / std::max(seconds, kPaceWindow);
    v1::StreamPosition& position = (*positions)[stream];
    position.set_stream(stream);
    position.set_next(next);
    position.set_rate(std::max(rate, pace.rate));
    if (seconds >= kPaceWindow) pace = {next, now, rate};
    known = known && pace.rate >= 0;
  }
  return known;
}

}  // namespace ddnn

#include "runtime/update/updater.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "runtime/net/protocol.h"

namespace ddnn {

Updater::Updater(Options options, Generations* generations, BundleService* service)
    : options_(std::move(options)), generations_(generations), service_(service) {
  if (service_ != nullptr) {
    service_->OnReport([this](const v1::BundleReport& report) { Heard(report); });
  }
}

Updater::~Updater() = default;

void Updater::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void Updater::Stop() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
  if (service_ != nullptr) service_->OnReport(nullptr);
}

void Updater::Loop() {
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopping_) {
    lock.unlock();
    Step();
    lock.lock();
    changed_.wait_for(lock, absl::ToChronoMilliseconds(options_.tick),
                      [this] { return woken_ || stopping_; });
    woken_ = false;
  }
}

void Updater::Wake() {
  std::lock_guard<std::mutex> lock(mu_);
  woken_ = true;
  changed_.notify_all();
}

void Updater::Heard(const v1::BundleReport& report) {
  std::lock_guard<std::mutex> lock(mu_);
  if (report.refused()) {
    if (refusals_.size() < kMaxRefusals) refusals_.push_back(report);
  } else if (ready_.size() < kMaxReady || ready_.count(report.node()) != 0) {
    ready_[report.node()] = {report, options_.now()};
  }
  woken_ = true;
  changed_.notify_all();
}

std::deque<v1::BundleReport> Updater::TakeRefusals() {
  std::lock_guard<std::mutex> lock(mu_);
  return std::exchange(refusals_, {});
}

absl::Status Updater::StartBeside(const SharedFiles& files, bool with_trial) {
  absl::Status status = CheckSameNetwork(generations_->preferred()->bundle, files->bundle);
  if (status.ok() && with_trial && options_.try_bundle) status = options_.try_bundle(files);
  if (status.ok()) status = generations_->Add(files);
  return status;
}

bool Updater::Runs(const std::string& sha256) const {
  for (const Generations::Version& version : generations_->versions()) {
    if (version.files->bundle.sha256 == sha256) return true;
  }
  return false;
}

bool Updater::ChildrenReady(const std::string& sha256, std::string* missing,
                            std::map<uint32_t, v1::StreamPosition>* positions) {
  const auto versions = generations_->versions();
  const Generations::Version* next = nullptr;
  for (const auto& version : versions) {
    if (version.files->bundle.sha256 == sha256) next = &version;
  }
  if (next == nullptr) return false;
  const NetworkPlan& plan = next->files->bundle.plan;
  const int tier = next->files->tier;
  std::set<std::string> waiting;
  for (const auto& version : versions) {
    if (tier == 0) break;  // its child is a camera
    for (size_t slot = 0; slot < version.children.size(); ++slot) {
      if (!version.children[slot]) continue;
      const std::string name =
          NodeName(plan, tier - 1, plan.node(tier, next->files->node).children[slot]);
      std::lock_guard<std::mutex> lock(mu_);
      const auto said = ready_.find(name);
      if (next->children[slot] && said != ready_.end() &&
          said->second.report.bundle_sha256() == sha256) {
        const double age = absl::ToDoubleSeconds(options_.now() - said->second.when);
        for (v1::StreamPosition position : said->second.report.position()) {
          const double rate = std::isfinite(position.rate()) ? position.rate() : 0;
          position.set_rate(std::clamp(rate, 0.0, 1e9));
          // Where it is by now.
          position.set_next(position.next() + static_cast<uint64_t>(position.rate() * age));
          v1::StreamPosition& most = (*positions)[position.stream()];
          if (position.next() > most.next()) most.set_next(position.next());
          if (position.rate() > most.rate()) most.set_rate(position.rate());
          most.set_stream(position.stream());
        }
        continue;
      }
      waiting.insert(name);
    }
  }
  *missing = absl::StrJoin(waiting, ", ");
  return waiting.empty();
}

void Updater::ForgetReady() {
  std::lock_guard<std::mutex> lock(mu_);
  ready_.clear();
}

void Updater::EndOthers(const std::set<std::string>& wanted) {
  const absl::Time now = options_.now();
  std::map<std::string, absl::Time> still;
  for (const Generations::Version& version : generations_->versions()) {
    const Bundle& bundle = version.files->bundle;
    if (wanted.count(bundle.sha256) != 0) continue;
    const auto since = unwanted_since_.emplace(bundle.sha256, now).first->second;
    const bool overdue = now - since > options_.limit;
    if (!generations_->End(bundle.sha256, overdue)) {
      still[bundle.sha256] = since;
    } else {
      spdlog::info("bundle {} has ended{}", bundle.sha256_hex().substr(0, 12),
                   overdue ? ", though it was still in use" : "");
    }
  }
  unwanted_since_ = std::move(still);
}

void Updater::Publish(const v1::Published& published) {
  if (service_ == nullptr) return;
  std::vector<SharedFiles> files;
  for (const Generations::Version& version : generations_->versions()) {
    files.push_back(version.files);
  }
  std::string news = absl::StrCat(published.bundle_sha256(), "/", published.next_sha256(), "/");
  for (const SharedFiles& each : files) news += each->bundle.sha256;
  for (const auto& [stream, sequence] :
       std::map<uint32_t, uint64_t>(published.from().begin(), published.from().end())) {
    absl::StrAppend(&news, "/", stream, ":", sequence);
  }
  if (news == published_) return;
  published_ = news;
  service_->Publish(published, std::move(files));
}

}  // namespace ddnn

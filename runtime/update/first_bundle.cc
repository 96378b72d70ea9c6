#include "runtime/update/first_bundle.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "runtime/net/protocol.h"

namespace ddnn {
namespace {

// What the last run left, if it is whole and still fits.
SharedFiles ReadKept(const KeptBundles& kept, const FindPlace& place) {
  if (kept.state().bundle().empty()) return nullptr;
  absl::StatusOr<SharedFiles> files = kept.Read(kept.state().bundle(), place);
  if (files.ok()) return *std::move(files);
  spdlog::warn("the kept bundle cannot be used: {}", files.status().ToString());
  return nullptr;
}

bool Refused(const KeptBundles& kept, const std::string& sha256_hex) {
  for (const v1::RefusedBundle& refused : kept.state().refused()) {
    if (refused.bundle() == sha256_hex) return true;
  }
  return false;
}

// Counts this start of a bundle that has not run for long yet; goes back if there were too many.
absl::Status CountStart(KeptBundles* kept) {
  v1::KeptState state = kept->state();
  if (state.before().empty()) return absl::OkStatus();
  if (state.starts() < kMostStarts) {
    state.set_starts(state.starts() + 1);
    return kept->Save(state);
  }
  v1::RefusedBundle* refused = state.add_refused();
  refused->set_bundle(state.bundle());
  refused->set_reason(absl::StrCat("the process ended ", state.starts(),
                                   " times soon after it was started with it"));
  spdlog::error("bundle {} is refused: {}; going back to {}", state.bundle().substr(0, 12),
                refused->reason(), state.before().substr(0, 12));
  state.set_bundle(state.before());
  state.clear_before();
  state.clear_starts();
  return kept->Save(state);
}

// Asks the parent once.
absl::StatusOr<SharedFiles> Ask(ParentLink* parent, const KeptBundles& kept, const FindPlace& place,
                                SharedFiles old, const FirstBundleOptions& options) {
  const bool wait = old == nullptr;
  absl::StatusOr<v1::Published> published =
      parent->Current(wait ? options.fetch_limit : options.ask_limit);
  if (!published.ok()) return published.status();
  const std::string& sha256 = published->bundle_sha256();
  if (old != nullptr && old->bundle.sha256 == sha256) return old;
  if (Refused(kept, ToHex(sha256))) {
    return absl::FailedPreconditionError(
        absl::StrCat("its bundle ", ToHex(sha256).substr(0, 12), " was refused here"));
  }
  return parent->Fetch(sha256, place, old.get(), options.fetch_limit);
}

// Keeps a bundle as the one to run, if it stands its trial. INTERNAL: it does not.
absl::Status Keep(KeptBundles* kept, ParentLink* parent, const SharedFiles& files,
                  const SharedFiles& old, const FirstBundleOptions& options) {
  const std::string name = files->bundle.sha256_hex();
  absl::Status status = kept->Keep(*files);
  if (!status.ok()) return status;
  v1::KeptState state = kept->state();
  const absl::Status tried = options.try_bundle ? options.try_bundle(files) : absl::OkStatus();
  if (!tried.ok() && !absl::IsUnavailable(tried)) {
    v1::RefusedBundle* refused = state.add_refused();
    refused->set_bundle(name);
    refused->set_reason(std::string(tried.message()));
    v1::BundleReport report;
    report.set_bundle_sha256(files->bundle.sha256);
    report.set_node(NodeName(files->bundle.plan, files->tier, files->node));
    report.set_refused(true);
    report.set_reason(refused->reason());
    parent->Report(report, absl::Seconds(5)).IgnoreError();
    status = kept->Save(state);
    return status.ok() ? absl::InternalError(tried.message()) : status;
  }
  state.set_bundle(name);
  state.clear_before();
  state.clear_starts();
  if (old != nullptr) {
    state.set_before(old->bundle.sha256_hex());
    state.set_starts(1);
  }
  status = kept->Save(state);
  if (status.ok()) kept->Forget({name, state.before()});
  return status;
}

}  // namespace

absl::StatusOr<SharedFiles> FirstBundle(KeptBundles* kept, ParentLink* parent,
                                        const FindPlace& place, const FirstBundleOptions& options) {
  if (absl::Status counted = CountStart(kept); !counted.ok()) return counted;
  const SharedFiles old = ReadKept(*kept, place);
  absl::Status misplaced;  // by what the parent runs
  const auto checked_place = [&](const NetworkPlan& plan) {
    auto found = place(plan);
    misplaced = found.status();
    return found;
  };
  absl::Duration backoff = options.min_backoff;
  std::string told;
  while (true) {
    absl::StatusOr<SharedFiles> files = Ask(parent, *kept, checked_place, old, options);
    if (!parent->Wait(absl::ZeroDuration())) return absl::CancelledError("asked to end");
    if (files.ok() && *files != old) {
      const absl::Status status = Keep(kept, parent, *files, old, options);
      if (absl::IsInternal(status)) {
        files = status;
      } else if (!status.ok()) {
        return status;
      }
    }
    if (files.ok()) return files;
    if (!misplaced.ok()) return misplaced;
    if (absl::IsUnimplemented(files.status())) {
      return absl::UnimplementedError(parent->target() +
                                      " gives no bundles to its children: start with --bundle");
    }
    const std::string why = files.status().ToString();
    if (old != nullptr) {
      spdlog::warn("starting with the kept bundle {}: {}: {}",
                   old->bundle.sha256_hex().substr(0, 12), parent->target(), why);
      return old;
    }
    if (why != told) spdlog::warn("no bundle from {} yet, trying on: {}", parent->target(), why);
    told = why;
    if (!parent->Wait(backoff)) return absl::CancelledError("asked to end");
    backoff = std::min(backoff * 2, options.max_backoff);
  }
}

}  // namespace ddnn

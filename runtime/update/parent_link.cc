#include "runtime/update/parent_link.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "runtime/core/bundle_layout.h"
#include "runtime/net/status.h"
#include "runtime/update/bundle_service.h"

namespace ddnn {
namespace {

// A chunk, or what is published.
constexpr int kMaxMessage = kFetchChunk + (16 << 10);

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& target) {
  grpc::ChannelArguments args;
  args.SetMaxReceiveMessageSize(kMaxMessage);
  args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Nothing is urgent here: half a minute to notice a parent that is gone.
  args.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20000);
  args.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  args.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  args.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  args.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);
  args.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), args);
}

}  // namespace

// One call, as long as it lives one of those that Cancel ends.
class ParentLink::Call {
 public:
  explicit Call(ParentLink* link) : link_(link) {
    std::lock_guard<std::mutex> lock(link_->mu_);
    link_->calls_.insert(this);
    if (link_->cancelled_) context.TryCancel();
  }
  ~Call() {
    std::lock_guard<std::mutex> lock(link_->mu_);
    link_->calls_.erase(this);
  }
  void SetDeadline(absl::Time deadline) {
    if (deadline != absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
  }

  grpc::ClientContext context;

 private:
  ParentLink* const link_;
};

ParentLink::ParentLink(std::string target)
    : target_(std::move(target)),
      channel_(MakeChannel(target_)),
      stub_(v1::BundleService::NewStub(channel_)) {}

ParentLink::~ParentLink() = default;

absl::Status ParentLink::Follow(const std::function<void(const v1::Published&)>& heard) {
  Call call(this);
  auto reader = stub_->Current(&call.context, v1::CurrentRequest());
  v1::Published published;
  absl::Status wrong;
  while (reader->Read(&published)) {
    if (published.bundle_sha256().size() != 32) {
      wrong = absl::InternalError(absl::StrCat(target_, ": bundle_sha256 has ",
                                               published.bundle_sha256().size(),
                                               " bytes, expected 32"));
      call.context.TryCancel();
      break;
    }
    heard(published);
  }
  const absl::Status ended = FromGrpc(reader->Finish());
  if (!wrong.ok()) return wrong;
  return ended.ok() ? absl::UnavailableError("the parent ended the call") : ended;
}

absl::StatusOr<v1::Published> ParentLink::Current(absl::Duration limit) {
  Call call(this);
  call.SetDeadline(absl::Now() + limit);
  auto reader = stub_->Current(&call.context, v1::CurrentRequest());
  v1::Published published;
  const bool came = reader->Read(&published);
  if (came) call.context.TryCancel();
  const absl::Status ended = FromGrpc(reader->Finish());
  if (!came) return ended.ok() ? absl::UnavailableError("the parent ended the call") : ended;
  if (published.bundle_sha256().size() == 32) return published;
  return absl::InternalError(absl::StrCat(target_, ": bundle_sha256 has ",
                                          published.bundle_sha256().size(), " bytes, expected 32"));
}

absl::StatusOr<std::string> ParentLink::FetchFile(const std::string& sha256, size_t max_bytes,
                                                  absl::Time deadline) {
  Call call(this);
  call.SetDeadline(deadline);
  v1::FetchRequest request;
  request.set_sha256(sha256);
  auto reader = stub_->Fetch(&call.context, request);
  v1::FetchChunk chunk;
  std::string data;
  absl::Status wrong;
  while (wrong.ok() && reader->Read(&chunk)) {
    if (chunk.data().empty()) {
      wrong = absl::DataLossError("an empty chunk");
    } else if (chunk.data().size() > max_bytes - data.size()) {
      wrong = absl::DataLossError(absl::StrCat("more than ", max_bytes, " bytes came"));
    } else {
      data += chunk.data();
    }
  }
  if (!wrong.ok()) call.context.TryCancel();
  const absl::Status ended = FromGrpc(reader->Finish());
  if (wrong.ok() && !ended.ok()) return ended;
  if (wrong.ok() && Sha256(data) != sha256) {
    wrong = absl::DataLossError(
        absl::StrCat(data.size(), " bytes with SHA-256 ", ToHex(Sha256(data)), " came"));
  }
  if (wrong.ok()) return data;
  return absl::DataLossError(absl::StrCat(target_, ": asked for the file with SHA-256 ",
                                          ToHex(sha256), ": ", std::string(wrong.message())));
}

absl::StatusOr<SharedFiles> ParentLink::Fetch(const std::string& sha256, const FindPlace& place,
                                              const BundleFiles* known, absl::Duration limit) {
  const absl::Time deadline = absl::Now() + limit;
  absl::StatusOr<std::string> manifest = FetchFile(sha256, kMaxManifestBytes, deadline);
  if (!manifest.ok()) return manifest.status();
  const auto get = [&](const v1::SectionFile& file) -> absl::StatusOr<std::string> {
    const std::string hash = absl::HexStringToBytes(
        file.sha256().size() == 64 &&
                file.sha256().find_first_not_of("0123456789abcdef") == std::string::npos
            ? file.sha256()
            : "");
    if (hash.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(target_, ": sha256 of ", file.path(),
                                                     " is not 64 lower-case hexadecimal digits"));
    }
    if (known != nullptr) {
      const auto found = known->files.find(hash);
      if (found != known->files.end()) return found->second;
    }
    // ParseManifest saw to it that the size is one that the spec allows.
    return FetchFile(hash, static_cast<size_t>(file.bytes()), deadline);
  };
  return AssembleBundle(*std::move(manifest), target_, place, get);
}

absl::Status ParentLink::Report(const v1::BundleReport& report, absl::Duration limit) {
  Call call(this);
  call.SetDeadline(absl::Now() + limit);
  v1::BundleReportReply reply;
  return FromGrpc(stub_->Report(&call.context, report, &reply));
}

bool ParentLink::Wait(absl::Duration time) {
  time = std::min(time, absl::Hours(24 * 365));  // a point of time beyond that may overflow
  std::unique_lock<std::mutex> lock(mu_);
  return !changed_.wait_for(lock, absl::ToChronoMilliseconds(time), [this] { return cancelled_; });
}

void ParentLink::Cancel() {
  std::lock_guard<std::mutex> lock(mu_);
  cancelled_ = true;
  for (Call* call : calls_) call->context.TryCancel();
  changed_.notify_all();
}

}  // namespace ddnn

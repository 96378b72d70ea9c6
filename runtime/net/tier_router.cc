#include "runtime/net/tier_router.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "runtime/net/status.h"
#include "runtime/net/tier_server.h"

namespace ddnn {
namespace {

// For a child that comes before the first version, or after the last.
class Refusal : public grpc::ServerBidiReactor<v1::Up, v1::Down> {
 public:
  Refusal() { Finish(ToGrpc(absl::UnavailableError("the parent is starting or shutting down"))); }
  void OnDone() override { delete this; }
};

}  // namespace

class TierRouter::Service : public v1::TierService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::Up, v1::Down>* Join(grpc::CallbackServerContext* context) override {
    const auto& metadata = context->client_metadata();
    const auto named = metadata.find(kBundleKey);
    // Held until the server knows the stream: Remove waits for that.
    std::lock_guard<std::mutex> lock(mu_);
    TierServer* chosen = servers_.empty() ? nullptr : servers_.back().second;
    for (const auto& [bundle, server] : servers_) {
      if (named != metadata.end() && named->second == bundle) chosen = server;
    }
    if (chosen != nullptr) return chosen->Join(context);
    return new Refusal();
  }

  std::mutex mu_;
  std::vector<std::pair<std::string, TierServer*>> servers_;
};

TierRouter::TierRouter() : service_(std::make_unique<Service>()) {}
TierRouter::~TierRouter() = default;

grpc::Service* TierRouter::service() { return service_.get(); }

void TierRouter::Add(const std::string& bundle_sha256, TierServer* server) {
  std::lock_guard<std::mutex> lock(service_->mu_);
  service_->servers_.emplace_back(bundle_sha256, server);
}

void TierRouter::Remove(TierServer* server) {
  std::lock_guard<std::mutex> lock(service_->mu_);
  auto& servers = service_->servers_;
  servers.erase(std::remove_if(servers.begin(), servers.end(),
                               [server](const auto& each) { return each.second == server; }),
                servers.end());
}

}  // namespace ddnn

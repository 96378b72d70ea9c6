#ifndef DDNN_RUNTIME_NET_TIER_ROUTER_H_
#define DDNN_RUNTIME_NET_TIER_ROUTER_H_

#include <memory>
#include <string>

namespace grpc {
class Service;
}

namespace ddnn {

class TierServer;

/// One tier service over several TierServers, each of another bundle: versions of a node side by
/// side behind one port. A child names its bundle in the call's metadata; one whose bundle is none
/// of these is refused by the newest. Safe to call from several threads.
class TierRouter {
 public:
  /// In the metadata of Join: the bundle's SHA-256, 32 raw bytes.
  static constexpr char kBundleKey[] = "ddnn-bundle-bin";

  TierRouter();
  /// All were removed, and the grpc::Server has ended.
  ~TierRouter();

  /// To be registered with one grpc::Server.
  grpc::Service* service();

  void Add(const std::string& bundle_sha256, TierServer* server);
  /// When it returns, no stream comes to this one any more.
  void Remove(TierServer* server);

 private:
  class Service;
  std::unique_ptr<Service> service_;
};

}  // namespace ddnn

#endif  // DDNN_RUNTIME_NET_TIER_ROUTER_H_

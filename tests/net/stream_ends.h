#ifndef DDNN_TESTS_NET_STREAM_ENDS_H_
#define DDNN_TESTS_NET_STREAM_ENDS_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "runtime/net/listener.h"
#include "runtime/net/protocol.h"
#include "runtime/net/tier_client.h"
#include "runtime/net/tier_server.h"
#include "tests/net/waiter.h"
#include "tests/node/networks.h"

namespace ddnn {

inline const std::string kHash(32, 'h');

/// Hears what children say.
class Children : public TierServer::Handler {
 public:
  void OnChildJoined(int child) override {
    waiter.Change([&] { here.insert(child), ++joins; });
  }
  void OnChildGone(int child) override {
    waiter.Change([&] { here.erase(child); });
  }
  void OnChildReady(int child) override {
    waiter.Change([&] { ready.insert(child); });
  }
  void OnChildClock(int child, absl::Time said) override {
    waiter.Change([&] { clocks.push_back(said); });
  }
  absl::Status OnSample(int child, v1::UpSample sample) override {
    waiter.Change([&] { samples.push_back(std::move(sample)); });
    return absl::OkStatus();
  }
  void OnKept(int child, v1::KeptSample sample) override {
    waiter.Change([&] { kept.push_back(std::move(sample)); });
  }
  bool WaitForSamples(size_t count) {
    return waiter.WaitUntil([&] { return samples.size() >= count; });
  }

  Waiter waiter;
  std::set<int> here, ready;
  int joins = 0;
  std::vector<absl::Time> clocks;
  std::vector<v1::UpSample> samples;
  std::vector<v1::KeptSample> kept;
};

/// A parent that can be stopped and started again at the same port.
class Parent {
 public:
  explicit Parent(const NetworkPlan& plan, size_t max_pending = 8192,
                  absl::Duration hello_limit = absl::Seconds(10))
      : plan_(plan) {
    options_.max_pending = max_pending;
    options_.hello_limit = hello_limit;
    Start("127.0.0.1:0");
  }
  /// One that lets answers wait for company, by this clock.
  Parent(const NetworkPlan& plan, absl::Duration max_batching_delay, Clock now) : plan_(plan) {
    options_.max_batching_delay = max_batching_delay;
    options_.now = std::move(now);
    Start("127.0.0.1:0");
  }
  ~Parent() { Stop(); }

  void Start(const std::string& address) {
    options_.tier = 1;
    options_.bundle_sha256 = kHash;
    tier_ = std::make_unique<TierServer>(plan_, options_, &children);
    auto listener = Listen(address, MaxUpBytes(plan_, 1, 0), {tier_->service()});
    ASSERT_TRUE(listener.ok()) << listener.status();
    server_ = std::move(listener->server);
    address_ = absl::StrCat("127.0.0.1:", listener->port);
  }
  void Stop() {
    if (tier_ == nullptr) return;
    tier_->Shutdown(absl::Seconds(5));
    server_->Shutdown();
    server_.reset();
    tier_.reset();
  }
  void Restart() {
    Stop();
    Start(address_);
  }

  TierServer* tier() { return tier_.get(); }
  const std::string& address() const { return address_; }

  Children children;

 private:
  const NetworkPlan& plan_;
  TierServer::Options options_;
  std::string address_;
  std::unique_ptr<TierServer> tier_;
  std::unique_ptr<grpc::Server> server_;
};

/// Hears what the parent says.
class Up : public TierClient::Handler {
 public:
  void OnParentUp() override {
    waiter.Change([&] { up = true, ++ups; });
  }
  void OnParentGone() override {
    waiter.Change([&] { up = false; });
  }
  void OnFeaturesWanted(SampleKey sample) override {
    waiter.Change([&] { wanted.push_back(sample); });
  }
  void OnParentAnswer(const Answer& answer) override {
    waiter.Change([&] { answers.push_back(answer); });
  }
  void OnStart() override {
    waiter.Change([&] { started = true; });
  }
  void OnRefused(const absl::Status& why) override {
    waiter.Change([&] { refused = why; });
  }

  bool WaitForUps(int count) {
    return waiter.WaitUntil([&] { return up && ups >= count; });
  }

  Waiter waiter;
  bool up = false, started = false;
  int ups = 0;
  absl::Status refused;
  std::vector<SampleKey> wanted;
  std::vector<Answer> answers;
};

/// What a client needs.
class TierClientTest : public ::testing::Test {
 protected:
  TierClient::Options Options(int node) {
    TierClient::Options options;
    options.target = parent_.address();
    options.index = node;
    options.bundle_sha256 = kHash;
    options.min_backoff = absl::Milliseconds(1);
    options.max_backoff = absl::Milliseconds(20);
    return options;
  }
  v1::UpSample Scores(uint64_t sequence) {
    v1::UpSample sample;
    sample.set_sequence(sequence);
    sample.set_scores(std::string(12, '\0'));
    return sample;
  }

  const NetworkPlan plan_ = SmallNetwork('e');
  Parent parent_{plan_};
  Up up_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_NET_STREAM_ENDS_H_

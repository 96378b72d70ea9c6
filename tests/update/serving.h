#ifndef DDNN_TESTS_UPDATE_SERVING_H_
#define DDNN_TESTS_UPDATE_SERVING_H_

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "runtime/update/bundle_files.h"
#include "runtime/update/bundle_service.h"
#include "tests/support/random_network.h"

namespace ddnn {

/// A gRPC service on a port of its own, for as long as it lives.
class Serving {
 public:
  explicit Serving(grpc::Service* service, int port = 0) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    EXPECT_NE(server_, nullptr);
  }
  ~Serving() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int port() const { return port_; }

 private:
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

/// Saved bundles of one network (two views, an edge, a cloud) in a folder of the test's own.
class UpdateTest : public ::testing::Test {
 protected:
  UpdateTest()
      : folder_(absl::StrCat(::testing::TempDir(), "/update.", getpid(), ".",
                             ::testing::UnitTest::GetInstance()->current_test_info()->name())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    RandomSpecOptions options;
    options.views = 2;
    options.tiers = 3;
    options.binary_only = true;
    options.odd_trees = false;
    spec_ = RandomSpec(options, &random_);
    first_ = Draw("first");
    second_ = Draw("second");
  }
  ~UpdateTest() override { std::filesystem::remove_all(folder_); }

  /// Random weights, saved as FOLDER/name.
  SharedFiles Draw(const std::string& name) {
    auto plan = NetworkPlan::Create(spec_);
    EXPECT_TRUE(plan.ok()) << plan.status();
    EXPECT_TRUE(SaveBundleTo(Path(name), RandomBundle(*plan, 0.5f, &random_)).ok());
    auto files = ReadBundleFiles(Path(name), Root());
    EXPECT_TRUE(files.ok()) << files.status();
    return *files;
  }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }

  static FindPlace Root() {
    return [](const NetworkPlan& plan) { return std::make_pair(plan.root_tier(), 0); };
  }
  static FindPlace Node(int tier, int node) {
    return [=](const NetworkPlan&) { return std::make_pair(tier, node); };
  }
  static v1::Published Naming(const SharedFiles& files) {
    v1::Published published;
    published.set_bundle_sha256(files->bundle.sha256);
    return published;
  }

  Random random_{11};
  const std::string folder_;
  v1::NetworkSpec spec_;
  SharedFiles first_, second_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_UPDATE_SERVING_H_

#ifndef DDNN_TESTS_CLOUD_RUNNING_SERVICE_H_
#define DDNN_TESTS_CLOUD_RUNNING_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "cloud/hard_store.h"
#include "cloud/query_service.h"
#include "ddnn/v1/query.grpc.pb.h"
#include "gtest/gtest.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/node/executor.h"
#include "tests/support/random_network.h"

namespace ddnn {

/// A QueryService over six_cameras with random weights, in this process, with a store.
class RunningService : public ::testing::Test {
 protected:
  RunningService() : bundle_(MakeBundle()) {
    std::string name = ::testing::TempDir() + "/query_XXXXXX";
    directory_ = mkdtemp(name.data());
    HardStoreOptions options;
    options.path = (directory_ / "hard.db").string();
    options.now = [this] { return now_ += absl::Seconds(1); };
    store_ = *HardStore::Open(options);
    options_.store = store_.get();
  }
  ~RunningService() override {
    Stop();
    store_.reset();
    std::filesystem::remove_all(directory_);
  }

  static Bundle MakeBundle() {
    Random random(42);
    auto plan = LoadNetwork(SourcePath("models/six_cameras.textproto"));
    EXPECT_TRUE(plan.ok()) << plan.status();
    return RandomBundle(*plan, 0.9f, &random);
  }

  /// Set options_ before. Without an executor Classify cannot run.
  void Start(bool attach = true) {
    auto service = QueryService::Create(bundle_, CreateLiteEngine, options_);
    ASSERT_TRUE(service.ok()) << service.status();
    service_ = *std::move(service);
    executor_ = std::make_unique<Executor>(nullptr, executor_options_);
    if (attach) service_->Attach(executor_.get());
    grpc::ServerBuilder builder;
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    stub_ = v1::QueryService::NewStub(server_->InProcessChannel({}));
  }
  /// Ends as ddnn-cloud does.
  void Stop() {
    if (service_ == nullptr) return;
    service_->Shutdown();
    service_->Attach(nullptr);
    server_->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(5));
    executor_.reset();
    server_.reset();
    service_.reset();
  }

  const NetworkPlan& plan() const { return bundle_.plan; }
  size_t view_bytes() const { return static_cast<size_t>(plan().view_shape().size()); }

  /// Stores samples 0 to n - 1, of class i % 10, with a picture of view 1 for the even ones.
  void KeepSamples(int n) {
    for (int i = 0; i < n; ++i) {
      Answer answer;
      answer.sample = {7, static_cast<uint64_t>(i)};
      answer.class_index = i % plan().classes();
      answer.entropy = 0.5f + 0.01f * static_cast<float>(i);
      answer.presence = 0b10;
      answer.scores.assign(plan().classes(), 0.0f);
      answer.scores[answer.class_index] = 1.0f;
      EXPECT_TRUE(service_->Keep(answer, "features"));
      if (i % 2 == 0) {
        service_->KeepPixels(answer.sample, {{1, std::string(view_bytes(), static_cast<char>(i))}});
      }
    }
    store_->Flush();
  }

  std::filesystem::path directory_;
  absl::Time now_ = absl::FromUnixSeconds(1000000);
  Bundle bundle_;
  std::unique_ptr<HardStore> store_;
  QueryService::Options options_;
  Executor::Options executor_options_;
  std::unique_ptr<QueryService> service_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::QueryService::Stub> stub_;
};

}  // namespace ddnn

#endif  // DDNN_TESTS_CLOUD_RUNNING_SERVICE_H_

#include "runtime/update/generations.h"

#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "gmock/gmock.h"
#include "runtime/lite/lite_engine.h"
#include "runtime/net/protocol.h"
#include "tests/net/waiter.h"
#include "tests/update/serving.h"

namespace ddnn {
namespace {

// Welcomes children of the bundles that it is told to, until it is told otherwise.
class Parent : public v1::TierService::Service {
 public:
  grpc::Status Join(grpc::ServerContext* context,
                    grpc::ServerReaderWriter<v1::Down, v1::Up>* stream) override {
    v1::Up up;
    if (!stream->Read(&up)) return grpc::Status::CANCELLED;
    const std::string bundle = up.hello().bundle_sha256();
    waiter_.WaitUntil([&] { return welcome_[bundle] || ending_; });
    waiter_.Change([&] { streams_[bundle] = context; });
    v1::Down down;
    down.mutable_welcome()->set_protocol_version(kProtocolVersion);
    stream->Write(down);
    while (stream->Read(&up)) {
    }
    waiter_.Change([&] { streams_.erase(bundle); });
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "gone");
  }

  void Welcome(const SharedFiles& files) {
    waiter_.Change([&] { welcome_[files->bundle.sha256] = true; });
  }
  void Drop(const SharedFiles& files) {
    waiter_.Change([&] {
      welcome_[files->bundle.sha256] = false;
      streams_.at(files->bundle.sha256)->TryCancel();
    });
  }
  void End() {
    waiter_.Change([&] { ending_ = true; });
  }

 private:
  Waiter waiter_;
  std::map<std::string, bool> welcome_;
  std::map<std::string, grpc::ServerContext*> streams_;
  bool ending_ = false;
};

// What a node was told, and by whom; may be held up in the middle of it.
class Ears : public NodeObserver {
 public:
  void OnParent(bool up) override { Hear(up ? "up" : "gone"); }
  void OnAnswer(const Answer&) override { Hear("answer"); }

  bool WaitUntilStuck() {
    return waiter_.WaitUntil([&] { return stuck_; });
  }
  bool WaitFor(const std::string& event) {
    return waiter_.WaitUntil([&] { return !heard_.empty() && heard_.back() == event; });
  }
  void HoldUp(const std::string& event) {
    waiter_.Change([&] { held_ = event; });
  }
  void LetGo() {
    waiter_.Change([&] { held_.clear(); });
  }
  std::vector<std::string> heard() {
    return waiter_.Read([&] { return heard_; });
  }

 private:
  void Hear(const std::string& event) {
    waiter_.Change([&] { heard_.push_back(event), stuck_ = held_ == event; });
    waiter_.WaitUntil([&] { return held_ != event; });
  }

  Waiter waiter_;
  std::vector<std::string> heard_;
  std::string held_;
  bool stuck_ = false;
};

// A device in two versions.
class GenerationsTest : public UpdateTest {
 protected:
  GenerationsTest() {
    Generations::Options options;
    options.factory = CreateLiteEngine;
    options.observer = [this](const SharedFiles&) {
      return std::make_unique<PassingObserver>(&ears_);
    };
    options.host = [this](const SharedFiles&) -> absl::StatusOr<NodeHost::Options> {
      NodeHost::Options host;
      host.node.sample_deadline = absl::Minutes(1);
      host.parent = serving_.address();
      host.wait_for_bundle = true;
      host.min_backoff = host.max_backoff = absl::Milliseconds(1);
      return host;
    };
    parent_.Welcome(first_);
    auto started = Generations::Start(options, *ReadBundleFilesOf("first"));
    EXPECT_TRUE(started.ok()) << started.status();
    generations_ = *std::move(started);
    EXPECT_TRUE(ears_.WaitFor("up"));
    EXPECT_TRUE(generations_->Add(*ReadBundleFilesOf("second")).ok());
  }
  ~GenerationsTest() override {
    ears_.LetGo();
    parent_.End();
    generations_->Stop();
  }
  absl::StatusOr<SharedFiles> ReadBundleFilesOf(const std::string& name) {
    return ReadBundleFiles(Path(name), Node(0, 0));
  }
  bool ParentUp(const SharedFiles& files) {
    for (const Generations::Version& version : generations_->versions()) {
      if (version.files->bundle.sha256 == files->bundle.sha256) return version.parent_up;
    }
    return false;
  }

  Parent parent_;
  Serving serving_{&parent_};
  Ears ears_;
  std::unique_ptr<Generations> generations_;
};

TEST_F(GenerationsTest, AreNotSaidToBeAloneWhenOneOfThemHasJustJoined) {
  generations_->Prefer(second_->bundle.sha256, {});
  // Whatever comes now is told one after the other.
  ears_.HoldUp("answer");
  std::thread camera([&] { generations_->OfferShed({7, 0}, "device busy"); });
  ASSERT_TRUE(ears_.WaitUntilStuck());
  parent_.Drop(first_);
  while (ParentUp(first_)) std::this_thread::yield();
  absl::SleepFor(absl::Milliseconds(50));  // by now it is about to be told
  parent_.Welcome(second_);
  while (!ParentUp(second_)) std::this_thread::yield();
  ears_.LetGo();
  camera.join();
  // What a version has to tell is told when it has ended.
  EXPECT_TRUE(generations_->End(first_->bundle.sha256));
  EXPECT_EQ(ears_.heard().back(), "up") << ::testing::PrintToString(ears_.heard());
}

TEST_F(GenerationsTest, CountWhatOneThatIsEndingHasDone) {
  for (uint64_t i = 0; i < 3; ++i) generations_->OfferShed({7, i}, "device busy");
  generations_->Prefer(second_->bundle.sha256, {});
  generations_->OfferShed({7, 3}, "device busy");
  ears_.HoldUp("gone");
  std::thread ending([&] { EXPECT_TRUE(generations_->End(first_->bundle.sha256)); });
  EXPECT_TRUE(ears_.WaitUntilStuck());
  EXPECT_EQ(generations_->versions().size(), 1u);
  EXPECT_EQ(generations_->Stats().shed(), 4u);
  ears_.LetGo();
  ending.join();
  EXPECT_EQ(generations_->Stats().shed(), 4u);
}

}  // namespace
}  // namespace ddnn

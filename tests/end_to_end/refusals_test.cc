// What must be refused: with a clear error, and nothing half-done. Real programs; where there is a
// tree, it goes on answering.

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "datasets/pictures.h"
#include "ddnn/v1/query.grpc.pb.h"
#include "ddnn/v1/tier.grpc.pb.h"
#include "runtime/net/protocol.h"
#include "tests/end_to_end/harness.h"
#include "tests/support/random_network.h"

namespace ddnn {
namespace {

using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Le;

namespace fs = std::filesystem;

constexpr char kNetwork[] = "models/figure2/e.textproto";

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// A folder with data and a bundle, and programs that must leave it as it was.
class Refusing : public testing::Test {
 protected:
  explicit Refusing(int items = 100) {
    items_ = WriteItems(folder_, items);
    data_ = "six-cameras:" + items_;
    bundle_ = SaveRandomBundle(folder_, "bundle", kNetwork, data_, 0.4, 51);
  }

  // Runs a program that must end by itself, with an error and without a trace.
  Ran Refused(const std::vector<std::string>& argv) {
    const std::vector<std::string> before = Everything();
    Ran ran = ddnn::Run(argv);
    EXPECT_THAT(ran.exit_code, AllOf(Ge(1), Le(2))) << argv[0] << ": " << ran.errors;
    EXPECT_EQ(Everything(), before) << argv[0];
    return ran;
  }

  // A program that is given `bundle` and `data`, and where to leave what it makes.
  std::vector<std::string> Command(const std::string& program, const std::string& bundle,
                                   const std::string& data) {
    std::vector<std::string> argv = {Program(program), "--bundle=" + bundle};
    const auto add = [&argv](const std::vector<std::string>& flags) {
      argv.insert(argv.end(), flags.begin(), flags.end());
    };
    if (program == "ddnn-device") add({"--view=0", "--source=" + data});
    if (program == "ddnn-edge" || program == "ddnn-cloud") add({"--listen=127.0.0.1:0"});
    if (program == "ddnn-device" || program == "ddnn-edge") add({"--parent=127.0.0.1:1"});
    if (program == "ddnn-cloud") add({"--store=" + folder_ / "hard.sqlite"});
    if (program == "ddnn-eval" || program == "ddnn-local") {
      add({"--data=" + data, "--json=" + folder_ / "made/summary.json"});
    } else {
      add({"--stats_file=" + folder_ / "stats.json"});
    }
    if (program == "ddnn-local") add({"--log_dir=" + folder_ / "made/log"});
    return argv;
  }

  std::vector<std::string> TrainCommand(const std::string& network, const std::string& data) {
    return {Program("ddnn-train"), "--network=" + network,
            "--data=" + data,      "--out=" + folder_ / "made/trained",
            "--samples=64",        "--epochs=1"};
  }

  // A copy of the bundle.
  std::string CopyOfBundle() {
    const std::string copy = folder_ / "copy";
    fs::copy(bundle_, copy, fs::copy_options::recursive);
    return copy;
  }

  // The network with one layer that cannot be where it is.
  std::string SpecThatDoesNotFit() {
    const std::string text = ReadAll(SourcePath(kNetwork));
    const std::string fits = "filters: 16 kernel: 3 padding: 1";
    EXPECT_NE(text.find(fits), std::string::npos);
    return absl::StrReplaceAll(text, {{fits, "filters: 16 kernel: 40 padding: 1"}});
  }

  std::vector<std::string> Everything() {
    std::vector<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(folder_.path())) {
      names.push_back(entry.path().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  TestFolder folder_;
  std::string items_, data_, bundle_;
};

class EveryProgram : public Refusing, public testing::WithParamInterface<std::string> {};

TEST_P(EveryProgram, RefusesABundleWithAChangedByte) {
  const std::string copy = CopyOfBundle();
  for (const auto& file : fs::directory_iterator(copy + "/sections")) {
    std::string bytes = ReadAll(file.path().string());
    bytes[bytes.size() / 2] ^= 1;
    WriteAll(file.path().string(), bytes);
  }
  const Ran ran = Refused(Command(GetParam(), copy, data_));
  EXPECT_THAT(ran.errors, HasSubstr(copy + "/sections/"));
  EXPECT_THAT(ran.errors, HasSubstr("SHA-256 is "));
  EXPECT_THAT(ran.errors, HasSubstr("expected "));
  EXPECT_THAT(ran.errors, HasSubstr("changed or damaged"));
  EXPECT_THAT(ran.output, IsEmpty());
}

TEST_P(EveryProgram, RefusesABundleWhoseSpecDoesNotFitTogether) {
  const std::string copy = CopyOfBundle();
  const std::string manifest = copy + "/bundle.textproto";
  const std::string text = ReadAll(manifest);
  const std::string bad = absl::StrReplaceAll(text, {{"kernel: 3", "kernel: 40"}});
  ASSERT_NE(text, bad);
  WriteAll(manifest, bad);
  const Ran ran = Refused(Command(GetParam(), copy, data_));
  EXPECT_THAT(ran.errors, HasSubstr(manifest + ": device.0"));
  EXPECT_THAT(ran.errors, HasSubstr("1x32x32"));
  EXPECT_THAT(ran.output, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(All, EveryProgram,
                         testing::Values("ddnn-device", "ddnn-edge", "ddnn-cloud", "ddnn-eval",
                                         "ddnn-local"),
                         [](const auto& info) {
                           return info.param.substr(info.param.find('-') + 1);
                         });

TEST_F(Refusing, ASpecWhoseShapesDoNotFitIsNotTrained) {
  const std::string spec = folder_ / "spec.textproto";
  WriteAll(spec, SpecThatDoesNotFit());
  const Ran ran = Refused(TrainCommand(spec, data_));
  EXPECT_THAT(ran.errors, HasSubstr(spec + ": edge.0"));
  EXPECT_THAT(ran.errors, HasSubstr("kernel 40"));
  EXPECT_THAT(ran.errors, HasSubstr("24x16x16"));
}

TEST_F(Refusing, AFolderThatHoldsOtherThingsIsNotTrainedInto) {
  auto argv = TrainCommand(SourcePath(kNetwork), data_);
  argv.push_back("--out=" + folder_ / "items");
  const Ran ran = Refused(argv);
  EXPECT_THAT(ran.errors, AllOf(HasSubstr(folder_ / "items: "), HasSubstr("expected a bundle")));
  EXPECT_THAT(ran.output, IsEmpty());
}

TEST_F(Refusing, DataOfOtherShapesIsRefusedByAllThatReadIt) {
  const auto names_both = AllOf(HasSubstr(items_), HasSubstr("6 views"), HasSubstr("has 1"));
  EXPECT_THAT(Refused(TrainCommand(SourcePath(kNetwork), items_)).errors, names_both);
  EXPECT_THAT(Refused(Command("ddnn-eval", bundle_, items_)).errors, names_both);
  EXPECT_THAT(Refused(Command("ddnn-local", bundle_, items_)).errors, names_both);
  auto device = Command("ddnn-device", bundle_, items_);
  device.push_back("--view=3");
  EXPECT_THAT(Refused(device).errors, AllOf(HasSubstr(items_), HasSubstr("view 3")));
}

TEST_F(Refusing, AFolderWithAClassThatTheNetworkHasNotIsRefused) {
  for (int i = 0; i < 10; ++i) {
    const std::string sample =
        absl::StrCat(folder_ / "pictures/train/", i % 2 == 0 ? "bag/" : "hat/", i);
    fs::create_directories(sample);
    ASSERT_TRUE(WritePicture(sample + "/0.png", std::string(1024, 'x'), Shape{1, 32, 32}).ok());
  }
  const Ran ran = Refused(TrainCommand(SourcePath(kNetwork), "folder:" + folder_ / "pictures"));
  EXPECT_THAT(ran.errors, HasSubstr("train/hat: is none of the classes t-shirt, trouser"));
}

TEST_F(Refusing, AnEmptyDataFolderIsRefusedByAllThatReadIt) {
  const std::string empty = folder_ / "empty";
  fs::create_directory(empty);
  for (const std::string& data : {"folder:" + empty, "six-cameras:fashion-mnist:" + empty}) {
    const auto says_so = AllOf(HasSubstr(empty + ": is empty"), HasSubstr("expected"));
    EXPECT_THAT(Refused(TrainCommand(SourcePath(kNetwork), data)).errors, says_so);
    EXPECT_THAT(Refused(Command("ddnn-eval", bundle_, data)).errors, says_so);
    EXPECT_THAT(Refused(Command("ddnn-local", bundle_, data)).errors, says_so);
    EXPECT_THAT(Refused(Command("ddnn-device", bundle_, data)).errors, says_so);
  }
  EXPECT_THAT(Refused(Command("ddnn-device", bundle_, "images:" + empty)).errors,
              AllOf(HasSubstr(empty + ": is empty"), HasSubstr("expected")));
}

TEST_F(Refusing, NumbersOutOfRangeAreToldTheirRange) {
  const auto with = [this](const std::string& program, const std::string& flag) {
    auto argv = Command(program, bundle_, data_);
    argv.push_back(flag);
    return Refused(argv).errors;
  };
  EXPECT_THAT(with("ddnn-device", "--view=6"), AllOf(HasSubstr("--view 6"), HasSubstr("0 to 5")));
  EXPECT_THAT(with("ddnn-device", "--view=-1"), AllOf(HasSubstr("--view"), HasSubstr("0 to 63")));
  EXPECT_THAT(with("ddnn-edge", "--node=1"), AllOf(HasSubstr("--node 1"), HasSubstr("0 to 0")));
  EXPECT_THAT(with("ddnn-eval", "--missing=6"), AllOf(HasSubstr("\"6\""), HasSubstr("0 to 5")));
  EXPECT_THAT(with("ddnn-local", "--kill=device=6@9"),
              AllOf(HasSubstr("6@9"), HasSubstr("0 to 5")));
}

// One device of six, the edge and the cloud; every answer comes from the cloud.
class ATree : public Refusing {
 protected:
  ATree() : Refusing(2000) {
    auto argv = Command("ddnn-cloud", bundle_, data_);
    cloud_ = std::make_unique<Running>(argv);
    cloud_address_ = AddressOf(cloud_.get());
    edge_ = std::make_unique<Running>(EdgeCommand(bundle_, "127.0.0.1:0"));
    edge_address_ = AddressOf(edge_.get());
    device_ = std::make_unique<Running>(DeviceCommand(bundle_, 0));
    AnswersGoOn();
  }

  std::vector<std::string> EdgeCommand(const std::string& bundle, const std::string& listen) {
    return {Program("ddnn-edge"),         "--bundle=" + bundle,   "--listen=" + listen,
            "--parent=" + cloud_address_, "--threshold=local=-1", "--threshold=edge=-1"};
  }
  std::vector<std::string> DeviceCommand(const std::string& bundle, int view) {
    return {Program("ddnn-device"),
            "--bundle=" + bundle,
            absl::StrCat("--view=", view),
            "--parent=" + edge_address_,
            "--source=" + data_,
            "--rate=50",
            "--json"};
  }

  // The first device still gets answers from the cloud, and has not been without its parent.
  void AnswersGoOn() {
    device_->SkipLines();
    for (int i = 0; i < 10; ++i) {
      const std::string line = device_->WaitForLine("\"exit\":\"cloud\"");
      ASSERT_THAT(line, HasSubstr("\"degraded\":false"));
    }
    EXPECT_TRUE(edge_->running());
    EXPECT_TRUE(cloud_->running());
  }

  v1::Up Hello(const std::string& tier, int node) {
    auto bundle = LoadBundle(bundle_);
    EXPECT_TRUE(bundle.ok()) << bundle.status();
    v1::Up up;
    up.mutable_hello()->set_protocol_version(kProtocolVersion);
    up.mutable_hello()->set_bundle_sha256(bundle->sha256);
    up.mutable_hello()->set_tier(tier);
    up.mutable_hello()->set_node(node);
    return up;
  }

  std::string cloud_address_, edge_address_;
  std::unique_ptr<Running> cloud_, edge_, device_;
};

// A child that says what no child of ours would.
class RawChild {
 public:
  explicit RawChild(const std::string& address)
      : stub_(v1::TierService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))),
        stream_(stub_->Join(&context_)) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  }

  void Say(const v1::Up& up) { stream_->Write(up); }
  bool IsWelcome() {
    v1::Down down;
    return stream_->Read(&down) && down.has_welcome();
  }
  grpc::Status HowItEnds() {
    for (v1::Down down; stream_->Read(&down);) {
    }
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::TierService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::Up, v1::Down>> stream_;
};

TEST_F(ATree, RefusesChildrenWithAnotherBundleNamingBoth) {
  const std::string other = SaveRandomBundle(folder_, "other", kNetwork, data_, 0.4, 52);
  const std::string ours = LoadBundle(bundle_)->sha256_hex();
  const std::string theirs = LoadBundle(other)->sha256_hex();
  const Ran device = Refused(DeviceCommand(other, 1));
  EXPECT_THAT(device.errors,
              AllOf(HasSubstr("refused by " + edge_address_), HasSubstr(ours), HasSubstr(theirs)));
  const Ran edge = Refused(EdgeCommand(other, "127.0.0.1:0"));
  EXPECT_THAT(edge.errors,
              AllOf(HasSubstr("refused by " + cloud_address_), HasSubstr(ours), HasSubstr(theirs)));
  AnswersGoOn();
}

TEST_F(ATree, RefusesASecondDeviceForATakenViewAndASecondEdge) {
  const Ran device = Refused(DeviceCommand(bundle_, 0));
  EXPECT_THAT(device.errors, AllOf(HasSubstr("refused by " + edge_address_),
                                   HasSubstr("the place of device.0 is taken by")));
  const Ran edge = Refused(EdgeCommand(bundle_, "127.0.0.1:0"));
  EXPECT_THAT(edge.errors, AllOf(HasSubstr("refused by " + cloud_address_),
                                 HasSubstr("the place of edge.0 is taken by")));
  AnswersGoOn();
}

TEST_F(ATree, RefusesAViewThatIsNotInTheNetwork) {
  RawChild child(edge_address_);
  child.Say(Hello("device", 6));
  const grpc::Status status = child.HowItEnds();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("node 6"), HasSubstr("0, 1, 2, 3, 4, 5")));
  AnswersGoOn();
}

TEST_F(ATree, RefusesAMessageLargerThanTheSpecAllowsAndGivesThePlaceToTheNext) {
  v1::Up large;
  large.add_sample()->set_features(std::string(200000, 'x'));
  RawChild child(edge_address_);
  child.Say(Hello("device", 1));
  ASSERT_TRUE(child.IsWelcome());
  child.Say(large);
  const grpc::Status status = child.HowItEnds();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("larger than max (2000"));

  RawChild edge(cloud_address_);
  edge.Say(large);
  EXPECT_EQ(edge.HowItEnds().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  AnswersGoOn();

  Running second(DeviceCommand(bundle_, 1));
  second.WaitForLine("\"degraded\":false");
  second.Signal(SIGTERM);
  const Ran ran = second.Finish();
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
}

TEST_F(ATree, RefusesFeaturesOfAnotherSizeThanTheSpecSays) {
  v1::Up up;
  up.add_sample()->set_features(std::string(129, 'x'));
  RawChild child(edge_address_);
  child.Say(Hello("device", 1));
  ASSERT_TRUE(child.IsWelcome());
  child.Say(up);
  const grpc::Status status = child.HowItEnds();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("device.1"), HasSubstr("129 bytes"), HasSubstr("expected 1 to 128")));
  AnswersGoOn();
}

TEST_F(ATree, RefusesAPictureLargerThanTheSpecAllows) {
  auto stub = v1::QueryService::NewStub(
      grpc::CreateChannel(cloud_address_, grpc::InsecureChannelCredentials()));
  v1::ClassifyRequest request;
  request.add_view()->set_pixels(std::string(200000, 'x'));
  grpc::ClientContext context;
  v1::ClassifyResponse response;
  const grpc::Status status = stub->Classify(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  AnswersGoOn();
}

TEST_F(ATree, KeepsItsPorts) {
  const Ran edge = Refused(EdgeCommand(bundle_, edge_address_));
  EXPECT_THAT(edge.errors, AllOf(HasSubstr("cannot listen at " + edge_address_),
                                 HasSubstr("Address already in use")));
  auto argv = Command("ddnn-cloud", bundle_, data_);
  argv.insert(argv.end(), {"--listen=" + cloud_address_, "--store=" + folder_ / "second.sqlite"});
  const Ran cloud = Refused(argv);
  EXPECT_THAT(cloud.errors, AllOf(HasSubstr("cannot listen at " + cloud_address_),
                                  HasSubstr("Address already in use")));
  EXPECT_THAT(cloud.output, IsEmpty());
  AnswersGoOn();
}

}  // namespace
}  // namespace ddnn

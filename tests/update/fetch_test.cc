#include <atomic>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "runtime/core/bundle_layout.h"
#include "runtime/update/parent_link.h"
#include "tests/update/serving.h"

namespace ddnn {
namespace {

using ::testing::HasSubstr;

constexpr absl::Duration kLimit = absl::Minutes(1);

// Says what the test tells it to.
class LyingParent : public v1::BundleService::Service {
 public:
  grpc::Status Fetch(grpc::ServerContext* context, const v1::FetchRequest* request,
                     grpc::ServerWriter<v1::FetchChunk>* writer) override {
    ++asked;
    v1::FetchChunk chunk;
    if (endless) {
      chunk.set_data(std::string(kFetchChunk, 'x'));
      while (writer->Write(chunk)) ++sent;
      return grpc::Status::CANCELLED;
    }
    for (const std::string& piece : files[request->sha256()]) {
      chunk.set_data(piece);
      writer->Write(chunk);
    }
    return grpc::Status::OK;
  }
  grpc::Status Current(grpc::ServerContext*, const v1::CurrentRequest*,
                       grpc::ServerWriter<v1::Published>* writer) override {
    v1::Published published;
    published.set_bundle_sha256("short");
    writer->Write(published);
    return grpc::Status::OK;
  }

  std::map<std::string, std::vector<std::string>> files;  // pieces by the hash asked for
  bool endless = false;
  std::atomic<int64_t> asked{0}, sent{0};
};

class FetchTest : public UpdateTest {
 protected:
  // A manifest that is not what a trained bundle has, under its own right hash.
  std::string Lie(const std::function<void(v1::BundleManifest*)>& change) {
    v1::BundleManifest manifest = first_->bundle.manifest;
    change(&manifest);
    const std::string text = manifest.DebugString();
    parent_.files[Sha256(text)] = {text};
    return Sha256(text);
  }
  absl::Status FetchFrom(const std::string& sha256) {
    const Serving serving(&parent_);
    ParentLink link(serving.address());
    return link.Fetch(sha256, Node(0, 1), nullptr, kLimit).status();
  }

  LyingParent parent_;
};

TEST_F(FetchTest, BringsANodesOwnSectionAndThoseUnderIt) {
  BundleService service;
  service.Publish(Naming(first_), {first_});
  const Serving serving(&service);
  ParentLink link(serving.address());
  const auto edge = link.Fetch(first_->bundle.sha256, Node(1, 0), nullptr, kLimit);
  ASSERT_TRUE(edge.ok()) << edge.status();
  EXPECT_EQ((*edge)->bundle.sha256, first_->bundle.sha256);
  EXPECT_EQ((*edge)->bundle.sections.size(), 3u);
  EXPECT_EQ((*edge)->files.size(), 4u);
  for (const auto& [place, section] : (*edge)->bundle.sections) {
    EXPECT_EQ(section.SerializeAsString(), first_->bundle.sections.at(place).SerializeAsString());
  }
  const auto device = link.Fetch(first_->bundle.sha256, Node(0, 1), nullptr, kLimit);
  ASSERT_TRUE(device.ok()) << device.status();
  EXPECT_EQ((*device)->bundle.sections.size(), 1u);
  EXPECT_EQ((*device)->bundle.sections.count({0, 1}), 1u);
}

TEST_F(FetchTest, AsksForNoSectionThatItHas) {
  LyingParent parent;
  const std::string manifest = first_->files.at(first_->bundle.sha256);
  parent.files[first_->bundle.sha256] = {manifest};  // and nothing else
  const Serving serving(&parent);
  ParentLink link(serving.address());
  EXPECT_TRUE(link.Fetch(first_->bundle.sha256, Node(0, 0), first_.get(), kLimit).ok());
  EXPECT_EQ(parent.asked, 1);
  EXPECT_FALSE(link.Fetch(first_->bundle.sha256, Node(0, 0), second_.get(), kLimit).ok());
}

TEST_F(FetchTest, HearsWhatIsPublishedAndNotFoundForWhatIsNotServed) {
  BundleService service;
  const Serving serving(&service);
  ParentLink link(serving.address());
  std::vector<std::string> heard;
  std::thread publisher([&] { service.Publish(Naming(first_), {first_}); });
  const absl::Status ended = link.Follow([&](const v1::Published& published) {
    heard.push_back(published.bundle_sha256());
    if (heard.size() == 1) {
      EXPECT_TRUE(absl::IsNotFound(
          link.Fetch(second_->bundle.sha256, Node(0, 0), nullptr, kLimit).status()));
      service.Publish(Naming(second_), {first_, second_});
      EXPECT_TRUE(link.Fetch(second_->bundle.sha256, Node(0, 0), nullptr, kLimit).ok());
      EXPECT_TRUE(link.Fetch(first_->bundle.sha256, Node(0, 0), nullptr, kLimit).ok());
    } else {
      link.Cancel();
    }
  });
  publisher.join();
  EXPECT_TRUE(absl::IsCancelled(ended)) << ended;
  EXPECT_EQ(heard, (std::vector<std::string>{first_->bundle.sha256, second_->bundle.sha256}));
  EXPECT_FALSE(link.Wait(absl::InfiniteDuration()));
}

TEST_F(FetchTest, TellsItsChildrenWhenItEnds) {
  BundleService service;
  const Serving serving(&service);
  ParentLink link(serving.address());
  service.Publish(Naming(first_), {first_});
  EXPECT_TRUE(absl::IsUnavailable(link.Follow([&](const v1::Published&) { service.Shutdown(); })));
  EXPECT_TRUE(absl::IsUnavailable(link.Current(kLimit).status()));
}

TEST_F(FetchTest, BreaksOffAnEndlessFile) {
  parent_.endless = true;
  const absl::Status status = FetchFrom(first_->bundle.sha256);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(kMaxManifestBytes)));
}

TEST_F(FetchTest, RefusesAManifestWithAnotherHash) {
  parent_.files[first_->bundle.sha256] = {second_->files.at(second_->bundle.sha256)};
  const absl::Status status = FetchFrom(first_->bundle.sha256);
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(ToHex(first_->bundle.sha256)));
}

TEST_F(FetchTest, RefusesPathsThatLeaveTheFolder) {
  const absl::Status status = FetchFrom(Lie([](v1::BundleManifest* manifest) {
    manifest->mutable_section(1)->set_path("../../etc/passwd");
  }));
  EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("../../etc/passwd"));
  const absl::Status renamed = FetchFrom(Lie([](v1::BundleManifest* manifest) {
    manifest->mutable_network()->mutable_tier(0)->set_name("../x");
    for (v1::SectionFile& file : *manifest->mutable_section()) {
      if (file.tier() != "device" && manifest->network().tier(0).name() != "../x") continue;
      file.set_path(absl::StrReplaceAll(file.path(), {{"device", "../x"}}));
      file.set_tier(absl::StrReplaceAll(file.tier(), {{"device", "../x"}}));
    }
  }));
  EXPECT_TRUE(absl::IsInvalidArgument(renamed)) << renamed;
}

TEST_F(FetchTest, RefusesSizesThatTheNetworkDoesNotHave) {
  for (int64_t bytes : {int64_t{-1}, int64_t{1} << 60}) {
    const absl::Status status = FetchFrom(Lie(
        [bytes](v1::BundleManifest* manifest) { manifest->mutable_section(1)->set_bytes(bytes); }));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(bytes)));
  }
  EXPECT_EQ(parent_.asked, 2) << "no section was asked for";
}

TEST_F(FetchTest, RefusesAHashThatIsNone) {
  for (const std::string hash : {"", "abcd", "../../../../../../../../etc/passwd"}) {
    const absl::Status status = FetchFrom(Lie([&hash](v1::BundleManifest* manifest) {
      for (v1::SectionFile& file : *manifest->mutable_section()) file.set_sha256(hash);
    }));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
  }
}

TEST_F(FetchTest, RefusesSectionsThatAreShortLongOrOthers) {
  const v1::SectionFile& own = *FindSection(first_->bundle, 0, 1);
  std::string data, hash = absl::HexStringToBytes(own.sha256());
  data = first_->files.at(hash);
  parent_.files[first_->bundle.sha256] = {first_->files.at(first_->bundle.sha256)};
  for (const std::vector<std::string>& pieces :
       std::vector<std::vector<std::string>>{{data.substr(1)},
                                             {data, "x"},
                                             {},
                                             {data.substr(0, 1), "", data.substr(1)},
                                             {std::string(data.rbegin(), data.rend())}}) {
    parent_.files[hash] = pieces;
    const absl::Status status = FetchFrom(first_->bundle.sha256);
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  }
  parent_.files[hash] = {data.substr(0, 1), data.substr(1)};
  EXPECT_TRUE(FetchFrom(first_->bundle.sha256).ok());
}

TEST_F(FetchTest, RefusesAParentThatNamesNoBundle) {
  const Serving serving(&parent_);
  ParentLink link(serving.address());
  EXPECT_TRUE(absl::IsInternal(link.Current(kLimit).status()));
  EXPECT_TRUE(absl::IsInternal(link.Follow([](const v1::Published&) { FAIL(); })));
}

}  // namespace
}  // namespace ddnn

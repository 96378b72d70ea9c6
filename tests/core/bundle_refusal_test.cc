#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "google/protobuf/text_format.h"
#include "models/text_proto.h"
#include "tests/core/bundle_fixture.h"

namespace ddnn {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class BundleRefusal : public BundleTest {
 protected:
  // Loads the bundle with a manifest that says something else.
  absl::Status LoadWith(const std::function<void(v1::BundleManifest*)>& change) {
    v1::BundleManifest manifest;
    EXPECT_TRUE(ParseTextProto(Read(Manifest()), "manifest", &manifest).ok());
    change(&manifest);
    std::string text;
    google::protobuf::TextFormat::PrintToString(manifest, &text);
    Write(Manifest(), text);
    return Load();
  }

  // Loads it with another section in this place, its hash and size being right.
  absl::Status LoadWithSection(const std::string& path, const std::string& data) {
    Write(path_ + "/" + path, data);
    return LoadWith([&](v1::BundleManifest* manifest) {
      for (v1::SectionFile& file : *manifest->mutable_section()) {
        if (file.path() != path) continue;
        file.set_sha256(ToHex(Sha256(data)));
        file.set_bytes(static_cast<int64_t>(data.size()));
      }
    });
  }

  void ExpectRefused(const absl::Status& status, absl::StatusCode code,
                     const std::vector<std::string>& says) {
    EXPECT_EQ(status.code(), code) << status;
    for (const std::string& part : says) {
      EXPECT_THAT(std::string(status.message()), HasSubstr(part));
    }
  }
};

TEST_F(BundleRefusal, OfAChangedByteAnywhereInASection) {
  const std::string path = path_ + "/sections/device-2.section";
  const std::string data = Read(path);
  ASSERT_GT(data.size(), 10u);
  for (size_t i = 0; i < data.size(); ++i) {
    std::string changed = data;
    changed[i] = static_cast<char>(changed[i] ^ (1 << (i % 8)));
    Write(path, changed);
    const absl::Status status = LoadBundle(path_, {0, 2}).status();
    ExpectRefused(status, absl::StatusCode::kDataLoss,
                  {path, ToHex(Sha256(changed)), ToHex(Sha256(data))});
  }
  Write(path, data);
  EXPECT_TRUE(Load().ok());
}

TEST_F(BundleRefusal, OfAChangedByteInEverySection) {
  absl::StatusOr<Bundle> loaded = LoadBundle(path_);
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  for (const v1::SectionFile& file : loaded->manifest.section()) {
    const std::string path = path_ + "/" + file.path(), data = Read(path);
    std::string changed = data;
    changed[changed.size() / 2] = static_cast<char>(changed[changed.size() / 2] ^ 1);
    Write(path, changed);
    ExpectRefused(Load(), absl::StatusCode::kDataLoss, {path});
    Write(path, data);
  }
}

// A changed manifest is another bundle, and its peers say so, or none at all.
TEST_F(BundleRefusal, AChangedByteInTheManifestNeverGoesUnnoticed) {
  const std::string data = Read(Manifest());
  const std::string id = LoadBundle(path_)->sha256;
  int refused = 0;
  for (size_t i = 0; i < data.size(); i += 3) {
    std::string changed = data;
    changed[i] = static_cast<char>(changed[i] ^ 4);
    Write(Manifest(), changed);
    absl::StatusOr<Bundle> loaded = LoadBundle(path_);
    if (loaded.ok()) {
      EXPECT_NE(loaded->sha256, id);
      continue;
    }
    EXPECT_THAT(std::string(loaded.status().message()), HasSubstr(path_));
    ++refused;
  }
  EXPECT_GT(refused, 100);
}

TEST_F(BundleRefusal, OfATruncatedOrLongerSection) {
  const std::string path = path_ + "/sections/edge-0.section", data = Read(path);
  for (size_t size : {size_t{0}, size_t{1}, data.size() / 2, data.size() - 1}) {
    Write(path, data.substr(0, size));
    ExpectRefused(Load(), absl::StatusCode::kDataLoss,
                  {path, std::to_string(size) + " bytes", std::to_string(data.size())});
  }
  Write(path, data + "x");
  ExpectRefused(Load(), absl::StatusCode::kDataLoss, {path, std::to_string(data.size() + 1)});
}

TEST_F(BundleRefusal, OfAMissingFile) {
  fs::remove(path_ + "/sections/edge-1.section");
  ExpectRefused(Load(), absl::StatusCode::kNotFound, {path_ + "/sections/edge-1.section"});
  fs::remove(Manifest());
  ExpectRefused(Load(), absl::StatusCode::kNotFound, {Manifest()});
  EXPECT_EQ(LoadBundle("/nowhere").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BundleRefusal, OfAFolderInASectionsPlace) {
  const std::string path = path_ + "/sections/edge-1.section";
  fs::remove(path);
  fs::create_directory(path);
  ExpectRefused(Load(), absl::StatusCode::kDataLoss, {path, "regular file"});
}

TEST_F(BundleRefusal, OfAnotherFormat) {
  ExpectRefused(LoadWith([](auto* m) { m->set_format_version(2); }),
                absl::StatusCode::kInvalidArgument, {Manifest(), "format_version is 2", "1"});
}

TEST_F(BundleRefusal, OfASpecThatDoesNotFit) {
  ExpectRefused(LoadWith([](auto* m) { m->mutable_network()->set_views(5); }),
                absl::StatusCode::kInvalidArgument, {Manifest(), "edge.node"});
}

TEST_F(BundleRefusal, OfASpecThatItsSectionsDoNotFit) {
  ExpectRefused(LoadWith([](auto* m) {
                  auto* conv = m->mutable_network()->mutable_tier(0)->mutable_layer(0);
                  conv->mutable_binary_conv()->set_filters(5);
                }),
                absl::StatusCode::kInvalidArgument,
                {path_ + "/sections/device-0.section", "device.0", "filters is 4, expected 5"});
}

TEST_F(BundleRefusal, OfASectionListThatDoesNotFit) {
  const auto expect = [&](const std::function<void(v1::BundleManifest*)>& change,
                          const std::string& says) {
    const std::string data = Read(Manifest());
    ExpectRefused(LoadWith(change), absl::StatusCode::kInvalidArgument, {Manifest(), says});
    Write(Manifest(), data);
  };
  expect([](auto* m) { m->mutable_section()->RemoveLast(); }, "no section sections/cloud-0");
  expect([](auto* m) { *m->add_section() = m->section(0); }, "is there twice");
  expect([](auto* m) { m->mutable_section(0)->set_path("../../etc/passwd"); }, "../../etc/passwd");
  expect([](auto* m) { m->mutable_section(0)->set_path("/etc/passwd"); }, "/etc/passwd");
  expect([](auto* m) { m->mutable_section(0)->set_tier("attic"); }, "attic");
  expect([](auto* m) { m->mutable_section(0)->set_node(6); }, "section.node 6");
  expect([](auto* m) { m->mutable_section(0)->set_node(-1); }, "section.node -1");
  expect([](auto* m) { m->mutable_section(0)->set_bytes(int64_t{1} << 60); }, "expected at most");
  expect([](auto* m) { m->mutable_section(0)->set_bytes(-1); }, "-1 bytes");
}

TEST_F(BundleRefusal, OfThresholdsThatDoNotFit) {
  const auto expect = [&](const std::function<void(v1::BundleManifest*)>& change,
                          const std::string& says) {
    const std::string data = Read(Manifest());
    ExpectRefused(LoadWith(change), absl::StatusCode::kInvalidArgument, {Manifest(), says});
    Write(Manifest(), data);
  };
  expect([](auto* m) { m->clear_threshold(); }, "0 thresholds, expected 2");
  expect([](auto* m) { m->mutable_threshold(0)->set_entropy(-0.1f); }, "exit edge: is -0.1");
  expect([](auto* m) { m->mutable_threshold(1)->set_entropy(std::nanf("")); },
         "exit cloud: is nan");
  expect([](auto* m) { m->mutable_threshold(0)->add_missing(1.5f); }, "missing is 1.5");
  expect([](auto* m) { m->mutable_threshold(0)->add_missing(std::nanf("")); }, "missing is nan");
  expect(
      [](auto* m) {
        for (int i = 0; i < m->network().views(); ++i) m->mutable_threshold(0)->add_missing(0);
      },
      "for missing views, expected at most");
  expect([](auto* m) { m->mutable_threshold(0)->set_criterion(v1::Criterion(7)); },
         "criterion is 7, expected ENTROPY");
  for (float nonsense : {-1.0f, 1e-4f, 1e4f, std::nanf("")}) {
    expect([=](auto* m) { m->mutable_threshold(0)->set_temperature(nonsense); },
           "expected 0.001 to 1000");
  }
  expect([](auto* m) { m->mutable_threshold()->SwapElements(0, 1); }, "exits bottom up");
}

TEST_F(BundleRefusal, OfAManifestThatIsNone) {
  Write(Manifest(), "import os; os.system('true')");
  ExpectRefused(Load(), absl::StatusCode::kInvalidArgument, {Manifest() + ":1:"});
  Write(Manifest(), "");
  ExpectRefused(Load(), absl::StatusCode::kInvalidArgument, {Manifest(), "format_version is 0"});
  Write(Manifest(), std::string((16 << 20) + 1, ' '));
  ExpectRefused(Load(), absl::StatusCode::kInvalidArgument, {Manifest(), "expected at most"});
}

TEST_F(BundleRefusal, OfASectionThatIsNone) {
  ExpectRefused(LoadWithSection("sections/edge-0.section", "\x0a\xff\xff\xff"),
                absl::StatusCode::kInvalidArgument, {"edge-0.section", "not a section"});
}

TEST_F(BundleRefusal, OfASectionInAnothersPlace) {
  const std::string other = Read(path_ + "/sections/edge-1.section");
  ExpectRefused(LoadWithSection("sections/edge-0.section", other),
                absl::StatusCode::kInvalidArgument, {"edge-0.section", "edge-1"});
}

}  // namespace
}  // namespace ddnn

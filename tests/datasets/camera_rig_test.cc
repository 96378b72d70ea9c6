#include "datasets/camera_rig.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "tests/datasets/test_files.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kView = CameraRig::kViewSide * CameraRig::kViewSide;

std::vector<uint8_t> RandomItem(uint64_t seed) {
  const std::string bytes = RandomBytes(784, seed);
  return {bytes.begin(), bytes.end()};
}

CameraRig Rig(const std::string& text) {
  v1::CameraSet set;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &set));
  absl::StatusOr<CameraRig> rig = CameraRig::Create(set, "test");
  EXPECT_TRUE(rig.ok()) << rig.status();
  return *std::move(rig);
}

std::vector<uint8_t> View(const CameraRig& rig, const std::vector<uint8_t>& item, uint64_t key,
                          int camera) {
  std::vector<uint8_t> view(kView, 77);
  rig.Render(item.data(), key, camera, view.data());
  return view;
}

uint64_t Fnv(const std::vector<uint8_t>& bytes, uint64_t hash = 0xcbf29ce484222325u) {
  for (uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3u;
  return hash;
}

TEST(CameraRig, AViewDependsOnItsKeyCameraAndSeedOnly) {
  const std::string cameras =
      "camera { zoom: 1 contrast: 1 noise: 10 } "
      "camera { zoom: 1 contrast: 1 noise: 10 }";
  const CameraRig rig = Rig("seed: 5 " + cameras);
  const std::vector<uint8_t> item = RandomItem(1);
  const std::vector<uint8_t> view = View(rig, item, 3, 0);
  View(rig, RandomItem(2), 8, 1);
  EXPECT_EQ(View(rig, item, 3, 0), view);
  EXPECT_EQ(View(Rig("seed: 5 " + cameras), item, 3, 0), view);
  EXPECT_NE(View(rig, item, 4, 0), view);
  EXPECT_NE(View(rig, item, 3, 1), view);
  EXPECT_NE(View(Rig("seed: 6 " + cameras), item, 3, 0), view);
}

// Another compiler, machine or thread count must not change one pixel: bundles are trained on one
// machine and their samples replayed on another.
TEST(CameraRig, ViewsAreTheSameOnEveryMachine) {
  const CameraRig rig =
      Rig("seed: 11 "
          "camera { rotation_degrees: 33.3 rotation_jitter_degrees: 17 zoom: 0.9 zoom_jitter: 0.15 "
          "shift_x: 1.7 shift_jitter: 3.3 contrast: 0.8 brightness: 7 noise: 21 "
          "occlusion_probability: 0.4 occlusion_size: 0.37 absent_probability: 0.1 }"
          "camera { rotation_degrees: -140 rotation_jitter_degrees: 60 zoom: 1.6 zoom_jitter: 0.3 "
          "shift_y: -5.1 shift_jitter: 2 contrast: 0.45 noise: 44 absent_probability: 0.5 }");
  uint64_t hash = 0xcbf29ce484222325u;
  for (uint64_t key = 0; key < 50; ++key) {
    hash ^= rig.Presence(key) << 20;
    for (int camera : {0, 1}) hash = Fnv(View(rig, RandomItem(key), key, camera), hash);
  }
  EXPECT_EQ(hash, 7316466972216389911u);
}

TEST(CameraRig, TheBuiltInCamerasAreTheFileInTheTree) {
  const char* source = std::getenv("DDNN_SOURCE_DIR");
  ASSERT_NE(source, nullptr);
  const absl::StatusOr<CameraRig> built_in = CameraRig::Load("");
  ASSERT_TRUE(built_in.ok()) << built_in.status();
  ASSERT_EQ(built_in->cameras(), 6);
  const absl::StatusOr<CameraRig> file =
      CameraRig::Load(std::string(source) + "/datasets/six_cameras.textproto");
  ASSERT_TRUE(file.ok()) << file.status();
  for (int camera = 0; camera < 6; ++camera) {
    EXPECT_EQ(View(*built_in, RandomItem(1), 1, camera), View(*file, RandomItem(1), 1, camera));
  }
}

TEST(CameraRig, APlainCameraShowsTheItemInTheMiddle) {
  const std::vector<uint8_t> item = RandomItem(4);
  const std::vector<uint8_t> view = View(Rig("camera { zoom: 1 contrast: 1 }"), item, 0, 0);
  for (int y = 0; y < 32; ++y) {
    for (int x = 0; x < 32; ++x) {
      const bool inside = y >= 2 && y < 30 && x >= 2 && x < 30;
      ASSERT_EQ(view[y * 32 + x], inside ? item[(y - 2) * 28 + x - 2] : 0) << y << " " << x;
    }
  }
}

TEST(CameraRig, TurnsAnticlockwiseAndShiftsRightAndDown) {
  const std::vector<uint8_t> item = RandomItem(4);
  const std::vector<uint8_t> plain = View(Rig("camera { zoom: 1 contrast: 1 }"), item, 0, 0);
  const std::vector<uint8_t> turned =
      View(Rig("camera { zoom: 1 contrast: 1 rotation_degrees: 90 }"), item, 0, 0);
  const std::vector<uint8_t> shifted =
      View(Rig("camera { zoom: 1 contrast: 1 shift_x: 1 shift_y: 2 }"), item, 0, 0);
  for (int y = 2; y < 30; ++y) {
    for (int x = 2; x < 30; ++x) {
      // What was in the right column is in the top row now.
      EXPECT_NEAR(turned[(31 - x) * 32 + y], plain[y * 32 + x], 1) << y << " " << x;
      EXPECT_EQ(shifted[y * 32 + x], plain[(y - 2) * 32 + x - 1]) << y << " " << x;
    }
  }
}

TEST(CameraRig, ContrastAndBrightnessAreAppliedAroundMiddleGrey) {
  const std::vector<uint8_t> item(784, 200);
  const auto middle = [&item](const std::string& camera) {
    return View(Rig("camera { zoom: 2 " + camera + "}"), item, 0, 0)[16 * 32 + 16];
  };
  EXPECT_EQ(middle("contrast: 1"), 200);
  EXPECT_EQ(middle("contrast: 0.5"), 164);
  EXPECT_EQ(middle("contrast: 0.5 brightness: -64"), 100);
  EXPECT_EQ(middle("contrast: 1 brightness: 100"), 255);
  EXPECT_EQ(middle("contrast: 1 brightness: -250"), 0);
}

TEST(CameraRig, NoiseHasTheDeviationThatIsAskedFor) {
  const std::vector<uint8_t> item(784, 128);
  const CameraRig rig = Rig("camera { zoom: 4 contrast: 1 noise: 20 }");
  double sum = 0, squares = 0;
  for (uint64_t key = 0; key < 100; ++key) {
    for (uint8_t p : View(rig, item, key, 0)) {
      sum += p - 128.0;
      squares += (p - 128.0) * (p - 128.0);
    }
  }
  const double mean = sum / (100 * kView);
  EXPECT_NEAR(mean, 0, 0.5);
  EXPECT_NEAR(std::sqrt(squares / (100 * kView) - mean * mean), 20, 0.5);
}

TEST(CameraRig, OccludesAsOftenAndAsLargeAsAskedFor) {
  const std::vector<uint8_t> item(784, 1);
  const CameraRig rig =
      Rig("camera { zoom: 4 contrast: 1 occlusion_probability: 0.3 occlusion_size: 0.5 }");
  int occluded = 0;
  for (uint64_t key = 0; key < 2000; ++key) {
    const std::vector<uint8_t> view = View(rig, item, key, 0);
    const auto changed = kView - std::count(view.begin(), view.end(), 1);
    if (changed == 0) continue;
    ++occluded;
    EXPECT_EQ(changed, 256);
  }
  EXPECT_NEAR(occluded, 600, 80);
}

TEST(CameraRig, MissesItemsAsOftenAsAskedForButNeverAllOfThem) {
  const CameraRig rig =
      Rig("camera { zoom: 1 absent_probability: 0.9 }"
          "camera { zoom: 1 absent_probability: 0.5 }"
          "camera { zoom: 1 absent_probability: 0.8 }");
  int seen[3] = {}, lonely = 0;
  for (uint64_t key = 0; key < 10000; ++key) {
    const uint64_t presence = rig.Presence(key);
    ASSERT_NE(presence, 0u);
    for (int c = 0; c < 3; ++c) seen[c] += presence >> c & 1;
    lonely += presence == 2 ? 1 : 0;
  }
  EXPECT_NEAR(seen[0], 1000, 100);
  EXPECT_NEAR(seen[2], 2000, 150);
  // Half of the items, and those that all three missed: 0.9 * 0.5 * 0.8.
  EXPECT_NEAR(seen[1], 5000 + 3600, 200);
  EXPECT_GT(lonely, 3600);
}

TEST(CameraRig, NamesTheCameraAndTheFieldThatIsOutOfRange) {
  TempFolder folder;
  const std::string path = folder / "cameras.textproto";
  const auto error = [&path](const std::string& text) {
    WriteFile(path, text);
    const std::string message = InvalidText(CameraRig::Load(path).status());
    EXPECT_THAT(message, HasSubstr(path));
    return message;
  };
  EXPECT_THAT(error(""), HasSubstr("has 0 cameras"));
  EXPECT_THAT(error("camera { zoom: 1 } camera { name: 'top' zoom: 0 }"),
              AllOf(HasSubstr("camera 1 (top)"), HasSubstr("zoom is 0, expected 0.1 to 10")));
  EXPECT_THAT(error("camera { zoom: nan }"), HasSubstr("zoom is nan"));
  EXPECT_THAT(error("camera { zoom: 1 absent_probability: 1 }"), HasSubstr("absent_probability"));
  EXPECT_THAT(error("camera { zoom: 1 shift_x: inf }"), HasSubstr("shift_x is inf"));
  EXPECT_THAT(error("camera {\n lens: 3 }"), HasSubstr("line 2"));
  std::string many;
  for (int i = 0; i < 65; ++i) many += "camera { zoom: 1 } ";
  EXPECT_THAT(error(many), HasSubstr("has 65 cameras"));
}

// The widest of every parameter must stay inside the item's border and the integers used.
TEST(CameraRig, ExtremeParametersAreRenderedSafely) {
  const CameraRig rig =
      Rig("camera { zoom: 0.1 zoom_jitter: 0.9 rotation_degrees: -180 rotation_jitter_degrees: 180 "
          "shift_x: -32 shift_y: 32 shift_jitter: 32 contrast: -4 brightness: 255 noise: 128 "
          "occlusion_probability: 1 occlusion_size: 1 }"
          "camera { zoom: 10 zoom_jitter: 0.9 rotation_degrees: 180 rotation_jitter_degrees: 180 "
          "shift_x: 32 shift_y: -32 shift_jitter: 32 contrast: 4 brightness: -255 noise: 128 "
          "occlusion_probability: 1 occlusion_size: 0 }");
  for (uint64_t key = 0; key < 500; ++key) {
    for (int camera : {0, 1}) EXPECT_EQ(View(rig, RandomItem(key), key, camera).size(), 1024u);
  }
}

}  // namespace
}  // namespace ddnn

#include "datasets/camera_rig.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "datasets/counter_rng.h"
#include "datasets/default_cameras.h"
#include "datasets/idx.h"

namespace ddnn {
namespace {

constexpr int kItem = CameraRig::kItemSide;
constexpr int kView = CameraRig::kViewSide;
constexpr int64_t kMaxTextBytes = 1 << 20;
// The item with a border of zeros: one pixel before it, two behind, so that a sample one past the
// edge needs no test.
constexpr int kPadded = kItem + 3;

// What word of an item-and-camera's stream decides what. Noise starts at kNoise.
enum Draw : uint64_t {
  kAbsent,
  kRotation,
  kZoom,
  kShiftX,
  kShiftY,
  kOccluded,
  kOcclusionX,
  kOcclusionY,
  kOcclusionGrey,
  kNoise = 64,
};

int32_t Round(double x) { return static_cast<int32_t>(std::floor(x + 0.5)); }

// libm's sine may differ in its last bit between machines; sums and products do not.
double Sine(double degrees) {
  degrees -= 360.0 * std::floor((degrees + 180.0) / 360.0);
  const double x = degrees * (3.14159265358979323846 / 180.0);
  double term = x, sum = x;
  for (int n = 2; n <= 24; n += 2) {
    term = -(term * x) * x / (n * (n + 1.0));
    sum += term;
  }
  return sum;
}

absl::Status CheckRange(const std::string& origin, const std::string& camera, const char* field,
                        double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(origin, ": camera ", camera, ": ", field, " is ",
                                                 value, ", expected ", low, " to ", high));
}

absl::Status CheckCamera(const std::string& origin, const std::string& name,
                         const v1::SimulatedCamera& c) {
  const struct {
    const char* field;
    double value, low, high;
  } ranges[] = {
      {"rotation_degrees", c.rotation_degrees(), -180, 180},
      {"rotation_jitter_degrees", c.rotation_jitter_degrees(), 0, 180},
      {"zoom", c.zoom(), 0.1, 10},
      {"zoom_jitter", c.zoom_jitter(), 0, 0.9},
      {"shift_x", c.shift_x(), -kView, kView},
      {"shift_y", c.shift_y(), -kView, kView},
      {"shift_jitter", c.shift_jitter(), 0, kView},
      {"occlusion_probability", c.occlusion_probability(), 0, 1},
      {"occlusion_size", c.occlusion_size(), 0, 1},
      {"contrast", c.contrast(), -4, 4},
      {"brightness", c.brightness(), -255, 255},
      {"noise", c.noise(), 0, 128},
      {"absent_probability", c.absent_probability(), 0, 0.99},
  };
  for (const auto& range : ranges) {
    absl::Status status = CheckRange(origin, name, range.field, range.value, range.low, range.high);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Keeps the first thing the text-format parser complains about.
class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (text.empty()) text = absl::StrCat("line ", line + 1, ": ", message);
  }
  void AddWarning(int, int, const std::string&) override {}
  std::string text;
};

// Nearly normal noise for two pixels out of one word: each the sum of four bytes, 0 to 1020, with
// mean 510 and standard deviation 147.8.
void NoisePair(uint64_t word, int32_t* first, int32_t* second) {
  constexpr uint64_t kBytes = 0x00ff00ff00ff00ffu, kWords = 0x0000ffff0000ffffu;
  const uint64_t pairs = (word & kBytes) + ((word >> 8) & kBytes);
  const uint64_t sums = (pairs & kWords) + ((pairs >> 16) & kWords);
  *first = static_cast<int32_t>(sums & 0xffff) - 510;
  *second = static_cast<int32_t>(sums >> 32) - 510;
}

}  // namespace

// How one camera sees one item. Coordinates have 16 fractional bits, greys and gain 8.
struct CameraRig::Pose {
  int32_t du, dv, u0, v0;  // item x = u0 + x * du - y * dv, item y = v0 + x * dv + y * du
  int32_t gain, bias, noise;
  int left, top, right, bottom;  // occluded: [left, right) x [top, bottom)
  int32_t occluder;
};

absl::StatusOr<CameraRig> CameraRig::Create(const v1::CameraSet& set, const std::string& origin) {
  if (set.camera_size() < 1 || set.camera_size() > 64) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": has ", set.camera_size(), " cameras, expected 1 to 64"));
  }
  CameraRig rig;
  rig.seed_ = set.seed();
  for (const v1::SimulatedCamera& camera : set.camera()) {
    const std::string name = absl::StrCat(rig.cameras_.size(), " (", camera.name(), ")");
    if (absl::Status status = CheckCamera(origin, name, camera); !status.ok()) return status;
    rig.cameras_.push_back(camera);
    if (camera.absent_probability() < rig.cameras_[rig.surest_].absent_probability()) {
      rig.surest_ = rig.cameras() - 1;
    }
  }
  return rig;
}

absl::StatusOr<CameraRig> CameraRig::Load(const std::string& path) {
  std::string text = kDefaultCameras, origin = "built-in six_cameras.textproto";
  if (!path.empty()) {
    absl::StatusOr<std::string> read = ReadFileMaybeGzip(path, kMaxTextBytes);
    if (!read.ok()) return read.status();
    text = *std::move(read);
    origin = path;
  }
  v1::CameraSet set;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  if (!parser.ParseFromString(text, &set)) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, ": is not a text-format ddnn.v1.CameraSet: ", error.text));
  }
  return Create(set, origin);
}

uint64_t CameraRig::Presence(uint64_t key) const {
  uint64_t presence = 0;
  for (int c = 0; c < cameras(); ++c) {
    const CounterRng rng({seed_, key, static_cast<uint64_t>(c)});
    if (rng.Uniform(kAbsent) >= cameras_[c].absent_probability()) presence |= uint64_t{1} << c;
  }
  return presence != 0 ? presence : uint64_t{1} << surest_;
}

CameraRig::Pose CameraRig::PoseFor(uint64_t key, int camera) const {
  const v1::SimulatedCamera& c = cameras_[camera];
  const CounterRng rng({seed_, key, static_cast<uint64_t>(camera)});
  const double angle = static_cast<double>(c.rotation_degrees()) +
                       c.rotation_jitter_degrees() * rng.Symmetric(kRotation);
  const double zoom = c.zoom() * (1 + c.zoom_jitter() * rng.Symmetric(kZoom));
  const double shift_x = c.shift_x() + c.shift_jitter() * rng.Symmetric(kShiftX);
  const double shift_y = c.shift_y() + c.shift_jitter() * rng.Symmetric(kShiftY);
  // From a view's pixel back to the item's: undo the shift, the zoom, then the rotation.
  const double cosine = Sine(angle + 90) / zoom, sine = Sine(angle) / zoom;
  const double middle = (kView - 1) / 2.0, x = middle + shift_x, y = middle + shift_y;
  Pose pose;
  pose.du = Round(cosine * 65536);
  pose.dv = Round(sine * 65536);
  pose.u0 = Round(((kItem - 1) / 2.0 - cosine * x + sine * y) * 65536);
  pose.v0 = Round(((kItem - 1) / 2.0 - sine * x - cosine * y) * 65536);
  pose.gain = Round(c.contrast() * 256.0);
  pose.bias = Round((128.0 + c.brightness()) * 256);
  pose.noise = Round(c.noise() * (256 * 16 / 147.8));
  pose.left = pose.right = pose.top = pose.bottom = 0;
  pose.occluder = 0;
  if (rng.Uniform(kOccluded) < c.occlusion_probability()) {
    const int side = Round(static_cast<double>(c.occlusion_size()) * kView);
    pose.left = Round(rng.Uniform(kOcclusionX) * (kView - side));
    pose.top = Round(rng.Uniform(kOcclusionY) * (kView - side));
    pose.right = pose.left + side;
    pose.bottom = pose.top + side;
    pose.occluder = static_cast<int32_t>(rng.Word(kOcclusionGrey) & 255) * 256;
  }
  return pose;
}

void CameraRig::Render(const uint8_t* item, uint64_t key, int camera, uint8_t* view) const {
  const Pose pose = PoseFor(key, camera);
  const CounterRng rng({seed_, key, static_cast<uint64_t>(camera)});
  uint8_t padded[kPadded][kPadded] = {};
  for (int y = 0; y < kItem; ++y) std::copy_n(item + y * kItem, kItem, &padded[y + 1][1]);

  constexpr int32_t kLow = -65536, kHigh = kItem * 65536;
  for (int y = 0; y < kView; ++y) {
    int32_t grey[kView];
    for (int x = 0; x < kView; ++x) {
      const int32_t u = std::clamp(pose.u0 + x * pose.du - y * pose.dv, kLow, kHigh);
      const int32_t v = std::clamp(pose.v0 + x * pose.dv + y * pose.du, kLow, kHigh);
      const uint8_t* at = &padded[(v >> 16) + 1][(u >> 16) + 1];
      const int32_t fx = (u >> 8) & 255, fy = (v >> 8) & 255;
      const int32_t above = at[0] * (256 - fx) + at[1] * fx;
      const int32_t below = at[kPadded] * (256 - fx) + at[kPadded + 1] * fx;
      grey[x] = (above * (256 - fy) + below * fy) >> 8;
    }
    if (y >= pose.top && y < pose.bottom) {
      std::fill(grey + pose.left, grey + pose.right, pose.occluder);
    }
    for (int x = 0; x < kView; x += 2) {
      int32_t noise[2];
      NoisePair(rng.Word(kNoise + (y * kView + x) / 2), &noise[0], &noise[1]);
      for (int i = 0; i < 2; ++i) {
        const int32_t lit = (((grey[x + i] - 128 * 256) * pose.gain) >> 8) + pose.bias;
        const int32_t value = (lit + ((noise[i] * pose.noise) >> 4) + 128) >> 8;
        view[y * kView + x + i] = static_cast<uint8_t>(std::clamp(value, 0, 255));
      }
    }
  }
}

}  // namespace ddnn

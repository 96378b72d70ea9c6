// Live sources against the real thing: files, folders, and a camera on the network.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/videoio.hpp>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "datasets/frame_source.h"
#include "datasets/pictures.h"
#include "datasets/video_reader.h"
#include "datasets/watched_folder.h"
#include "tests/datasets/test_files.h"
#include "tests/support/camera_server.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

const Shape kShape = {1, 4, 4};

std::string Jpeg(int grey) {
  std::vector<uint8_t> bytes;
  EXPECT_TRUE(cv::imencode(".jpg", cv::Mat(48, 64, CV_8UC3, cv::Scalar::all(grey)), bytes));
  return std::string(bytes.begin(), bytes.end());
}

std::unique_ptr<FrameSource> Open(const std::string& spec, const SourceOptions& options) {
  absl::StatusOr<std::unique_ptr<FrameSource>> source = OpenFrameSource(spec, 0, kShape, options);
  EXPECT_TRUE(source.ok()) << source.status();
  return *std::move(source);
}

// Frames until one is as wanted; sequences rise. Ends with the test if none ever is.
template <typename F>
Frame Until(FrameSource* source, F&& wanted) {
  uint64_t last = 0;
  while (true) {
    const absl::StatusOr<Frame> frame = source->Next();
    EXPECT_TRUE(frame.ok()) << frame.status();
    if (!frame.ok()) return {};
    if (last > 0) {
      EXPECT_GT(frame->sequence, last);
    }
    last = frame->sequence;
    if (wanted(*frame)) return *frame;
  }
}
bool Present(const Frame& frame) { return !frame.absent; }
bool Absent(const Frame& frame) { return frame.absent; }

class NetworkCamera : public ::testing::TestWithParam<CameraServer::Protocol> {};
INSTANTIATE_TEST_SUITE_P(LiveFrames, NetworkCamera,
                         ::testing::Values(CameraServer::Protocol::kHttp,
                                           CameraServer::Protocol::kRtsp),
                         [](const auto& info) { return info.index == 0 ? "Http" : "Rtsp"; });

TEST_P(NetworkCamera, MayGoAndComeBack) {
  CameraServer camera(GetParam(), Jpeg(100));
  std::mutex mu;
  std::vector<std::string> said;
  SourceOptions options;
  options.rate = 50;
  options.say = [&](const std::string& text) {
    std::lock_guard<std::mutex> lock(mu);
    said.push_back(text);
  };
  const auto source = Open(camera.url("me:secret@"), options);
  EXPECT_TRUE(source->live());
  Frame frame = Until(source.get(), Present);
  EXPECT_NEAR(static_cast<uint8_t>(frame.pixels[0]), 100, 2);
  const absl::Duration since_1970 = absl::Now() - absl::UnixEpoch();
  EXPECT_NEAR(static_cast<double>(frame.sequence), absl::ToDoubleSeconds(since_1970) * 50, 500);
  camera.Stop();
  Until(source.get(), [&](const Frame&) { return source->counts().losses >= 1; });
  EXPECT_TRUE(Until(source.get(), Absent).pixels.empty());
  camera.Restart();
  Until(source.get(), Present);
  source->Stop();
  EXPECT_GT(source->counts().absent["camera gone"], 0u);
  std::lock_guard<std::mutex> lock(mu);
  ASSERT_GE(said.size(), 2u);
  for (const std::string& text : said) {
    EXPECT_THAT(text, HasSubstr("://me:***@127.0.0.1"));
  }
}

TEST(LiveFrames, AVideoAsACameraBeginsAgainAfterItsEnd) {
  TempFolder folder;
  const std::string path = folder / "clip.avi";
  cv::VideoWriter writer(path, cv::CAP_OPENCV_MJPEG, cv::VideoWriter::fourcc('M', 'J', 'P', 'G'),
                         100, cv::Size(64, 48));
  for (int i = 0; i < 5; ++i) writer.write(cv::Mat(48, 64, CV_8UC3, cv::Scalar::all(200)));
  writer.release();
  SourceOptions options;
  options.rate = 100;
  const auto source = Open("video:" + path + "?live=true", options);
  EXPECT_TRUE(source->live());
  Until(source.get(), Present);
  Until(source.get(), [&](const Frame&) { return source->counts().losses >= 1; });
  Until(source.get(), Absent);
  Until(source.get(), Present);
  EXPECT_FALSE(Open("video:" + path + "?live=false", options)->live());
}

TEST(LiveFrames, ARectangleOutsideOfTheCamerasPictureEndsTheSource) {
  CameraServer camera(CameraServer::Protocol::kHttp, Jpeg(100));
  SourceOptions options;
  options.rate = 50;
  options.framing = *ParseFraming("0,0,65,10", "");
  const auto source = Open(camera.url(), options);
  absl::StatusOr<Frame> frame = source->Next();
  while (frame.ok()) frame = source->Next();
  EXPECT_THAT(InvalidText(frame.status()),
              AllOf(HasSubstr("127.0.0.1"), HasSubstr("0,0,65,10"), HasSubstr("64x48")));
}

TEST(LiveFrames, ACameraThatSendsHugePicturesIsGone) {
  std::vector<uint8_t> jpeg;
  ASSERT_TRUE(cv::imencode(".jpg", cv::Mat(8200, 8200, CV_8UC1, cv::Scalar::all(9)), jpeg));
  CameraServer camera(CameraServer::Protocol::kHttp, std::string(jpeg.begin(), jpeg.end()));
  VideoRequest request;
  request.kind = VideoRequest::Kind::kUrl;
  request.address = camera.url();
  request.shape = kShape;
  EXPECT_THAT(ErrorText(VideoReader::Open(request).status(), absl::StatusCode::kUnavailable),
              AllOf(HasSubstr("127.0.0.1"), HasSubstr("8200x8200")));
}

TEST(LiveFrames, WhatIsNotThereYetIsAbsent) {
  SourceOptions options;
  options.rate = 1000;
  for (const char* spec : {"camera:977", "camera:/dev/nonexistent", "http://127.0.0.1:1/"}) {
    const auto source = Open(spec, options);
    EXPECT_TRUE(source->Next()->absent) << spec;
  }
}

TEST(LiveFrames, RefusesWhatCanNeverWork) {
  TempFolder folder;
  for (const char* spec :
       {"camera:", "camera:x", "camera:-1", "camera:1024", "camera:1?a=b", "rtsp:host", "rtsp://",
        "http:///x", "ftp://host/x", "video:x?live=maybe", "video:x?loop=true", "watch:x?a=b"}) {
    InvalidText(OpenFrameSource(spec, 0, kShape).status());
  }
  EXPECT_EQ(OpenFrameSource("watch:/nonexistent", 0, kShape).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(OpenFrameSource("video:/nonexistent.avi?live=true", 0, kShape).status().code(),
            absl::StatusCode::kNotFound);
  for (const char* spec : {"http://h/", "camera:0", "watch:/"}) {
    EXPECT_THAT(InvalidText(OpenFrameSource(spec, 0, {2, 8, 8}).status()), HasSubstr("2x8x8"));
  }
  SourceOptions options;
  options.rate = 1001;
  EXPECT_THAT(InvalidText(OpenFrameSource("camera:0", 0, kShape, options).status()),
              HasSubstr("--rate 1001"));
  EXPECT_THAT(InvalidText(OpenFrameSource("ftp://me:secret@host/x", 0, kShape).status()),
              AllOf(HasSubstr("me:***@host"), ::testing::Not(HasSubstr("secret"))));
}

TEST(LiveFrames, ADatasetIsNotFramed) {
  TempFolder folder;
  WriteMnistLike(folder.path(), 100, 10);
  SourceOptions options;
  options.framing = *ParseFraming("", "fit");
  EXPECT_THAT(
      InvalidText(OpenFrameSource("mnist:" + folder.path(), 0, {1, 28, 28}, options).status()),
      HasSubstr("--roi and --resize"));
}

TEST(LiveFrames, PicturesAreFramed) {
  TempFolder folder;
  // 8 wide, 4 high: the left half is 50, the right 200.
  const std::string row = std::string(4, 50) + std::string(4, static_cast<char>(200));
  ASSERT_TRUE(WritePicture(folder / "a.png", row + row + row + row, {1, 4, 8}).ok());
  const auto shown = [&](const std::string& roi, const std::string& resize) {
    SourceOptions options;
    options.framing = *ParseFraming(roi, resize);
    return Open("images:" + folder.path(), options)->Next()->pixels;
  };
  const char bright = static_cast<char>(200);
  EXPECT_EQ(shown("", "stretch").substr(0, 4), std::string({50, 50, bright, bright}));
  EXPECT_EQ(shown("", "crop").substr(0, 4), std::string({50, 50, bright, bright}));
  EXPECT_EQ(shown("4,0,4,4", ""), std::string(16, bright));
  EXPECT_EQ(shown("", "fit"), std::string(4, 0) + std::string({50, 50, bright, bright}) +
                                  std::string({50, 50, bright, bright}) + std::string(4, 0));
  SourceOptions options;
  options.framing = *ParseFraming("5,0,4,4", "");
  EXPECT_THAT(InvalidText(OpenFrameSource("images:" + folder.path(), 0, kShape, options).status()),
              AllOf(HasSubstr("a.png"), HasSubstr("8x4")));
}

class WatchedFolderTest : public ::testing::Test {
 protected:
  // Moves a picture of one grey into the folder.
  void Put(const std::string& name, char grey) {
    ASSERT_TRUE(WritePicture(outside_ / "x.png", std::string(16, grey), kShape).ok());
    std::filesystem::rename(outside_ / "x.png", folder_ / name);
  }
  std::string Next(VideoReader* reader) {
    const absl::Status status = reader->Grab();
    if (!status.ok()) return status.ToString();
    const absl::StatusOr<std::string> pixels = reader->Retrieve();
    return pixels.ok() ? pixels->substr(0, 1) : pixels.status().ToString();
  }

  TempFolder folder_, outside_;
};

TEST_F(WatchedFolderTest, GivesWhatIsPutThereFromNowOn) {
  Put("before.png", 'b');
  const auto watched = WatchFolder(folder_.path(), kShape, {});
  ASSERT_TRUE(watched.ok()) << watched.status();
  Put("1.png", '1');
  WriteFile(folder_ / "notes.txt", "no picture");
  ASSERT_TRUE(WritePicture(folder_ / "2.png", std::string(16, '2'), kShape).ok())
      << "written there";
  WriteFile(folder_ / "3.jpg", "damaged");
  Put("4.png", '4');
  std::filesystem::create_directory(outside_ / "5.png");
  std::filesystem::rename(outside_ / "5.png", folder_ / "5.png");
  Put("6.png", '6');
  std::filesystem::remove(folder_ / "6.png");
  Put("7.png", '7');
  EXPECT_EQ(Next(watched->get()), "1");
  EXPECT_EQ(Next(watched->get()), "2");
  EXPECT_THAT(Next(watched->get()), AllOf(HasSubstr("DATA_LOSS"), HasSubstr("3.jpg")));
  EXPECT_EQ(Next(watched->get()), "4");
  EXPECT_THAT(Next(watched->get()), AllOf(HasSubstr("DATA_LOSS"), HasSubstr("5.png")));
  EXPECT_THAT(Next(watched->get()), AllOf(HasSubstr("DATA_LOSS"), HasSubstr("6.png")));
  EXPECT_EQ(Next(watched->get()), "7");
}

TEST_F(WatchedFolderTest, APictureCountsWhenItIsWritten) {
  const std::string bytes = [this] {
    EXPECT_TRUE(WritePicture(outside_ / "x.png", std::string(16, 's'), kShape).ok());
    std::ifstream file(outside_ / "x.png", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }();
  const auto watched = WatchFolder(folder_.path(), kShape, {});
  ASSERT_TRUE(watched.ok()) << watched.status();
  std::ofstream slow(folder_ / "slow.png", std::ios::binary);
  slow << bytes.substr(0, 30) << std::flush;
  Put("quick.png", 'q');
  EXPECT_EQ(Next(watched->get()), "q");
  slow << bytes.substr(30);
  slow.close();
  EXPECT_EQ(Next(watched->get()), "s");
}

TEST_F(WatchedFolderTest, WaitsForNoPipe) {
  const auto watched = WatchFolder(folder_.path(), kShape, {});
  ASSERT_TRUE(watched.ok()) << watched.status();
  ASSERT_EQ(mkfifo((outside_ / "pipe.png").c_str(), 0600), 0);
  std::filesystem::rename(outside_ / "pipe.png", folder_ / "pipe.png");
  EXPECT_THAT(Next(watched->get()), AllOf(HasSubstr("DATA_LOSS"), HasSubstr("pipe.png")));
}

TEST_F(WatchedFolderTest, ManyAtOnceComeInOrder) {
  const auto watched = WatchFolder(folder_.path(), kShape, {});
  ASSERT_TRUE(watched.ok()) << watched.status();
  for (int i = 0; i < 600; ++i) Put(absl::StrCat(i, ".png"), static_cast<char>(i % 200));
  for (int i = 0; i < 600; ++i) {
    ASSERT_EQ(Next(watched->get()), std::string(1, static_cast<char>(i % 200))) << i;
  }
}

TEST_F(WatchedFolderTest, AFolderThatIsRemovedIsGone) {
  const std::string path = folder_ / "inner";
  std::filesystem::create_directory(path);
  const auto watched = WatchFolder(path, kShape, {});
  ASSERT_TRUE(watched.ok()) << watched.status();
  std::filesystem::remove(path);
  EXPECT_THAT(Next(watched->get()), AllOf(HasSubstr("UNAVAILABLE"), HasSubstr("inner")));
  EXPECT_EQ(WatchFolder(path, kShape, {}).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(WatchedFolderTest, InterruptEndsWhoWaits) {
  const auto watched = WatchFolder(folder_.path(), kShape, {});
  ASSERT_TRUE(watched.ok()) << watched.status();
  std::thread interrupter([&] { (*watched)->Interrupt(); });
  EXPECT_EQ((*watched)->Grab().code(), absl::StatusCode::kCancelled);
  interrupter.join();
  EXPECT_EQ((*watched)->Grab().code(), absl::StatusCode::kCancelled);
}

TEST_F(WatchedFolderTest, IsALiveSourceThatOutlivesItsFolder) {
  SourceOptions options;
  options.rate = 100;
  const std::string path = folder_ / "inner";
  std::filesystem::create_directory(path);
  const auto source = Open("watch:" + path, options);
  Until(source.get(), Absent);
  // Until the folder is watched a picture may be missed.
  int put = 0;
  Until(source.get(), [&](const Frame& frame) {
    Put(absl::StrCat("inner/", ++put, ".png"), 'p');
    return !frame.absent;
  });
  std::filesystem::remove_all(path);
  Until(source.get(), [&](const Frame&) { return source->counts().losses >= 1; });
  std::filesystem::create_directory(path);
  const Frame frame = Until(source.get(), [&](const Frame& frame) {
    Put(absl::StrCat("inner/", ++put, ".png"), 'q');
    return !frame.absent && frame.pixels[0] == 'q';
  });
  EXPECT_EQ(frame.pixels, std::string(16, 'q'));
}

TEST(ShownUrl, HidesThePasswordAndNothingElse) {
  EXPECT_EQ(ShownUrl("rtsp://me:secret@host:554/a?b=c"), "rtsp://me:***@host:554/a?b=c");
  EXPECT_EQ(ShownUrl("rtsp://me:se@cret@host/a"), "rtsp://me:***@host/a");
  EXPECT_EQ(ShownUrl("rtsp://me:@host"), "rtsp://me:***@host");
  for (const char* plain : {"rtsp://host:554/a@b:c", "rtsp://me@host:554/a", "http://host/",
                            "/dev/video0", "clip.avi", ""}) {
    EXPECT_EQ(ShownUrl(plain), plain);
  }
}

}  // namespace
}  // namespace ddnn

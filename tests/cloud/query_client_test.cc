#include <fstream>
#include <sstream>

#include "cloud/export_folder.h"
#include "cloud/pictures.h"
#include "cloud/query_commands.h"
#include "cloud/query_help.h"
#include "datasets/dataset.h"
#include "gmock/gmock.h"
#include "tests/cloud/running_service.h"

namespace ddnn {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class QueryClientTest : public RunningService {
 protected:
  absl::Status Run(const std::string& command, std::vector<std::string> words) {
    arguments_.command = command;
    arguments_.arguments = std::move(words);
    arguments_.cloud = "cloud.example:7200";
    arguments_.now = now_ + absl::Minutes(3);
    out_.str("");
    return RunQuery(stub_.get(), arguments_, out_, remarks_);
  }
  std::string Path(const std::string& name) { return (directory_ / name).string(); }

  QueryArguments arguments_;
  std::ostringstream out_, remarks_;
};

TEST_F(QueryClientTest, HardPrintsATableAndTheTokenOfTheNextPage) {
  Start();
  KeepSamples(5);
  arguments_.page_size = 2;
  ASSERT_TRUE(Run("hard", {}).ok());
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("ID"), HasSubstr("7/4"), HasSubstr("coat"), HasSubstr("3 min ago"),
                    HasSubstr("0.540"), HasSubstr("2 of 5 hard samples"), Not(HasSubstr("7/2"))));
  const std::string mark = "--page_token=";
  const std::string text = out_.str();
  arguments_.page_token = text.substr(text.find(mark) + mark.size());
  arguments_.page_token.pop_back();  // the line's end
  ASSERT_TRUE(Run("hard", {}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("7/2"), HasSubstr("7/1"), Not(HasSubstr("7/4"))));
}

TEST_F(QueryClientTest, HardFiltersAndRefusesBadFilters) {
  Start();
  KeepSamples(5);
  arguments_.class_name = "dress";
  ASSERT_TRUE(Run("hard", {}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("1 of 1 hard"), HasSubstr("7/3")));
  arguments_.class_name = "cat";
  EXPECT_THAT(std::string(Run("hard", {}).message()), HasSubstr("ankle-boot"));
  arguments_.class_name = "";
  arguments_.since = "yesterday";
  EXPECT_THAT(std::string(Run("hard", {}).message()), HasSubstr("--since is \"yesterday\""));
  arguments_.since = "";
  EXPECT_EQ(Run("hard", {"me"}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(QueryClientTest, JsonIsOneObjectALine) {
  Start();
  KeepSamples(3);
  arguments_.json = true;
  ASSERT_TRUE(Run("hard", {}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"total\":\"3\""), HasSubstr("\"class_name\":")));
  const std::string json = out_.str();
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 1);
  ASSERT_TRUE(Run("show", {"1"}).ok());
  EXPECT_THAT(out_.str(), HasSubstr("\"label\":\"\""));
}

TEST_F(QueryClientTest, ShowNamesEveryClass) {
  Start();
  KeepSamples(1);
  ASSERT_TRUE(Run("show", {"1"}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("t-shirt"), HasSubstr("ankle-boot"), HasSubstr("%")));
  EXPECT_EQ(Run("show", {"2"}).message(), "no hard sample has id 2");
  EXPECT_THAT(std::string(Run("show", {"two"}).message()), HasSubstr("\"two\" is no id"));
}

TEST_F(QueryClientTest, LabelsAndTakesBack) {
  Start();
  KeepSamples(2);
  ASSERT_TRUE(Run("label", {"2", "bag"}).ok());
  EXPECT_THAT(out_.str(), HasSubstr("Sample 2 is labelled bag (the network said trouser)"));
  EXPECT_THAT(std::string(Run("label", {"2", "cat"}).message()), HasSubstr("classes are"));
  EXPECT_EQ(store_->Get(2)->label, "bag");
  arguments_.clear = true;
  ASSERT_TRUE(Run("label", {"2"}).ok());
  EXPECT_EQ(store_->Get(2)->label, "");
}

TEST_F(QueryClientTest, ExportIsADatasetThatReadsBack) {
  Start();
  KeepSamples(40);  // 20 with a picture of view 1, of the even classes
  store_->Label(1, "bag").IgnoreError();
  const std::string out = Path("exported/set");
  arguments_.json = true;
  ASSERT_TRUE(Run("export", {out}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"samples\":20"), HasSubstr("\"without_pictures\":20")));

  v1::DescribeResponse network;
  grpc::ClientContext context;
  ASSERT_TRUE(stub_->Describe(&context, {}, &network).ok());
  auto dataset = OpenDataset(ExportFolder::DataSpec(out, network));
  ASSERT_TRUE(dataset.ok()) << dataset.status();
  EXPECT_EQ((*dataset)->info().views, 6);
  EXPECT_EQ((*dataset)->info().class_names.size(), 10u);
  int64_t total = 0;
  bool labelled = false;
  for (Split split : {Split::kTrain, Split::kCalibration, Split::kTest}) {
    for (int64_t i = 0; i < (*dataset)->size(split); ++i, ++total) {
      DatasetSample sample;
      ASSERT_TRUE((*dataset)->Read(split, i, &sample).ok());
      EXPECT_EQ(sample.presence, 0b10u);
      // Sample i was class i % 10 and all its pixels were i; sample 0 was labelled 8, "bag".
      const int number = static_cast<unsigned char>(sample.pixels[view_bytes()]);
      EXPECT_EQ(sample.label, number == 0 ? 8 : number % 10);
      EXPECT_EQ(sample.pixels.substr(view_bytes(), view_bytes()),
                std::string(view_bytes(), static_cast<char>(number)));
      labelled |= number == 0;
    }
  }
  EXPECT_EQ(total, 20);
  EXPECT_TRUE(labelled);
}

// What device 1 kept while it was alone: answered by the first exit, or by nobody.
v1::KeptSample Kept(const NetworkPlan& plan, uint32_t number, bool expired) {
  v1::KeptSample kept;
  kept.set_view(1);
  kept.set_log(std::string(16, 'l'));
  kept.set_number(number);
  kept.set_after(number - 1);
  kept.set_stream(7);
  kept.set_sequence(900 + number);
  kept.set_time_us(1);
  kept.set_expired(expired);
  if (!expired) kept.set_class_index(3);
  kept.set_entropy(expired ? 0 : 0.75f);
  kept.set_pixels(std::string(plan.view_shape().size(), 'p'));
  return kept;
}

TEST_F(QueryClientTest, SaysWhichSamplesDevicesKeptWhileTheyWereAlone) {
  Start();
  KeepSamples(1);
  std::vector<uint32_t> stored;
  const auto told = [&](const v1::KeptAck& ack) {
    EXPECT_EQ(ack.view(), 1);
    EXPECT_EQ(ack.log(), std::string(16, 'l'));
    EXPECT_FALSE(ack.no_store());
    stored.push_back(ack.number());
  };
  service_->KeepAlone(Kept(plan(), 1, false), "here", told);
  service_->KeepAlone(Kept(plan(), 2, true), "here", told);
  service_->KeepAlone(Kept(plan(), 1, false), "here", told);
  store_->Flush();
  EXPECT_THAT(stored, ElementsAre(1, 2, 2));

  ASSERT_TRUE(Run("hard", {}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("7/901"), HasSubstr("alone"), HasSubstr("3 of 3")));
  ASSERT_TRUE(Run("show", {"1"}).ok());
  EXPECT_THAT(out_.str(), HasSubstr("given by    the root\n"));
  ASSERT_TRUE(Run("show", {"2"}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("the exit \"local\", while its device could not reach"),
                                HasSubstr(plan().spec().class_name(3))));
  ASSERT_TRUE(Run("show", {"3"}).ok());
  EXPECT_THAT(out_.str(), HasSubstr("given by    nobody"));
  ASSERT_TRUE(Run("label", {"2", "bag"}).ok());
  arguments_.json = true;
  ASSERT_TRUE(Run("show", {"2"}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"alone\":true"), HasSubstr("\"exit\":\"local\"")));
  ASSERT_TRUE(Run("export", {Path("alone")}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("\"samples\":2"), HasSubstr("\"without_class\":1")));
}

TEST_F(QueryClientTest, ShowsAnswersOfAnotherBundleByTheirNames) {
  Start();
  v1::KeptSample kept = Kept(plan(), 1, false);
  kept.clear_class_index();
  kept.set_bundle_sha256(std::string(32, '\xab'));
  kept.set_class_name("llama\n");
  kept.set_exit_name("early");
  service_->KeepAlone(kept, "here", [](const v1::KeptAck&) {});
  store_->Flush();
  ASSERT_TRUE(Run("show", {"1"}).ok());
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("answer      llama?\n"), HasSubstr("the exit \"early\""),
                                HasSubstr("abababababab (not the one the cloud runs now)")));
  ASSERT_TRUE(Run("hard", {}).ok());
  EXPECT_THAT(out_.str(), HasSubstr("llama?"));
}

TEST_F(QueryClientTest, TellsDevicesThatThereIsNoStore) {
  options_.store = nullptr;
  Start();
  bool no_store = false;
  service_->KeepAlone(Kept(plan(), 1, false), "here", [&](const v1::KeptAck& ack) {
    no_store = ack.no_store();
    EXPECT_EQ(ack.number(), 0u);
  });
  EXPECT_TRUE(no_store);
}

TEST_F(QueryClientTest, ExportRefusesAFolderThatIsNotEmptyAndLeavesNothingBehind) {
  Start();
  KeepSamples(2);
  std::filesystem::create_directories(Path("full"));
  std::ofstream(Path("full/file")) << "mine";
  EXPECT_EQ(Run("export", {Path("full")}).code(), absl::StatusCode::kAlreadyExists);
  arguments_.labelled_only = true;
  EXPECT_THAT(std::string(Run("export", {Path("none")}).message()), HasSubstr("nothing to export"));
  int entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    const std::string name = entry.path().filename().string();
    entries += name.find("none") != std::string::npos || name.find("partial") != std::string::npos;
  }
  EXPECT_EQ(entries, 0);
  arguments_.labelled_only = false;
  std::filesystem::create_directories(Path("empty"));
  EXPECT_TRUE(Run("export", {Path("empty/")}).ok());
  EXPECT_TRUE(std::filesystem::exists(Path("empty/train/t-shirt/7-0/1.png")));
}

TEST(ExportFolder, AClassNameFromAPeerStaysInsideTheFolder) {
  std::string base = ::testing::TempDir() + "/export_XXXXXX";
  ASSERT_NE(mkdtemp(base.data()), nullptr);
  auto folder = ExportFolder::Create(base + "/out", {1, 2, 2}, 1);
  ASSERT_TRUE(folder.ok());
  for (const char* name : {"../../escape", "..", "a/b", "", "a"}) {
    v1::HardSample sample;
    sample.set_class_name(name);
    sample.set_sequence(1);
    sample.set_id(static_cast<int64_t>(strlen(name)));
    v1::HardPixels* pixels = sample.add_pixels();
    pixels->set_pixels("abcd");
    ASSERT_TRUE(folder->Add(sample).ok());
    pixels->set_pixels("abcde");
    ASSERT_TRUE(folder->Add(sample).ok());
  }
  EXPECT_EQ(folder->counts().written, 5);
  EXPECT_EQ(folder->counts().other_size, 5);
  ASSERT_TRUE(folder->Commit().ok());
  int pictures = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(base + "/out/train")) {
    pictures += entry.path().extension() == ".png" ? 1 : 0;
  }
  EXPECT_EQ(pictures, 5);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(base), {}), 1);
  std::filesystem::remove_all(base);
}

TEST_F(QueryClientTest, ClassifyReadsPicturesByPlace) {
  Start();
  Random random(3);
  std::vector<std::string> pixels;
  for (int v = 0; v < 2; ++v) {
    pixels.push_back(RandomPixels(plan(), &random));
    ASSERT_TRUE(SavePicture(Path(v == 0 ? "a.png" : "b.png"), plan().view_shape(), pixels[v]).ok());
  }
  WholeInput input;
  input.pixels =
      pixels[0] + std::string(3 * view_bytes(), '\0') + pixels[1] + std::string(view_bytes(), '\0');
  input.presence = 0b010001;
  auto whole = WholeNetwork::Create(bundle_, CreateLiteEngine);
  const auto output = (*whole)->Run(absl::MakeConstSpan(&input, 1));
  const Answer expected = Decide(plan(), bundle_.thresholds, output->front(), input.presence);
  ASSERT_TRUE(Run("classify", {Path("a.png"), "-", "4=" + Path("b.png")}).ok());
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("answer      " + plan().spec().class_name(expected.class_index)),
                    HasSubstr("exit        " + plan().exits()[expected.exit].name),
                    HasSubstr("views       0,4 of 0-5")));
}

TEST_F(QueryClientTest, ClassifyNamesTheFileThatIsNoPicture) {
  Start();
  std::ofstream(Path("text.png")) << "not a picture";
  EXPECT_THAT(std::string(Run("classify", {Path("text.png")}).message()),
              AllOf(HasSubstr("text.png"), HasSubstr("not a picture")));
  EXPECT_THAT(std::string(Run("classify", {Path("none.png")}).message()),
              HasSubstr("no such file"));
  EXPECT_EQ(Run("classify", {}).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(QueryClientTest, WatchPrintsAsManyAnswersAsAsked) {
  Start();
  arguments_.samples = 2;
  std::thread publisher([this] {
    while (service_->watchers() == 0) std::this_thread::yield();
    v1::AnswerRecord answer;
    answer.set_outcome("answered");
    answer.set_class_name("bag");
    answer.set_exit("cloud");
    answer.set_degraded(true);
    for (int i = 0; i < 3; ++i) {
      answer.set_sequence(i);
      service_->Publish(answer);
    }
  });
  const absl::Status status = Run("watch", {});
  publisher.join();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(out_.str(), AllOf(HasSubstr("STREAM/SAMPLE"), HasSubstr("0/0"), HasSubstr("0/1"),
                                HasSubstr("degraded"), Not(HasSubstr("0/2"))));
}

TEST_F(QueryClientTest, StatusSaysWhatRunsWhoIsThereAndWhatWasRefused) {
  Start();
  EXPECT_THAT(std::string(Run("status", {}).message()), HasSubstr("is starting"));
  v1::StatusResponse now;
  now.set_started_us(absl::ToUnixMicros(now_ - absl::Hours(2)));
  now.mutable_node()->set_entered(12);
  now.mutable_node()->set_answered(11);
  now.mutable_node()->set_expired(1);
  now.mutable_node()->add_refused_bundle("bundle 123456789abc: device.0: killed by signal 11");
  v1::RunningBundle* bundle = now.add_bundle();
  bundle->set_sha256(std::string(64, 'c'));
  bundle->set_under_way(3);
  bundle->add_connected("edge.0");
  bundle->add_missing("edge.1");
  bundle = now.add_bundle();
  bundle->set_sha256(std::string(64, 'd'));
  service_->TellStatusBy([&] { return now; });
  KeepSamples(2);
  ASSERT_TRUE(Run("status", {}).ok());
  const std::string text = out_.str();
  for (const char* part :
       {"six_cameras", "2 h ago", "cccccccccccc; 3 samples under way", "edge.0", "missing",
        "edge.1", "beside it", "dddddddddddd", "12: 11 answered (0 degraded), 0 shed, 1 expired",
        "2; 2 in the store", "refused     bundle 123456789abc: device.0: killed by signal 11"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  arguments_.json = true;
  ASSERT_TRUE(Run("status", {}).ok());
  EXPECT_THAT(out_.str(), HasSubstr("\"missing\":[\"edge.1\"]"));
}

TEST(QueryClient, ACloudThatIsNotThereIsNamedWithWhatToCheck) {
  grpc::ChannelArguments no_proxy;
  no_proxy.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  auto stub = v1::QueryService::NewStub(
      grpc::CreateCustomChannel("127.0.0.1:1", grpc::InsecureChannelCredentials(), no_proxy));
  QueryArguments arguments;
  arguments.cloud = "127.0.0.1:1";
  for (const char* command : {"hard", "watch"}) {
    arguments.command = command;
    std::ostringstream out, remarks;
    const absl::Status status = RunQuery(stub.get(), arguments, out, remarks);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("127.0.0.1:1"), HasSubstr("Check")));
    EXPECT_EQ(out.str(), "");
  }
}

TEST(QueryClient, RefusesACommandThatIsNone) {
  QueryArguments arguments;
  arguments.command = "shout";
  std::ostringstream out, remarks;
  EXPECT_THAT(std::string(RunQuery(nullptr, arguments, out, remarks).message()),
              HasSubstr("no command \"shout\""));
}

TEST(ParseWhen, TakesAgesAndDates) {
  const absl::Time now = absl::FromUnixSeconds(10000000);
  EXPECT_EQ(*ParseWhen("--since", "", now), 0);
  EXPECT_EQ(*ParseWhen("--since", "90s", now), (10000000 - 90) * int64_t{1000000});
  EXPECT_EQ(*ParseWhen("--since", "2d", now), (10000000 - 2 * 86400) * int64_t{1000000});
  EXPECT_EQ(*ParseWhen("--since", "1970-01-02", now), 86400 * int64_t{1000000});
  EXPECT_EQ(*ParseWhen("--since", "1970-01-02T01:00:00Z", now), 90000 * int64_t{1000000});
  for (const char* bad : {"1", "-1h", "d", "-3d", "1970-13-01", "99999999999d", "soon"}) {
    EXPECT_EQ(ParseWhen("--since", bad, now).status().code(), absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

std::string Places(const std::vector<std::string>& words, int views) {
  const auto files = ParseViewFiles(words, views);
  if (!files.ok()) return "refused";
  std::string text;
  for (const ViewFile& file : *files) text += std::to_string(file.view) + ":" + file.file + " ";
  return text;
}

TEST(ParseViewFiles, PutsPicturesInTheirPlaces) {
  EXPECT_EQ(Places({"a", "b"}, 3), "0:a 1:b ");
  EXPECT_EQ(Places({"a", "-", "b"}, 3), "0:a 2:b ");
  EXPECT_EQ(Places({"2=c", "a"}, 3), "0:a 2:c ");
  EXPECT_EQ(Places({"x=y.png"}, 3), "0:x=y.png ");
  EXPECT_EQ(Places({"1=a=b"}, 3), "1:a=b ");
  EXPECT_EQ(Places({"a", "0=b"}, 3), "refused");
  EXPECT_EQ(Places({"3=b"}, 3), "refused");
  EXPECT_EQ(Places({"-", "-"}, 3), "refused");
  EXPECT_EQ(Places({"a", "b"}, 1), "refused");
}

TEST(QueryHelp, EveryCommandTeachesWithAnExample) {
  for (const QueryHelp& help : QueryHelps()) {
    const std::string text = HelpText(help.name);
    EXPECT_THAT(text, AllOf(HasSubstr("usage: ddnn-query " + help.name), HasSubstr("example")));
    for (const std::string& flag : help.flags) EXPECT_THAT(text, HasSubstr("--" + flag));
    EXPECT_THAT(HelpText(""), HasSubstr("\n  " + help.name));
  }
}

}  // namespace
}  // namespace ddnn

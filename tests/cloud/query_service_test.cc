#include "cloud/query_service.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <future>
#include <numeric>
#include <thread>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "gmock/gmock.h"
#include "tests/cloud/running_service.h"

namespace ddnn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using QueryServiceTest = RunningService;

v1::ClassifyRequest Pictures(uint64_t presence, const std::string& pixels, size_t view_bytes) {
  v1::ClassifyRequest request;
  // Backwards: the order in the message means nothing.
  for (int view = 63; view >= 0; --view) {
    if (((presence >> view) & 1) == 0) continue;
    v1::ClassifyView* added = request.add_view();
    added->set_view(view);
    added->set_pixels(pixels.substr(view * view_bytes, view_bytes));
  }
  return request;
}

TEST_F(QueryServiceTest, ClassifyAnswersAsTheWholeNetworkDoes) {
  Start();
  auto whole = WholeNetwork::Create(bundle_, CreateLiteEngine);
  ASSERT_TRUE(whole.ok());
  Random random(7);
  for (int n = 0; n < 20; ++n) {
    WholeInput input;
    for (int v = 0; v < plan().views(); ++v) input.pixels += RandomPixels(plan(), &random);
    input.presence = 1 + random() % plan().all_views();
    const auto output = (*whole)->Run(absl::MakeConstSpan(&input, 1));
    ASSERT_TRUE(output.ok());
    const Answer expected = Decide(plan(), bundle_.thresholds, output->front(), input.presence);

    grpc::ClientContext context;
    v1::ClassifyResponse answer;
    const grpc::Status status =
        stub_->Classify(&context, Pictures(input.presence, input.pixels, view_bytes()), &answer);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(answer.class_index(), expected.class_index);
    EXPECT_EQ(answer.class_name(), plan().spec().class_name(expected.class_index));
    EXPECT_EQ(answer.exit(), plan().exits()[expected.exit].name);
    EXPECT_EQ(static_cast<float>(answer.entropy()), expected.entropy);
    uint64_t presence = 0;
    for (int view : answer.present_view()) presence |= uint64_t{1} << view;
    EXPECT_EQ(presence, input.presence);
    ASSERT_EQ(answer.probability_size(), plan().classes());
    EXPECT_NEAR(std::accumulate(answer.probability().begin(), answer.probability().end(), 0.0), 1,
                1e-9);
    const auto most = std::max_element(answer.probability().begin(), answer.probability().end());
    EXPECT_EQ(most - answer.probability().begin(), answer.class_index());
  }
}

TEST_F(QueryServiceTest, ClassifyUsesTheThresholdsItWasGiven) {
  options_.thresholds.assign(plan().exits().size(), 1.0f);
  Start();
  grpc::ClientContext context;
  v1::ClassifyResponse answer;
  ASSERT_TRUE(
      stub_->Classify(&context, Pictures(1, std::string(view_bytes(), 'x'), view_bytes()), &answer)
          .ok());
  EXPECT_EQ(answer.exit(), plan().exits()[0].name);
}

TEST_F(QueryServiceTest, ClassifyRefusesWhatDoesNotFitTheNetwork) {
  Start();
  const std::string good(view_bytes(), 'x');
  const auto refusal = [&](std::vector<std::pair<int, std::string>> views) {
    v1::ClassifyRequest request;
    for (auto& [view, pixels] : views) {
      v1::ClassifyView* added = request.add_view();
      added->set_view(view);
      added->set_pixels(pixels);
    }
    grpc::ClientContext context;
    v1::ClassifyResponse answer;
    const grpc::Status status = stub_->Classify(&context, request, &answer);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    return status.error_message();
  };
  EXPECT_THAT(refusal({}), HasSubstr("at least one view"));
  EXPECT_THAT(refusal({{6, good}}), HasSubstr("view 6 does not exist; expected 0 to 5"));
  EXPECT_THAT(refusal({{-1, good}}), HasSubstr("view -1 does not exist"));
  EXPECT_THAT(refusal({{2, good}, {2, good}}), HasSubstr("view 2 is given twice"));
  EXPECT_THAT(refusal({{0, good + "x"}}), HasSubstr("1025 bytes of pixels; expected 1024"));
  EXPECT_THAT(refusal({{0, ""}}), HasSubstr("0 bytes of pixels"));
  EXPECT_THAT(
      refusal({{0, good}, {1, good}, {2, good}, {3, good}, {4, good}, {5, good}, {6, good}}),
      HasSubstr("7 pictures; this network has 6 views"));
}

TEST_F(QueryServiceTest, ClassifyIsUnavailableWithoutAnExecutor) {
  Start(/*attach=*/false);
  grpc::ClientContext context;
  v1::ClassifyResponse answer;
  EXPECT_EQ(
      stub_->Classify(&context, Pictures(1, std::string(view_bytes(), 'x'), view_bytes()), &answer)
          .error_code(),
      grpc::StatusCode::UNAVAILABLE);
}

TEST_F(QueryServiceTest, AFullExecutorRefusesAndAnsweredCallsGoOn) {
  executor_options_.max_queue = 1;
  Start();
  std::promise<void> started, release;
  ASSERT_TRUE(executor_
                  ->SubmitJob([&] {
                    started.set_value();
                    release.get_future().wait();
                  })
                  .ok());
  started.get_future().wait();
  ASSERT_TRUE(executor_->SubmitJob([] {}).ok());
  const v1::ClassifyRequest request = Pictures(1, std::string(view_bytes(), 'x'), view_bytes());
  v1::ClassifyResponse answer;
  {
    grpc::ClientContext context;
    EXPECT_EQ(stub_->Classify(&context, request, &answer).error_code(),
              grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  release.set_value();
  std::promise<void> free;
  while (!executor_->SubmitJob([&] { free.set_value(); }).ok()) std::this_thread::yield();
  free.get_future().wait();
  grpc::ClientContext context;
  EXPECT_TRUE(stub_->Classify(&context, request, &answer).ok());
}

TEST_F(QueryServiceTest, APictureThatWaitedTooLongIsNotClassified) {
  options_.classify_deadline = -absl::Seconds(1);
  Start();
  grpc::ClientContext context;
  v1::ClassifyResponse answer;
  const grpc::Status status =
      stub_->Classify(&context, Pictures(1, std::string(view_bytes(), 'x'), view_bytes()), &answer);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("busy"));
}

TEST_F(QueryServiceTest, ListsPageByPageUntilTheLast) {
  Start();
  KeepSamples(7);
  v1::ListHardRequest request;
  request.set_page_size(3);
  std::vector<int64_t> ids;
  do {
    grpc::ClientContext context;
    v1::ListHardResponse page;
    const grpc::Status status = stub_->ListHard(&context, request, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(page.total(), 7);
    for (const v1::HardSample& sample : page.sample()) {
      ids.push_back(sample.id());
      EXPECT_TRUE(sample.features().empty());
      EXPECT_EQ(sample.pixels_size(), 0);
      EXPECT_EQ(sample.pixel_view_size(), sample.sequence() % 2 == 0 ? 1 : 0);
    }
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, ElementsAre(7, 6, 5, 4, 3, 2, 1));
}

TEST_F(QueryServiceTest, ListRefusesHostileRequests) {
  Start();
  KeepSamples(3);
  const auto refusal = [&](const std::function<void(v1::ListHardRequest*)>& spoil) {
    v1::ListHardRequest request;
    spoil(&request);
    grpc::ClientContext context;
    v1::ListHardResponse page;
    const grpc::Status status = stub_->ListHard(&context, request, &page);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << request.DebugString();
    EXPECT_LE(status.error_message().size(), 1024u);
    return status.error_message();
  };
  using Request = v1::ListHardRequest;
  EXPECT_THAT(refusal([](Request* r) { r->set_page_size(1001); }), HasSubstr("page_size is 1001"));
  EXPECT_THAT(refusal([](Request* r) { r->set_page_size(-1); }), HasSubstr("page_size is -1"));
  EXPECT_THAT(refusal([](Request* r) { r->set_class_name("cat"); }),
              HasSubstr("class_name is \"cat\"; this network's classes are"));
  EXPECT_THAT(refusal([](Request* r) { r->set_class_name(std::string(5000, 'c')); }),
              HasSubstr("class_name"));
  EXPECT_THAT(refusal([](Request* r) { r->set_min_entropy(1.5); }), HasSubstr("min_entropy"));
  EXPECT_THAT(refusal([](Request* r) { r->set_min_entropy(std::nan("")); }),
              HasSubstr("min_entropy"));
  EXPECT_THAT(refusal([](Request* r) { r->set_since_us(-1); }), HasSubstr("since_us"));
  EXPECT_THAT(refusal([](Request* r) {
                r->set_since_us(20);
                r->set_until_us(10);
              }),
              HasSubstr("not before"));
  EXPECT_THAT(refusal([](Request* r) {
                r->set_only_labelled(true);
                r->set_only_unlabelled(true);
              }),
              HasSubstr("exclude each other"));
  for (const std::string& token :
       {std::string("x"), std::string(5000, 'A'), absl::WebSafeBase64Escape("1:2"),
        absl::WebSafeBase64Escape("1:2:3:4"), absl::WebSafeBase64Escape("a:b:c"),
        absl::WebSafeBase64Escape("1:2:-3")}) {
    EXPECT_THAT(refusal([&](Request* r) { r->set_page_token(token); }), HasSubstr("page_token"));
  }
}

TEST_F(QueryServiceTest, APageTokenBelongsToItsFilter) {
  Start();
  KeepSamples(5);
  v1::ListHardRequest request;
  request.set_page_size(2);
  v1::ListHardResponse page;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->ListHard(&context, request, &page).ok());
  }
  request.set_page_token(page.next_page_token());
  request.set_min_entropy(0.1);
  grpc::ClientContext context;
  const grpc::Status status = stub_->ListHard(&context, request, &page);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("another filter"));
}

TEST_F(QueryServiceTest, ShowsAndLabelsOneSample) {
  Start();
  KeepSamples(3);
  v1::HardSample sample;
  {
    grpc::ClientContext context;
    v1::GetHardRequest request;
    request.set_id(1);
    ASSERT_TRUE(stub_->GetHard(&context, request, &sample).ok());
    EXPECT_EQ(sample.features(), "features");
    ASSERT_EQ(sample.pixels_size(), 1);
    EXPECT_EQ(sample.pixels(0).pixels().size(), view_bytes());
    EXPECT_EQ(sample.bundle_sha256(), bundle_.sha256_hex());
  }
  const auto label = [&](int64_t id, const std::string& name) {
    grpc::ClientContext context;
    v1::LabelHardRequest request;
    request.set_id(id);
    request.set_label(name);
    return stub_->LabelHard(&context, request, &sample);
  };
  ASSERT_TRUE(label(2, "bag").ok());
  EXPECT_EQ(sample.label(), "bag");
  ASSERT_TRUE(label(2, "").ok());
  EXPECT_EQ(sample.label(), "");
  EXPECT_EQ(label(2, "cat").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(label(0, "bag").error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(label(99, "bag").error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(QueryServiceTest, ExportsOldestFirstWithPictures) {
  Start();
  KeepSamples(4);
  store_->Label(3, "bag").IgnoreError();
  for (bool only_labelled : {false, true}) {
    grpc::ClientContext context;
    v1::ExportHardRequest request;
    request.set_only_labelled(only_labelled);
    auto reader = stub_->ExportHard(&context, request);
    std::vector<int64_t> ids;
    v1::HardSample sample;
    while (reader->Read(&sample)) {
      ids.push_back(sample.id());
      EXPECT_EQ(sample.pixels_size(), sample.sequence() % 2 == 0 ? 1 : 0);
    }
    EXPECT_TRUE(reader->Finish().ok());
    EXPECT_EQ(ids, only_labelled ? std::vector<int64_t>({3}) : std::vector<int64_t>({1, 2, 3, 4}));
  }
}

TEST_F(QueryServiceTest, WithoutAStoreHardSamplesAreCountedOnly) {
  options_.store = nullptr;
  Start();
  KeepSamples(4);
  v1::DescribeResponse description;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(stub_->Describe(&context, {}, &description).ok());
  }
  EXPECT_EQ(description.hard_samples(), 4);
  {
    grpc::ClientContext context;
    v1::ListHardResponse page;
    const grpc::Status status = stub_->ListHard(&context, {}, &page);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_THAT(status.error_message(), HasSubstr("--store"));
  }
  grpc::ClientContext context;
  auto reader = stub_->ExportHard(&context, {});
  v1::HardSample sample;
  EXPECT_FALSE(reader->Read(&sample));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(QueryServiceTest, DescribesTheNetwork) {
  Start();
  KeepSamples(2);
  grpc::ClientContext context;
  v1::DescribeResponse description;
  ASSERT_TRUE(stub_->Describe(&context, {}, &description).ok());
  EXPECT_EQ(description.network(), "six_cameras");
  EXPECT_EQ(description.bundle_sha256(), bundle_.sha256_hex());
  EXPECT_EQ(description.class_name_size(), 10);
  EXPECT_EQ(description.views(), 6);
  EXPECT_EQ(description.channels() * description.height() * description.width(), 1024);
  EXPECT_EQ(description.hard_samples(), 2);
}

v1::AnswerRecord Answered(uint64_t sequence) {
  v1::AnswerRecord answer;
  answer.set_sequence(sequence);
  answer.set_outcome("answered");
  return answer;
}

TEST_F(QueryServiceTest, WatchersHearEveryAnswerInOrderUntilTheyHangUp) {
  Start();
  grpc::ClientContext first_context, second_context;
  auto first = stub_->Watch(&first_context, {});
  auto second = stub_->Watch(&second_context, {});
  first->WaitForInitialMetadata();
  second->WaitForInitialMetadata();
  EXPECT_EQ(service_->watchers(), 2);
  v1::AnswerRecord answer;
  for (uint64_t i = 0; i < 50; ++i) {
    service_->Publish(Answered(i));
    ASSERT_TRUE(first->Read(&answer));
    EXPECT_EQ(answer.sequence(), i);
  }
  first_context.TryCancel();
  EXPECT_EQ(first->Finish().error_code(), grpc::StatusCode::CANCELLED);
  for (uint64_t i = 0; i < 50; ++i) {
    ASSERT_TRUE(second->Read(&answer));
    EXPECT_EQ(answer.sequence(), i);
  }
  while (service_->watchers() > 1) std::this_thread::yield();
  service_->Publish(Answered(50));
  ASSERT_TRUE(second->Read(&answer));
  EXPECT_EQ(answer.sequence(), 50u);
}

TEST_F(QueryServiceTest, ASlowWatcherLosesTheOldestAndIsToldHowMany) {
  options_.watch_queue = 4;
  Start();
  grpc::ClientContext context;
  auto reader = stub_->Watch(&context, {});
  reader->WaitForInitialMetadata();
  constexpr uint64_t kAnswers = 1000;
  for (uint64_t i = 0; i < kAnswers; ++i) service_->Publish(Answered(i));
  uint64_t heard = 0, lost = 0;
  v1::AnswerRecord answer;
  do {
    ASSERT_TRUE(reader->Read(&answer));
    if (answer.outcome() == "lost") {
      uint64_t count = 0;
      ASSERT_TRUE(absl::SimpleAtoi(answer.reason().substr(0, answer.reason().find(' ')), &count));
      lost += count;
    } else {
      EXPECT_EQ(answer.sequence(), heard + lost);
      ++heard;
    }
  } while (answer.outcome() == "lost" || answer.sequence() + 1 < kAnswers);
  EXPECT_EQ(heard + lost, kAnswers);
  EXPECT_GT(lost, 0u);
}

TEST_F(QueryServiceTest, ShutdownEndsWatchersAndRefusesNewOnes) {
  Start();
  grpc::ClientContext context;
  auto reader = stub_->Watch(&context, {});
  reader->WaitForInitialMetadata();
  service_->Shutdown();
  v1::AnswerRecord answer;
  EXPECT_FALSE(reader->Read(&answer));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  grpc::ClientContext again;
  reader = stub_->Watch(&again, {});
  EXPECT_FALSE(reader->Read(&answer));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(QueryServiceTest, WatchersAreBounded) {
  options_.max_watchers = 1;
  Start();
  grpc::ClientContext first_context, second_context;
  auto first = stub_->Watch(&first_context, {});
  first->WaitForInitialMetadata();
  auto second = stub_->Watch(&second_context, {});
  v1::AnswerRecord answer;
  EXPECT_FALSE(second->Read(&answer));
  EXPECT_EQ(second->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  service_->Publish(Answered(1));
  EXPECT_TRUE(first->Read(&answer));
}

}  // namespace
}  // namespace ddnn

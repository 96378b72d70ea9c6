#include "cloud/query_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cloud/query_requests.h"
#include "cloud/query_streams.h"
#include "runtime/net/status.h"

namespace ddnn {
namespace {

grpc::ServerUnaryReactor* FinishNow(grpc::CallbackServerContext* context,
                                    const absl::Status& status) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

Executor::Options StoreQueue(int max_requests) {
  Executor::Options options;
  options.max_queue = max_requests;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<QueryService>> QueryService::Create(const Bundle& bundle,
                                                                   EngineFactory factory,
                                                                   Options options) {
  auto service = std::unique_ptr<QueryService>(new QueryService(bundle, options));
  absl::Status status = service->Use(bundle, factory, std::move(options.thresholds));
  if (!status.ok()) return status;
  return service;
}

QueryService::QueryService(const Bundle& bundle, Options options)
    : plan_(bundle.plan),
      options_(std::move(options)),
      store_thread_(nullptr, StoreQueue(options_.max_store_requests)) {}

absl::Status QueryService::Use(const Bundle& bundle, EngineFactory factory,
                               std::vector<ExitThreshold> thresholds) {
  auto network = WholeNetwork::Create(bundle, factory);
  if (!network.ok()) return network.status();
  auto served = std::make_shared<Served>();
  served->bundle_sha256 = bundle.sha256_hex();
  served->thresholds = thresholds.empty() ? bundle.thresholds : std::move(thresholds);
  served->network = *std::move(network);
  MutexLock lock(&mutex_);
  served_ = std::move(served);
  executor_ = nullptr;
  return absl::OkStatus();
}

std::shared_ptr<const QueryService::Served> QueryService::served() {
  MutexLock lock(&mutex_);
  return served_;
}

QueryService::~QueryService() = default;

void QueryService::Attach(Executor* executor) {
  MutexLock lock(&mutex_);
  executor_ = executor;
}

int QueryService::watchers() {
  MutexLock lock(&mutex_);
  return static_cast<int>(watchers_.size());
}

void QueryService::Publish(const v1::AnswerRecord& answer) {
  std::vector<std::shared_ptr<Watcher>> watchers;
  {
    MutexLock lock(&mutex_);
    watchers = watchers_;
  }
  for (const auto& watcher : watchers) watcher->Offer(answer);
}

bool QueryService::Keep(const Answer& answer, const std::string& features,
                        const std::string& bundle_sha256) {
  ++hard_seen_;
  if (options_.store == nullptr) return true;
  HardRecord record;
  record.sample = answer.sample;
  record.class_index = answer.class_index;
  record.class_name = plan_.spec().class_name(answer.class_index);
  record.entropy = answer.entropy;
  record.presence = answer.presence;
  record.scores = answer.scores;
  record.features = features;
  record.bundle_sha256 = bundle_sha256.empty() ? served()->bundle_sha256 : bundle_sha256;
  return options_.store->Keep(std::move(record));
}

void QueryService::KeepAlone(const v1::KeptSample& kept, const std::string& bundle_sha256,
                             std::function<void(const v1::KeptAck&)> answer) {
  v1::KeptAck ack;
  ack.set_view(kept.view());
  ack.set_log(kept.log());
  if (options_.store == nullptr) {
    ack.set_no_store(true);
    return answer(ack);
  }
  absl::StatusOr<HardAlone> alone = FromProto(plan_, kept);
  if (!alone.ok()) return;  // no device of ours sends such features or scores
  if (alone->record.bundle_sha256.empty()) alone->record.bundle_sha256 = bundle_sha256;
  options_.store->KeepAlone(*std::move(alone),
                            [ack, answer = std::move(answer)](uint32_t number) mutable {
                              ack.set_number(number);
                              answer(ack);
                            });
}

void QueryService::KeepPixels(SampleKey sample,
                              const std::vector<std::pair<int, std::string>>& pixels) {
  if (options_.store != nullptr) options_.store->KeepPixels(sample, pixels);
}

void QueryService::Shutdown() {
  std::vector<std::shared_ptr<Watcher>> watchers;
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    watchers = watchers_;
  }
  for (const auto& watcher : watchers) {
    watcher->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the cloud is shutting down"));
  }
}

void QueryService::Remove(Watcher* watcher) {
  std::shared_ptr<Watcher> last;  // destroyed without the lock
  MutexLock lock(&mutex_);
  auto it = std::find_if(watchers_.begin(), watchers_.end(),
                         [watcher](const auto& held) { return held.get() == watcher; });
  if (it == watchers_.end()) return;
  last = std::move(*it);
  watchers_.erase(it);
}

absl::Status QueryService::RunWhole(const Served& served, const WholeInput& input,
                                    v1::ClassifyResponse* response) {
  auto outputs = served.network->Run(absl::MakeConstSpan(&input, 1));
  if (!outputs.ok()) return outputs.status();
  *response = ToProto(plan_, Decide(plan_, served.thresholds, outputs->front(), input.presence));
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* QueryService::Classify(grpc::CallbackServerContext* context,
                                                 const v1::ClassifyRequest* request,
                                                 v1::ClassifyResponse* response) {
  auto input = CheckClassify(plan_, *request);
  if (!input.ok()) return FinishNow(context, input.status());
  const absl::Time deadline =
      std::min(absl::FromChrono(context->deadline()), absl::Now() + options_.classify_deadline);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  auto job = [this, context, reactor, response, deadline](const Served& served,
                                                          const WholeInput& input) {
    if (context->IsCancelled()) return reactor->Finish(grpc::Status::CANCELLED);
    if (absl::Now() > deadline) {
      return reactor->Finish(ToGrpc(
          absl::DeadlineExceededError("the cloud is busy: waited too long for a forward pass")));
    }
    reactor->Finish(ToGrpc(RunWhole(served, input, response)));
  };
  absl::Status submitted;
  {
    // Held so that the executor cannot be detached, and then end, in between. SubmitJob only
    // queues.
    MutexLock lock(&mutex_);
    submitted = executor_ == nullptr
                    ? absl::UnavailableError("the cloud is starting or ending")
                    : executor_->SubmitJob([job, served = served_, input = *std::move(input)] {
                        job(*served, input);
                      });
  }
  if (!submitted.ok()) reactor->Finish(ToGrpc(submitted));
  return reactor;
}

absl::Status QueryService::CheckStore() const {
  if (options_.store != nullptr) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("this cloud keeps no hard samples (", hard_seen_.load(),
                   " seen since it started); start ddnn-cloud with --store=FILE to keep them"));
}

grpc::ServerUnaryReactor* QueryService::WithStore(grpc::CallbackServerContext* context,
                                                  absl::Status valid,
                                                  std::function<absl::Status()> job) {
  if (valid.ok()) valid = CheckStore();
  if (!valid.ok()) return FinishNow(context, valid);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  absl::Status submitted =
      store_thread_.SubmitJob([reactor, job = std::move(job)] { reactor->Finish(ToGrpc(job())); });
  if (!submitted.ok()) reactor->Finish(ToGrpc(submitted));
  return reactor;
}

grpc::ServerUnaryReactor* QueryService::ListHard(grpc::CallbackServerContext* context,
                                                 const v1::ListHardRequest* request,
                                                 v1::ListHardResponse* response) {
  auto query = CheckList(plan_, *request);
  if (!query.ok()) return FinishNow(context, query.status());
  return WithStore(context, absl::OkStatus(),
                   [this, response, query = *std::move(query)]() -> absl::Status {
                     auto page = options_.store->List(query.filter, query.page_size, query.after);
                     if (!page.ok()) return page.status();
                     for (const HardRecord& record : page->samples) {
                       *response->add_sample() = ToProto(record, false);
                     }
                     if (page->next) {
                       response->set_next_page_token(PageToken(query.filter, *page->next));
                     }
                     response->set_total(page->total);
                     return absl::OkStatus();
                   });
}

grpc::ServerUnaryReactor* QueryService::GetHard(grpc::CallbackServerContext* context,
                                                const v1::GetHardRequest* request,
                                                v1::HardSample* response) {
  absl::Status valid;
  if (request->id() <= 0) {
    valid = absl::InvalidArgumentError(
        absl::StrCat("id is ", request->id(), "; expected the id of a hard sample, 1 or more"));
  }
  return WithStore(context, valid, [this, response, id = request->id()]() -> absl::Status {
    auto record = options_.store->Get(id);
    if (!record.ok()) return record.status();
    *response = ToProto(*record, true);
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* QueryService::LabelHard(grpc::CallbackServerContext* context,
                                                  const v1::LabelHardRequest* request,
                                                  v1::HardSample* response) {
  return WithStore(context, CheckLabel(plan_, *request),
                   [this, response, request = *request]() -> absl::Status {
                     auto record = options_.store->Label(request.id(), request.label());
                     if (!record.ok()) return record.status();
                     *response = ToProto(*record, false);
                     return absl::OkStatus();
                   });
}

grpc::ServerWriteReactor<v1::HardSample>* QueryService::ExportHard(
    grpc::CallbackServerContext* context, const v1::ExportHardRequest* request) {
  auto* exporter = new Exporter(&store_thread_, options_.store, request->only_labelled());
  absl::Status valid = CheckStore();
  if (valid.ok()) {
    exporter->ReadNext();
  } else {
    exporter->Finish(ToGrpc(valid));
  }
  return exporter;
}

grpc::ServerWriteReactor<v1::AnswerRecord>* QueryService::Watch(
    grpc::CallbackServerContext* context, const v1::WatchRequest* request) {
  auto watcher =
      std::make_shared<Watcher>(options_.watch_queue, [this](Watcher* done) { Remove(done); });
  grpc::Status refused;
  {
    MutexLock lock(&mutex_);
    if (ending_) {
      refused = grpc::Status(grpc::StatusCode::UNAVAILABLE, "the cloud is shutting down");
    } else if (static_cast<int>(watchers_.size()) >= options_.max_watchers) {
      refused = ToGrpc(absl::ResourceExhaustedError(
          absl::StrCat(options_.max_watchers, " watchers already; try again later")));
    }
    // Held here until gRPC is done with it, refused or not.
    watchers_.push_back(watcher);
  }
  if (!refused.ok()) watcher->End(refused);
  watcher->Start();
  return watcher.get();
}

grpc::ServerUnaryReactor* QueryService::Describe(grpc::CallbackServerContext* context,
                                                 const v1::DescribeRequest* request,
                                                 v1::DescribeResponse* response) {
  const Shape shape = plan_.view_shape();
  response->set_network(plan_.spec().name());
  response->set_bundle_sha256(served()->bundle_sha256);
  for (const std::string& name : plan_.spec().class_name()) response->add_class_name(name);
  response->set_views(plan_.views());
  response->set_channels(shape.channels);
  response->set_height(shape.height);
  response->set_width(shape.width);
  if (options_.store == nullptr) {
    response->set_hard_samples(static_cast<int64_t>(hard_seen_.load()));
    return FinishNow(context, absl::OkStatus());
  }
  return WithStore(context, absl::OkStatus(), [this, response]() -> absl::Status {
    response->set_hard_samples(options_.store->counters().database.samples);
    return absl::OkStatus();
  });
}

void QueryService::TellStatusBy(std::function<v1::StatusResponse()> status) {
  MutexLock lock(&status_mutex_);
  status_ = std::move(status);
}

grpc::ServerUnaryReactor* QueryService::Status(grpc::CallbackServerContext* context,
                                               const v1::StatusRequest* request,
                                               v1::StatusResponse* response) {
  {
    MutexLock lock(&status_mutex_);
    if (status_ == nullptr) {
      return FinishNow(context, absl::UnavailableError("the cloud is starting, or shutting down"));
    }
    *response = status_();
  }
  response->set_network(plan_.spec().name());
  response->set_hard(static_cast<int64_t>(hard_seen_.load()));
  if (options_.store == nullptr) return FinishNow(context, absl::OkStatus());
  return WithStore(context, absl::OkStatus(), [this, response]() -> absl::Status {
    response->set_stored(options_.store->counters().database.samples);
    return absl::OkStatus();
  });
}

}  // namespace ddnn

#include "runtime/update/bundle_service.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/net/status.h"

namespace ddnn {

/// One child that listens to Current. Only the latest news waits for it, however slowly it reads.
/// Lives until gRPC is done with it and nobody tells it anything any more.
class BundleService::Follower : public grpc::ServerWriteReactor<v1::Published> {
 public:
  explicit Follower(BundleService* service) : service_(service) {}

  void Start() { StartSendInitialMetadata(); }
  void Tell(const v1::Published& news) {
    Change([&] { news_ = news; });
  }
  /// Ends the call once the write in flight is done.
  void End(grpc::Status status) {
    Change([&] {
      if (ending_) return;
      ending_ = true;
      status_ = std::move(status);
    });
  }

  void OnSendInitialMetadataDone(bool ok) override { OnWriteDone(ok); }
  void OnWriteDone(bool ok) override {
    Change([&] { busy_ = false; });
    if (!ok) End(grpc::Status::CANCELLED);
  }
  void OnCancel() override { End(grpc::Status::CANCELLED); }
  void OnDone() override { service_->Remove(this); }  // ends this object

 private:
  // What follows from a change is begun without the lock: gRPC may call back from inside.
  template <typename F>
  void Change(F&& change) {
    bool write = false, finish = false;
    {
      MutexLock lock(&mutex_);
      change();
      if (busy_ || finished_) return;
      if (ending_) {
        finish = finished_ = true;
      } else if (news_.has_value()) {
        writing_ = *std::move(news_);
        news_.reset();
        write = busy_ = true;
      }
    }
    if (write) StartWrite(&writing_);
    if (finish) Finish(status_);
  }

  BundleService* const service_;
  Mutex mutex_;
  std::optional<v1::Published> news_ ABSL_GUARDED_BY(mutex_);
  bool busy_ ABSL_GUARDED_BY(mutex_) = true;  // until the initial metadata is sent
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::Status status_;    // written once, before finished_
  v1::Published writing_;  // belongs to gRPC while busy_
};

/// One call of Fetch: the next piece is cut when the one before is gone.
class BundleService::Sender : public grpc::ServerWriteReactor<v1::FetchChunk> {
 public:
  Sender(SharedFiles files, const std::string* data, std::atomic<int>* running)
      : files_(std::move(files)), data_(data), running_(running) {}
  ~Sender() override { --*running_; }

  void Next() {
    if (at_ >= data_->size()) return Finish(grpc::Status::OK);
    const size_t size = std::min(kFetchChunk, data_->size() - at_);
    chunk_.set_data(data_->data() + at_, size);
    at_ += size;
    StartWrite(&chunk_);
  }
  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    Next();
  }
  void OnDone() override { delete this; }

 private:
  const SharedFiles files_;  // holds *data_
  const std::string* const data_;
  std::atomic<int>* const running_;
  size_t at_ = 0;
  v1::FetchChunk chunk_;
};

void BundleService::Publish(v1::Published published, std::vector<SharedFiles> files) {
  std::vector<std::shared_ptr<Follower>> followers;
  {
    MutexLock lock(&mutex_);
    published_ = published;
    files_ = std::move(files);
    followers = followers_;
  }
  for (const auto& follower : followers) follower->Tell(published);
}

void BundleService::OnReport(std::function<void(const v1::BundleReport&)> heard) {
  MutexLock lock(&mutex_);
  heard_ = std::move(heard);
}

void BundleService::Shutdown() {
  std::vector<std::shared_ptr<Follower>> followers;
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    followers = followers_;
  }
  for (const auto& follower : followers) {
    follower->End(grpc::Status(grpc::StatusCode::UNAVAILABLE, "the parent is shutting down"));
  }
}

void BundleService::Remove(Follower* follower) {
  std::shared_ptr<Follower> last;  // destroyed without the lock
  MutexLock lock(&mutex_);
  auto it = std::find_if(followers_.begin(), followers_.end(),
                         [follower](const auto& held) { return held.get() == follower; });
  if (it == followers_.end()) return;
  last = std::move(*it);
  followers_.erase(it);
}

grpc::ServerWriteReactor<v1::Published>* BundleService::Current(
    grpc::CallbackServerContext* context, const v1::CurrentRequest* request) {
  auto follower = std::make_shared<Follower>(this);
  absl::Status refused;
  {
    MutexLock lock(&mutex_);
    if (ending_) {
      refused = absl::UnavailableError("the parent is shutting down");
    } else if (followers_.size() >= kMaxFollowers) {
      refused = absl::ResourceExhaustedError(
          absl::StrCat(kMaxFollowers, " children listen already; try again later"));
    }
    // Held here until gRPC is done with it, refused or not.
    followers_.push_back(follower);
    // Nothing is written before Start, so this calls nothing of gRPC.
    if (refused.ok() && !published_.bundle_sha256().empty()) follower->Tell(published_);
  }
  if (!refused.ok()) follower->End(ToGrpc(refused));
  follower->Start();
  return follower.get();
}

grpc::ServerWriteReactor<v1::FetchChunk>* BundleService::Fetch(grpc::CallbackServerContext* context,
                                                               const v1::FetchRequest* request) {
  SharedFiles files;
  const std::string* data = nullptr;
  {
    MutexLock lock(&mutex_);
    for (const SharedFiles& each : files_) {
      const auto found = each->files.find(request->sha256());
      if (found == each->files.end()) continue;
      files = each;
      data = &found->second;
    }
  }
  const bool busy = ++senders_ > kMaxSenders;  // the sender takes it back
  auto* sender = new Sender(files, data, &senders_);
  if (busy) {
    sender->Finish(ToGrpc(absl::ResourceExhaustedError(
        absl::StrCat(kMaxSenders, " files are being fetched already; try again later"))));
  } else if (data != nullptr) {
    sender->Next();
  } else if (request->sha256().size() != 32) {
    sender->Finish(ToGrpc(absl::InvalidArgumentError(
        absl::StrCat("sha256 has ", request->sha256().size(), " bytes, expected 32"))));
  } else {
    sender->Finish(ToGrpc(absl::NotFoundError(
        absl::StrCat("no file with SHA-256 ", ToHex(request->sha256()), " is served here"))));
  }
  return sender;
}

grpc::ServerUnaryReactor* BundleService::Report(grpc::CallbackServerContext* context,
                                                const v1::BundleReport* request,
                                                v1::BundleReportReply* reply) {
  absl::Status status;
  if (request->bundle_sha256().size() != 32) {
    status = absl::InvalidArgumentError(
        absl::StrCat("bundle_sha256 has ", request->bundle_sha256().size(), " bytes, expected 32"));
  } else if (request->node().empty() || request->node().size() > kMaxNodeName) {
    status = absl::InvalidArgumentError(
        absl::StrCat("node has ", request->node().size(), " bytes, expected 1 to ", kMaxNodeName));
  } else if (request->position_size() > kMaxPositions) {
    status = absl::InvalidArgumentError(
        absl::StrCat(request->position_size(), " positions, expected at most ", kMaxPositions));
  } else {
    v1::BundleReport report = *request;
    report.set_reason(CutText(report.reason(), kMaxStatusMessage));
    MutexLock lock(&mutex_);
    if (heard_) heard_(report);
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpc(status));
  return reactor;
}

}  // namespace ddnn

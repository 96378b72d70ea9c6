#include "train/process_group.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/net/own_address.h"
#include "train/rank_store.h"

// LibTorch says that it was built with NCCL; its headers for us are NVIDIA's.
#if defined(USE_C10D_NCCL) && __has_include(<nccl.h>)
#define DDNN_TRAIN_NCCL 1
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace ddnn::train {
namespace {

// RankWatch finds out sooner, and can tell a rank that is busy from one that is gone.
constexpr std::chrono::milliseconds kExchangeTimeout = std::chrono::hours(24);
constexpr std::chrono::milliseconds kLook = std::chrono::seconds(1);

std::shared_ptr<::gloo::transport::Device> GlooDevice(const RankEnvironment& environment) {
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && interface[0] != '\0') {
    return c10d::ProcessGroupGloo::createDeviceForInterface(interface);
  }
  const std::string address = OwnAddressTowards(environment.address, environment.port);
  return address.empty() ? c10d::ProcessGroupGloo::createDefaultDevice()
                         : c10d::ProcessGroupGloo::createDeviceForHostname(address);
}

// A constructor's timeout is that of connecting and of every exchange.
class Gloo : public c10d::ProcessGroupGloo {
 public:
  Gloo(const c10::intrusive_ptr<c10d::Store>& keys, const RankEnvironment& environment,
       const c10::intrusive_ptr<Options>& connect)
      : ProcessGroupGloo(keys, environment.rank, environment.world_size, connect) {
    for (const auto& context : contexts_) context->setTimeout(kExchangeTimeout);
  }
};

}  // namespace

struct ProcessGroup::Backends {
  c10::intrusive_ptr<Gloo> gloo;
#ifdef DDNN_TRAIN_NCCL
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> nccl;
#endif
};

ProcessGroup::ProcessGroup(const RankEnvironment& environment, const std::atomic<bool>* stop)
    : environment_(environment), stop_(stop), backends_(std::make_unique<Backends>()) {}

absl::StatusOr<std::unique_ptr<ProcessGroup>> ProcessGroup::Join(const RankEnvironment& environment,
                                                                 const std::atomic<bool>* stop,
                                                                 bool cuda,
                                                                 const RankTimes& times) {
  // To write to a rank that is gone is an error, as in Python, for which LibTorch's sockets are
  // made.
  signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<ProcessGroup> group(new ProcessGroup(environment, stop));
  absl::StatusOr<std::unique_ptr<RankWatch>> watch = RankWatch::Join(environment, stop, times);
  if (!watch.ok()) return watch.status();
  group->watch_ = *std::move(watch);
  const auto keys = [&](const char* prefix) {
    return c10::make_intrusive<c10d::PrefixStore>(prefix, group->watch_->store().keys);
  };
  try {
    const std::chrono::milliseconds connect = absl::ToChronoMilliseconds(times.connect);
    group->watch_->store().tcp->setTimeout(connect);
    const auto options = c10d::ProcessGroupGloo::Options::create(connect);
    options->devices.push_back(GlooDevice(environment));
    options->threads = 1;
    group->backends_->gloo = c10::make_intrusive<Gloo>(keys("gloo"), environment, options);
#ifdef DDNN_TRAIN_NCCL
    if (cuda) {
      group->backends_->nccl =
          c10::make_intrusive<c10d::ProcessGroupNCCL>(keys("nccl"), group->rank(), group->size());
    }
#else
    static_cast<void>(cuda);
#endif
  } catch (const std::exception& error) {
    const absl::Status status = group->watch_->WhoseFault(FirstLine(error));
    group->Leave(status);
    return status;
  }
  return group;
}

ProcessGroup::~ProcessGroup() {
  // Gloo waits for exchanges that can no longer come about.
  if (broken_ && backends_ != nullptr) static_cast<void>(backends_.release());
}

template <typename Work>
void ProcessGroup::Finish(const Work& work) {
  while (true) {
    std::string error;
    try {
      work->wait(kLook);
      return;
    } catch (const std::exception& e) {
      error = FirstLine(e);
    }
    // What was thrown may only be that it takes longer.
    const bool failed = work->isCompleted();
    const absl::Status status = failed ? watch_->WhoseFault(error) : watch_->Check();
    if (!status.ok()) throw ExchangeError(status);
  }
}

template <typename Start>
void ProcessGroup::Exchange(const Start& start) {
  if (broken_) throw ExchangeError(absl::UnavailableError("an exchange failed before"));
  broken_ = true;  // until it has come about
  at::NoGradGuard no_grad;
  try {
    Finish(start());
  } catch (const ExchangeError&) {
    throw;
  } catch (const std::exception& error) {
    throw ExchangeError(watch_->WhoseFault(FirstLine(error)));
  }
  broken_ = false;
}

// Tensors of an exchange own their memory: one that is given up may still be written to.
void ProcessGroup::Sum(absl::Span<double> values) {
  const auto size = static_cast<int64_t>(values.size());
  std::vector<at::Tensor> tensors = {at::empty({size + 1}, at::kDouble)};
  double* all = tensors[0].data_ptr<double>();
  std::copy(values.begin(), values.end(), all);
  all[size] = stop_ != nullptr && *stop_ ? 1 : 0;
  Exchange([&] { return backends_->gloo->allreduce(tensors); });
  stop_agreed_ = stop_agreed_ || all[size] > 0;
  std::copy(all, all + size, values.begin());
}

void ProcessGroup::Sum(const at::Tensor& values) {
#ifdef DDNN_TRAIN_NCCL
  if (values.is_cuda() && backends_->nccl) {
    std::vector<at::Tensor> there = {values};
    Exchange([&] { return backends_->nccl->allreduce(there); });
    return;
  }
#endif
  std::vector<at::Tensor> tensors = {values.to(at::kCPU)};
  Exchange([&] { return backends_->gloo->allreduce(tensors); });
  if (!values.is_cpu()) values.copy_(tensors[0]);
}

void ProcessGroup::Broadcast(std::string* bytes) {
  std::vector<at::Tensor> tensors = {at::full({1}, static_cast<int64_t>(bytes->size()), at::kLong)};
  Exchange([&] { return backends_->gloo->broadcast(tensors); });
  const int64_t size = tensors[0].item<int64_t>();
  bytes->resize(size);
  if (size == 0) return;
  tensors = {at::empty({size}, at::kByte)};
  uint8_t* all = tensors[0].data_ptr<uint8_t>();
  std::copy(bytes->begin(), bytes->end(), all);
  Exchange([&] { return backends_->gloo->broadcast(tensors); });
  bytes->assign(all, all + size);
}

void ProcessGroup::Broadcast(const std::vector<at::Tensor>& tensors) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> parts;
  for (const at::Tensor& t : tensors) parts.push_back(t.detach().to(at::kCPU).reshape(-1));
  std::vector<at::Tensor> all = {at::cat(parts)};
  Exchange([&] { return backends_->gloo->broadcast(all); });
  int64_t begin = 0;
  for (const at::Tensor& t : tensors) {
    t.detach().copy_(all[0].narrow(0, begin, t.numel()).view(t.sizes()));
    begin += t.numel();
  }
}

}  // namespace ddnn::train

#include "train/rank_watch.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "train/rank_store.h"

namespace ddnn::train {
namespace {

constexpr absl::Duration kTry = absl::Seconds(2);
constexpr absl::Duration kWhileWaiting = absl::Milliseconds(50);
constexpr absl::Duration kFarewell = absl::Seconds(8);
constexpr size_t kMostReason = 500;
// How a rank left.
constexpr char kDone[] = "done", kLost[] = "lost ", kEnded[] = "ended ", kStopped[] = "stopped";

// Not the wall clock: when that is set, nobody has fallen silent.
absl::Time SteadyNow() {
  return absl::UnixEpoch() + absl::FromChrono(std::chrono::steady_clock::now().time_since_epoch());
}

using Keys = c10::intrusive_ptr<c10d::Store>;

std::string Key(const char* what, int rank) { return absl::StrCat(what, "/", rank); }

// Newer LibTorch would serve with libuv, which Debian builds it without.
template <typename Options>
auto ServeWithoutLibUv(Options* options, int) -> decltype(options->useLibUV = false, void()) {
  options->useLibUV = false;
}
template <typename Options>
void ServeWithoutLibUv(Options*, long) {}

c10::intrusive_ptr<c10d::Store> OpenStore(const RankEnvironment& environment, bool serve) {
  c10d::TCPStoreOptions options;
  ServeWithoutLibUv(&options, 0);
  options.port = environment.port;
  options.isServer = serve;
  options.waitWorkers = false;
  options.timeout = absl::ToChronoMilliseconds(kTry);
  return c10::make_intrusive<c10d::TCPStore>(environment.address, options);
}

}  // namespace

// What is known of the ranks; the thread's are its connection and what it has told.
struct RankWatch::State {
  explicit State(const RankEnvironment& e, const RankTimes& t)
      : environment(e), times(t), others(e.world_size) {}

  struct Rank {
    int64_t beats = 0, meetings = 0;
    absl::Time moved = SteadyNow();
    std::string left;  // empty: it is there
  };

  const RankEnvironment environment;
  const RankTimes times;

  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Rank> others;  // by rank, this one too
  int64_t meetings = 0;
  bool waiting = false;  // look more often
  std::string leaving;   // to be told
  bool told = false, ending = false, ended = false;
  std::string store_error;
  absl::Time answered = SteadyNow();

  void Run(Keys keys);
  void Round(const Keys& keys, std::unique_lock<std::mutex>* lock);
  std::string Keeper() const;
  absl::Status Missing(absl::Duration silence) const;
};

std::string RankWatch::State::Keeper() const {
  return absl::StrCat(environment.agent_store ? "torchrun" : "rank 0", " is gone: the store at ",
                      environment.address, ":", environment.port, " does not answer");
}

// Called with the mutex held.
absl::Status RankWatch::State::Missing(absl::Duration silence) const {
  for (const char* how : {kEnded, kLost, kStopped}) {
    for (size_t r = 0; r < others.size(); ++r) {
      const std::string& left = others[r].left;
      if (static_cast<int>(r) == environment.rank || !absl::StartsWith(left, how)) continue;
      if (how == kStopped) return absl::CancelledError(absl::StrCat("rank ", r, " was stopped"));
      const std::string why = left.substr(std::string(how).size());
      return absl::UnavailableError(how == kEnded ? absl::StrCat("rank ", r, " ended: ", why)
                                                  : why);
    }
  }
  const absl::Time now = SteadyNow();
  if (!store_error.empty() || now - answered > silence) return absl::UnavailableError(Keeper());
  std::vector<size_t> gone;
  for (size_t r = 0; r < others.size(); ++r) {
    if (static_cast<int>(r) == environment.rank || !others[r].left.empty()) continue;
    if (now - others[r].moved > silence) gone.push_back(r);
  }
  if (gone.empty()) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("rank ", absl::StrJoin(gone, ", rank "),
                                             " is gone: no sign of life for ",
                                             absl::FormatDuration(silence)));
}

// One exchange with the store. It may take any time: nothing is locked meanwhile.
void RankWatch::State::Round(const Keys& keys, std::unique_lock<std::mutex>* lock) {
  const int64_t here = meetings;
  const int64_t before = others[environment.rank].meetings;
  const std::string farewell = told ? "" : leaving;
  std::vector<Rank> seen = others;
  lock->unlock();
  if (!farewell.empty()) {
    keys->set(Key("left", environment.rank),
              std::vector<uint8_t>(farewell.begin(), farewell.end()));
  }
  seen[environment.rank].meetings = keys->add(Key("met", environment.rank), here - before);
  for (int r = 0; r < environment.world_size; ++r) {
    const int64_t beats = keys->add(Key("beat", r), r == environment.rank ? 1 : 0);
    if (beats != seen[r].beats) seen[r].moved = SteadyNow();
    seen[r].beats = beats;
    if (r == environment.rank) continue;
    seen[r].meetings = keys->add(Key("met", r), 0);
    if (!seen[r].left.empty() || !keys->check({Key("left", r)})) continue;
    const std::vector<uint8_t> left = keys->get(Key("left", r));
    seen[r].left.assign(left.begin(), left.end());
  }
  lock->lock();
  others = std::move(seen);
  answered = SteadyNow();
  told = told || !farewell.empty();
}

void RankWatch::State::Run(Keys keys) {
  std::unique_lock<std::mutex> lock(mutex);
  while (!ending && store_error.empty()) {
    try {
      Round(keys, &lock);
    } catch (const std::exception& error) {
      if (!lock.owns_lock()) lock.lock();
      store_error = FirstLine(error);
    }
    changed.notify_all();
    if (ending || !store_error.empty()) break;
    const int64_t here = meetings;
    const bool busy = waiting;
    changed.wait_for(lock, absl::ToChronoMilliseconds(busy ? kWhileWaiting : times.beat), [&] {
      return ending || meetings != here || (!leaving.empty() && !told) || waiting != busy;
    });
  }
  ended = true;
  changed.notify_all();
}

RankWatch::RankWatch(const RankEnvironment& environment, const RankTimes& times)
    : environment_(environment), times_(times), store_(std::make_unique<Store>()) {}

absl::StatusOr<std::unique_ptr<RankWatch>> RankWatch::Join(const RankEnvironment& environment,
                                                           const std::atomic<bool>* stop,
                                                           const RankTimes& times) {
  std::unique_ptr<RankWatch> watch(new RankWatch(environment, times));
  const absl::Time deadline = SteadyNow() + times.come;
  const bool serve = environment.rank == 0 && !environment.agent_store;
  Keys keys;
  while (!watch->store_->tcp || !keys) {
    try {
      Keys& to = watch->store_->tcp ? keys : watch->store_->tcp;
      to = OpenStore(environment, serve && !watch->store_->tcp);
    } catch (const std::exception& error) {
      if (serve || SteadyNow() > deadline) {
        return absl::UnavailableError(absl::StrCat(
            serve ? "cannot keep the store at " : "rank 0 has not come: no store at MASTER_ADDR:",
            serve ? "" : "MASTER_PORT ", environment.address, ":", environment.port, ": ",
            FirstLine(error)));
      }
    }
    if (stop != nullptr && *stop) return absl::CancelledError("interrupted");
  }
  try {
    watch->store_->keys =
        c10::make_intrusive<c10d::PrefixStore>(environment.prefix, watch->store_->tcp);
    keys = c10::make_intrusive<c10d::PrefixStore>(environment.prefix, keys);
    if (keys->add(Key("taken", environment.rank), 1) != 1) {
      return absl::AlreadyExistsError(absl::StrCat(
          "RANK=", environment.rank, " is taken by another process that uses the store at ",
          environment.address, ":", environment.port));
    }
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("the store at ", environment.address, ":",
                                               environment.port, ": ", FirstLine(error)));
  }
  watch->state_ = std::make_shared<State>(environment, times);
  std::thread([state = watch->state_, keys] { state->Run(keys); }).detach();
  absl::Status all = watch->Meet(stop, deadline);
  if (!all.ok()) {
    watch->Leave(all);
    return all;
  }
  return watch;
}

RankWatch::~RankWatch() {
  if (state_ == nullptr) return;
  Leave(absl::OkStatus());
  std::unique_lock<std::mutex> lock(state_->mutex);
  state_->ending = true;
  state_->changed.notify_all();
  // Not joined: where the store's machine is gone, the thread may wait for it for ever.
  state_->changed.wait_for(lock, std::chrono::seconds(1), [&] { return state_->ended; });
}

absl::Status RankWatch::Check() {
  std::unique_lock<std::mutex> lock(state_->mutex);
  return state_->Missing(times_.silence);
}

absl::Status RankWatch::WhoseFault(const std::string& error) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  const absl::Time deadline = SteadyNow() + 2 * times_.evidence;
  while (SteadyNow() < deadline) {
    absl::Status status = state_->Missing(times_.evidence);
    if (!status.ok()) return status;
    state_->changed.wait_for(lock, absl::ToChronoMilliseconds(kWhileWaiting));
  }
  return absl::UnavailableError(
      absl::StrCat("all ranks are there, but an exchange between them failed: ", error));
}

absl::Status RankWatch::Meet(const std::atomic<bool>* stop) {
  return Meet(stop, absl::InfiniteFuture());
}

absl::Status RankWatch::Meet(const std::atomic<bool>* stop, absl::Time deadline) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  const bool first = state_->meetings == 0;
  const int64_t number = ++state_->meetings;
  state_->waiting = true;
  state_->changed.notify_all();
  absl::Status status;
  while (status.ok()) {
    std::vector<int> late;
    for (int r = 0; r < environment_.world_size; ++r) {
      if (state_->others[r].meetings >= number) continue;
      late.push_back(r);
      // It has nothing more to do where others have: they would wait for ever.
      if (state_->others[r].left == kDone) {
        status = absl::UnavailableError(absl::StrCat("rank ", r, " has ended before the others"));
      }
    }
    if (late.empty() || !status.ok()) break;
    // Who has not come at all is not silent.
    status = state_->Missing(first ? absl::InfiniteDuration() : times_.silence);
    if (status.ok() && stop != nullptr && *stop) status = absl::CancelledError("interrupted");
    if (status.ok() && SteadyNow() > deadline) {
      status = absl::DeadlineExceededError(absl::StrCat("rank ", absl::StrJoin(late, ", rank "),
                                                        " has not come within ",
                                                        absl::FormatDuration(times_.come)));
    }
    if (status.ok()) state_->changed.wait_for(lock, absl::ToChronoMilliseconds(kWhileWaiting));
  }
  state_->waiting = false;
  return status;
}

void RankWatch::Leave(const absl::Status& why) {
  std::unique_lock<std::mutex> lock(state_->mutex);
  if (!state_->leaving.empty()) return;
  const std::string reason = std::string(why.message()).substr(0, kMostReason);
  state_->leaving = why.ok()                   ? kDone
                    : absl::IsCancelled(why)   ? kStopped
                    : absl::IsUnavailable(why) ? absl::StrCat(kLost, reason)
                                               : absl::StrCat(kEnded, reason);
  state_->waiting = true;
  state_->changed.notify_all();
  const bool keeps_store = environment_.rank == 0 && !environment_.agent_store;
  const absl::Time deadline = SteadyNow() + kFarewell;
  const auto settled = [&] {
    if (state_->ended || SteadyNow() > deadline) return true;
    if (!state_->told) return false;
    for (int r = 0; keeps_store && r < environment_.world_size; ++r) {
      const State::Rank& other = state_->others[r];
      if (r == environment_.rank || other.beats == 0 || !other.left.empty()) continue;
      if (SteadyNow() - other.moved <= times_.evidence) return false;
    }
    return true;
  };
  while (!settled()) state_->changed.wait_for(lock, absl::ToChronoMilliseconds(kWhileWaiting));
}

}  // namespace ddnn::train

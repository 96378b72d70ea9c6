#include "datasets/live_source.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"

namespace ddnn {
namespace {

// A clock that is set while someone waits for it is looked at again so often.
constexpr absl::Duration kLookAgain = absl::Seconds(1);
// For videos that do not say how fast they are, or nonsense.
constexpr double kUsualRate = 25, kMaxRate = 1000;
// How exactly it is told how long a camera was gone.
constexpr absl::Duration kTold = absl::Milliseconds(100);

}  // namespace

LiveSource::LiveSource(Opener open, Options options)
    : open_(std::move(open)),
      options_(std::move(options)),
      clock_(options_.period),
      backoff_(options_.min_backoff, options_.max_backoff, options_.seed) {
  clock_.OnGone();
  thread_ = std::thread([this] { Loop(); });
}

LiveSource::~LiveSource() {
  Stop();
  thread_.join();
}

void LiveSource::Stop() {
  std::lock_guard<std::mutex> lock(mu_);
  stopping_ = true;
  if (reader_ != nullptr) reader_->Interrupt();
  changed_.notify_all();
}

absl::StatusOr<Frame> LiveSource::Next() {
  std::unique_lock<std::mutex> lock(mu_);
  if (!clock_.started()) clock_.Start(Now());
  while (true) {
    if (stopping_) return absl::CancelledError(absl::StrCat(options_.name, ": stopped"));
    if (!failed_.ok()) return failed_;
    absl::StatusOr<std::optional<Frame>> frame = clock_.Take(Now());
    if (!frame.ok()) return frame.status();
    if (frame->has_value()) return **std::move(frame);
    const absl::Duration wait = std::min(clock_.NextDue() - Now(), kLookAgain);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(wait));
  }
}

FrameCounts LiveSource::counts() const {
  std::lock_guard<std::mutex> lock(mu_);
  FrameCounts counts = clock_.counts();
  counts.losses = losses_;
  return counts;
}

// ---- The reading thread ----

void LiveSource::Loop() {
  while (true) {
    absl::StatusOr<std::unique_ptr<VideoReader>> reader = open_();
    const absl::Status ended = reader.ok() ? Play(reader->get()) : reader.status();
    {
      std::lock_guard<std::mutex> lock(mu_);
      reader_ = nullptr;
      if (stopping_) return;
      if (absl::IsInvalidArgument(ended)) {
        failed_ = ended;
        changed_.notify_all();
        return;
      }
    }
    Gone(ended);
    reader = absl::CancelledError();  // a camera is let go before it is opened again
    std::unique_lock<std::mutex> lock(mu_);
    changed_.wait_for(lock, absl::ToChronoNanoseconds(backoff_.Next()),
                      [this] { return stopping_; });
    if (stopping_) return;
  }
}

// Until the reader ends, and why it did.
absl::Status LiveSource::Play(VideoReader* reader) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    reader_ = reader;
    if (stopping_) return absl::CancelledError("stopped");
  }
  const auto started = std::chrono::steady_clock::now();
  for (uint64_t nth = 0;; ++nth) {
    absl::Status status = reader->Grab();
    if (!status.ok()) return status;
    if (options_.paced && !WaitForPace(reader->rate(), nth, started)) break;
    const absl::Time captured = Now();
    const Picture picture = Came(captured);
    if (picture == Picture::kStop) break;
    if (picture == Picture::kSkip) continue;
    absl::StatusOr<std::string> pixels = reader->Retrieve();
    if (absl::IsDataLoss(pixels.status())) {
      Unreadable(captured, pixels.status());
      continue;
    }
    if (!pixels.ok()) return pixels.status();
    std::lock_guard<std::mutex> lock(mu_);
    if (stopping_) break;
    told_unreadable_ = false;
    clock_.OnPicture(captured, *std::move(pixels));
    changed_.notify_all();
  }
  return absl::CancelledError("stopped");
}

// False when the source is stopped.
bool LiveSource::WaitForPace(double rate, uint64_t nth,
                             std::chrono::steady_clock::time_point started) {
  if (!(rate > 0 && rate <= kMaxRate)) rate = kUsualRate;
  const std::chrono::duration<double> after(static_cast<double>(nth) / rate);
  const auto due = started + std::chrono::duration_cast<std::chrono::steady_clock::duration>(after);
  std::unique_lock<std::mutex> lock(mu_);
  return !changed_.wait_until(lock, due, [this] { return stopping_; });
}

// A picture was captured. Is it worth decoding?
LiveSource::Picture LiveSource::Came(absl::Time captured) {
  std::string back;
  bool wanted;
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (stopping_) return Picture::kStop;
    if (!std::exchange(here_, true)) {
      clock_.OnBack();
      here_since_ = std::chrono::steady_clock::now();
      if (std::exchange(told_gone_, false)) {
        const absl::Duration gone = absl::FromChrono(here_since_ - gone_since_);
        back = absl::StrCat(options_.name, ": is there after ",
                            absl::FormatDuration(absl::Trunc(gone, kTold)));
      }
    }
    wanted = clock_.Wants(captured);
    if (!wanted) clock_.Drop(captured);
  }
  if (!back.empty()) Say(back);
  return wanted ? Picture::kDecode : Picture::kSkip;
}

void LiveSource::Unreadable(absl::Time captured, const absl::Status& why) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    if (stopping_) return;
    clock_.Drop(captured, "unreadable");
    if (std::exchange(told_unreadable_, true)) return;
  }
  Say(std::string(why.message()));
}

void LiveSource::Gone(const absl::Status& why) {
  {
    std::lock_guard<std::mutex> lock(mu_);
    const auto now = std::chrono::steady_clock::now();
    if (std::exchange(here_, false)) {
      ++losses_;
      backoff_.Stayed(absl::FromChrono(now - here_since_));
    }
    clock_.OnGone();
    changed_.notify_all();
    if (std::exchange(told_gone_, true)) return;
    gone_since_ = now;
  }
  Say(absl::StrCat(std::string(why.message()), "; trying on"));
}

void LiveSource::Say(const std::string& text) const {
  if (options_.say) options_.say(text);
}

}  // namespace ddnn

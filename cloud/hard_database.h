#ifndef DDNN_CLOUD_HARD_DATABASE_H_
#define DDNN_CLOUD_HARD_DATABASE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "runtime/core/answer.h"

namespace ddnn {

/// A sample the root was unsure about too, or that a device was while it could not ask.
struct HardRecord {
  int64_t id = 0;  ///< given by the store, growing
  SampleKey sample;
  absl::Time time = absl::UnixEpoch();  ///< microseconds are kept
  int class_index = 0;
  std::string class_name;
  float entropy = 1;
  uint64_t presence = 0;      ///< bit v: view v contributed
  std::vector<float> scores;  ///< [C]
  std::string features;       ///< what the root computed with, as KeepHard gave it
  std::string label;          ///< class name; empty until somebody labels it
  std::string bundle_sha256;  ///< lower-case hexadecimal
  /// A device answered it alone: time, class (empty: none) and entropy are the device's, features
  /// those of its view.
  bool alone = false;
  std::string exit;  ///< where alone: that gave the answer
  /// Pictures by view, [C, H, W] 8 bit. Lists name the views and leave the bytes empty.
  std::vector<std::pair<int, std::string>> pixels;
};

/// Pictures that came for a sample after it was kept.
struct HardPictures {
  SampleKey sample;
  std::vector<std::pair<int, std::string>> pixels;
};

/// A sample that a device kept while it was alone: one view's, stored once however often it comes.
struct HardAlone {
  int view = 0;
  std::string log;      ///< that the device keeps it in
  uint32_t number = 0;  ///< its place there, from 1
  uint32_t after = 0;   ///< not stored before that place is; 0: none
  /// The root may have stored the sample itself, about the same time; then only the picture counts.
  bool in_doubt = false;
  HardRecord record;
};

using HardWrite = std::variant<HardRecord, HardPictures, HardAlone>;

/// Which samples to list; everything by default.
struct HardFilter {
  std::optional<absl::Time> since;  ///< inclusive
  std::optional<absl::Time> until;  ///< exclusive
  std::string class_name;           ///< empty: any
  float min_entropy = 0;
  bool only_labelled = false;
  bool only_unlabelled = false;
};

/// Place in a list, newest first: the last sample of the page before.
struct HardCursor {
  int64_t time_us = 0;
  int64_t id = 0;
};

struct HardPage {
  std::vector<HardRecord> samples;  ///< newest first, without features and picture bytes
  std::optional<HardCursor> next;   ///< absent: this was the last page
  int64_t total = 0;                ///< samples that match, on all pages
};

struct HardDatabaseCounters {
  int64_t samples = 0;  ///< in the database now
  int64_t bytes = 0;    ///< what they count for, at most the bound
  uint64_t evicted = 0;
  uint64_t refused = 0;   ///< larger than the whole bound, or pictures of a sample that is not here
  uint64_t alone = 0;     ///< kept by devices, stored since it was opened
  uint64_t repeated = 0;  ///< of these, came again, or were known already
};

/// Hard samples in one SQLite file (WAL): bounded in bytes, the oldest out first with its pictures.
///
/// A sample counts for its blobs plus kRowBytes for its row and index entries. The file itself
/// keeps the size it once reached and is filled again. A process killed at any time leaves all
/// finished writes. One process at a time has the file. Not safe to call from several threads at
/// once.
class HardDatabase {
 public:
  static constexpr int64_t kRowBytes = 256;

  /// Opens or creates. FAILED_PRECONDITION, naming the file: another kind of database or schema
  /// version, or a file that another process has open. DATA_LOSS: not a database, or damaged.
  static absl::StatusOr<std::unique_ptr<HardDatabase>> Open(const std::string& path,
                                                            int64_t max_bytes);
  ~HardDatabase();

  /// All of them in one transaction, or none. A picture of a view replaces the one before; pictures
  /// go to the newest sample of their key. With a HardAlone among them it returns when the disk has
  /// it: a device deletes its own then.
  ///
  /// \param stored  if not null: for each HardAlone in turn, up to which place its log is stored.
  absl::Status Write(absl::Span<const HardWrite> writes, std::vector<uint32_t>* stored = nullptr);

  absl::StatusOr<HardPage> List(const HardFilter& filter, int page_size,
                                const std::optional<HardCursor>& after);
  /// With features and pictures. NOT_FOUND names the id.
  absl::StatusOr<HardRecord> Get(int64_t id);
  /// An empty label takes it back. NOT_FOUND names the id.
  absl::Status SetLabel(int64_t id, const std::string& label);
  /// The oldest sample with a larger id, with features and pictures; none: the end.
  absl::StatusOr<std::optional<HardRecord>> Next(int64_t after_id, bool only_labelled);

  const HardDatabaseCounters& counters() const;

 private:
  class Impl;
  explicit HardDatabase(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace ddnn

#endif  // DDNN_CLOUD_HARD_DATABASE_H_

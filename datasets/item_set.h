#ifndef DDNN_DATASETS_ITEM_SET_H_
#define DDNN_DATASETS_ITEM_SET_H_

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "datasets/dataset.h"
#include "datasets/idx.h"

namespace ddnn {

/// One grey picture of one thing, before anybody looks at it.
struct Item {
  static constexpr int kSide = 28;
  std::array<uint8_t, kSide* kSide> pixels = {};
  int label = 0;
  uint64_t key = 0;  ///< names the item whatever the split: file << 32 | index in the file
};

/// The items of a set laid out as MNIST is: four IDX files in one folder.
///
/// Its train and t10k files become three splits by SplitPictures. Safe to read from several
/// threads.
class ItemSet {
 public:
  static constexpr int kSide = Item::kSide;

  /// `name` is for messages; `hint` follows when a file is missing. With `only_test` the train file
  /// is not read, train and calibration are empty, and of the test file only labels are held: its
  /// pictures are read as they are asked for, best in order.
  static absl::StatusOr<std::shared_ptr<const ItemSet>> Open(const std::string& dir,
                                                             std::vector<std::string> class_names,
                                                             const std::string& hint,
                                                             bool only_test);

  const std::vector<std::string>& class_names() const { return class_names_; }
  int64_t size(Split split) const { return static_cast<int64_t>(Members(split).size()); }
  /// \param index  in [0, size(split)). What is wrong with a file is INVALID_ARGUMENT at the latest
  /// here, and names it.
  absl::StatusOr<Item> Get(Split split, int64_t index) const;

 private:
  struct File {
    IdxArray images;                // empty where there are `rows`
    std::unique_ptr<IdxRows> rows;  // of pictures
    IdxArray labels;
  };

  static absl::StatusOr<File> ReadPair(const std::string& dir, const std::string& prefix,
                                       int classes, const std::string& hint, bool hold);
  const std::vector<uint32_t>& Members(Split split) const {
    return members_[static_cast<int>(split)];
  }

  std::vector<std::string> class_names_;
  File train_, test_;
  mutable std::mutex reading_;                    // of test_.rows
  std::array<std::vector<uint32_t>, 3> members_;  // by Split; see SplitPictures
};

/// `fashion-mnist` or `mnist` in `dir`, or in their usual place if it is empty. INVALID_ARGUMENT
/// for another name.
absl::StatusOr<std::shared_ptr<const ItemSet>> OpenItems(const std::string& name,
                                                         const std::string& dir, bool only_test);

}  // namespace ddnn

#endif  // DDNN_DATASETS_ITEM_SET_H_

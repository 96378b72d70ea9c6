#ifndef DDNN_TRAIN_RANK_STORE_H_
#define DDNN_TRAIN_RANK_STORE_H_

#include <exception>
#include <string>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "train/rank_watch.h"

namespace ddnn::train {

/// LibTorch's classes, kept out of rank_watch.h.
struct RankWatch::Store {
  c10::intrusive_ptr<c10d::Store> tcp;  ///< in rank 0 it also serves
  c10::intrusive_ptr<c10d::Store> keys;
};

/// What an exception says, without LibTorch's stack trace.
inline std::string FirstLine(const std::exception& error) {
  const std::string text = error.what();
  return text.substr(0, text.find('\n'));
}

}  // namespace ddnn::train

#endif  // DDNN_TRAIN_RANK_STORE_H_

#include "train/prefetcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace ddnn::train {
namespace {

TEST(Prefetcher, GivesWhatALoopWouldGiveWhateverTheThreads) {
  for (const int threads : {1, 2, 5}) {
    for (const int64_t ahead : {0, 1, 3, 100}) {
      std::vector<std::atomic<int>> made(200);
      Prefetcher<std::string> ready(200, threads, ahead, [&](int64_t i) {
        if (i % 7 == 0) std::this_thread::yield();
        ++made[i];
        return std::to_string(i * i);
      });
      for (int64_t i = 0; i < 200; ++i) ASSERT_EQ(ready.Next(), std::to_string(i * i));
      for (const std::atomic<int>& times : made) ASSERT_EQ(times, 1);
    }
  }
}

TEST(Prefetcher, IsNeverFurtherAheadThanItMay) {
  std::atomic<int64_t> asked{0};
  std::atomic<int64_t> furthest{0};
  Prefetcher<int64_t> ready(300, 4, 3, [&](int64_t i) {
    int64_t seen = furthest;
    while (i - asked > seen && !furthest.compare_exchange_weak(seen, i - asked)) {
    }
    return i;
  });
  for (int64_t i = 0; i < 300; ++i) {
    ++asked;  // before Next makes room
    ready.Next();
  }
  // Number i is begun once more than i - 3 were given.
  EXPECT_LE(furthest, 2);
}

TEST(Prefetcher, ThrowsAtItsPlaceWhatMakingThrew) {
  Prefetcher<int> ready(4, 2, 4, [](int64_t i) {
    if (i == 2) throw std::runtime_error("the third");
    return static_cast<int>(i);
  });
  EXPECT_EQ(ready.Next(), 0);
  EXPECT_EQ(ready.Next(), 1);
  EXPECT_THROW(ready.Next(), std::runtime_error);
  EXPECT_EQ(ready.Next(), 3);
}

TEST(Prefetcher, EndsWithoutMakingTheRest) {
  std::atomic<int> made{0};
  {
    Prefetcher<std::unique_ptr<int>> ready(1000000, 3, 4, [&](int64_t i) {
      ++made;
      return std::make_unique<int>(static_cast<int>(i));
    });
    EXPECT_EQ(*ready.Next(), 0);
  }
  EXPECT_LE(made, 5);
}

}  // namespace
}  // namespace ddnn::train

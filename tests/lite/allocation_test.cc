// After its first sample an engine allocates what it hands over, and nothing else.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "runtime/lite/lite_engine.h"
#include "tests/engine/section_values.h"

namespace {
std::atomic<int64_t> g_allocations{0};
}  // namespace

// Not inlined: GCC would take the pairs of new and free for a mistake.
[[gnu::noinline]] void* operator new(size_t size) {
  ++g_allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(size_t size, std::align_val_t alignment) {
  ++g_allocations;
  const size_t unit = static_cast<size_t>(alignment);
  if (void* memory = std::aligned_alloc(unit, (size + unit - 1) / unit * unit)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, size_t) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace ddnn {
namespace {

class AllocationTest : public ::testing::TestWithParam<const char*> {};

TEST_P(AllocationTest, ASampleTakesNoMemoryButItsFeaturesAndScores) {
  const NetworkPlan plan = testing::PlanOf(GetParam());
  std::mt19937 rng(1);
  const v1::Section section = testing::RandomSection(plan, 0, 0, testing::Weights::kReal, &rng);
  auto engine = CreateLiteEngine(plan, section);
  ASSERT_TRUE(engine.ok()) << engine.status();
  const std::vector<SectionInput> batch = testing::RandomBatch(plan.node(0, 0), 1, &rng);
  ASSERT_TRUE((*engine)->Run(batch).ok());
  for (int i = 0; i < 3; ++i) {
    const int64_t before = g_allocations;
    auto out = (*engine)->Run(batch);
    // The outputs, and in them features and scores.
    EXPECT_EQ(g_allocations - before, 3);
    ASSERT_TRUE(out.ok()) << out.status();
  }
}

INSTANTIATE_TEST_SUITE_P(Sections, AllocationTest,
                         ::testing::Values(R"(
    name: 'binary' views: 1 class_name: ['a', 'b']
    input { channels: 3 height: 32 width: 32 offset: 0 scale: 0.00390625 }
    tier { name: 'device'
           layer { binary_conv { filters: 20 kernel: 5 stride: 2 padding: 2 } }
           layer { batch_norm {} } layer { sign {} }
           layer { binary_conv { filters: 70 kernel: 3 padding: 1 } }
           layer { max_pool { kernel: 3 stride: 2 padding: 1 } }
           layer { batch_norm {} } layer { sign {} }
           exit { name: 'e' layer { flatten {} } layer { binary_linear { outputs: 2 } }
                  layer { batch_norm {} } } })",
                                           R"(
    name: 'float' views: 1 class_name: ['a', 'b']
    input { channels: 1 height: 16 width: 16 offset: 128 scale: 0.0078125 }
    tier { name: 'device'
           layer { conv { filters: 16 kernel: 3 padding: 1 } } layer { batch_norm {} } layer { relu {} }
           layer { max_pool { kernel: 2 } } layer { conv { filters: 24 kernel: 3 } }
           layer { batch_norm {} } layer { sign {} }
           exit { name: 'e' layer { flatten {} } layer { linear { outputs: 2 } } } })"));

}  // namespace
}  // namespace ddnn

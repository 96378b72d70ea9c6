#ifndef DDNN_RUNTIME_LITE_ALIGNED_H_
#define DDNN_RUNTIME_LITE_ALIGNED_H_

#include <cstddef>
#include <new>
#include <vector>

namespace ddnn {
namespace lite {

/// For vectors whose loads should not cross lines of the cache.
template <typename T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t kAlignment{64};

  AlignedAllocator() = default;
  template <typename U>
  AlignedAllocator(const AlignedAllocator<U>&) {}

  T* allocate(size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), kAlignment));
  }
  void deallocate(T* memory, size_t) { ::operator delete(memory, kAlignment); }

  template <typename U>
  bool operator==(const AlignedAllocator<U>&) const {
    return true;
  }
  template <typename U>
  bool operator!=(const AlignedAllocator<U>&) const {
    return false;
  }
};

template <typename T>
using AlignedVector = std::vector<T, AlignedAllocator<T>>;

}  // namespace lite
}  // namespace ddnn

#endif  // DDNN_RUNTIME_LITE_ALIGNED_H_

#include <fourfold/base/frame_allocator.hpp>
#include <fourfold/base/sanitizers.hpp>

#include <array>
#include <cstdint>
#include <new>

namespace fourfold::detail {

namespace {

// Sizes are rounded up to 16 k + 8: what malloc can hand out of a block of 16 (k + 1) bytes beside its own 8.
constexpr std::size_t granule = 16;
constexpr std::size_t largest = 1024 + 8;
constexpr std::size_t class_of(std::size_t size) noexcept { return (size + granule / 2 - 1) / granule; }
constexpr std::size_t size_of(std::size_t index) noexcept { return index * granule + granule / 2; }
constexpr std::size_t classes = class_of(largest) + 1;
constexpr std::size_t kept_bytes_per_class = std::size_t{64} * 1024;

struct free_block {
  free_block* next;
};

struct size_class {
  free_block* first;
  std::uint32_t count;
};

// Plain data, so that reaching it costs no initialisation check; `cleaner` below frees the blocks at the
// thread's end.
constinit thread_local std::array<size_class, classes> kept{};
// Blocks are kept only while the cleaner is armed: not before this thread's first, and not after its last.
constinit thread_local bool keeps = false;

struct cleaner {
  cleaner() noexcept { keeps = true; }
  ~cleaner() {
    keeps = false;
    for (size_class& c : kept) {
      while (c.first != nullptr) {
        free_block* block = c.first;
        c.first = block->next;
        ::operator delete(block);
      }
    }
  }
};

void arm_cleaner() {
  static thread_local const cleaner at_thread_end;
  static_cast<void>(&at_thread_end); // constructs it
}

void* allocate_new(std::size_t rounded) {
  arm_cleaner();
  return ::operator new(rounded);
}

} // namespace

void* allocate_frame(std::size_t size) {
  if (under_address_sanitizer || size > largest)
    return ::operator new(size);
  const std::size_t index = class_of(size);
  size_class& c = kept[index];
  if (c.first == nullptr)
    return allocate_new(size_of(index));
  free_block* block = c.first;
  c.first = block->next;
  --c.count;
  return block;
}

void free_frame(void* memory, std::size_t size) noexcept {
  if (under_address_sanitizer || size > largest)
    return ::operator delete(memory);
  const std::size_t index = class_of(size);
  size_class& c = kept[index];
  if (c.count >= kept_bytes_per_class / size_of(index) || !keeps)
    return ::operator delete(memory);
  auto* block = static_cast<free_block*>(memory);
  block->next = c.first;
  c.first = block;
  ++c.count;
}

} // namespace fourfold::detail

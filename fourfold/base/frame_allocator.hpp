#pragma once

#include <fourfold/base/sanitizers.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace fourfold::detail {

struct free_frame_block {
  free_frame_block* next;
  /// How many there are from this one on. In the block and not beside the list, where each allocation would
  /// have to change it.
  std::uint32_t count;
};

/// A thread's free blocks of one size, and how many it keeps at most: none before the thread's first block and
/// after its last.
struct free_frame_list {
  free_frame_block* first = nullptr;
  std::uint32_t limit = 0;
};

// Sizes are rounded up to 16 k + 8: what malloc can hand out of a block of 16 (k + 1) bytes beside its own 8.
inline constexpr std::size_t frame_granule = 16;
inline constexpr std::size_t largest_kept_frame = 1024 + 8;
constexpr std::size_t frame_class_of(std::size_t size) noexcept {
  const std::size_t at_least = size < sizeof(free_frame_block) ? sizeof(free_frame_block) : size;
  return (at_least + frame_granule / 2 - 1) / frame_granule;
}
inline constexpr std::size_t frame_classes = frame_class_of(largest_kept_frame) + 1;

// Plain data, so that reaching it costs no initialisation check.
inline constinit thread_local std::array<free_frame_list, frame_classes> free_frames{};

/// The first block of its size, or one that is too large to be kept. Throws std::bad_alloc.
void* allocate_fresh_frame(std::size_t size);
/// One that is not kept.
void free_for_good(void* block) noexcept;

/// Memory for coroutine frames and the contexts that run them: freed blocks are kept by size, per thread, and
/// handed out again, which costs a few instructions where malloc costs tens. At most 64 KiB of each size are
/// kept. Under AddressSanitizer it is plain operator new, so that use after free is found.
inline void* allocate_frame(std::size_t size) {
  if (under_address_sanitizer || size > largest_kept_frame)
    return allocate_fresh_frame(size);
  free_frame_list& list = free_frames[frame_class_of(size)];
  free_frame_block* block = list.first;
  if (block == nullptr)
    return allocate_fresh_frame(size);
  list.first = block->next;
  return block;
}

inline void free_frame(void* memory, std::size_t size) noexcept {
  if (under_address_sanitizer || size > largest_kept_frame)
    return free_for_good(memory);
  free_frame_list& list = free_frames[frame_class_of(size)];
  free_frame_block* first = list.first;
  const std::uint32_t count = first == nullptr ? 0 : first->count;
  if (count >= list.limit)
    return free_for_good(memory);
  auto* block = static_cast<free_frame_block*>(memory);
  block->next = first;
  block->count = count + 1;
  list.first = block;
}

/// For classes that live as briefly as frames do.
struct frame_allocated {
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }
};

} // namespace fourfold::detail

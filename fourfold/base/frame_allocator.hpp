#pragma once

#include <cstddef>

namespace fourfold::detail {

/// Memory for coroutine frames and the contexts that run them: freed blocks are kept by size, per thread, and
/// handed out again, which costs a few instructions where malloc costs tens. At most `kept_bytes_per_class`
/// bytes of each size are kept. Under AddressSanitizer it is plain operator new, so that use after free is
/// found.
void* allocate_frame(std::size_t size);
void free_frame(void* block, std::size_t size) noexcept;

/// For classes that live as briefly as frames do.
struct frame_allocated {
  static void* operator new(std::size_t size) { return allocate_frame(size); }
  static void operator delete(void* block, std::size_t size) noexcept { free_frame(block, size); }
};

} // namespace fourfold::detail

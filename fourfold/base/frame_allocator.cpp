#include <fourfold/base/frame_allocator.hpp>

#include <new>

namespace fourfold::detail {

namespace {

constexpr std::size_t kept_bytes_per_class = std::size_t{64} * 1024;
constexpr std::size_t rounded_size_of(std::size_t index) noexcept {
  return index * frame_granule + frame_granule / 2;
}

/// Opens the thread's lists, and empties and closes them at its end.
struct list_keeper {
  list_keeper() noexcept {
    for (std::size_t index = 0; index < frame_classes; ++index)
      free_frames[index].limit = static_cast<std::uint32_t>(kept_bytes_per_class / rounded_size_of(index));
  }
  ~list_keeper() {
    for (free_frame_list& list : free_frames) {
      while (list.first != nullptr) {
        free_frame_block* block = list.first;
        list.first = block->next;
        ::operator delete(block);
      }
      list.limit = 0;
    }
  }
};

} // namespace

void* allocate_fresh_frame(std::size_t size) {
  if (under_address_sanitizer || size > largest_kept_frame)
    return ::operator new(size);
  static thread_local const list_keeper open_until_thread_end;
  static_cast<void>(&open_until_thread_end); // constructs it
  return ::operator new(rounded_size_of(frame_class_of(size)));
}

void free_for_good(void* block) noexcept { ::operator delete(block); }

} // namespace fourfold::detail

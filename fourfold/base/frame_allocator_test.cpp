#include <fourfold/base/frame_allocator.hpp>

#include <gtest/gtest.h>

#include <malloc.h>

#include <cstddef>
#include <cstring>
#include <thread>
#include <vector>

namespace fourfold::detail {
namespace {

TEST(frame_allocator, gives_distinct_blocks_of_every_size) {
  std::vector<std::pair<void*, std::size_t>> blocks;
  for (int round = 0; round < 3; ++round) {
    for (std::size_t size = 1; size < 3000; size += 13) {
      void* block = allocate_frame(size);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % __STDCPP_DEFAULT_NEW_ALIGNMENT__, 0U);
      std::memset(block, static_cast<int>(size % 251), size);
      blocks.emplace_back(block, size);
    }
    for (const auto& [block, size] : blocks) {
      const auto* bytes = static_cast<const unsigned char*>(block);
      EXPECT_EQ(bytes[0], size % 251);
      EXPECT_EQ(bytes[size - 1], size % 251);
      free_frame(block, size);
    }
    blocks.clear();
  }
}

// Under a sanitizer mallinfo2() knows nothing and this test checks only that nothing crashes.
TEST(frame_allocator, thread_that_only_frees_keeps_nothing_after_its_end) {
  constexpr std::size_t size = 200;
  const auto free_on_threads = [](int threads) {
    for (int t = 0; t < threads; ++t) {
      std::vector<void*> blocks;
      for (int i = 0; i < 100; ++i)
        blocks.push_back(::operator new(size));
      std::jthread([&] {
        for (void* block : blocks)
          free_frame(block, size);
      }).join();
    }
  };
  free_on_threads(10);
  const std::size_t before = ::mallinfo2().uordblks;
  free_on_threads(100);
  EXPECT_LT(::mallinfo2().uordblks, before + 100'000);
}

} // namespace
} // namespace fourfold::detail

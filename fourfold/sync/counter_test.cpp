#include <fourfold/base/sanitizers.hpp>
#include <fourfold/loop/waiting_test.hpp>
#include <fourfold/sync/barrier.hpp>
#include <fourfold/sync/lock_scope.hpp>
#include <fourfold/sync/mutex.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

// T11: a counter that several threads count up. mutex_test.cpp has the one that is exact.
namespace fourfold {
namespace {

constexpr int threads_of_example = 4;

TEST(counter, with_a_guard_is_exact) {
  constexpr int times = 10'000;
  mutex m;
  long counter = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < threads_of_example; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < times; ++k) {
        const lock_scope held(m);
        ++counter;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(counter, long{threads_of_example} * times);
}

// What ++ on a shared variable does without a guard: it reads, adds, and writes. The barrier makes all read before
// anybody writes; atomics keep the example itself free of undefined behaviour.
TEST(counter, without_a_guard_loses_updates) {
  barrier all_have_read(threads_of_example);
  std::atomic<long> counter{0};
  std::vector<std::jthread> threads;
  for (int i = 0; i < threads_of_example; ++i) {
    threads.emplace_back([&] {
      const long read = counter.load();
      all_have_read.arrive_and_wait();
      counter.store(read + 1);
    });
  }
  threads.clear();
  EXPECT_EQ(counter, 1) << "of four";
}

[[maybe_unused]] void count_without_a_guard() {
  long counter = 0;
  // Says that the other thread has counted, without ordering the two: the race is there whatever the timing.
  std::atomic<bool> counted{false};
  std::jthread other([&] {
    ++counter;
    counted.store(true, std::memory_order_relaxed);
  });
  while (!counted.load(std::memory_order_relaxed))
    std::this_thread::yield();
  ++counter;
}

TEST(counter_death_test, without_a_guard_is_a_race_that_the_thread_sanitizer_finds) {
  if constexpr (!under_thread_sanitizer) {
    GTEST_SKIP() << "needs a build for the thread sanitizer";
  } else {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    constexpr int exit_code_of_the_sanitizer = 66;
    EXPECT_EXIT(
        {
          count_without_a_guard();
          std::exit(0);
        },
        testing::ExitedWithCode(exit_code_of_the_sanitizer), "data race");
  }
}

} // namespace
} // namespace fourfold

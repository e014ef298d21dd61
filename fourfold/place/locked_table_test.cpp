#include <fourfold/base/errors.hpp>
#include <fourfold/process/process_pool.hpp>
#include <fourfold/process/shared_value.hpp>
#include <fourfold/sync/barrier.hpp>
#include <fourfold/thread/global_lock.hpp>
#include <fourfold/thread/thread_pool.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

// The textbook's table, row by row: where work under a global lock runs at the same time, and where it does not. Not by
// the clock, which says little on a busy machine (`fourfold compare locked` does that): who runs at the same time can
// meet, and who does not cannot.

namespace fourfold {
namespace {

using namespace std::chrono_literals;

constexpr int parties = 4;
constexpr auto patience = 60s;

TEST(locked_table, computing_under_the_lock_is_done_by_one_thread_at_a_time) {
  global_lock lock(1ms);
  int inside = 0; // guarded by the lock
  int most = 0;
  const auto compute = [&] {
    const global_lock_guard guard(lock);
    for (int step = 0; step < 2000; ++step) {
      most = std::max(most, ++inside);
      --inside;
      lock.checkpoint();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < parties; ++i)
      threads.emplace_back(compute);
  }
  EXPECT_EQ(most, 1);
}

TEST(locked_table, waiting_released_from_the_lock_is_done_by_all_threads_at_once) {
  global_lock lock;
  barrier all_wait(parties);
  std::atomic<int> met{0};
  const auto wait = [&] {
    const global_lock_guard guard(lock);
    const global_lock_release open(lock);
    all_wait.arrive_and_wait(patience);
    ++met;
  };
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < parties; ++i)
      threads.emplace_back(wait);
  }
  EXPECT_EQ(met, parties);
}

TEST(locked_table, waiting_without_releasing_the_lock_is_done_by_one_thread_at_a_time) {
  global_lock lock;
  barrier all_wait(2);
  std::atomic<int> gave_up{0};
  const auto wait = [&] {
    const global_lock_guard guard(lock);
    try {
      all_wait.arrive_and_wait(10ms);
    } catch (const timed_out&) {
      ++gave_up;
    }
  };
  {
    const std::jthread one(wait);
    const std::jthread other(wait);
  }
  EXPECT_EQ(gave_up, 2);
}

/// Computes until all of them are here; true if they came.
template <class Arrive, class AllHere>
bool compute_until_all_compute(Arrive arrive, AllHere all_here) {
  arrive();
  const auto end = clock::now() + patience;
  while (!all_here()) {
    if (clock::now() > end)
      return false;
  }
  return true;
}

TEST(locked_table, computing_without_the_lock_is_done_by_all_threads_at_once) {
  std::atomic<int> here{0};
  thread_pool pool({.threads = parties});
  const auto compute = [&] {
    return compute_until_all_compute([&] { ++here; }, [&] { return here == parties; });
  };
  std::vector<future<bool>> results;
  for (int i = 0; i < parties; ++i)
    results.push_back(pool.submit(compute));
  for (auto& result : results)
    EXPECT_TRUE(result.get());
}

bool compute_under_the_lock_of_its_process(shared_value<int> here) {
  global_lock lock;
  const global_lock_guard guard(lock);
  return compute_until_all_compute([&] { ++*here.lock(patience); },
                                   [&] { return here.get(patience) == parties; });
}

TEST(locked_table, computing_under_the_lock_of_each_process_is_done_by_all_at_once) {
  const shared_value<int> here(0);
  process_pool pool({.workers = parties});
  std::vector<future<bool>> results;
  for (int i = 0; i < parties; ++i)
    results.push_back(pool.submit(compute_under_the_lock_of_its_process, here));
  for (auto& result : results)
    EXPECT_TRUE(result.get());
}

} // namespace
} // namespace fourfold
